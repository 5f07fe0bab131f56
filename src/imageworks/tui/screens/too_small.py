"""What a terminal too small to work in shows; it swallows every key but the one to leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Static

from imageworks.tui.screens.command import Dialog

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.geometry import Size

    from imageworks.tui.actions import Action

MINIMUM_COLUMNS = 40
MINIMUM_ROWS = 10


def is_too_small(size: Size) -> bool:
    """Whether a terminal of this size cannot show a photograph's fields safely."""
    return size.width < MINIMUM_COLUMNS or size.height < MINIMUM_ROWS


class TooSmallScreen(Dialog):
    """Hides the other screens, so that no key decides on what cannot be seen."""

    def compose(self) -> ComposeResult:
        """The message."""
        text = f"Too small: {MINIMUM_COLUMNS}x{MINIMUM_ROWS} or more, please."
        yield Static(text, id="too-small", markup=False)

    def allows(self, action: Action) -> bool:
        """Only leaving the program works."""
        return action.name == "quit_now"
