"""Parts of a photograph for a person's eyes: as small as can be shown, as detailed as asked for.

Originals are opened for reading only and decoded no larger than they will be shown.
"""

from __future__ import annotations

import io
import logging
import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from imageworks.content import HEAD_BYTES, ByteSource, sniff_format
from imageworks.errors import DecodeError
from imageworks.models import ImageFormat
from imageworks.prepare.colour import flatten, to_srgb
from imageworks.prepare.faults import PILLOW_FAULTS, translated_faults
from imageworks.prepare.picture import _TURNS, _open, _open_pictures, _OpenPicture
from imageworks.prepare.raw import find_previews
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)

_EXIF_MARK = b"Exif\0\0"
_PIXELS_PER_IMAGE_PIXEL = 2
_REDUCING_GAP = 2.0
_KITTY_COLOURS = 256


@dataclass(frozen=True, slots=True)
class Framing:
    """Which part of a picture to show, and in how many pixels.

    Attributes:
        box_px: Most pixels, width and height.
        pixel_shape_ratio: Width of one of these pixels as a ratio of its height.
        zoom: 1 shows the whole picture; 4 a part four times as large.
        centre: Of the part, as ratios of width and height.
    """

    box_px: tuple[int, int]
    pixel_shape_ratio: float = 1.0
    zoom: float = 1.0
    centre: tuple[float, float] = (0.5, 0.5)


@dataclass(frozen=True, slots=True)
class Frame:
    """A framing applied to a picture of known size.

    Attributes:
        size_px: What will be shown.
        whole_px: The whole picture on the same scale.
        part: Left, top, width and height of what is shown, as ratios of the picture.
        zoom: As asked for, but no closer than makes sense.
    """

    size_px: tuple[int, int]
    whole_px: tuple[int, int]
    part: tuple[float, float, float, float]
    zoom: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A part of a picture, upright, in sRGB, at its final size."""

    picture: Image.Image
    frame: Frame


def frame(picture_px: tuple[int, int], framing: Framing) -> Frame:
    """What a framing makes of a picture of this size; at least one pixel of it."""
    width, height = picture_px[0] / framing.pixel_shape_ratio, float(picture_px[1])
    scale = min(framing.box_px[0] / width, framing.box_px[1] / height)
    zoom = max(1.0, min(framing.zoom, _PIXELS_PER_IMAGE_PIXEL / scale))
    whole = max(1, round(width * scale * zoom)), max(1, round(height * scale * zoom))
    size = min(whole[0], framing.box_px[0]), min(whole[1], framing.box_px[1])
    ratios = size[0] / whole[0], size[1] / whole[1]
    left, top = (
        min(max(0.0, middle - ratio / 2), 1 - ratio)
        for middle, ratio in zip(framing.centre, ratios, strict=True)
    )
    return Frame(size, whole, (left, top, *ratios), zoom)


class Viewer:
    """Shows parts of photographs; keeps the last one that was looked into decoded."""

    def __init__(self) -> None:
        self._held_key: tuple[object, ...] = ()
        self._held: Image.Image | None = None

    def show(self, path: Path, framing: Framing) -> Shown:
        """A part of the picture in a file; of a RAW file, of its largest embedded preview.

        Raises:
            DecodeError: It cannot be read or decoded.
        """
        image_format = _format_of(path)
        with translated_faults(path, image_format), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd headers
            with path.open("rb") as stream:
                status = os.fstat(stream.fileno())
                key = (path, status.st_mtime_ns, status.st_size)
                held = self._held if key == self._held_key[:3] else None
                if held is not None:
                    view = frame(self._held_key[3], framing)  # type: ignore[arg-type]  # as kept below
                    if held.width >= view.whole_px[0] * 0.99:
                        return Shown(_part(held, view), view)
                fault: BaseException | None = None
                for opened in _open_pictures(stream, image_format):
                    try:
                        return self._decode(opened, framing, key)
                    except PILLOW_FAULTS as error:
                        fault = error
                if fault is not None:
                    raise fault
        message = f"{show_path(path)} holds no preview that can be shown."
        raise DecodeError(message, hint="export it as JPEG or TIFF.", reason="no-preview")

    def _decode(self, opened: _OpenPicture, framing: Framing, key: tuple[object, ...]) -> Shown:
        image = opened.image
        upright_px = image.size if opened.turn < 5 else (image.height, image.width)
        view = frame(upright_px, framing)
        needed = view.whole_px if opened.turn < 5 else (view.whole_px[1], view.whole_px[0])
        image.draft("RGB", needed)
        image.load()
        profile = image.info.get("icc_profile")
        flat = flatten(image)
        if opened.turn in _TURNS:
            flat = flat.transpose(_TURNS[opened.turn])
        flat.info = {"icc_profile": profile}
        is_close = view.zoom > 1
        self._held = flat if is_close else None
        self._held_key = (*key, upright_px) if is_close else ()
        return Shown(_part(flat, view), view)


def embedded_thumbnail(path: Path, framing: Framing) -> Shown | None:
    """The thumbnail in a JPEG's EXIF, within a millisecond or two; None where there is none.

    Bars that cameras put around it, to give it the usual shape, are cut off.

    Raises:
        DecodeError: The file cannot be read at all.
    """
    image_format = _format_of(path)
    if image_format is not ImageFormat.JPEG:
        return None
    with translated_faults(path, image_format), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with path.open("rb") as stream:
            opened = next(_open_pictures(stream, image_format))
            block = opened.image.info.get("exif", b"").removeprefix(_EXIF_MARK)
            preview = next(find_previews(ByteSource(io.BytesIO(block))), None)
            if preview is None:
                return None
            thumbnail = flatten(_open(io.BytesIO(preview.jpeg), ImageFormat.JPEG))
    shape = opened.image.width / opened.image.height
    small = thumbnail.size
    trimmed = (min(small[0], round(small[1] * shape)), min(small[1], round(small[0] / shape)))
    upright = ImageOps.fit(thumbnail, (max(1, trimmed[0]), max(1, trimmed[1])))
    if opened.turn in _TURNS:
        upright = upright.transpose(_TURNS[opened.turn])
    view = frame(upright.size, framing)
    return Shown(_part(upright, view), view)


def colour_pixels(picture: Image.Image, colours: int) -> bytes:
    """Rows of RGB, of so many different colours: few colours compress well on a line."""
    few = picture.quantize(colours, method=Image.Quantize.FASTOCTREE)
    return few.convert("RGB").tobytes()


def grey_pixels(picture: Image.Image, size_px: tuple[int, int]) -> bytes:
    """Rows of brightness, one byte a pixel, in the size given."""
    return picture.convert("L").resize(size_px, Image.Resampling.BILINEAR).tobytes()


def smaller(picture: Image.Image, size_px: tuple[int, int]) -> Image.Image:
    """The same picture in another size."""
    return picture.resize(size_px, Image.Resampling.BILINEAR, reducing_gap=_REDUCING_GAP)


def png_of(picture: Image.Image) -> bytes:
    """The picture as a PNG of 256 colours, a third the size of one with all of them."""
    buffer = io.BytesIO()
    few = picture.quantize(_KITTY_COLOURS, method=Image.Quantize.FASTOCTREE)
    few.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def tiles(
    picture: Image.Image, tile_px: tuple[int, int], colours: int
) -> Iterator[tuple[int, int, Image.Image]]:
    """The picture cut into tiles, all with the same few colours: left, top, tile."""
    few = picture.quantize(colours, method=Image.Quantize.FASTOCTREE)
    for top in range(0, few.height, tile_px[1]):
        for left in range(0, few.width, tile_px[0]):
            right, bottom = min(left + tile_px[0], few.width), min(top + tile_px[1], few.height)
            yield left, top, few.crop((left, top, right, bottom))


def _part(picture: Image.Image, view: Frame) -> Image.Image:
    left, top, width, height = view.part
    box = (
        left * picture.width,
        top * picture.height,
        min(picture.width, (left + width) * picture.width),
        min(picture.height, (top + height) * picture.height),
    )
    part = picture.resize(
        view.size_px, Image.Resampling.BILINEAR, box=box, reducing_gap=_REDUCING_GAP
    )
    return to_srgb(part, picture.info.get("icc_profile"))


def _format_of(path: Path) -> ImageFormat:
    try:
        with path.open("rb") as stream:
            found = sniff_format(stream.read(HEAD_BYTES), path.name)
    except OSError as error:
        message = f"{show_path(path)} cannot be read: {error.strerror}."
        raise DecodeError(message, hint="check the disk.", reason="unreadable") from error
    if found is None:
        message = f"{show_path(path)} is no picture format known here."
        raise DecodeError(message, hint="export it as JPEG.", reason="unsupported-format")
    return found
