"""WebP: its chunks, and the one that holds XMP.

Sources: RFC 9649 (WebP) sections 2.5 to 2.7 (simple and extended layout), 3.4 (lossless header);
RFC 6386 section 9.1 (lossy key frame header); C2PA 2.1 A.3.4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imageworks.metadata.embedded import Embedded
from imageworks.metadata.refusal import refusal
from imageworks.metadata.splice import Splice, Stretch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imageworks.errors import MetadataError

_RIFF_HEADER_BYTES = 12
_XMP_FLAG = 0x04
_ALPHA_FLAG = 0x10
_KNOWN = (b"VP8X", b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L", b"EXIF")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk: ``start`` at its name, ``payload`` after its size, ``end`` past its padding."""

    name: bytes
    start: int
    payload: int
    size: int
    end: int


def read_embedded(data: bytes) -> Embedded:
    """The metadata blocks of a WebP.

    Raises:
        MetadataError: ``malformed-image``.
    """
    chunks = _chunks(data)
    return Embedded(
        packets=tuple(data[c.payload : c.payload + c.size] for c in chunks if c.name == b"XMP "),
        has_credentials=any(c.name == b"C2PA" for c in chunks),
    )


def put_packet(data: bytes, packet: bytes) -> tuple[Splice, ...]:
    """The edits that make this the WebP's XMP packet.

    The chunk, the file size, and the header's XMP flag; a simple file gets the extended header.

    Raises:
        MetadataError: ``malformed-image`` or ``two-packets``.
    """
    chunks = _chunks(data)
    existing = [chunk for chunk in chunks if chunk.name == b"XMP "]
    if len(existing) > 1:
        raise refusal(reason="two-packets", because="it holds more than one XMP packet")
    if existing:
        splices = [Splice(existing[0].start, existing[0].end - existing[0].start, _chunk(packet))]
    else:
        at = max(chunk.end for chunk in chunks if chunk.name in _KNOWN)
        splices = [Splice(at, 0, _chunk(packet))]
    splices += _header_splices(data, chunks[0])
    growth = sum(len(splice.new) - splice.length for splice in splices)
    riff_size = int.from_bytes(data[4:8], "little") + growth
    return (Splice(4, 4, struct.pack("<I", riff_size)), *splices)


def survivors(data: bytes) -> list[object]:
    """Everything but the XMP chunk and the header's XMP flag, and what follows the RIFF."""
    chunks = _chunks(data)
    kept: list[object] = []
    for chunk in chunks:
        if chunk.name == b"VP8X":
            flags = data[chunk.payload] & ~_XMP_FLAG
            kept.append((flags, data[chunk.payload + 1 : chunk.end]))
        elif chunk.name != b"XMP ":
            kept.append(Stretch(data, chunk.start, chunk.end))
    if chunks[0].name != b"VP8X":
        kept.insert(0, _extended_header_of(data, chunks[0]))
    return [*kept, Stretch(data, chunks[-1].end)]


def trailer_bytes(data: bytes) -> int:
    """How many bytes follow the end of a WebP."""
    return len(data) - _chunks(data)[-1].end


def _chunks(data: bytes) -> Sequence[Chunk]:
    riff_end = 8 + int.from_bytes(data[4:8], "little")
    if riff_end > len(data) or riff_end % 2:
        raise _malformed(because="its size does not fit")
    chunks: list[Chunk] = []
    at = _RIFF_HEADER_BYTES
    while at < riff_end:
        if at + 8 > riff_end:
            raise _malformed(because="a chunk is cut off")
        name, size = struct.unpack_from("<4sI", data, at)
        end = at + 8 + size + size % 2
        if end > riff_end:
            raise _malformed(because="a chunk is cut off")
        chunks.append(Chunk(name, at, at + 8, size, end))
        at = end
    if not chunks or chunks[0].name not in {b"VP8X", b"VP8 ", b"VP8L"}:
        raise _malformed(because="the picture is missing")
    if chunks[0].name == b"VP8X" and chunks[0].size < 10:
        raise _malformed(because="its header is cut off")
    return chunks


def _chunk(packet: bytes) -> bytes:
    return struct.pack("<4sI", b"XMP ", len(packet)) + packet + b"\0" * (len(packet) % 2)


def _header_splices(data: bytes, first: Chunk) -> list[Splice]:
    if first.name == b"VP8X":
        flags = data[first.payload]
        has_flag = bool(flags & _XMP_FLAG)
        return [] if has_flag else [Splice(first.payload, 1, bytes([flags | _XMP_FLAG]))]
    flags, rest = _extended_header_of(data, first)
    header = struct.pack("<4sI", b"VP8X", 10) + bytes([flags | _XMP_FLAG]) + rest
    return [Splice(first.start, 0, header)]


def _extended_header_of(data: bytes, first: Chunk) -> tuple[int, bytes]:
    """Flags and the rest of the extended header that say the same as a simple file.

    Three reserved bytes, then canvas width and height less one in 24 bits each.
    """
    width, height, has_alpha = _picture_size(data, first)
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return (_ALPHA_FLAG if has_alpha else 0, b"\0\0\0" + sizes)


def _picture_size(data: bytes, chunk: Chunk) -> tuple[int, int, bool]:
    """Width and height in pixels and whether there is transparency, from the picture's header."""
    body = data[chunk.payload : chunk.payload + min(chunk.size, 10)]
    if chunk.name == b"VP8L" and len(body) >= 5 and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    is_key_frame = len(body) == 10 and not body[0] & 1 and body[3:6] == b"\x9d\x01\x2a"
    if chunk.name != b"VP8 " or not is_key_frame:
        raise _malformed(because="the picture's header is broken")
    width, height = struct.unpack_from("<HH", body, 6)
    if not (width & 0x3FFF and height & 0x3FFF):
        raise _malformed(because="the picture's header is broken")
    return width & 0x3FFF, height & 0x3FFF, False


def _malformed(*, because: str) -> MetadataError:
    return refusal(reason="malformed-image", because=f"it is not a sound WebP: {because}")
