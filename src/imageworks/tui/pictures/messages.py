"""What the workstation and its picture process say to each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from imageworks.tui.terminal import Renderer


@dataclass(frozen=True, slots=True)
class PictureWish:
    """A picture to show.

    Attributes:
        thumbnail: At most 320 px on its long side; upright.
        preview: Larger, for panes that show more than that; upright.
        text: What to show where there is no picture: size, date.
        original: The photograph itself, for what was never prepared and for a close look.
    """

    thumbnail: Path | None
    preview: Path | None
    text: str
    original: Path | None = None

    @property
    def has_picture(self) -> bool:
        """Whether there is a file to look for one."""
        return any((self.thumbnail, self.preview, self.original))

    @property
    def files(self) -> PictureWish:
        """The same files without the text, which no picture depends on."""
        return replace(self, text="")

    def is_of_same_photograph(self, other: PictureWish | None) -> bool:
        """Whether it is another, perhaps better, view of the same photograph."""
        if other is None or self.original is None:
            return other is not None and self.files == other.files
        return self.original == other.original


class PictureRequest(NamedTuple):
    """A picture to draw in a pane; equal requests have equal replies.

    Attributes:
        wish: Where the picture is.
        columns: Width of the pane in cells.
        rows: Height of the pane in cells.
        cell_px: Width and height of a cell.
        renderer: What it is for; `Renderer.OFF` never is.
        is_quick: Only if it can be had within milliseconds.
        zoom: 1 for the whole picture.
        centre: Middle of the part to show, as ratios of the picture.
    """

    wish: PictureWish
    columns: int
    rows: int
    cell_px: tuple[int, int]
    renderer: Renderer
    is_quick: bool = False
    zoom: float = 1.0
    centre: tuple[float, float] = (0.5, 0.5)


class SixelTile(NamedTuple):
    """A part of a Sixel picture that stands by itself.

    Attributes:
        column: Where it begins, in cells from the picture's left.
        row: Where it begins, in cells from its top.
        data: A whole Sixel sequence.
    """

    column: int
    row: int
    data: str


class PictureReply(NamedTuple):
    """A picture ready to be drawn.

    Attributes:
        columns: Cells that it takes; 0 when there is no picture.
        rows: Rows of cells that it takes.
        pixels: For characters: RGB of two rows a line, or with ASCII one byte a cell.
        png: For kitty.
        sixels: For Sixel, from the top on.
        part: Left, top, width and height of what is shown, as ratios of the picture.
        zoom: The zoom it really has.
        is_final: Whether a slower request would give nothing better.
    """

    columns: int = 0
    rows: int = 0
    pixels: bytes = b""
    png: bytes = b""
    sixels: tuple[SixelTile, ...] = ()
    part: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    zoom: float = 1.0
    is_final: bool = True

    @property
    def has_picture(self) -> bool:
        """Whether there is anything to draw."""
        return self.columns > 0

    @property
    def graphics_bytes(self) -> int:
        """About how much the terminal's own picture is on the line; 0 without one."""
        return len(self.png) * 4 // 3 + sum(len(tile.data) for tile in self.sixels)
