"""The morning after: what the last batch did, what failed and why, what waits for review."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from imageworks.engine.morning_text import morning_lines
from imageworks.tui.actions import Scope
from imageworks.tui.screens.command import Dialog
from imageworks.tui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from imageworks.engine.client import EngineClient
    from imageworks.tui.actions import KeyTable
    from imageworks.tui.screens.command import CommandScreen


class SummaryScreen(Dialog):
    """Tells how the last batch went.

    Args:
        keys: The user's keys.
        lines: What there is to tell, one fact a line.
    """

    def __init__(self, keys: KeyTable, lines: Sequence[str]) -> None:
        super().__init__(keys)
        self._lines = lines

    def compose(self) -> ComposeResult:
        """The facts and the keys."""
        with Vertical(id="summary-box"):
            yield Static("The last batch", classes="label", markup=False)
            with VerticalScroll(id="summary-scroll", can_focus=False):
                yield Static("\n".join(self._lines), id="summary-lines", markup=False)
            yield KeyBar(self.keys, Scope.DIALOG, without=frozenset({"confirm"}))

    def do_confirm(self) -> None:
        """Back to the review."""
        self.do_close()


def show_summary(screen: CommandScreen, client: EngineClient) -> None:
    """Opens the summary over a screen, or says that there is none yet."""
    morning = client.morning_after()
    if morning is None:
        screen.say("No batch yet.")
        return
    screen.app.push_screen(SummaryScreen(screen.keys, morning_lines(morning)))
