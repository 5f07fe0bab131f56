"""What a file is by its bytes, and which of its bytes are the picture.

`sniff_format` tells the format, whatever the name says. `content_id` names the picture: writing
XMP, renaming or moving the file does not change it, so suggestions and previews stay with their
photograph. Nothing here decodes a pixel, and nothing trusts a length or an offset it reads.
"""

from __future__ import annotations

import hashlib
import io
import struct
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from pathlib import PurePath
from typing import TYPE_CHECKING, BinaryIO

from imageworks.models import FORMAT_EXTENSIONS, ImageFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HEAD_BYTES = 4096
"""How much of a file `sniff_format` likes to see; 64 bytes are enough for all but TIFF."""

END_SAMPLE_BYTES = 65_536
MIDDLE_SAMPLES = 14
MIDDLE_SAMPLE_BYTES = 4096
_MAX_DIRECTORIES = 512
_MAX_VALUES = 4_000_000
_MAX_CHUNKS = 200_000

Span = tuple[int, int]
"""Offset and length in bytes."""


class MalformedFileError(ValueError):
    """The structure of a file is broken where it was read."""


class ByteSource:
    """Reads a stream at given places; what lies beyond its end is an error, never a short answer.

    Args:
        stream: Readable and seekable; stays the caller's to close.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size_bytes = stream.seek(0, io.SEEK_END)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes.

        Raises:
            MalformedFileError: They lie beyond the end. Found before reading: a file may claim any
                length, and memory would be reserved for it.
        """
        if offset + length > self.size_bytes:
            message = f"{length} bytes at {offset} are beyond the end"
            raise MalformedFileError(message)
        self._stream.seek(offset)
        return self._stream.read(length)

    def read_up_to(self, offset: int, length: int) -> bytes:
        """As many of ``length`` bytes as there are; none from the end on."""
        available = self.size_bytes - offset
        return self.read(offset, min(length, available)) if available > 0 else b""


# -- formats ---------------------------------------------------------------------------------------

# Offset, bytes, format. JPEG: ITU-T T.81 B.1.1.3 (SOI, then any marker). PNG: W3C PNG 3rd ed., 5.2.
# PSD: Adobe Photoshop File Formats, "File Header" (8BPS). JPEG XL: ISO/IEC 18181-2, 9.1 (signature
# box) and 18181-1, D.1 (bare codestream). JPEG 2000: ISO/IEC 15444-1, I.5.1 (signature box) and
# A.4.1 (SOC, SIZ). RAW: the makers publish nothing; these are the ones that dcraw, LibRaw and the
# `magic` database agree on: Fuji RAF, Olympus ORF (three forms), Panasonic/Leica RW2, Minolta MRW,
# Canon CRW (CIFF 1.0, section 3) and CR2, Sigma X3F, Phase One IIQ, Kyocera Contax RAW.
_SIGNATURES: tuple[tuple[int, bytes, ImageFormat], ...] = (
    (0, b"\xff\xd8\xff", ImageFormat.JPEG),
    (0, b"\x89PNG\r\n\x1a\n", ImageFormat.PNG),
    (0, b"8BPS\x00\x01", ImageFormat.PSD),
    (0, b"8BPS\x00\x02", ImageFormat.PSD),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", ImageFormat.JXL),
    (0, b"\xff\x0a", ImageFormat.JXL),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", ImageFormat.JP2),
    (0, b"\xff\x4f\xff\x51", ImageFormat.JP2),
    (0, b"FUJIFILMCCD-RAW", ImageFormat.RAW),
    (0, b"IIRO", ImageFormat.RAW),
    (0, b"IIRS", ImageFormat.RAW),
    (0, b"MMOR", ImageFormat.RAW),
    (0, b"IIU\x00", ImageFormat.RAW),
    (0, b"\x00MRM", ImageFormat.RAW),
    (6, b"HEAPCCDR", ImageFormat.RAW),
    (0, b"FOVb", ImageFormat.RAW),
    (8, b"CR\x02", ImageFormat.RAW),
    (8, b"IIII", ImageFormat.RAW),
    (8, b"MMMM", ImageFormat.RAW),
    (25, b"ARECOYK", ImageFormat.RAW),
)
# TIFF 6.0, section 2 (42) and the BigTIFF design note (43), both byte orders.
_TIFF_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
# ISO/IEC 14496-12, 4.3 (ftyp). HEIF brands: ISO/IEC 23008-12, 10 and B.4; AVIF: AV1 Image File
# Format 1.1, 6; `crx ` is Canon's CR3.
_HEIF_BRANDS = frozenset(
    b"heic heix heim heis hevc hevx hevm hevs mif1 mif2 msf1 miaf MiHE MiHB".split()
)
_AVIF_BRANDS = frozenset((b"avif", b"avis", b"MA1A", b"MA1B"))


def sniff_format(head: bytes, name: str = "") -> ImageFormat | None:
    """The format of a file by its first bytes; None when it is no picture format known here.

    Args:
        head: The first bytes, at least 64 and best `HEAD_BYTES` where the file has as many.
        name: The file's name. Its extension only tells TIFF from the camera formats built on TIFF,
            which cannot always be told apart by their bytes.
    """
    if head[:4] == b"RIFF":  # RFC 9649, section 2.4
        return ImageFormat.WEBP if head[8:12] == b"WEBP" else None
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    is_tiff = head[:4] in _TIFF_MAGIC
    for offset, signature, found in _SIGNATURES:
        if head.startswith(signature, offset) and (offset != 8 or is_tiff):
            return found
    return _sniff_tiff(head, PurePath(name).suffix.lower()) if is_tiff else None


def _sniff_brands(head: bytes) -> ImageFormat | None:
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))]
    if b"crx " in brands[:1]:
        return ImageFormat.RAW
    if not _AVIF_BRANDS.isdisjoint(brands):
        return ImageFormat.AVIF
    return None if _HEIF_BRANDS.isdisjoint(brands) else ImageFormat.HEIF


def _sniff_tiff(head: bytes, extension: str) -> ImageFormat:
    if extension in FORMAT_EXTENSIONS[ImageFormat.DNG]:
        return ImageFormat.DNG
    if extension in FORMAT_EXTENSIONS[ImageFormat.RAW]:
        return ImageFormat.RAW
    try:
        first = next(tiff_directories(ByteSource(io.BytesIO(head))))
    except (MalformedFileError, StopIteration):  # the directory lies beyond the head
        return ImageFormat.TIFF
    if TiffTag.DNG_VERSION in first.entries:
        return ImageFormat.DNG
    return ImageFormat.RAW if _looks_like_raw(first) else ImageFormat.TIFF


def _looks_like_raw(first: TiffDirectory) -> bool:
    """A camera's file under a TIFF's name: its maker, and a thumbnail where the picture should be.

    Taking such a file for a TIFF would let it be written to in place.
    """
    has_maker = TiffTag.MAKE in first.entries and TiffTag.SUB_IFDS in first.entries
    try:
        return has_maker and first.is_reduced
    except MalformedFileError:
        return False


# -- the picture's own bytes -----------------------------------------------------------------------


def content_id(data: bytes | memoryview, format: ImageFormat) -> str:  # noqa: A002  # its name in DiscoveredImage
    """Hex digest (BLAKE2b, 128 bits) of the picture data; writing XMP does not change it.

    Long pictures are sampled: both ends, and places evenly spread between them, with the length.
    A file whose structure is broken is identified by all of its bytes instead.
    """
    return _content_id(ByteSource(io.BytesIO(data)), format)


def content_id_of_file(path: Path, format: ImageFormat) -> str:  # noqa: A002  # as above
    """The same as `content_id` of the file's bytes, reading no more than the samples.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as stream:
        return _content_id(ByteSource(stream), format)


def _content_id(source: ByteSource, image_format: ImageFormat) -> str:
    digest = hashlib.blake2b(digest_size=16)
    find_spans = _SPAN_FINDERS.get(image_format)
    try:
        groups = find_spans(source) if find_spans else []
    except MalformedFileError:
        groups = []
    for spans in groups or [[(0, source.size_bytes)]]:
        for sample in _samples(spans):
            digest.update(source.read(*sample))
        digest.update(struct.pack("<Q", sum(length for _, length in spans)))
    return digest.hexdigest()


def _samples(spans: list[Span]) -> Iterator[Span]:
    """The parts of some spans, taken as one run of bytes, that stand for all of them."""
    ends = list(accumulate(length for _, length in spans))
    total = ends[-1] if ends else 0
    middle = total - 2 * END_SAMPLE_BYTES
    if middle <= MIDDLE_SAMPLES * MIDDLE_SAMPLE_BYTES:
        yield from spans
        return
    windows = [(0, END_SAMPLE_BYTES)]
    for index in range(MIDDLE_SAMPLES):
        start = END_SAMPLE_BYTES + middle * index // MIDDLE_SAMPLES
        windows.append((start, MIDDLE_SAMPLE_BYTES))
    windows.append((total - END_SAMPLE_BYTES, END_SAMPLE_BYTES))
    for start, length in windows:
        yield from _cut(spans, ends, start, length)


def _cut(spans: list[Span], ends: list[int], start: int, length: int) -> Iterator[Span]:
    index = bisect_right(ends, start)
    while length > 0:
        offset, span_length = spans[index]
        skipped = start - (ends[index] - span_length)
        taken = min(length, span_length - skipped)
        yield offset + skipped, taken
        start, length, index = start + taken, length - taken, index + 1


def _jpeg_spans(source: ByteSource) -> list[list[Span]]:
    """The frame header, and all from the first scan to the end of the file (ITU-T T.81, B.1, B.2).

    What follows the picture (a second image, a motion photo) is no metadata either.
    """
    spans: list[Span] = []
    for marker, offset, length in jpeg_segments(source):
        if marker == 0xDA:
            return [[*spans, (offset, source.size_bytes - offset)]]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # SOF; not DHT, JPG, DAC
            spans.append((offset, length))
    message = "no scan"
    raise MalformedFileError(message)


def jpeg_segments(source: ByteSource) -> Iterator[tuple[int, int, int]]:
    """Marker, offset and whole length of each JPEG segment up to and with the first scan header.

    ITU-T T.81, B.1.1: two bytes of marker, two of length (which counts itself); markers 01 and
    D0 to D8 stand alone. Stray bytes between segments are passed over, as decoders do.
    """
    at = 2
    for _ in range(_MAX_CHUNKS):
        head = source.read(at, 4)
        if head[0] != 0xFF:
            gap = source.read_up_to(at, END_SAMPLE_BYTES).find(b"\xff")
            at += gap if gap > 0 else END_SAMPLE_BYTES
        elif head[1] == 0xFF:
            at += 1
        elif head[1] in (0x00, 0x01) or 0xD0 <= head[1] <= 0xD8:
            at += 2
        elif head[1] == 0xD9:
            return
        else:
            length = 2 + int.from_bytes(head[2:], "big")
            if length < 4:
                message = "a segment shorter than its length field"
                raise MalformedFileError(message)
            yield head[1], at, length
            if head[1] == 0xDA:
                return
            at += length


def _png_spans(source: ByteSource) -> list[list[Span]]:
    """Header, palette, transparency, pixels, animation frames (W3C PNG 3rd ed., 5.3 and 11)."""
    kept = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"fdAT")
    spans: list[Span] = []
    at = 8
    for _ in range(_MAX_CHUNKS):
        if at + 12 > source.size_bytes:
            return [spans]
        length, kind = struct.unpack(">I4s", source.read(at, 8))
        if kind in kept:
            spans.append((at + 8, min(length, source.size_bytes - at - 8)))
        if kind == b"IEND":
            return [spans]
        at += 12 + length
    message = "too many chunks"
    raise MalformedFileError(message)


def _webp_spans(source: ByteSource) -> list[list[Span]]:
    """Bitstreams, alpha and animation frames (RFC 9649, 2.5 to 2.7); VP8X's flags name metadata."""
    kept = (b"VP8 ", b"VP8L", b"ALPH", b"ANMF")
    spans: list[Span] = []
    at = 12
    for _ in range(_MAX_CHUNKS):
        if at + 8 > source.size_bytes:
            return [spans]
        kind, length = struct.unpack("<4sI", source.read(at, 8))
        if kind in kept:
            spans.append((at + 8, min(length, source.size_bytes - at - 8)))
        at += 8 + length + length % 2
    message = "too many chunks"
    raise MalformedFileError(message)


def _tiff_spans(source: ByteSource) -> list[list[Span]]:
    """Strips or tiles of every full-size page, one group a page (TIFF 6.0, sections 8 and 15).

    Reduced pages are left out where there are others: programs renew their previews as they like.
    """
    pages = [page for page in tiff_directories(source) if page.has_pixels]
    full = [page for page in pages if not page.is_reduced]
    return [page.pixel_spans() for page in full or pages]


_SPAN_FINDERS: dict[ImageFormat, Callable[[ByteSource], list[list[Span]]]] = {
    ImageFormat.JPEG: _jpeg_spans,
    ImageFormat.PNG: _png_spans,
    ImageFormat.WEBP: _webp_spans,
    ImageFormat.TIFF: _tiff_spans,
    ImageFormat.DNG: _tiff_spans,
}


# -- TIFF directories ------------------------------------------------------------------------------


class TiffTag:
    """The tags read here: TIFF 6.0, section 8; TIFF/EP and DNG 1.7 for those from 330 on."""

    NEW_SUBFILE_TYPE = 254
    WIDTH = 256
    COMPRESSION = 259
    MAKE = 271
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    STRIP_BYTE_COUNTS = 279
    TILE_OFFSETS = 324
    TILE_BYTE_COUNTS = 325
    SUB_IFDS = 330
    JPEG_OFFSET = 513
    JPEG_LENGTH = 514
    DNG_VERSION = 50706


# Field type to struct letter: TIFF 6.0, section 2; 13 (IFD) from TIFF Technical Note 1; 16 and 18
# from BigTIFF. Text, fractions and signed numbers are not read.
_FIELD_LETTERS = {1: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}


@dataclass(frozen=True, slots=True)
class TiffDirectory:
    """One image file directory; `entries` maps a tag to field type, count and value offset."""

    source: ByteSource
    order: str
    offset: int
    entries: dict[int, tuple[int, int, int]]
    next_offset: int

    def numbers(self, tag: int) -> tuple[int, ...]:
        """The whole numbers of a field; empty when it is absent or of another type.

        Raises:
            MalformedFileError: They lie beyond the file, or are absurdly many.
        """
        kind, count, at = self.entries.get(tag, (0, 0, 0))
        letter = _FIELD_LETTERS.get(kind)
        if letter is None:
            return ()
        if count > _MAX_VALUES:
            message = f"{count} values in field {tag}"
            raise MalformedFileError(message)
        layout = struct.Struct(f"{self.order}{count}{letter}")
        return layout.unpack(self.source.read(at, layout.size))

    def number(self, tag: int, default: int = 0) -> int:
        """The first whole number of a field."""
        return next(iter(self.numbers(tag)), default)

    @property
    def has_pixels(self) -> bool:
        """It points at strips or tiles."""
        return TiffTag.STRIP_OFFSETS in self.entries or TiffTag.TILE_OFFSETS in self.entries

    @property
    def is_reduced(self) -> bool:
        """A smaller version of another page (bit 0 of NewSubfileType)."""
        return bool(self.number(TiffTag.NEW_SUBFILE_TYPE) & 1)

    def pixel_spans(self) -> list[Span]:
        """Where its strips or tiles lie, in their order.

        Raises:
            MalformedFileError: Offsets and lengths do not pair, or lie beyond the file.
        """
        tiled = TiffTag.TILE_OFFSETS in self.entries
        offsets = self.numbers(TiffTag.TILE_OFFSETS if tiled else TiffTag.STRIP_OFFSETS)
        lengths = self.numbers(TiffTag.TILE_BYTE_COUNTS if tiled else TiffTag.STRIP_BYTE_COUNTS)
        size_bytes = self.source.size_bytes
        spans = list(zip(offsets, lengths, strict=False))
        if len(offsets) != len(lengths) or any(at + length > size_bytes for at, length in spans):
            message = "strips without a length or beyond the end"
            raise MalformedFileError(message)
        return spans


def tiff_directories(source: ByteSource) -> Iterator[TiffDirectory]:
    """Every directory of a TIFF or TIFF-like file, SubIFDs after their parent; loops end it.

    TIFF 6.0, section 2; BigTIFF when the version is 43. Olympus and Panasonic put other numbers in
    the version's place and keep the rest.

    Raises:
        MalformedFileError: A directory cannot be read; those before it have been given.
    """
    head = source.read(0, 8)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None:
        message = "no TIFF byte order"
        raise MalformedFileError(message)
    (version,) = struct.unpack(f"{order}H", head[2:4])
    width = _BIG_TIFF if version == 43 else _CLASSIC_TIFF
    waiting, seen = [width.pointer(order, source.read(width.first_at, width.pointer_size))], {0}
    while waiting:
        offset = waiting.pop(0)
        if offset in seen:
            continue
        seen.add(offset)
        if len(seen) > _MAX_DIRECTORIES:
            message = "too many directories"
            raise MalformedFileError(message)
        directory = _read_directory(source, order, offset, width)
        yield directory
        waiting[:0] = [*directory.numbers(TiffTag.SUB_IFDS), directory.next_offset]


@dataclass(frozen=True, slots=True)
class _TiffWidth:
    """How wide counts and offsets are."""

    count_letter: str
    pointer_letter: str
    first_at: int

    @property
    def count_size(self) -> int:
        return struct.calcsize(f"<{self.count_letter}")

    @property
    def pointer_size(self) -> int:
        return struct.calcsize(f"<{self.pointer_letter}")

    def pointer(self, order: str, raw: bytes) -> int:
        return int.from_bytes(raw, "little" if order == "<" else "big")


_CLASSIC_TIFF = _TiffWidth("H", "I", first_at=4)
_BIG_TIFF = _TiffWidth("Q", "Q", first_at=8)


def _read_directory(
    source: ByteSource, order: str, offset: int, width: _TiffWidth
) -> TiffDirectory:
    count = width.pointer(order, source.read(offset, width.count_size))
    layout = struct.Struct(f"{order}HH{width.pointer_letter}")
    step = layout.size + width.pointer_size
    table_at = offset + width.count_size
    table = source.read(table_at, count * step + width.pointer_size)
    entries: dict[int, tuple[int, int, int]] = {}
    for at in range(0, count * step, step):
        tag, kind, values = layout.unpack_from(table, at)
        value_at = table_at + at + layout.size
        if values * struct.calcsize(_FIELD_LETTERS.get(kind, "B")) > width.pointer_size:
            value_at = width.pointer(order, table[at + layout.size : at + step])
        entries.setdefault(tag, (kind, values, value_at))
    next_offset = width.pointer(order, table[count * step :])
    return TiffDirectory(source, order, offset, entries, next_offset)
