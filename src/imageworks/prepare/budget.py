"""How large a picture the model gets."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LEAST_MAX_PIXELS = 1_100_000
# Patches of 16 px merged two by two: Qwen3-VL and later, Pixtral and its kin (their model cards'
# `patch_size` and `spatial_merge_size`). Qwen2-VL and 2.5-VL have 14 px, and 28 px also divides the
# tiles of InternVL (448), LLaVA (336) and Gemma 3 (896).
_GRID_32 = re.compile(
    r"qwen[-_ ]?(?:[3-9]|\d\d)|pixtral|mistral|magistral|ministral", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class PixelBudget:
    """The bounds of a preview.

    Attributes:
        long_edge_px: Longest side.
        max_pixels: Most pixels in all; vision models charge by area.
        grid_px: Sides become multiples of this where they are reduced, so that the server does not
            resample again: 28 for Qwen2.5-VL, 32 for Qwen3-VL.
        jpeg_quality: Pillow's scale, 1 to 95.
    """

    long_edge_px: int = 1024
    max_pixels: int = _LEAST_MAX_PIXELS
    grid_px: int = 28
    jpeg_quality: int = 85

    def __post_init__(self) -> None:
        """Checks the ranges.

        Raises:
            ValueError: A bound is below 1.
        """
        if min(self.long_edge_px, self.max_pixels, self.grid_px, self.jpeg_quality) < 1:
            message = f"a pixel budget needs positive bounds: {self}"
            raise ValueError(message)

    @property
    def name(self) -> str:
        """The budget as part of a file name: another budget, another name."""
        return f"{self.long_edge_px}-{self.max_pixels}-{self.grid_px}-q{self.jpeg_quality}"


def budget_for(long_edge_px: int, models: Iterable[str] = ()) -> PixelBudget:
    """The budget of a prompt profile for the models that will see the picture.

    Args:
        long_edge_px: As the profile says. A picture of 3:2 may be that long; of a squarer one the
            area is bounded, which is what it costs.
        models: Names as the server has them; a grid of 32 px where all of them have it, else 28.
    """
    names = tuple(models)
    is_32 = bool(names) and all(_GRID_32.search(name) for name in names)
    return PixelBudget(
        long_edge_px=long_edge_px,
        max_pixels=max(_LEAST_MAX_PIXELS, long_edge_px * long_edge_px * 2 // 3),
        grid_px=32 if is_32 else 28,
    )


def target_size(width: int, height: int, budget: PixelBudget) -> tuple[int, int]:
    """Width and height of the preview, in pixels.

    A picture within the budget stays as it is. A larger one is reduced to sides on the grid, its
    aspect kept as closely as the grid allows; a side that would vanish in the grid (a very long
    panorama) leaves the grid instead. Never above the budget, never larger than the picture.
    """
    long_px, short_px = max(width, height), min(width, height)
    if long_px <= budget.long_edge_px and width * height <= budget.max_pixels:
        return width, height
    widest_px = min(budget.long_edge_px, budget.max_pixels)
    ratio = min(widest_px / long_px, math.sqrt(budget.max_pixels / (width * height)))
    new_long = _floor(long_px * ratio, budget.grid_px)
    exact_short = short_px * new_long / long_px
    new_short = min(_nearest(exact_short, budget.grid_px), short_px, new_long)
    if new_long * new_short > budget.max_pixels:
        new_short = _floor(exact_short, budget.grid_px)
    return (new_long, new_short) if width >= height else (new_short, new_long)


def _floor(side: float, grid_px: int) -> int:
    return int(side) // grid_px * grid_px or max(1, int(side))


def _nearest(side: float, grid_px: int) -> int:
    return round(side / grid_px) * grid_px or max(1, round(side))
