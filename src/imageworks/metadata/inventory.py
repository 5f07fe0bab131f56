"""What is inside an image file, part by part, for a person to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imageworks.errors import MetadataError
from imageworks.metadata import iptc, jpeg, png, webp
from imageworks.models import ImageFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from imageworks.metadata.photo import Photo

Part = tuple[str, str]
"""What it is, and how much or which kind."""

_TRAILERS: Mapping[ImageFormat, Callable[[bytes], int]] = {
    ImageFormat.JPEG: jpeg.trailer_bytes,
    ImageFormat.PNG: png.trailer_bytes,
    ImageFormat.WEBP: webp.trailer_bytes,
}
# Exiv2's groups of the standard directories; every other one is a maker's.
_STANDARD_GROUPS = ("Image", "Photo", "GPSInfo", "Iop", "Thumbnail", "Sub", "MakerNote")


def parts(photo: Photo) -> tuple[Part, ...]:
    """The metadata blocks that are there, with their sizes; always in the same order."""
    return tuple(_parts(photo))


def _parts(photo: Photo) -> Iterator[Part]:
    embedded, view = photo.embedded, photo.view
    if embedded.raw:
        yield "XMP", _size(len(embedded.raw))
    elif embedded.packet is not None:
        yield "XMP", "read by Exiv2"
    if embedded.extended_bytes:
        yield "extended XMP", _size(embedded.extended_bytes)
    yield from _iptc_part(photo)
    if view is not None:
        yield from _exif_parts(view.exif)
        if view.icc:
            yield "colour profile", _size(len(view.icc))
        if view.comment:
            yield "comment", f"{len(view.comment):,} characters"
    if embedded.has_credentials:
        yield "content credentials", "C2PA"
    yield from _beyond_the_picture(photo)


def _iptc_part(photo: Photo) -> Iterator[Part]:
    if not photo.embedded.has_iptc:
        return
    try:
        if photo.embedded.photoshop:
            size_bytes, digest = iptc.measure(photo.embedded.photoshop)
            if size_bytes:
                yield "IPTC", f"{_size(size_bytes)}, digest {digest.name.lower()}"
            return
    except MetadataError as error:
        yield "IPTC", f"left as it is: {error.message}"
        return
    if photo.view is not None and photo.view.iptc:
        yield "IPTC", f"{len(photo.view.iptc):,} data sets"


def _exif_parts(exif: Mapping[str, object]) -> Iterator[Part]:
    names = [name.split(".") for name in exif]
    own = [name for name in names if name[1:2] and not name[1].startswith(_STANDARD_GROUPS)]
    if names:
        yield "Exif", f"{len(names) - len(own):,} tags"
    if own:
        yield "maker notes", f"{own[0][1]}, {len(own):,} tags"


def _beyond_the_picture(photo: Photo) -> Iterator[Part]:
    data = photo.source.data
    count = _TRAILERS.get(photo.format)
    try:
        if photo.format is ImageFormat.JPEG and jpeg.has_picture_index(data):
            yield "picture index", "MPF"
        if count is not None and (size_bytes := count(data)):
            yield "behind the picture", _size(size_bytes)
    except MetadataError:  # told as the obstacle that it is
        return


def _size(size_bytes: int) -> str:
    return f"{size_bytes:,} bytes"
