"""The formats whose files take XMP inside, behind one set of functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from imageworks.metadata import jpeg, png, tiff, webp
from imageworks.metadata.refusal import refusal
from imageworks.models import ImageFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imageworks.errors import MetadataError
    from imageworks.metadata.embedded import Embedded
    from imageworks.metadata.splice import Splice


class Container(Protocol):
    """What the module of a format offers; bytes in, bytes and edits out."""

    def read_embedded(self, data: bytes) -> Embedded:
        """The metadata blocks of a file."""
        ...

    def put_packet(self, data: bytes, packet: bytes) -> tuple[Splice, ...]:
        """The edits that make this the file's XMP packet."""
        ...

    def survivors(self, data: bytes) -> list[object]:
        """Everything but the XMP packet, in a form that compares equal when nothing was lost."""
        ...


class _Dng:
    """A DNG is a TIFF by its structure, and only read and written as one where it is asked for."""

    read_embedded = staticmethod(tiff.read_dng)
    put_packet = staticmethod(tiff.put_packet)
    survivors = staticmethod(tiff.survivors)


_CONTAINERS: Mapping[ImageFormat, object] = {
    ImageFormat.JPEG: jpeg,
    ImageFormat.PNG: png,
    ImageFormat.WEBP: webp,
    ImageFormat.TIFF: tiff,
    ImageFormat.DNG: _Dng,
}
_TAKES_XMP = frozenset({ImageFormat.JPEG, ImageFormat.PNG, ImageFormat.WEBP, ImageFormat.TIFF})


def require_container(image_format: ImageFormat) -> Container:
    """The container of a format.

    Raises:
        MetadataError: ``format``: files of this format are never changed.
    """
    container = container_of(image_format)
    if container is None:
        raise no_container()
    return container


def takes_xmp(image_format: ImageFormat) -> bool:
    """Whether metadata goes into files of this format unless something speaks against it."""
    return image_format in _TAKES_XMP


def no_container() -> MetadataError:
    """Why a file of another format gets a sidecar."""
    return refusal(reason="format", because="files of this format are never changed")


def container_of(image_format: ImageFormat) -> Container | None:
    """The container of a format, or None where the image file is never touched."""
    return cast("Container | None", _CONTAINERS.get(image_format))
