"""What the pixels themselves tell: a hash to find near-duplicates, and a few plain facts."""

from __future__ import annotations

import colorsys
from collections import Counter
from functools import lru_cache
from itertools import accumulate

from PIL import Image, ImageChops, ImageStat

from imageworks.stages import PixelFacts

_SAMPLE_PX = 48
_MONOCHROME_CHROMA = 20
_MONOCHROME_SHARE_RATIO = 0.98
_DOMINANT_SHARE_RATIO = 0.12
_MAX_COLOURS = 3
# Sixty-four levels a channel, both ends kept: a few hundred shades to name instead of thousands.
_COARSE_SHADES = [round((value >> 2) * 255 / 63) for value in range(256)] * 3

# Hue in degrees up to which a name holds. Twelve names, because people agree on them across
# languages (Berlin and Kay's basic terms, with teal for the cyan that has no basic name).
_HUES = (
    (15, "red"),
    (42, "orange"),
    (70, "yellow"),
    (165, "green"),
    (195, "teal"),
    (260, "blue"),
    (315, "purple"),
    (340, "pink"),
    (360, "red"),
)


def perceptual_hash(thumbnail: Image.Image) -> int:
    """64-bit difference hash: each bit tells whether a cell is darker than the one to its right.

    Two pictures are alike when few bits differ: ``(a ^ b).bit_count()``.
    """
    cells = thumbnail.convert("L").resize((9, 8), Image.Resampling.BILINEAR).tobytes()
    bits = 0
    for row in range(8):
        for column in range(8):
            at = row * 9 + column
            bits = bits << 1 | (cells[at] < cells[at + 1])
    return bits


def pixel_facts(picture: Image.Image) -> PixelFacts:
    """Facts of an RGB picture; see `PixelFacts`."""
    sample = picture.resize((_SAMPLE_PX, _SAMPLE_PX), Image.Resampling.BOX)
    is_monochrome = _is_monochrome(sample)
    mean_luma = ImageStat.Stat(sample.convert("L")).mean[0]
    return PixelFacts(
        is_monochrome=is_monochrome,
        mean_luma_ratio=round(mean_luma / 255, 3),
        dominant_colours=_dominant_colours(sample.convert("L").convert("RGB"))
        if is_monochrome
        else _dominant_colours(sample),
    )


def _is_monochrome(sample: Image.Image) -> bool:
    """Nearly every pixel's channels lie close together; JPEG's own colour noise is within that."""
    red, green, blue = sample.split()
    highest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    lowest = ImageChops.darker(ImageChops.darker(red, green), blue)
    histogram = ImageChops.subtract(highest, lowest).histogram()
    within = list(accumulate(histogram))[_MONOCHROME_CHROMA]
    return within >= _MONOCHROME_SHARE_RATIO * _SAMPLE_PX * _SAMPLE_PX


def _dominant_colours(sample: Image.Image) -> tuple[str, ...]:
    data = sample.point(_COARSE_SHADES).tobytes()
    names: Counter[str] = Counter()
    shades = Counter(zip(data[0::3], data[1::3], data[2::3], strict=True))
    for shade, count in shades.items():
        names[_colour_name(*shade)] += count
    least = _DOMINANT_SHARE_RATIO * _SAMPLE_PX * _SAMPLE_PX
    ranked = sorted(names.items(), key=lambda item: (-item[1], item[0]))
    return tuple(name for name, count in ranked if count >= least)[:_MAX_COLOURS]


@lru_cache(maxsize=16_384)
def _colour_name(red: int, green: int, blue: int) -> str:
    hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
    if value < 0.15:
        return "black"
    if saturation < 0.15 or (saturation < 0.3 and value < 0.3):
        return "white" if value > 0.85 else "grey" if value > 0.22 else "black"
    degrees = hue * 360
    if value < 0.65 and 10 <= degrees < 50:
        return "brown"
    if saturation < 0.45 and value > 0.7 and (degrees < 15 or degrees >= 320):
        return "pink"
    return next(name for limit, name in _HUES if degrees <= limit)
