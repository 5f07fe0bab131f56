"""PNG: its chunks, and the iTXt one that holds XMP.

Sources: W3C PNG (third edition, 2025) sections 5 and 11.3.3.4; XMP Specification Part 3 (2020)
1.1.5; C2PA 2.1 A.3.2 (caBX).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imageworks.metadata.embedded import Embedded
from imageworks.metadata.refusal import refusal
from imageworks.metadata.splice import Splice, Stretch
from imageworks.metadata.xmltree import MAX_SIZE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imageworks.errors import MetadataError

_SIGNATURE_BYTES = 8
_KEYWORD = b"XML:com.adobe.xmp\0"
_OLD_XMP = b"Raw profile type xmp\0"
_IPTC = (b"Raw profile type iptc\0", b"Raw profile type 8bim\0")
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk: ``start`` at its length, ``payload`` after its type, ``end`` past its CRC."""

    kind: bytes
    start: int
    payload: int
    end: int


def read_embedded(data: bytes) -> Embedded:
    """The metadata blocks of a PNG.

    Raises:
        MetadataError: ``malformed-image``; ``malformed-xmp`` where a compressed packet is broken.
    """
    chunks = _chunks(data)
    old = [c for c in chunks if c.kind in _TEXT_CHUNKS and data.startswith(_OLD_XMP, c.payload)]
    if old:
        because = "it holds XMP in an ImageMagick profile, which others would read instead"
        raise refusal(reason="two-packets", because=because)
    return Embedded(
        packets=tuple(_packet(data, c) for c in chunks if _is_xmp(data, c)),
        has_iptc=any(c.kind in _TEXT_CHUNKS and data.startswith(_IPTC, c.payload) for c in chunks),
        has_credentials=any(c.kind == b"caBX" for c in chunks),
    )


def put_packet(data: bytes, packet: bytes) -> tuple[Splice, ...]:
    """The edit that makes this the PNG's XMP packet: replaced in place, or new before the picture.

    Raises:
        MetadataError: ``malformed-image`` or ``two-packets``.
    """
    chunks = _chunks(data)
    existing = [chunk for chunk in chunks if _is_xmp(data, chunk)]
    if len(existing) > 1:
        raise refusal(reason="two-packets", because="it holds more than one XMP packet")
    new = _itxt(packet)
    if existing:
        return (Splice(existing[0].start, existing[0].end - existing[0].start, new),)
    return (Splice(next(c.start for c in chunks if c.kind == b"IDAT"), 0, new),)


def survivors(data: bytes) -> list[object]:
    """Everything but the XMP chunk: chunks in order with their CRC, and what follows IEND."""
    chunks = _chunks(data)
    kept: list[object] = [Stretch(data, c.start, c.end) for c in chunks if not _is_xmp(data, c)]
    return [*kept, Stretch(data, chunks[-1].end)]


def trailer_bytes(data: bytes) -> int:
    """How many bytes follow the end of a PNG."""
    return len(data) - _chunks(data)[-1].end


def _chunks(data: bytes) -> Sequence[Chunk]:
    chunks: list[Chunk] = []
    at = _SIGNATURE_BYTES
    while not chunks or chunks[-1].kind != b"IEND":
        if at + 12 > len(data):
            raise _malformed(because="it ends before IEND")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise _malformed(because="a chunk is cut off")
        chunks.append(Chunk(kind, at, at + 8, end))
        at = end
    kinds = [chunk.kind for chunk in chunks]
    if kinds[0] != b"IHDR" or b"IDAT" not in kinds:
        raise _malformed(because="header or picture is missing")
    return chunks


def _is_xmp(data: bytes, chunk: Chunk) -> bool:
    return chunk.kind == b"iTXt" and data.startswith(_KEYWORD, chunk.payload)


def _packet(data: bytes, chunk: Chunk) -> bytes:
    """An iTXt's text: keyword, NUL, compressed?, method, language, NUL, translation, NUL, text."""
    body = data[chunk.payload + len(_KEYWORD) : chunk.end - 4]
    parts = body[2:].split(b"\0", 2)
    if len(parts) != 3:
        raise refusal(reason="malformed-xmp", because="its XMP chunk is broken")
    if not body[0]:
        return parts[2]
    try:
        inflater = zlib.decompressobj()
        text = inflater.decompress(parts[2], MAX_SIZE_BYTES)
    except zlib.error as error:
        raise refusal(reason="malformed-xmp", because="its XMP chunk is broken") from error
    if inflater.unconsumed_tail or not inflater.eof:
        raise refusal(reason="malformed-xmp", because="its XMP chunk is broken or too large")
    return text


def _itxt(packet: bytes) -> bytes:
    """Uncompressed, without language and translation, as XMP Part 3 asks."""
    body = b"iTXt" + _KEYWORD + b"\0\0\0\0" + packet
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def _malformed(*, because: str) -> MetadataError:
    return refusal(reason="malformed-image", because=f"it is not a sound PNG: {because}")
