"""The batch dialog: what will be asked, of which model, before it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.widgets import Static

from imageworks.text import show_path
from imageworks.tui.actions import Scope
from imageworks.tui.screens.command import Dialog
from imageworks.tui.widgets.key_bar import KeyBar
from imageworks.tui.wording import count_text, model_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from textual.app import ComposeResult

    from imageworks.config import PersonalTaggerConfig
    from imageworks.tui.actions import KeyTable

_SHOWN_FOLDERS = 5


class BatchScreen(Dialog):
    """Asks whether to start a batch.

    Args:
        keys: The user's keys.
        lines: What will be done, one fact a line.
        start: Starts it.
    """

    def __init__(self, keys: KeyTable, lines: Sequence[str], start: Callable[[], None]) -> None:
        super().__init__(keys)
        self._lines = lines
        self._start = start

    def compose(self) -> ComposeResult:
        """The facts and the keys."""
        with Vertical(id="batch-box"):
            yield Static("Ask the model?", classes="label", markup=False)
            yield Static("\n".join(self._lines), id="batch-lines", markup=False)
            yield KeyBar(self.keys, Scope.DIALOG)

    def do_confirm(self) -> None:
        """Starts the batch."""
        self.do_close()
        self._start()


def batch_lines(
    config: PersonalTaggerConfig, folders: Sequence[Path], *, waiting: int, total: int
) -> list[str]:
    """What a batch of these folders will do.

    Args:
        config: Says what is asked.
        folders: The folders to walk.
        waiting: Images in them without a suggestion, as far as they are known.
        total: Images in them, as far as they are known.
    """
    shown = [f"  {show_path(folder, limit=70)}" for folder in folders[:_SHOWN_FOLDERS]]
    if len(folders) > _SHOWN_FOLDERS:
        shown.append(f"  and {len(folders) - _SHOWN_FOLDERS} more")
    return [
        f"Asks {model_text(config)}",
        f"about {count_text(waiting, 'image')} of {total:,}, and any new ones, in:",
        *shown,
        "Pictures that were asked about before in the same way are not asked again.",
        "No file is written: every suggestion waits for your decision.",
    ]
