"""What a photograph says about itself besides texts and keywords: read, never written."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from imageworks.errors import MetadataError
from imageworks.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from imageworks.metadata.packet import XmpPacket

# MWG Guidelines 2.0, 5.10 (regions); Microsoft, "People Tagging Overview" (2011).
_REGIONS = "{http://www.metadataworkinggroup.com/schemas/regions/}"
_MICROSOFT_LIST = "{http://ns.microsoft.com/photo/1.2/t/RegionInfo#}Regions"
_MICROSOFT_NAME = "{http://ns.microsoft.com/photo/1.2/t/Region#}PersonDisplayName"
_RATINGS = range(-1, 6)
_MAX_NAMES = 200
# XMP Specification Part 1 (2012), 8.2.1.3 and the GPSCoordinate type of Part 2 (2016), 1.2.7.4.
_XMP_COORDINATE = re.compile(r"(\d{1,3}),(\d{1,2}(?:\.\d+)?)(?:,(\d{1,2}(?:\.\d+)?))?([NSEW])")
_XMP_DATE = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?")
_EXIF_DATE = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)")
_ZONE = re.compile(r"Z|[+-]\d\d:\d\d")
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of one block, or of several taken together; see `ExistingMetadata`."""

    rating: int | None = None
    label: str = ""
    people: tuple[str, ...] = ()
    taken_at: str = ""
    gps: tuple[float, float] | None = None


def packet_facts(packet: XmpPacket) -> Facts:
    """The facts in an XMP packet; what cannot be understood counts as absent."""

    def text(name: str) -> str:
        return _tolerant(lambda: packet.text(name).strip(), "")

    dates = (text(name) for name in ("photoshop:DateCreated", "exif:DateTimeOriginal"))
    return Facts(
        rating=_rating(text("xmp:Rating")),
        label=clean_text(text("xmp:Label")),
        people=_people(packet),
        taken_at=next((date for date in dates if _XMP_DATE.fullmatch(date)), ""),
        gps=_position(
            _xmp_coordinate(text("exif:GPSLatitude"), "NS"),
            _xmp_coordinate(text("exif:GPSLongitude"), "EW"),
        ),
    )


def exif_facts(exif: Mapping[str, object]) -> Facts:
    """The facts in Exif values as Exiv2 names and shows them."""

    def text(name: str) -> str:
        return str(exif.get(name, "")).strip("\0 ")

    latitude = _exif_coordinate(text("Exif.GPSInfo.GPSLatitude"))
    longitude = _exif_coordinate(text("Exif.GPSInfo.GPSLongitude"))
    is_south = text("Exif.GPSInfo.GPSLatitudeRef").upper().startswith("S")
    is_west = text("Exif.GPSInfo.GPSLongitudeRef").upper().startswith("W")
    return Facts(
        rating=_rating(text("Exif.Image.Rating")),
        taken_at=_exif_date(
            text("Exif.Photo.DateTimeOriginal"),
            text("Exif.Photo.SubSecTimeOriginal"),
            text("Exif.Photo.OffsetTimeOriginal"),
        ),
        gps=_position(
            None if latitude is None else -latitude if is_south else latitude,
            None if longitude is None else -longitude if is_west else longitude,
        ),
    )


def combine_facts(*facts: Facts) -> Facts:
    """Several views of one photograph: the first that knows a fact tells it; people are joined."""
    return Facts(
        rating=next((f.rating for f in facts if f.rating is not None), None),
        label=next((f.label for f in facts if f.label), ""),
        people=tuple(dict.fromkeys(name for f in facts for name in f.people)),
        taken_at=next((f.taken_at for f in facts if f.taken_at), ""),
        gps=next((f.gps for f in facts if f.gps is not None), None),
    )


def _people(packet: XmpPacket) -> tuple[str, ...]:
    """Face regions of MWG and Microsoft, and IPTC's persons shown."""
    nothing: tuple[dict[str, str], ...] = ()
    regions = _tolerant(lambda: packet.structs_in(f"{_REGIONS}RegionList"), nothing)
    names = [
        region.get(f"{_REGIONS}Name", "")
        for region in regions
        if region.get(f"{_REGIONS}Type", "Face") == "Face"
    ]
    faces = _tolerant(lambda: packet.structs_in(_MICROSOFT_LIST), nothing)
    names += [face.get(_MICROSOFT_NAME, "") for face in faces]
    unnamed: tuple[str, ...] = ()
    names += _tolerant(lambda: packet.items("Iptc4xmpExt:PersonInImage"), unnamed)
    return _clean_names(names)


def _clean_names(names: Iterable[str]) -> tuple[str, ...]:
    cleaned = (clean_text(name) for name in names)
    return tuple(dict.fromkeys(name for name in cleaned if name))[:_MAX_NAMES]


def _rating(text: str) -> int | None:
    try:
        rating = math.floor(float(text))
    except (ValueError, OverflowError):
        return None
    return rating if rating in _RATINGS else None


def _xmp_coordinate(text: str, directions: str) -> float | None:
    """Degrees from ``48,51.5N`` or ``48,51,30N``."""
    found = _XMP_COORDINATE.fullmatch(text.upper())
    if found is None or found[4] not in directions:
        return None
    degrees = int(found[1]) + float(found[2]) / 60 + float(found[3] or 0) / 3600
    return -degrees if found[4] in "SW" else degrees


def _exif_coordinate(text: str) -> float | None:
    """Degrees from three rationals: ``48/1 51/1 2961/100`` (CIPA DC-008, 4.6.6)."""
    degrees = 0.0
    parts = text.split()
    if not 1 <= len(parts) <= 3:
        return None
    for part, unit in zip(parts, (1, 60, 3600), strict=False):
        above, _, below = part.partition("/")
        try:
            # Cameras write 0/0 for seconds that they do not know.
            degrees += int(above) / int(below or 1) / unit if int(above) else 0.0
        except (ValueError, ZeroDivisionError):
            return None
    return degrees


def _position(latitude: float | None, longitude: float | None) -> tuple[float, float] | None:
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    return (round(latitude, 7), round(longitude, 7))


def _exif_date(date: str, fraction: str, zone: str) -> str:
    found = _EXIF_DATE.fullmatch(date)
    if found is None or found[1] == "0000":
        return ""
    year, month, day, hour, minute, second = found.groups()
    digits = f".{fraction}" if fraction.isascii() and fraction.isdecimal() else ""
    shift = zone if _ZONE.fullmatch(zone) else ""
    return f"{year}-{month}-{day}T{hour}:{minute}:{second}{digits}{shift}"


def _tolerant(look: Callable[[], _Found], otherwise: _Found) -> _Found:
    try:
        return look()
    except MetadataError:
        return otherwise
