"""Crops of a prepared picture for the built-in classifier."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image

from imageworks.errors import DecodeError

# EfficientNet's evaluation crop leaves a margin of 16 px on each side of the network's input
# (tensorflow/tpu, models/official/efficientnet/preprocessing.py, CROP_PADDING = 32).
_CROP_PADDING_PX: Final = 32

Box = tuple[float, float, float, float]


def rgb_crops(jpeg: bytes, side_px: int) -> list[bytes]:
    """Four square crops as RGB bytes, row by row, ``side_px * side_px * 3`` each.

    In this order: the centre square less a margin, the whole picture squashed, and the squares at
    its two ends (left and right, or top and bottom).

    Args:
        jpeg: A prepared picture.
        side_px: The classifier's input side.

    Raises:
        DecodeError: The bytes are no whole picture.
    """
    picture = _decoded(jpeg)
    return [_crop(picture, box, side_px) for box in _boxes(*picture.size, side_px)]


def rgb_whole(jpeg: bytes, side_px: int) -> bytes:
    """The whole picture squashed into a square, as `rgb_crops` gives its second.

    Raises:
        DecodeError: The bytes are no whole picture.
    """
    picture = _decoded(jpeg)
    return _crop(picture, (0, 0, *picture.size), side_px)


def _decoded(jpeg: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as opened:
            return opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        message = "A prepared picture cannot be read back."
        hint = "delete the preview cache; it is made again."
        raise DecodeError(message, hint=hint, reason="preview-damaged") from error


def _boxes(width: int, height: int, side_px: int) -> list[Box]:
    short = min(width, height)
    inner = short * side_px / (side_px + _CROP_PADDING_PX)
    left, top = (width - inner) / 2, (height - inner) / 2
    right, bottom = width - short, height - short
    return [
        (left, top, left + inner, top + inner),
        (0, 0, width, height),
        (0, 0, short, short),
        (right, bottom, width, height),
    ]


def _crop(picture: Image.Image, box: Box, side_px: int) -> bytes:
    return picture.resize((side_px, side_px), Image.Resampling.BICUBIC, box=box).tobytes()
