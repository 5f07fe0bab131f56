"""The picture pane: the only module with Pillow and textual-image.

Pictures of half blocks are drawn from the cached thumbnail; they cost a slow line about 7 KB each,
where Sixel costs 350 KB. Decoding happens in a thread of its own, and only the newest wish counts.
"""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps
from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult
    from textual.timer import Timer

    from imageworks.tui.terminal import Graphics

logger = logging.getLogger(__name__)

_COLOURS = 64  # quantised pictures are a third of the size on a compressed line
_DEBOUNCE_S = 0.04  # a held key draws its last picture only
_ASCII_RAMP = " .:-=+*#%@"
_THUMBNAIL_PX = 320
_CACHED_STYLES = 8192


@dataclass(frozen=True, slots=True)
class PictureWish:
    """A picture to show.

    Attributes:
        thumbnail: At most 320 px on its long side; upright.
        preview: Larger, for panes that show more than that; upright.
        text: What to show where there is no picture: size, date.
    """

    thumbnail: Path | None
    preview: Path | None
    text: str

    def source(self, longest_px: int) -> Path | None:
        """The smallest file that has so many pixels."""
        if longest_px > _THUMBNAIL_PX:
            return self.preview or self.thumbnail
        return self.thumbnail or self.preview


def fit(width_px: int, height_px: int, box: tuple[int, int]) -> tuple[int, int]:
    """The largest size of the same shape within a box; at least one pixel."""
    scale = min(box[0] / width_px, box[1] / height_px)
    return max(1, round(width_px * scale)), max(1, round(height_px * scale))


def load_picture(path: Path, box: tuple[int, int]) -> Image.Image:
    """A picture in RGB, shrunk or grown to fit the box.

    Raises:
        OSError: It is not there or cannot be decoded.
    """
    with Image.open(path) as opened:
        opened.draft("RGB", box)
        picture = opened.convert("RGB")
    return ImageOps.contain(picture, box, Image.Resampling.BILINEAR)


def half_block_rows(picture: Image.Image) -> list[list[Segment]]:
    """A picture as rows of half blocks, two pixels a cell, equal neighbours joined."""
    width, height = picture.size
    palette = picture.quantize(_COLOURS, method=Image.Quantize.FASTOCTREE).convert("RGB")
    data = palette.tobytes()
    stride = width * 3
    rows = []
    for top in range(0, height, 2):
        upper = data[top * stride : (top + 1) * stride]
        lower = data[(top + 1) * stride : (top + 2) * stride]
        rows.append(list(_half_block_row(upper, lower)))
    return rows


def ascii_rows(picture: Image.Image) -> list[list[Segment]]:
    """A picture as rows of ASCII, by brightness; two pixel rows a line."""
    width, height = picture.size
    grey = picture.convert("L").resize((width, max(1, (height + 1) // 2)))
    data = grey.tobytes()
    steps = len(_ASCII_RAMP)
    return [
        [Segment("".join(_ASCII_RAMP[value * steps // 256] for value in data[i : i + width]))]
        for i in range(0, len(data), width)
    ]


def _half_block_row(upper: bytes, lower: bytes) -> Iterator[Segment]:
    run, previous = 0, b""
    for x in range(0, len(upper), 3):
        pair = upper[x : x + 3] + lower[x : x + 3]
        if pair != previous and run:
            yield Segment("▀" * run, _pair_style(previous))
            run = 0
        previous = pair
        run += 1
    if run:
        yield Segment("▀" * run, _pair_style(previous))


@lru_cache(maxsize=_CACHED_STYLES)
def _pair_style(pair: bytes) -> Style:
    """Upper pixel as foreground, lower one as background; the last row may have no lower one."""
    upper = Color.from_triplet(ColorTriplet(*pair[:3]))
    lower = Color.from_triplet(ColorTriplet(*pair[3:])) if len(pair) == 6 else None
    return Style(color=upper, bgcolor=lower)


class PreviewPane(Widget):
    """Shows one picture as well as the terminal can.

    Args:
        graphics: The terminal's own graphics, or None for pictures of characters.
        is_colour: Whether colours may be used.
    """

    class Ready(Message):
        """A picture has been decoded."""

        def __init__(self, number: int, picture: Image.Image | None) -> None:
            super().__init__()
            self.number = number
            self.picture = picture

    def __init__(self, *, graphics: Graphics | None, is_colour: bool) -> None:
        super().__init__(id="picture")
        self._is_colour = is_colour
        self._drawer = None if graphics is None else open_drawer(graphics)
        self._cell_px = (
            (1, 2)
            if graphics is None or self._drawer is None
            else (graphics.cell_width_px, graphics.cell_height_px)
        )
        self._decoders = ThreadPoolExecutor(1, thread_name_prefix="preview")
        self._wish: PictureWish | None = None
        self._number = 0
        self._timer: Timer | None = None
        self._rows: list[list[Segment]] = []
        self._text = ""
        self._columns = 0

    def compose(self) -> ComposeResult:
        """The terminal's own picture, where it has graphics."""
        if self._drawer is not None:
            yield self._drawer

    def show(self, wish: PictureWish | None) -> None:
        """Shows another picture soon; the one there stays until then."""
        if wish == self._wish:
            return
        self._wish = wish
        self._number += 1
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_DEBOUNCE_S, self._decode)

    def on_resize(self) -> None:
        """Draws the picture anew in its new size."""
        self._number += 1
        self._decode()

    def on_unmount(self) -> None:
        """Waits for no decoder."""
        self._decoders.shutdown(wait=False, cancel_futures=True)

    def on_preview_pane_ready(self, event: Ready) -> None:
        """Takes over a decoded picture unless a newer one is wanted."""
        event.stop()
        if event.number != self._number:
            return
        if event.picture is None:
            self._show_text()
        elif self._drawer is not None:
            self._text, self._rows = "", []
            self._drawer.image = event.picture
            self._drawer.display = True
        else:
            draw = half_block_rows if self._is_colour else ascii_rows
            self._text, self._rows = "", draw(event.picture)
            self._columns = event.picture.size[0]
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of the picture, centred, or of the text in its place."""
        width, base = self.size.width, self.rich_style
        if self._text:
            middle = self.size.height // 2
            text = self._text[:width] if y == middle else ""
            left = (width - len(text)) // 2
            return Strip([Segment(" " * left + text, base)]).adjust_cell_length(width, base)
        number = y - max(0, (self.size.height - len(self._rows)) // 2)
        if not 0 <= number < len(self._rows):
            return Strip.blank(width, base)
        left = max(0, (width - self._columns) // 2)
        row = [
            Segment(part.text, base + part.style if part.style else base)
            for part in self._rows[number]
        ]
        return Strip([Segment(" " * left, base), *row]).adjust_cell_length(width, base)

    def _decode(self) -> None:
        box = (self.size.width * self._cell_px[0], self.size.height * self._cell_px[1])
        path = None if self._wish is None else self._wish.source(max(box))
        if path is None or not all(box):
            self._show_text()
            return
        number = self._number
        self._decoders.submit(self._decode_in_thread, path, box, number)

    def _decode_in_thread(self, path: Path, box: tuple[int, int], number: int) -> None:
        if number != self._number:
            return
        try:
            picture = load_picture(path, box)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            logger.info("No picture from %s: %s", show_path(path), error)
            picture = None
        self.post_message(self.Ready(number, picture))

    def _show_text(self) -> None:
        self._rows = []
        self._text = "" if self._wish is None else self._wish.text
        if self._drawer is not None:
            self._drawer.display = False
        self.refresh()


class _NoTerminal:
    """Standard output that says it is no terminal, so that an import asks it nothing."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401  # whatever sys.__stdout__ is
        self._stream = stream

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # passed through
        return getattr(self._stream, name)


def open_drawer(graphics: Graphics) -> Any | None:  # noqa: ANN401  # a widget of an untyped library
    """textual-image's widget for this terminal, or None where it cannot be had.

    Its import asks the terminal and waits for the answer; it is told what is known already. The
    names used for that are private ones of 0.12 to 0.14, hence the width of what is caught.
    """
    real, sys.__stdout__ = sys.__stdout__, _NoTerminal(sys.__stdout__)  # type: ignore[misc, assignment]  # for the import only
    try:
        from textual_image import _terminal  # noqa: PLC0415  # asks the terminal

        terminal: Any = _terminal
        size = terminal.CellSize(graphics.cell_width_px, graphics.cell_height_px)
        if hasattr(terminal, "probe_terminal"):
            terminal.probe_terminal._result = terminal.TerminalCapabilities(  # noqa: SLF001
                size, sixel=graphics.protocol == "sixel", tgp=graphics.protocol == "kitty"
            )
        else:
            terminal.get_cell_size._result = size  # noqa: SLF001
        from textual_image import widget  # noqa: PLC0415

        kind = widget.TGPImage if graphics.protocol == "kitty" else widget.SixelImage
        drawer = kind(id="drawer")
    except (ImportError, AttributeError, TypeError, ValueError, OSError) as error:
        logger.warning("No %s pictures: %s", graphics.protocol, error)
        return None
    else:
        return drawer
    finally:
        sys.__stdout__ = real  # type: ignore[misc]
