"""The dialog before an act on many images: what it does, and to how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.widgets import Static

from imageworks.text import one_line
from imageworks.tui.actions import Scope
from imageworks.tui.screens.command import Dialog
from imageworks.tui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from textual.app import ComposeResult

    from imageworks.tui.actions import KeyTable


class ConfirmScreen(Dialog):
    """Asks before it does.

    Args:
        keys: The user's keys.
        question: One line with the count.
        lines: What will be done, one fact a line.
        on_yes: Does it, once the dialog is closed.
        on_no: Takes note that it is not wanted.
    """

    def __init__(
        self,
        keys: KeyTable,
        question: str,
        lines: Sequence[str],
        on_yes: Callable[[], Awaitable[None]],
        *,
        on_no: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(keys)
        self._question = question
        self._lines = lines
        self._on_yes = on_yes
        self._on_no = on_no

    def compose(self) -> ComposeResult:
        """The question, the facts and the keys."""
        with Vertical(classes="dialog-box"):
            yield Static(one_line(self._question, limit=300), classes="label", markup=False)
            text = "\n".join(one_line(line, limit=300) for line in self._lines)
            yield Static(text, classes="dialog-lines", markup=False)
            yield KeyBar(self.keys, Scope.DIALOG)

    async def do_confirm(self) -> None:
        """Closes the dialog and does it."""
        self.dismiss()
        await self._on_yes()

    def do_close(self) -> None:
        """Closes the dialog without doing anything."""
        self.dismiss()
        self._on_no()
