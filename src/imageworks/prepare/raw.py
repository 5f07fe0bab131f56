"""Finds the JPEG preview that cameras put into their RAW files; RAW data itself is never decoded.

Every way in leads to candidates, which are checked before one is believed: a start of image, a
frame header that ordinary decoders read, and a size.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imageworks.content import (
    ByteSource,
    MalformedFileError,
    Span,
    TiffDirectory,
    TiffTag,
    jpeg_segments,
    tiff_directories,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

_JPEG_COMPRESSIONS = (6, 7)
_JPEG_START = b"\xff\xd8\xff"
_MIN_SIDE_PX = 120
_MAX_JPEG_BYTES = 64 << 20
_JPEG_HEADER_BYTES = 1 << 20
_SCAN_LIMIT_BYTES = 256 << 20
_SCAN_STEP_BYTES = 1 << 20
_MAX_CANDIDATES = 64

# Panasonic RW2: ExifTool, PanasonicRaw.pm, tag 0x002e JpgFromRaw (type undefined).
_PANASONIC_JPEG = 0x002E
# Fuji RAF: ExifTool, FujiFilm.pm, ProcessRAF: big-endian offset and length of the JPEG at 0x54.
_RAF_MAGIC, _RAF_JPEG_AT = b"FUJIFILMCCD-RAW", 0x54
# Canon CR3: github.com/lclevy/canon_cr3, "uuid" boxes: metadata (within moov) and preview; PRVW
# holds its JPEG 24 bytes in, THMB 24, each after the length fields; CMT1 and CMT2 are TIFF blocks.
_CR3_METADATA = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_CR3_PREVIEW = bytes.fromhex("eaf42b5e1c984b88b9fbb7dc406e4d16")


Box = tuple[bytes, int, int]
"""Kind, start and end of a box's content."""


@dataclass(frozen=True, slots=True)
class RawPreview:
    """An embedded JPEG and what the RAW file says about the picture.

    Attributes:
        jpeg: The JPEG's bytes; bytes of the RAW file may follow its end.
        orientation: EXIF orientation of the RAW file, None where it names none.
        sensor_px: Width and height of the RAW picture, not turned; None where not found.
        exif_blocks: TIFF blocks with camera tags, main directory first; empty in most formats.
    """

    jpeg: bytes
    orientation: int | None = None
    sensor_px: tuple[int, int] | None = None
    exif_blocks: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class _Candidate:
    span: Span
    width: int
    height: int


def find_previews(source: ByteSource) -> Iterator[RawPreview]:
    """The embedded pictures of a RAW or DNG file, largest first; nothing when there is none."""
    directories = _directories(source)
    blocks, spans = _container_spans(source, directories)
    candidates = [found for span in spans if (found := _checked(source, span))]
    if not candidates:
        candidates = [found for span in _scan(source) if (found := _checked(source, span))]
    orientation, sensor_px = _main_facts(directories)
    if blocks:
        orientation = _block_orientation(blocks[0])
    unique = {candidate.span[0]: candidate for candidate in candidates}
    for candidate in sorted(unique.values(), key=_area, reverse=True):
        yield RawPreview(source.read(*candidate.span), orientation, sensor_px, blocks)


def _area(candidate: _Candidate) -> int:
    return candidate.width * candidate.height


def _directories(source: ByteSource) -> list[TiffDirectory]:
    found = []
    try:
        for directory in tiff_directories(source):
            found.append(directory)  # noqa: PERF402  # keeps those before the broken one
    except MalformedFileError as error:
        logger.debug("TIFF directories end early: %s", error)
    return found


def _container_spans(
    source: ByteSource, directories: list[TiffDirectory]
) -> tuple[tuple[bytes, ...], list[Span]]:
    """TIFF blocks beside the container, and where its format says that JPEGs are."""
    head = source.read_up_to(0, 16)
    if head.startswith(_RAF_MAGIC):
        place = source.read_up_to(_RAF_JPEG_AT, 8)
        return (), [(int.from_bytes(place[:4], "big"), int.from_bytes(place[4:], "big"))]
    if head[4:8] == b"ftyp":
        return _cr3_parts(source)
    return (), [span for directory in directories for span in _tiff_jpeg_spans(directory)]


def _tiff_jpeg_spans(directory: TiffDirectory) -> list[Span]:
    """TIFF 6.0, section 22 (JPEG fields); TIFF/EP and DNG 1.7 (compressions 6, 7: one strip)."""
    try:
        spans = [(directory.number(TiffTag.JPEG_OFFSET), directory.number(TiffTag.JPEG_LENGTH))]
        kind, length, at = directory.entries.get(_PANASONIC_JPEG, (0, 0, 0))
        if kind == 7:
            spans.append((at, length))
        if directory.number(TiffTag.COMPRESSION) in _JPEG_COMPRESSIONS and directory.has_pixels:
            strips = directory.pixel_spans()
            spans += strips if len(strips) == 1 else []
    except MalformedFileError as error:
        logger.debug("Preview fields of a directory are broken: %s", error)
        return []
    return spans


def _checked(source: ByteSource, span: Span) -> _Candidate | None:
    """A span that really is a JPEG of a size worth showing; it may run on past the JPEG's end."""
    offset, length = span
    length = min(length, _MAX_JPEG_BYTES)
    try:
        if length < 100 or source.read(offset, 3) != _JPEG_START:
            return None
        frame = _frame_size(source.read_up_to(offset, min(length, _JPEG_HEADER_BYTES)))
    except MalformedFileError:
        return None
    if frame is None or min(frame) < _MIN_SIDE_PX:
        return None
    length = min(length, source.size_bytes - offset)
    return _Candidate((offset, length), *frame)


def _frame_size(jpeg: bytes) -> tuple[int, int] | None:
    """Width and height of a baseline, extended or progressive JPEG (ITU-T T.81, B.2.2).

    None for the lossless kind (SOF3), which is the RAW data itself in CR2 and DNG.
    """
    part = ByteSource(io.BytesIO(jpeg))
    frame = None
    for marker, offset, _ in jpeg_segments(part):
        if marker in (0xC0, 0xC1, 0xC2):
            height, width = part.read(offset + 5, 2), part.read(offset + 7, 2)
            frame = int.from_bytes(width, "big"), int.from_bytes(height, "big")
        if marker == 0xDA:
            return frame
    return None


def _scan(source: ByteSource) -> Iterator[Span]:
    """Every start of a JPEG in the file's first part, for makers whose layout is not known here."""
    found = 0
    limit = min(source.size_bytes, _SCAN_LIMIT_BYTES)
    for at in range(0, limit, _SCAN_STEP_BYTES):
        chunk = source.read_up_to(at, _SCAN_STEP_BYTES + len(_JPEG_START) - 1)
        place = chunk.find(_JPEG_START)
        while place >= 0 and found < _MAX_CANDIDATES:
            found += 1
            yield at + place, source.size_bytes - at - place
            place = chunk.find(_JPEG_START, place + 1)


def _main_facts(directories: list[TiffDirectory]) -> tuple[int | None, tuple[int, int] | None]:
    """Orientation of the first directory, and the largest size that any of them names."""
    orientation, sizes = None, []
    for index, directory in enumerate(directories):
        try:
            if index == 0 and TiffTag.ORIENTATION in directory.entries:
                orientation = directory.number(TiffTag.ORIENTATION)
            sizes.append((directory.number(TiffTag.WIDTH), directory.number(TiffTag.WIDTH + 1)))
        except MalformedFileError:
            continue
    largest = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    return orientation, largest if min(largest) > 0 else None


# -- Canon CR3 -------------------------------------------------------------------------------------


def _cr3_parts(source: ByteSource) -> tuple[tuple[bytes, ...], list[Span]]:
    top = list(_boxes(source, 0, source.size_bytes))
    movie = [
        box for kind, start, end in top if kind == b"moov" for box in _boxes(source, start, end)
    ]
    parts = [
        part
        for start, end in _uuid_contents(source, movie, _CR3_METADATA)
        for part in _boxes(source, start, end)
    ]
    for start, end in _uuid_contents(source, top, _CR3_PREVIEW):
        parts += _boxes(source, start + 8, end)  # eight bytes of counters stand before the box
    blocks = [
        source.read(start, end - start)
        for wanted in (b"CMT1", b"CMT2")
        for kind, start, end in parts
        if kind == wanted
    ]
    spans = [
        span
        for kind, start, end in parts
        if kind in (b"THMB", b"PRVW")
        for span in _jpeg_within(source, start, end)
    ]
    return tuple(blocks), spans


def _uuid_contents(source: ByteSource, boxes: list[Box], uuid: bytes) -> list[tuple[int, int]]:
    return [
        (start + 16, end)
        for kind, start, end in boxes
        if kind == b"uuid" and source.read_up_to(start, 16) == uuid
    ]


def _boxes(source: ByteSource, start: int, end: int) -> Iterator[Box]:
    """Kind, start and end of each box's content (ISO/IEC 14496-12, 4.2); stops at a broken one."""
    at = start
    for _ in range(_MAX_CANDIDATES):
        head = source.read_up_to(at, 16)
        size, header = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, header = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:
            size = end - at
        if len(head) < 8 or size < header or at + size > end:
            return
        yield head[4:8], at + header, at + size
        at += size


def _jpeg_within(source: ByteSource, start: int, end: int) -> list[Span]:
    place = source.read_up_to(start, 64).find(_JPEG_START)
    return [(start + place, end - start - place)] if place >= 0 else []


def _block_orientation(block: bytes) -> int | None:
    return _main_facts(_directories(ByteSource(io.BytesIO(block))))[0]
