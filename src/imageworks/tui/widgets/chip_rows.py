"""Wraps chips into rows of a given width; knows widths in cells and no colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from imageworks.models import Origin
from imageworks.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imageworks.review.keyword_line import Chip

GAP = 2
"""Cells between two chips."""

SIGNS = {
    Origin.EXISTING: "=",
    Origin.MODEL: "*",
    Origin.VOCABULARY: "#",
    Origin.PERSON: "+",
    Origin.LIBRARY: "~",
}
"""Where a keyword comes from, as a sign that needs no colour; ASCII, so that it shows anywhere."""

REMOVED_SIGN = "-"


@dataclass(frozen=True, slots=True)
class Placed:
    """A piece of the line on its row.

    Attributes:
        index: The chip; None for the place where the person types.
        column: First cell.
        text: As drawn, already cut to the width.
    """

    index: int | None
    column: int
    text: str


def chip_text(chip: Chip) -> str:
    """A chip as it is drawn: its sign, its keyword, and how sure the engine is."""
    keyword = chip.keyword
    sign = SIGNS[keyword.origin] if chip.is_kept else REMOVED_SIGN
    sure = "" if keyword.score is None else f" {round(keyword.score * 100)}%"
    return f"{sign}{one_line(keyword.text, limit=200)}{sure}"


def place_rows(pieces: Sequence[tuple[int | None, str]], width: int) -> list[list[Placed]]:
    """The pieces in order on rows; one that is wider than a row is cut."""
    rows: list[list[Placed]] = [[]]
    column = 0
    for index, whole in pieces:
        text = cut(whole, width)
        cells = cell_len(text)
        if rows[-1] and column + cells > width:
            rows.append([])
            column = 0
        rows[-1].append(Placed(index, column, text))
        column += cells + GAP
    return rows


def cut(text: str, width: int, *, sign: str = "…") -> str:
    """Text of at most so many cells; what is left out is shown by a sign of one cell or none."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(width - len(sign), 0)).rstrip() + sign if width > 0 else ""


def end_of(text: str, caret: int, width: int) -> tuple[str, int]:
    """The part of a typed text around its caret that fits, and the caret's place in it."""
    first = 0
    while first < caret and cell_len(text[first : caret + 1]) >= width:
        first += 1
    shown = text[first:]
    while cell_len(shown) > width:
        shown = shown[:-1]
    return shown, caret - first
