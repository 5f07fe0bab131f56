"""What the camera recorded, from EXIF; whatever is broken there is left out."""

from __future__ import annotations

import contextlib
import logging
import math
import struct
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from PIL import Image

from imageworks.stages import CaptureFacts
from imageworks.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

# Tags: CIPA DC-008-2024 (Exif 3.0), tables 4 (IFD0) and 7 to 11 (Exif IFD).
_MAKE, _MODEL, _ORIENTATION, _EXIF_IFD = 0x010F, 0x0110, 0x0112, 0x8769
_EXPOSURE_TIME, _F_NUMBER, _ISO, _TAKEN_AT = 0x829A, 0x829D, 0x8827, 0x9003
_DIGITISED_AT, _FLASH, _FOCAL_LENGTH, _LENS_MODEL = 0x9004, 0x9209, 0x920A, 0xA434
_FLASH_FIRED_BIT = 1
_NAME_LIMIT = 80
_EXIF_MARK = b"Exif\0\0"
_TIFF_HEAD_BYTES = 1 << 20
_BELIEVABLE_YEARS = range(1900, 2200)

# What reading hostile EXIF raises from within Pillow.
_BROKEN = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)


def read_exif(image: Image.Image) -> Image.Exif:
    """The picture's EXIF, from its header alone; empty when there is none or it is broken.

    The orientation that XMP may repeat does not count (Pillow would take it): pictures turned by an
    editor often keep the old one there.
    """
    for xmp in ("xmp", "XML:com.adobe.xmp"):
        image.info.pop(xmp, None)
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & image.info.keys():
        return Image.Exif()  # Pillow would decode the whole picture to look for it at the end
    try:
        return image.getexif()
    except _BROKEN as error:
        logger.debug("EXIF passed over: %s", error)
        return Image.Exif()


def orientation_of(exif: Image.Exif) -> int:
    """1 to 8 as EXIF defines them; 1 (upright) when absent or out of range."""
    with contextlib.suppress(*_BROKEN):
        value = exif.get(_ORIENTATION)
        if isinstance(value, int) and 1 <= value <= 8:
            return value
    return 1


def read_raw_exif(stream: BinaryIO, blocks: tuple[bytes, ...]) -> Image.Exif:
    """A RAW file's own EXIF: from the blocks it keeps beside its pictures, else from its start."""
    exif = Image.Exif()
    try:
        if blocks:
            exif.load(_EXIF_MARK + blocks[0])
            for block in blocks[1:]:
                exif.get_ifd(_EXIF_IFD).update(_loaded(block))
        else:
            stream.seek(0)
            head = stream.read(_TIFF_HEAD_BYTES)
            # Olympus and Panasonic have their own version numbers; the rest is plain TIFF.
            version = {b"II": b"*\0", b"MM": b"\0*"}.get(head[:2], b"")
            exif.load(_EXIF_MARK + head[:2] + version + head[4:])
    except _BROKEN as error:
        logger.debug("EXIF passed over: %s", error)
    return exif


def _loaded(block: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(_EXIF_MARK + block)
    return exif


def capture_facts(exif: Image.Exif) -> CaptureFacts:
    """The facts; ``taken_at`` is the camera's own clock, without a time zone."""
    detail: Mapping[int, Any] = {}
    with contextlib.suppress(*_BROKEN):
        detail = exif.get_ifd(_EXIF_IFD)
    flash = _number(detail, _FLASH, least=0)
    iso = _number(detail, _ISO)
    return CaptureFacts(
        taken_at=_time(detail, _TAKEN_AT) or _time(detail, _DIGITISED_AT),
        camera=_camera(_text(exif, _MAKE), _text(exif, _MODEL)),
        lens=_text(detail, _LENS_MODEL),
        exposure_s=_number(detail, _EXPOSURE_TIME),
        aperture=_number(detail, _F_NUMBER),
        iso=None if iso is None else round(iso),
        focal_length_mm=_number(detail, _FOCAL_LENGTH),
        is_flash_fired=None if flash is None else bool(int(flash) & _FLASH_FIRED_BIT),
    )


def _value(tags: Mapping[int, Any] | Image.Exif, tag: int) -> object:
    with contextlib.suppress(*_BROKEN):
        return tags.get(tag)
    return None


def _text(tags: Mapping[int, Any] | Image.Exif, tag: int) -> str:
    value = _value(tags, tag)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    return clean_text(value.split("\0", 1)[0])[:_NAME_LIMIT].strip()


def _number(tags: Mapping[int, Any] | Image.Exif, tag: int, *, least: float = 1e-9) -> float | None:
    value: Any = _value(tags, tag)
    if isinstance(value, (tuple, list)) and value:
        value = value[0]
    with contextlib.suppress(*_BROKEN):
        number = float(value)
        if math.isfinite(number) and least <= number <= 1e9:
            return number
    return None


def _time(tags: Mapping[int, Any], tag: int) -> datetime | None:
    with contextlib.suppress(*_BROKEN):
        taken_at = datetime.strptime(_text(tags, tag)[:19], "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007  # EXIF has no zone
        if taken_at.year in _BELIEVABLE_YEARS:
            return taken_at
    return None


def _camera(make: str, model: str) -> str:
    """Maker and model, the maker once: "NIKON CORPORATION" and "NIKON D70" make "NIKON D70"."""
    brand = make.split(" ", 1)[0].casefold()
    return model if model.casefold().startswith(brand) else f"{make} {model}".strip()
