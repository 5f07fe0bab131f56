"""TIFF: its directories, and the entry of the first one that holds XMP.

Nothing in a TIFF may move, for offsets point everywhere. So nothing moves: a new packet goes to the
end of the file and the one entry is pointed there; without such an entry a copy of the first
directory that has one goes to the end as well, and the header is pointed at it.

Sources: TIFF 6.0 (1992) section 2; XMP Specification Part 3 (2020) 1.1.7 (tag 700); TIFF technical
note 1 (SubIFDs); CIPA DC-008 (Exif) 4.6.3 (Exif, GPS, interoperability);
C2PA 2.1 A.3 (tag 52545).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from imageworks.metadata.embedded import Embedded
from imageworks.metadata.refusal import refusal
from imageworks.metadata.splice import Splice, Stretch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imageworks.errors import MetadataError

_XMP = 700
_IPTC_TAGS = {33723, 34377}
_DNG_VERSION = 50706
_CREDENTIALS = 52545
_SUB_IFDS, _EXIF, _GPS, _INTEROPERABILITY = 330, 34665, 34853, 40965
_POINTERS = {_SUB_IFDS, _EXIF, _GPS, _INTEROPERABILITY}
# Offset tag -> byte count tag: strips, tiles, and the old way to hold a JPEG.
_PICTURES = {273: 279, 324: 325, 513: 514}
# TIFF 6.0 section 2: bytes of one value by type; 13 (IFD) from technical note 1.
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_MAX_DIRECTORIES = 4096


@dataclass(frozen=True, slots=True)
class Entry:
    """A directory entry: ``start`` of its 12 bytes, ``offset`` and ``size`` of its value."""

    tag: int
    kind: int
    start: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory: ``start`` at its entry count, ``end`` at the offset of the next one."""

    start: int
    end: int
    entries: tuple[Entry, ...]

    def find(self, tag: int) -> Entry | None:
        """The entry of this tag."""
        return next((entry for entry in self.entries if entry.tag == tag), None)


def read_embedded(data: bytes) -> Embedded:
    """The metadata blocks of a TIFF.

    Raises:
        MetadataError: ``malformed-image``; ``format`` for a DNG or a BigTIFF.
    """
    first = _Walker(data).first()
    if first.find(_DNG_VERSION):
        raise refusal(reason="format", because="it is a DNG, which is left as it is")
    return _embedded(data, first)


def read_dng(data: bytes) -> Embedded:
    """The metadata blocks of a DNG, which is a TIFF (DNG 1.7, chapter 2).

    Raises:
        MetadataError: ``malformed-image``; ``format`` for a BigTIFF.
    """
    return _embedded(data, _Walker(data).first())


def _embedded(data: bytes, first: Directory) -> Embedded:
    entries = [entry for entry in first.entries if entry.tag == _XMP]
    return Embedded(
        packets=tuple(data[e.offset : e.offset + e.size] for e in entries),
        has_iptc=any(entry.tag in _IPTC_TAGS for entry in first.entries),
        has_credentials=first.find(_CREDENTIALS) is not None,
    )


def put_packet(data: bytes, packet: bytes) -> tuple[Splice, ...]:
    """The edits that make this the XMP packet of the TIFF's first picture.

    Raises:
        MetadataError: ``malformed-image`` or ``two-packets``.
    """
    walker = _Walker(data)
    first = walker.first()
    entries = [entry for entry in first.entries if entry.tag == _XMP]
    if len(entries) > 1:
        raise refusal(reason="two-packets", because="it holds more than one XMP packet")
    packet = packet.ljust(5)  # up to four bytes would stand in the entry itself
    if not entries:
        return _with_new_directory(walker, first, packet)
    old = entries[0]
    if old.size > 4 and old.offset + old.size == len(data):
        at, removed = old.offset, old.size
    else:
        at, removed = len(data), 0
    pad = b"\0" * (at % 2)
    kind = 7 if old.kind == 7 else 1
    entry = struct.pack(f"{walker.order}HHII", _XMP, kind, len(packet), at + len(pad))
    return (Splice(old.start, 12, entry), Splice(at, removed, pad + packet))


def survivors(data: bytes) -> list[object]:
    """Everything that the directories lead to: each tag but XMP, each strip and tile, in order."""
    walker = _Walker(data)
    kept: list[object] = [data[:4]]
    total_bytes = 0
    for number, directory in enumerate(walker.directories()):
        total_bytes += sum(entry.size for entry in directory.entries)
        if total_bytes > 4 * len(data):
            raise _malformed(because="its tags overlap")
        for entry in directory.entries:
            if number == 0 and entry.tag == _XMP:
                continue
            value = Stretch(data, entry.offset, entry.offset + entry.size)
            kept.append((entry.tag, entry.kind, value))
        kept += [Stretch(data, at, at + size) for at, size in walker.pictures(directory)]
        kept.append(data[directory.end : directory.end + 4])
    return kept


def _with_new_directory(walker: _Walker, first: Directory, packet: bytes) -> tuple[Splice, ...]:
    data, order = walker.data, walker.order
    pad = b"\0" * (len(data) % 2)  # a directory begins on a word boundary
    start = len(data) + len(pad)
    count = len(first.entries) + 1
    packet_at = start + 2 + 12 * count + 4
    before = [e for e in first.entries if e.tag < _XMP]
    split = first.start + 2 + 12 * len(before)
    directory = b"".join(
        (
            struct.pack(f"{order}H", count),
            data[first.start + 2 : split],
            struct.pack(f"{order}HHII", _XMP, 1, len(packet), packet_at),
            data[split : first.end + 4],
        )
    )
    header = struct.pack(f"{order}I", start)
    return (Splice(4, 4, header), Splice(len(data), 0, pad + directory + packet))


class _Walker:
    """Reads directories; every offset and length is checked against the file."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.order = {b"II": "<", b"MM": ">"}.get(data[:2], "")
        if not self.order or len(data) < 8:
            raise _malformed(because="its header is broken")
        (version,) = struct.unpack_from(f"{self.order}H", data, 2)
        if version == 43:
            raise refusal(reason="format", because="it is a BigTIFF, which is left as it is")
        if version != 42:
            raise _malformed(because="its header is broken")

    def first(self) -> Directory:
        """The first directory."""
        return self._directory(self._long(4))

    def directories(self) -> Iterator[Directory]:
        """Every directory once: the main chain, each followed by what hangs on it."""
        seen: set[int] = set()
        waiting = [self._long(4)]
        while waiting:
            offset = waiting.pop()
            if offset in seen:  # several pages may share one, and some files form a loop
                continue
            if len(seen) > _MAX_DIRECTORIES:
                raise _malformed(because="it has too many directories")
            seen.add(offset)
            directory = self._directory(offset)
            yield directory
            following = self._long(directory.end)
            pointers = [
                value
                for entry in directory.entries
                if entry.tag in _POINTERS
                for value in self.numbers(entry)
            ]
            waiting += [o for o in (following, *reversed(pointers)) if o]

    def pictures(self, directory: Directory) -> Iterator[tuple[int, int]]:
        """Offset and size of every strip, tile and embedded JPEG."""
        for offset_tag, size_tag in _PICTURES.items():
            offsets, sizes = directory.find(offset_tag), directory.find(size_tag)
            if offsets is None:
                continue
            if sizes is None:
                raise _malformed(because="the lengths of its strips are missing")
            places = list(zip(self.numbers(offsets), self.numbers(sizes), strict=False))
            if sum(size for _, size in places) > 4 * len(self.data):
                raise _malformed(because="its strips overlap")
            yield from places

    def numbers(self, entry: Entry) -> tuple[int, ...]:
        """The whole numbers of an entry."""
        code = {1: "B", 3: "H", 4: "I", 13: "I"}.get(entry.kind)
        if code is None:
            raise _malformed(because="an offset is not a number")
        count = entry.size // _TYPE_BYTES[entry.kind]
        return struct.unpack_from(f"{self.order}{count}{code}", self.data, entry.offset)

    def _directory(self, offset: int) -> Directory:
        if offset < 8 or offset + 2 > len(self.data):
            raise _malformed(because="a directory is out of reach")
        (count,) = struct.unpack_from(f"{self.order}H", self.data, offset)
        end = offset + 2 + 12 * count
        if not 0 < count < 0xFFFF or end + 4 > len(self.data):
            raise _malformed(because="a directory is cut off")
        entries = tuple(self._entry(offset + 2 + 12 * i) for i in range(count))
        if any(a.tag > b.tag for a, b in pairwise(entries)):
            raise _malformed(because="a directory is not in order")
        return Directory(offset, end, entries)

    def _entry(self, start: int) -> Entry:
        tag, kind, count = struct.unpack_from(f"{self.order}HHI", self.data, start)
        if kind not in _TYPE_BYTES:
            raise _malformed(because="a tag has an unknown type")
        size = count * _TYPE_BYTES[kind]
        offset = start + 8 if size <= 4 else self._long(start + 8)
        if offset + size > len(self.data):
            raise _malformed(because="a tag reaches beyond the end")
        return Entry(tag, kind, start, offset, size)

    def _long(self, offset: int) -> int:
        (value,) = struct.unpack_from(f"{self.order}I", self.data, offset)
        return int(value)


def _malformed(*, because: str) -> MetadataError:
    return refusal(reason="malformed-image", because=f"it is not a sound TIFF: {because}")
