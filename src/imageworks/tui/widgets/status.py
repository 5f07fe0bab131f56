"""The status lines: the counts, what is under way, and what was just said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.containers import Vertical

from imageworks.text import one_line
from imageworks.tui.widgets.line import Line

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.timer import Timer

MESSAGE_S = 6.0
_GAP = "   "


class StatusLines(Vertical):
    """Two lines: the counts above, the last message below.

    What is under way stands behind the counts where there is room, else in place of the message
    once that has been read. Where the screen is short there is one line, and what is new wins it.
    """

    def __init__(self) -> None:
        super().__init__(id="status")
        self._message = ""
        self._progress = ""
        self._counts = ""
        self._timer: Timer | None = None
        self._upper, self._lower = Line("counts"), Line("message")

    def compose(self) -> ComposeResult:
        """The two lines."""
        yield self._upper
        yield self._lower

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Shows a message for a while; an error until the next message or an empty text."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._message = one_line(text, limit=400)
        self.set_class(is_error, "-error")
        if text and not is_error:
            self._timer = self.set_timer(MESSAGE_S, self._forget)
        self._update()

    def show(self, *, counts: str, progress: str) -> None:
        """Shows how things stand."""
        if (counts, progress) != (self._counts, self._progress):
            self._counts, self._progress = counts, progress
            self._update()

    def on_resize(self) -> None:
        """Puts the texts where there is room now."""
        self._update()

    @property
    def message(self) -> str:
        """What was said last, else what is under way."""
        return self._message or self._progress

    def _forget(self) -> None:
        self.say("")

    def _update(self) -> None:
        first = f"{self._counts}{_GAP}{self._progress}" if self._progress else self._counts
        has_room = cell_len(first) <= self.content_size.width and self.size.height > 1
        lower = self._message if has_room else self.message
        self._upper.put(first if has_room else self._counts)
        self._lower.put(lower)
        self.set_class(bool(lower), "-busy")
