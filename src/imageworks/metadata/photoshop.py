"""Photoshop's image resources: the block that holds IPTC-IIM in a JPEG.

Source: Adobe Photoshop File Formats Specification (2019), "Image Resource Blocks".
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imageworks.metadata.refusal import refusal

if TYPE_CHECKING:
    from imageworks.errors import MetadataError

IPTC = 0x0404
IPTC_DIGEST = 0x0425
"""MD5 of the IPTC resource's data, kept by programs that hold it and XMP in step."""
# "8BIM" and the signatures that other programs use (as ExifTool's Photoshop.pm knows them).
_SIGNATURES = (b"8BIM", b"PHUT", b"DCSR", b"AgHg", b"MeSa")


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource: its number, its data, and all of its bytes as they stand in the block."""

    number: int
    data: bytes
    raw: bytes

    def with_data(self, data: bytes) -> Resource:
        """The same resource, name and signature kept, with other data."""
        at = _data_offset(self.raw, 0)
        raw = self.raw[: at - 4] + struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)
        return Resource(self.number, data, raw)


@dataclass(frozen=True, slots=True)
class ResourceBlock:
    """The resources in order, and the padding behind them."""

    resources: tuple[Resource, ...]
    padding: bytes = b""

    def find(self, number: int) -> bytes | None:
        """The data of the one resource with this number; None when it is absent.

        Raises:
            MetadataError: ``iptc-unusual``: it is there more than once.
        """
        found = [resource.data for resource in self.resources if resource.number == number]
        if len(found) > 1:
            raise unusual(because="they stand in the file more than once")
        return found[0] if found else None

    def with_data(self, number: int, data: bytes) -> ResourceBlock:
        """The block with other data in the resources of this number."""
        changed = tuple(
            resource.with_data(data) if resource.number == number else resource
            for resource in self.resources
        )
        return ResourceBlock(changed, self.padding)

    def serialise(self) -> bytes:
        """The block's bytes."""
        return b"".join(resource.raw for resource in self.resources) + self.padding


def parse_resources(block: bytes) -> ResourceBlock:
    """The resources of a block.

    Raises:
        MetadataError: ``iptc-unusual``: it is not sound.
    """
    resources = []
    at = 0
    while block[at : at + 4] in _SIGNATURES:
        start, data_at = at, _data_offset(block, at)
        size = int.from_bytes(block[data_at - 4 : data_at], "big")
        end = data_at + size
        if end > len(block):
            raise unusual(because="their block is cut off")
        at = min(end + size % 2, len(block))
        number = int.from_bytes(block[start + 4 : start + 6], "big")
        resources.append(Resource(number, block[data_at:end], block[start:at]))
    if block[at:].strip(b"\0"):
        raise unusual(because="their block holds something unknown")
    return ResourceBlock(tuple(resources), block[at:])


def digest_of(data: bytes) -> bytes:
    """What resource 0x0425 holds when it is current."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def unusual(*, because: str) -> MetadataError:
    """Why IPTC data are left as they are."""
    return refusal(reason="iptc-unusual", because=because)


def _data_offset(block: bytes, start: int) -> int:
    """Where a resource's data begin: signature, number, Pascal string padded to even, size."""
    if start + 7 > len(block):
        raise unusual(because="their block is cut off")
    name_bytes = 1 + block[start + 6]
    at = start + 6 + name_bytes + name_bytes % 2 + 4
    if at > len(block):
        raise unusual(because="their block is cut off")
    return at
