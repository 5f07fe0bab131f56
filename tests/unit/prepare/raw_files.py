"""Makes camera files around real JPEGs: the layouts that `prepare.raw` has to find its way in."""

from __future__ import annotations

import io
import struct

from PIL import Image

Entry = tuple[int, int, bytes]
"""Field type, count and packed value (at most four bytes, or what is placed after the table)."""


def jpeg(width: int, height: int, colour: str = "teal", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def short(value: int) -> Entry:
    return 3, 1, struct.pack("<HH", value, 0)


def long(*values: int) -> Entry:
    return 4, len(values), struct.pack(f"<{len(values)}I", *values)


def ascii_text(text: str) -> Entry:
    return 2, len(text) + 1, text.encode() + b"\0"


def rational(numerator: int, denominator: int) -> Entry:
    return 5, 1, struct.pack("<II", numerator, denominator)


class TiffBuilder:
    """A little-endian TIFF put together from blobs and directories; offsets are known at once."""

    def __init__(self, version: bytes = b"*\0") -> None:
        self._data = bytearray(b"II" + version + bytes(4))

    def add(self, blob: bytes) -> int:
        """The offset at which a blob now stands."""
        self._data += bytes(len(self._data) % 2)
        at = len(self._data)
        self._data += blob
        return at

    def directory(self, entries: dict[int, Entry], next_offset: int = 0) -> int:
        """The offset of a directory."""
        table = struct.pack("<H", len(entries))
        for tag, (kind, count, value) in sorted(entries.items()):
            placed = value if len(value) <= 4 else struct.pack("<I", self.add(value))
            table += struct.pack("<HHI", tag, kind, count) + placed.ljust(4, b"\0")
        return self.add(table + struct.pack("<I", next_offset))

    def finish(self, first: int) -> bytes:
        """The file, beginning with the directory at ``first``."""
        self._data[4:8] = struct.pack("<I", first)
        return bytes(self._data)


def nef(*previews: bytes, orientation: int = 1, size: tuple[int, int] = (6000, 4000)) -> bytes:
    """Nikon's way: previews in SubIFDs by JPEGInterchangeFormat, the raw data beside them."""
    file = TiffBuilder()
    subs = [
        file.directory({513: long(file.add(preview)), 514: long(len(preview))})
        for preview in previews
    ]
    subs.append(file.directory({254: long(0), 256: long(size[0]), 257: long(size[1])}))
    exif = file.directory(
        {
            0x829A: rational(1, 250),
            0x8827: short(400),
            0x9003: ascii_text("2024:05:06 07:08:09"),
            0xA434: ascii_text("50 mm f/1.8"),
        }
    )
    first = file.directory(
        {
            254: long(1),
            271: ascii_text("NIKON CORPORATION"),
            272: ascii_text("NIKON D70"),
            274: short(orientation),
            330: long(*subs),
            0x8769: long(exif),
        }
    )
    return file.finish(first)


def cr2(preview: bytes, lossless: bytes) -> bytes:
    """Canon's way: the preview as one strip of compression 6, the raw data as lossless JPEG."""
    file = TiffBuilder()
    file.add(b"CR\x02\0" + bytes(4))
    raw = file.directory({259: short(6), 273: long(file.add(lossless)), 279: long(len(lossless))})
    first = file.directory(
        {
            256: short(3000),
            257: short(2000),
            259: short(6),
            273: long(file.add(preview)),
            274: short(8),
            279: long(len(preview)),
        },
        raw,
    )
    return file.finish(first)


def rw2(preview: bytes) -> bytes:
    """Panasonic's way: JpgFromRaw as an undefined field, another version number."""
    file = TiffBuilder(b"U\0")
    at = {0x2E: (7, len(preview), preview), 271: ascii_text("Panasonic"), 272: ascii_text("DC-G9")}
    return file.finish(file.directory(at))


def raf(preview: bytes) -> bytes:
    head = b"FUJIFILMCCD-RAW 0201FF393101".ljust(84, b"\0")
    return head + struct.pack(">II", 160, len(preview)) + bytes(160 - 92) + preview + bytes(50)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def cr3(preview: bytes, thumbnail: bytes, *, orientation: int = 1) -> bytes:
    main, exif = TiffBuilder(), TiffBuilder()
    cmt1 = main.finish(
        main.directory(
            {
                271: ascii_text("Canon"),
                272: ascii_text("Canon EOS R5"),
                274: short(orientation),
            }
        )
    )
    cmt2 = exif.finish(
        exif.directory({0x9003: ascii_text("2023:01:02 03:04:05"), 0x8827: short(800)})
    )
    metadata = box(b"CMT1", cmt1) + box(b"CMT2", cmt2) + box(b"THMB", bytes(16) + thumbnail)
    uuids = "85c0b687820f11e08111f4ce462b6a48", "eaf42b5e1c984b88b9fbb7dc406e4d16"
    moov = box(b"moov", box(b"uuid", bytes.fromhex(uuids[0]) + metadata))
    prvw = box(b"PRVW", bytes(16) + preview)
    wide = struct.pack(">I4sQ", 1, b"free", 24) + bytes(8)
    return (
        box(b"ftyp", b"crx \0\0\0\1crx isom")
        + wide
        + moov
        + box(b"uuid", bytes.fromhex(uuids[1]) + bytes(8) + prvw)
        + struct.pack(">I4s", 0, b"mdat")
        + bytes(100)
    )
