"""A run's progress on standard error: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, TextIO

from imageworks.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PLAIN_EVERY_S = 10.0
_BAR_WIDTH = 20


class ProgressPrinter:
    """Shows a run's totals; this one shows nothing."""

    def note_totals(self, totals: Mapping[str, Any], *, waiting_for: str = "") -> None:
        """Takes new figures."""

    def finish(self) -> None:
        """Leaves the last figures on the screen."""


class LiveLine(ProgressPrinter):
    """One line that is drawn over again."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = False

    def note_totals(self, totals: Mapping[str, Any], *, waiting_for: str = "") -> None:
        """Draws the line."""
        width = _terminal_width(self._stream)
        line = progress_line(totals, waiting_for=waiting_for, bar_width=_BAR_WIDTH)
        self._stream.write("\r\x1b[K" + line[: width - 1])
        self._stream.flush()
        self._shown = True

    def finish(self) -> None:
        """Moves on to the next line."""
        if self._shown:
            self._stream.write("\n")
            self._stream.flush()


class PlainLines(ProgressPrinter):
    """A line every few seconds, for logs and pipes.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._said_at = clock()

    def note_totals(self, totals: Mapping[str, Any], *, waiting_for: str = "") -> None:
        """Says the figures if the last time is long ago."""
        if self._clock() - self._said_at >= _PLAIN_EVERY_S:
            self._said_at = self._clock()
            self._stream.write(progress_line(totals, waiting_for=waiting_for) + "\n")
            self._stream.flush()


def progress_printer(stream: TextIO, *, is_quiet: bool) -> ProgressPrinter:
    """The way to show progress that fits where standard error goes."""
    if is_quiet:
        return ProgressPrinter()
    if stream.isatty() and os.environ.get("TERM", "") not in {"", "dumb"}:
        return LiveLine(stream)
    return PlainLines(stream)


def progress_line(totals: Mapping[str, Any], *, waiting_for: str = "", bar_width: int = 0) -> str:
    """A run's figures in one line, e.g. ``120/400  3.2/s  1:27 left  2 failed``."""
    total, done = int(totals.get("total", 0)), int(totals.get("done", 0))
    parts = []
    if bar_width:
        filled = round(bar_width * done / total) if total else 0
        parts.append("[" + "#" * filled + "." * (bar_width - filled) + "]")
    parts.append(f"{done}/{total}{'+' if totals.get('is_scanning') else ''}")
    if rate := float(totals.get("images_per_s") or 0.0):
        parts.append(f"{rate:.1f}/s" if rate >= 1 else f"{60 * rate:.0f}/min")
    if (eta_s := totals.get("eta_s")) is not None and done < total:
        parts.append(f"{duration(float(eta_s))} left")
    if failed := totals.get("failed"):
        parts.append(f"{failed} failed")
    message = f"waiting for {waiting_for}" if waiting_for else str(totals.get("message") or "")
    if message:
        parts.append(one_line(message, limit=60))
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as ``0:42``, ``12:05`` or ``3:07:00``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _terminal_width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80
