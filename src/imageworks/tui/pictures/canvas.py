"""The cells that a picture is drawn in: revealed at the line's pace, then refined with pixels."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from imageworks.tui.pictures import kitty, sixel
from imageworks.tui.pictures.link import Link
from imageworks.tui.pictures.outlet import Outlet
from imageworks.tui.pictures.rows import Row, image_id_of, placeholder_rows, wire_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from imageworks.tui.pictures.messages import PictureReply

_PAINT_TIMEOUT_S = 0.5  # nothing is painted while another screen covers this one
_POLL_S = 0.004
_BYTES_PER_EMPTY_ROW = 60

Line = tuple[int, Row]
"""Cells and segments of one line of a picture."""


class PictureCanvas(Widget):
    """Shows rows of characters, and over them the terminal's own pictures.

    Args:
        is_in_tmux: Whether kitty's commands must be wrapped for tmux.
    """

    def __init__(self, *, is_in_tmux: bool) -> None:
        super().__init__(id="picture")
        self._is_in_tmux = is_in_tmux
        self._outlet = Outlet(self)
        self.link = Link(self._outlet.write, self._outlet.is_blocked)
        self._rows: Sequence[Row] = ()
        self._lines: list[Line | None] = []
        self._text = ""
        self._mark = self._image_id = kitty.own_mark()
        self._is_image_held = False
        self._sixels: PictureReply | None = None
        self._uploading = asyncio.Lock()
        self._painted = asyncio.Event()
        self._awaited_line = -1

    def on_mount(self) -> None:
        """Begins to measure the line, and listens for the app coming back to its terminal."""
        if self._outlet.is_open:
            self.link.ask()
        is_truecolor = self.app.console.color_system == "truecolor"
        self._image_id = image_id_of(self._mark, is_truecolor=is_truecolor)
        self.app.app_resume_signal.subscribe(self, self._return_to_terminal)

    def write_text(self, text: str) -> None:
        """Shows a line of text in place of a picture."""
        self.workers.cancel_group(self, "sixels")
        had_picture = bool(self._rows) or self._sixels is not None or any(self._lines)
        is_other = text != self._text
        self._rows, self._sixels, self._text = (), None, text
        self._lines = [None] * self.size.height
        self.free_image()
        if had_picture:
            self.refresh()
        elif is_other:
            self.refresh(Region(0, self.size.height // 2, self.size.width, 1))

    def free_image(self) -> None:
        """Takes the picture out of the terminal's memory."""
        if self._is_image_held:
            self._is_image_held = False
            self._command(kitty.delete(self._image_id))

    async def reveal(self, rows: Sequence[Row], columns: int) -> None:
        """Replaces what is shown from the top on, no faster than the line takes it.

        Args:
            rows: Of one picture, each so many cells wide.
            columns: Cells in a row.
        """
        self.workers.cancel_group(self, "sixels")
        height = self.size.height
        top = max(0, (height - len(rows)) // 2)
        fresh: list[Line | None] = [None] * height
        fresh[top : top + len(rows)] = [(columns, row) for row in rows[:height]]
        self._lines = (self._lines + [None] * height)[:height]
        self._text, self._sixels, self._rows = "", None, rows
        first = 0
        while first < height:
            last, size_bytes = self._burst(fresh, first)
            self._lines[first:last] = fresh[first:last]
            self._painted.clear()
            self._awaited_line = last - 1
            self.refresh(Region(0, first, self.size.width, last - first))
            first = last
            if self._outlet.is_open and await self._is_painted():
                await self.link.arrived(size_bytes, time.monotonic())

    def ask_in_quiet(self) -> None:
        """Measures the way to the terminal and back, now that nothing is under way."""
        if self._outlet.is_open and self.link.is_answering:
            self.link.ask()

    async def send_png(self, reply: PictureReply) -> bool:
        """Sends a picture to kitty; it is seen once its placeholders are.

        Returns:
            Whether it was sent; not where the line turns out to be too slow for it.
        """
        async with self._uploading:
            is_whole = False
            try:
                burst = ""
                for command in kitty.upload(self._image_id, reply.png):
                    burst += command
                    if len(burst) >= self.link.burst_bytes:
                        await self._send(burst)
                        burst = ""
                    if self.link.is_slow_for(reply.graphics_bytes):
                        return False
                self._is_image_held = True
                place = kitty.place(self._image_id, reply.columns, reply.rows)
                await self._send(burst + place)
                is_whole = True
            finally:
                if not is_whole:
                    self._is_image_held = False
                    self._command(kitty.abandon() + kitty.delete(self._image_id))

        return True

    async def reveal_image(self, reply: PictureReply) -> None:
        """Puts the placeholders of the picture that kitty has in place of what is shown."""
        rows = placeholder_rows(self._mark, reply.columns, reply.rows)
        await self.reveal(rows, reply.columns)

    async def send_sixels(self, reply: PictureReply) -> None:
        """Draws a Sixel picture over the characters that show the same."""
        self._sixels = None  # while it is on its way a repaint is no reason to begin anew
        left = self.region.x + max(0, (self.size.width - reply.columns) // 2)
        top = self.region.y + max(0, (self.size.height - reply.rows) // 2)
        burst = ""
        for tile in reply.sixels:
            burst += sixel.placed(tile.data, top + tile.row, left + tile.column)
            if len(burst) >= self.link.burst_bytes:
                if not self._is_in_sight():
                    break
                await self.link.send(burst)
                burst = ""
        if self._is_in_sight():
            await self.link.send(burst)
        self._sixels = reply

    def render_line(self, y: int) -> Strip:
        """One line of the picture, centred, or of the text in its place."""
        width, base = self.size.width, self.rich_style
        if y == self._awaited_line:
            self._painted.set()  # sent before the event loop goes on
        if self._sixels is not None:
            reply, self._sixels = self._sixels, None
            self.call_after_refresh(self._draw_sixels_again, reply)
        if self._text:
            text = self._text[:width] if y == self.size.height // 2 else ""
            left = (width - len(text)) // 2
            return Strip([Segment(" " * left + text, base)]).adjust_cell_length(width, base)
        line = self._lines[y] if y < len(self._lines) else None
        if line is None:
            return Strip.blank(width, base)
        columns, row = line
        left = max(0, (width - columns) // 2)
        parts = [Segment(part.text, base + part.style if part.style else base) for part in row]
        return Strip([Segment(" " * left, base), *parts]).adjust_cell_length(width, base)

    def _return_to_terminal(self, _app: object) -> None:
        self.free_image()
        self.refresh()

    def _draw_sixels_again(self, reply: PictureReply) -> None:
        if self._text or not self._is_in_sight():
            self._sixels = None if self._text else reply
            return
        send: Callable[[], Awaitable[None]] = partial(self.send_sixels, reply)
        self.run_worker(send, group="sixels", exclusive=True)

    def _is_in_sight(self) -> bool:
        return self.is_attached and self.screen.is_current and bool(self.region)

    def _burst(self, lines: Sequence[Line | None], first: int) -> tuple[int, int]:
        """Where the next burst of lines ends, and its size; at least one line."""
        size_bytes, last = 0, first
        while last < len(lines):
            line = lines[last]
            line_bytes = _BYTES_PER_EMPTY_ROW + (wire_bytes([line[1]]) if line else 0)
            if last > first and size_bytes + line_bytes > self.link.burst_bytes:
                break
            size_bytes += line_bytes
            last += 1
        return (last, size_bytes) if self._outlet.is_open else (len(lines), 0)

    async def _is_painted(self) -> bool:
        """Waits until Textual has sent what was refreshed; False where it does not come to it."""
        # `call_after_refresh` would not do: it also runs when the refresh is still to come. Nor
        # does the rendering alone: Textual also renders lines that it then does not send.
        try:
            async with asyncio.timeout(_PAINT_TIMEOUT_S):
                await self._painted.wait()
                while self._outlet.is_behind():  # noqa: ASYNC110  # nobody tells
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            return False
        return True

    def _command(self, commands: str) -> None:
        self._outlet.write(kitty.through_tmux(commands) if self._is_in_tmux else commands)

    async def _send(self, commands: str) -> None:
        await self.link.send(kitty.through_tmux(commands) if self._is_in_tmux else commands)
