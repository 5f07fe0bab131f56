"""Pictures of characters: rows of segments made from the bytes that the picture process sends."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from rich.color import Color, ColorSystem
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style

from imageworks.tui.pictures.kitty import placeholder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Row = list[Segment]

_ASCII_RAMP = " .:-=+*#%@"
_ASCII_TABLE = bytes(ord(_ASCII_RAMP[value * len(_ASCII_RAMP) // 256]) for value in range(256))
_CACHED_STYLES = 8192
# ESC[38;2;R;G;B;48;2;R;G;Bm before a run of equal cells and ESC[0m after it (ECMA-48, SGR).
_BYTES_PER_RUN = 40
_BYTES_PER_GLYPH = 3


def half_block_rows(pixels: bytes, width: int) -> list[Row]:
    """Rows of half blocks, two pixels a cell, equal neighbours joined.

    Args:
        pixels: RGB, row by row; the last row may be a single one.
        width: Pixels in a row, which are cells too.
    """
    stride = width * 3
    return [
        list(_half_block_row(pixels[top : top + stride], pixels[top + stride : top + 2 * stride]))
        for top in range(0, len(pixels), 2 * stride)
    ]


def ascii_rows(pixels: bytes, width: int) -> list[Row]:
    """Rows of ASCII, denser where it is brighter.

    Args:
        pixels: Brightness, a byte a cell.
        width: Cells in a row.
    """
    text = pixels.translate(_ASCII_TABLE).decode("ascii")
    return [[Segment(text[left : left + width])] for left in range(0, len(text), width)]


def image_id_of(mark: int, *, is_truecolor: bool) -> int:
    """The number by which kitty will know a picture from its placeholders' colour.

    Args:
        mark: 24 bits; the colour.
        is_truecolor: Whether it is sent as it is, or as one of 256 colours.
    """
    if is_truecolor:
        return mark
    return _mark_colour(mark).downgrade(ColorSystem.EIGHT_BIT).number or 1


def _mark_colour(mark: int) -> Color:
    return Color.from_triplet(ColorTriplet(*mark.to_bytes(3, "big")))


def placeholder_rows(mark: int, columns: int, rows: int) -> list[Row]:
    """Rows of the characters that kitty replaces by parts of a picture; see `image_id_of`."""
    style = Style(color=_mark_colour(mark))
    return [
        [Segment(placeholder(row, column), style) for column in range(columns)]
        for row in range(rows)
    ]


def wire_bytes(rows: Iterable[Row]) -> int:
    """About how many bytes these rows are on the line."""
    return sum(
        _BYTES_PER_GLYPH * len(part.text) + (_BYTES_PER_RUN if part.style else 0)
        for row in rows
        for part in row
    )


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
