"""The status lines: what the engine does, what was just said, and the counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.widgets import Static

from imageworks.text import one_line

if TYPE_CHECKING:
    from textual.app import ComposeResult


class StatusLines(Vertical):
    """Two lines: the counts, and below them the last message, else what is under way.

    Where the screen is short there is one line, and messages come before counts.
    """

    def __init__(self) -> None:
        super().__init__(id="status")
        self._message = ""
        self._progress = ""
        self._counts = ""

    def compose(self) -> ComposeResult:
        """The two lines."""
        yield Static(id="counts", markup=False)
        yield Static(id="message", markup=False)

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Shows a message until the next one, or until it is cleared with an empty text."""
        self._message = one_line(text, limit=400)
        self.set_class(is_error, "-error")
        self._update()

    def show(self, *, counts: str, progress: str) -> None:
        """Shows how things stand."""
        if (counts, progress) != (self._counts, self._progress):
            self._counts, self._progress = counts, progress
            self._update()

    @property
    def message(self) -> str:
        """What the lower line says."""
        return self._message or self._progress

    def _update(self) -> None:
        self.query_one("#counts", Static).update(self._counts, layout=False)
        self.query_one("#message", Static).update(self.message, layout=False)
        self.set_class(bool(self.message), "-busy")
