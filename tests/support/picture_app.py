"""The picture pane in a program of its own, for tests and measurements on a real terminal.

``python -m tests.support.picture_app IMAGES PATH…``: ``j`` shows the next photograph, ``J`` one
further on, ``e`` echoes, ``z`` looks closer, ``l`` to the right, ``p`` leaves the terminal for a
moment, ``q`` ends it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import App
from textual.widgets import Static

from imageworks.tui.terminal import Graphics, TerminalQuestion
from imageworks.tui.widgets.preview import PictureWish, PreviewPane

if TYPE_CHECKING:
    from textual import events


class PictureApp(App[None]):
    CSS = """
    Screen { layers: base; }
    #picture { width: 40; height: 20; }
    #echo, #said { height: 1; }
    """

    def __init__(self, graphics: Graphics, paths: list[Path]) -> None:
        super().__init__()
        self.animation_level = "none"
        self.paths = paths
        self.at = 0
        self.echoes = 0
        self.pane = PreviewPane(graphics=graphics, is_colour=True)

    def compose(self):
        yield self.pane
        yield Static(id="echo", markup=False)
        yield Static("ready", id="said", markup=False)

    def on_mount(self) -> None:
        self.show()

    def on_cursor_position(self) -> None:
        self.pane.link.answered()

    def on_preview_pane_slowed(self, event: PreviewPane.Slowed) -> None:
        self.query_one("#said", Static).update(event.text)

    def on_key(self, event: events.Key) -> None:
        match event.key:
            case "j":
                self.at += 1
                self.query_one("#said", Static).update(f"picture {self.at}")
                self.show()
            case "J":
                self.at += 7  # none of the prefetched ones
                self.show()
            case "e":
                self.echoes += 1
                self.query_one("#echo", Static).update(f"echo {self.echoes}.")
            case "z":
                self.pane.zoom_in()
            case "l":
                self.pane.pan(1, 0)
            case "p":
                with self.suspend():
                    print("outside", flush=True)  # noqa: T201  # as an editor would
            case "q":
                self.exit()
            case _:
                pass

    def show(self) -> None:
        wishes = [self.wish(self.at + ahead) for ahead in range(3)]
        self.pane.show(wishes[0], wishes[1:])

    def wish(self, number: int) -> PictureWish:
        path = self.paths[number % len(self.paths)]
        return PictureWish(None, None, f"no picture of {path.name}", path)


if __name__ == "__main__":
    PictureApp(
        TerminalQuestion(os.environ, sys.argv[1]).answer(), [Path(name) for name in sys.argv[2:]]
    ).run()
