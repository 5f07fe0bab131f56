"""JPEG: the segments before the picture, and the one that holds XMP.

Sources: ITU-T T.81 annex B (markers); XMP Specification Part 3 (2020) 1.1.3 (APP1, ExtendedXMP);
CIPA DC-007 (MPF); CIPA DC-008 (Exif) 4.7; C2PA 2.1 A.3 (APP11, JUMBF); Adobe Photoshop File Formats
(2019), "Image Resource Blocks" (APP13).
"""

from __future__ import annotations

import re
import struct
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from imageworks.metadata.embedded import Embedded
from imageworks.metadata.refusal import refusal
from imageworks.metadata.splice import Splice, Stretch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from imageworks.errors import MetadataError

_SOI, _SOS, _EOI, _APP0, _APP1, _APP2, _APP11, _APP13 = (
    *(0xD8, 0xDA, 0xD9),
    *(0xE0, 0xE1, 0xE2, 0xEB, 0xED),
)
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENDED = b"http://ns.adobe.com/xmp/extension/\0"
_EXIF = b"Exif\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_MAX_RESOURCE_BYTES = 65_533 - len(_PHOTOSHOP)
_MPF = b"MPF\0"
_MP_ENTRY = 0xB002
MAX_PACKET_BYTES = 65_502
"""Largest packet in one segment (XMP Part 3, 1.1.3.1)."""
# A scan header of one component (T.81 B.2.3) and EOI.
_EMPTY_SCAN = b"\xff\xda\0\x08\x01\x01\0\0\x3f\0\xff\xd9"
_PACKET_END = re.compile(rb"<\?xpacket end=.{0,20}\?>\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Segment:
    """A marker segment: ``start`` at its 0xFF, ``payload`` after the length, ``end`` past it."""

    marker: int
    start: int
    payload: int
    end: int


def read_embedded(data: bytes) -> Embedded:
    """The metadata blocks of a JPEG.

    Raises:
        MetadataError: ``malformed-image``, or ``extended-xmp`` where its parts do not fit.
    """
    segments = list(_segments(data))
    app11 = [data[s.payload : s.end] for s in segments if s.marker == _APP11]
    return Embedded(
        packets=tuple(data[s.payload + len(_XMP) : s.end] for s in _xmp_segments(data, segments)),
        extended=_extended_packets(data, segments),
        has_iptc=any(s.marker == _APP13 for s in segments),
        photoshop=b"".join(
            data[s.payload + len(_PHOTOSHOP) : s.end] for s in _photoshop_segments(data, segments)
        ),
        has_credentials=any(b"c2pa" in payload for payload in app11),
    )


def put_packet(data: bytes, packet: bytes) -> tuple[Splice, ...]:
    """The edit that makes this the JPEG's XMP packet.

    An existing segment is replaced where it stands. A new one follows JFIF and Exif, so it comes
    before an MPF segment, whose offsets count from itself.

    Raises:
        MetadataError: ``malformed-image``; ``packet-size`` where the packet does not fit;
            ``two-packets``.
    """
    segments = list(_segments(data))
    existing = _xmp_segments(data, segments)
    if len(existing) > 1:
        raise refusal(reason="two-packets", because="it holds more than one XMP packet")
    if existing:
        old = existing[0]
        if any(_is_mpf(data, s) and s.start < old.start for s in segments):
            packet = _padded(packet, old.end - old.payload - len(_XMP))
        return (Splice(old.start, old.end - old.start, _segment(packet)),)
    return (Splice(_insertion_point(data, segments), 0, _segment(packet)),)


def put_photoshop(data: bytes, block: bytes) -> tuple[Splice, ...]:
    """The edit that makes these the JPEG's Photoshop resources, where it has some already.

    A block that was split over segments may be split again; one that was not must fit into one.

    Raises:
        MetadataError: ``malformed-image``; ``iptc-unusual`` where the parts do not join or a
            picture index (MPF) before them would no longer hit; ``packet-size``.
    """
    segments = list(_segments(data))
    old = _photoshop_segments(data, segments)
    if not old or any(a.end != b.start for a, b in pairwise(old)):
        raise refusal(reason="iptc-unusual", because="their parts do not join")
    limit = _MAX_RESOURCE_BYTES
    parts = [block[at : at + limit] for at in range(0, len(block), limit)]
    if len(parts) > len(old) == 1:
        raise refusal(reason="packet-size", because="they would not fit into one JPEG segment")
    new = b"".join(
        struct.pack(">BBH", 0xFF, _APP13, 2 + len(_PHOTOSHOP) + len(part)) + _PHOTOSHOP + part
        for part in parts
    )
    start, end = old[0].start, old[-1].end
    is_moving = len(new) != end - start
    if is_moving and any(_is_mpf(data, s) and s.start < start for s in segments):
        raise refusal(reason="iptc-unusual", because="they stand behind a picture index (MPF)")
    return (Splice(start, end - start, new),)


def survivors(data: bytes) -> list[object]:
    """Everything but the XMP segment: segments in order, picture and trailers, where MPF points."""
    return _survivors(data, keeps_photoshop=True)


def survivors_but_photoshop(data: bytes) -> list[object]:
    """The same with no more than the place of the Photoshop segments."""
    return _survivors(data, keeps_photoshop=False)


def _survivors(data: bytes, *, keeps_photoshop: bool) -> list[object]:
    segments = list(_segments(data))
    gone = _xmp_segments(data, segments)
    kept: list[object] = []
    if not keeps_photoshop:
        photoshop = _photoshop_segments(data, segments)
        kept.append([s for s in segments if s not in gone].index(photoshop[0]))
        gone += photoshop
    kept += [Stretch(data, s.start, s.end) for s in segments if s not in gone]
    kept.append(Stretch(data, segments[-1].end if segments else 2))
    kept += [picture for s in segments if _is_mpf(data, s) for picture in _mpf_targets(data, s)]
    return kept


def has_picture_index(data: bytes) -> bool:
    """Whether a JPEG names further pictures behind its own (MPF)."""
    return any(_is_mpf(data, segment) for segment in _segments(data))


def trailer_bytes(data: bytes) -> int:
    """How many bytes follow a JPEG's picture: further pictures, videos, makers' own data."""
    segments = list(_segments(data))
    end = data.find(b"\xff\xd9", segments[-1].end if segments else 2)
    return 0 if end < 0 else len(data) - end - 2


def without_picture(data: bytes) -> bytes:
    """All segments before the picture as they are, with an empty picture behind them.

    Readers of metadata stop at the first scan, so they find the same in this as in all of it.

    Raises:
        MetadataError: ``malformed-image``.
    """
    segments = list(_segments(data))
    return data[: segments[-1].end if segments else 2] + _EMPTY_SCAN


def _segments(data: bytes) -> Iterator[Segment]:
    """The segments up to the first SOS, which is not among them."""
    at = 2
    while True:
        start = at
        if data[at : at + 1] != b"\xff":
            raise _malformed(because="its segments do not join")
        while data[at : at + 1] == b"\xff":  # any number of fill bytes (T.81 B.1.1.2)
            at += 1
        marker = data[at] if at < len(data) else 0
        if marker == _SOS:
            return
        length = int.from_bytes(data[at + 1 : at + 3], "big")
        if marker < 0xC0 or 0xD0 <= marker <= _EOI or length < 2 or at + 1 + length > len(data):
            raise _malformed(because="a segment is broken")
        yield Segment(marker, start, at + 3, at + 1 + length)
        at += 1 + length


def _xmp_segments(data: bytes, segments: Sequence[Segment]) -> list[Segment]:
    return [s for s in segments if s.marker == _APP1 and data.startswith(_XMP, s.payload)]


def _photoshop_segments(data: bytes, segments: Sequence[Segment]) -> list[Segment]:
    return [s for s in segments if s.marker == _APP13 and data.startswith(_PHOTOSHOP, s.payload)]


def _is_mpf(data: bytes, segment: Segment) -> bool:
    return segment.marker == _APP2 and data.startswith(_MPF, segment.payload)


def _insertion_point(data: bytes, segments: Sequence[Segment]) -> int:
    at = 2
    for segment in segments:
        is_exif = segment.marker == _APP1 and data.startswith(_EXIF, segment.payload)
        if segment.marker != _APP0 and not is_exif:
            break
        at = segment.end
    return at


def _segment(packet: bytes) -> bytes:
    if len(packet) > MAX_PACKET_BYTES:
        because = "its XMP would not fit into one JPEG segment (65,502 bytes)"
        raise refusal(reason="packet-size", because=because)
    return struct.pack(">BBH", 0xFF, _APP1, 2 + len(_XMP) + len(packet)) + _XMP + packet


def _padded(packet: bytes, size_bytes: int) -> bytes:
    """The packet with white space before its end mark, so that nothing after it moves."""
    missing = size_bytes - len(packet)
    if missing < 0:
        because = "its XMP stands behind a picture index (MPF) and has no room to grow"
        raise refusal(reason="packet-size", because=because)
    end = _PACKET_END.search(packet)
    at = end.start() if end else len(packet)
    return packet[:at] + b" " * missing + packet[at:]


def _extended_packets(data: bytes, segments: Sequence[Segment]) -> tuple[bytes, ...]:
    """ExtendedXMP put together: GUID (32), full length (4), offset (4), part."""
    parts: dict[bytes, dict[int, bytes]] = defaultdict(dict)
    lengths: dict[bytes, int] = {}
    for segment in segments:
        if segment.marker != _APP1 or not data.startswith(_EXTENDED, segment.payload):
            continue
        at = segment.payload + len(_EXTENDED)
        if segment.end - at < 40:
            raise _extended_fault()
        guid = data[at : at + 32]
        length, offset = struct.unpack_from(">II", data, at + 32)
        parts[guid][offset] = data[at + 40 : segment.end]
        lengths[guid] = length
    joined = []
    for guid, pieces in parts.items():
        packet = b"".join(pieces[offset] for offset in sorted(pieces))
        if len(packet) != lengths[guid]:
            raise _extended_fault()
        joined.append(packet)
    return tuple(joined)


def _mpf_targets(data: bytes, segment: Segment) -> list[bytes]:
    """The first bytes of the pictures that an MPF index points at.

    Offsets count from its byte order mark, so they break when only what follows it moves.

    CIPA DC-007, 5.2.3.3: 16 bytes an entry: attributes, size, offset, two dependants.
    """
    base = segment.payload + len(_MPF)
    order = {b"II": "<", b"MM": ">"}.get(data[base : base + 2])
    if order is None:
        return []
    try:
        (directory,) = struct.unpack_from(f"{order}I", data, base + 4)
        (count,) = struct.unpack_from(f"{order}H", data, base + directory)
        entries = [
            struct.unpack_from(f"{order}HHII", data, base + directory + 2 + 12 * i)
            for i in range(count)
        ]
        pictures = []
        for tag, _, size, value in entries:
            for at in range(base + value, base + value + size, 16) if tag == _MP_ENTRY else ():
                (offset,) = struct.unpack_from(f"{order}I", data, at + 8)
                pictures.append(data[base + offset : base + offset + 64] if offset else b"")
    except struct.error:
        return []
    return pictures


def _malformed(*, because: str) -> MetadataError:
    return refusal(reason="malformed-image", because=f"it is not a sound JPEG: {because}")


def _extended_fault() -> MetadataError:
    return refusal(reason="extended-xmp", because="its extended XMP is incomplete")
