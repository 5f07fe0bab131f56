"""IPTC-IIM: the older block of titles, captions and keywords, read and kept in step with XMP.

Nothing here adds such a block to a file. Where one is, its title, caption and keywords follow the
XMP; every other data set keeps its bytes, or its text where the block becomes UTF-8. What is
unusual is left alone: programs then trust the XMP, for the digest beside it still says that the
block has not changed since both were the same (MWG Guidelines 2.0, 5.1).

Sources: IPTC-NAA Information Interchange Model 4.2, sections 1.5 (data sets), 5.1 (1:90) and 6
(record 2).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from imageworks.metadata.photoshop import (
    IPTC,
    IPTC_DIGEST,
    ResourceBlock,
    digest_of,
    parse_resources,
    unusual,
)
from imageworks.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Key = tuple[int, int]
"""Record and number of a data set."""

CHARACTER_SET, TITLE, KEYWORD, DATE, TIME, CAPTION = (
    *((1, 90), (2, 5), (2, 25), (2, 55), (2, 60)),
    (2, 120),
)
_RECORD_VERSION = (2, 0)
MAX_BYTES = {TITLE: 64, KEYWORD: 64, CAPTION: 2000}
"""Longest values in bytes (IIM 4.2, section 6)."""
_UTF8 = b"\x1b%G"
_LATIN1 = frozenset({b"\x1b.A", b"\x1b-A", b"\x1b/A"})
# Numbers of record 2 that hold no text (IIM 4.2, section 6): versions and pictures.
_BINARY = frozenset({0, 125, 200, 201, 202})
_APPLICATION = 2
_STANDARD_RECORDS = range(1, 10)
_EXTENDED = 0x8000
_CUT_SLACK_BYTES = 8


@dataclass(frozen=True, slots=True)
class IptcTexts:
    """What the block says about the fields that XMP has as well; empty where it is silent.

    Attributes:
        title: ObjectName, 2:05.
        caption: Caption/Abstract, 2:120.
        keywords: Keywords, 2:25, in order.
        created: Date and time created, 2:55 and 2:60, as ISO 8601.
    """

    title: str = ""
    caption: str = ""
    keywords: tuple[str, ...] = ()
    created: str = ""


class Digest(Enum):
    """What the digest beside the block tells."""

    ABSENT = auto()
    CURRENT = auto()
    """The block is as it was when XMP was last held in step with it."""
    STALE = auto()
    """A program that knows nothing of XMP has changed the block since."""


@dataclass(frozen=True, slots=True)
class IptcChange:
    """What the block's three fields shall say; None leaves a field as it is."""

    keywords: tuple[str, ...]
    title: str | None
    caption: str | None


@dataclass(frozen=True, slots=True)
class _Dataset:
    key: Key
    value: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class _Iim:
    """The data sets in order, the padding behind them, and the codec of their texts."""

    datasets: tuple[_Dataset, ...]
    padding: bytes
    codec: str

    def values(self, key: Key) -> list[bytes]:
        return [dataset.value for dataset in self.datasets if dataset.key == key]

    @property
    def is_declared(self) -> bool:
        return self.values(CHARACTER_SET) == [_UTF8]


def read_iptc(block: bytes) -> tuple[IptcTexts, Digest]:
    """What the IPTC data in a block of Photoshop resources say, and whether XMP knows it.

    Raises:
        MetadataError: ``iptc-unusual``.
    """
    resources = parse_resources(block)
    data = resources.find(IPTC)
    if data is None:
        return IptcTexts(), Digest.ABSENT
    return _texts(_parse(data)), _digest_state(resources, data)


def measure(block: bytes) -> tuple[int, Digest]:
    """Size of the IPTC data in bytes, 0 where there are none, and the state of their digest.

    Raises:
        MetadataError: ``iptc-unusual``.
    """
    resources = parse_resources(block)
    data = resources.find(IPTC) or b""
    _parse(data)
    return len(data), _digest_state(resources, data)


def updated_block(block: bytes, change: IptcChange) -> bytes:
    """The block with its IPTC data in step; the same bytes where they are, or where there are none.

    The data set that declares the character set says UTF-8 afterwards, and every text is. A
    current digest is made current again; a stale one stays, as more than these fields may differ.

    Raises:
        MetadataError: ``iptc-unusual``: the block cannot be changed without a guess.
    """
    resources = parse_resources(block)
    data = resources.find(IPTC)
    if data is None:
        return block
    old = _parse(data)
    if not any(d.key[0] == _APPLICATION and d.key != _RECORD_VERSION for d in old.datasets):
        return block
    if _is_in_step(old, change):
        return block
    new = _serialise(_changed(old, change), old.padding)
    updated = resources.with_data(IPTC, new)
    if _digest_state(resources, data) is Digest.CURRENT:
        updated = updated.with_data(IPTC_DIGEST, digest_of(new))
    return updated.serialise()


def survivors(block: bytes, change: IptcChange) -> list[object]:
    """All that a change must not touch, in a form that compares equal when nothing was lost.

    Raises:
        MetadataError: ``iptc-unusual``.
    """
    resources = parse_resources(block)
    kept: list[object] = [
        resource.raw
        for resource in resources.resources
        if resource.number not in {IPTC, IPTC_DIGEST}
    ]
    data = resources.find(IPTC)
    if data is None:
        return kept
    iim = _parse(data)
    touched = {CHARACTER_SET, KEYWORD}
    touched |= {
        key for key, text in ((TITLE, change.title), (CAPTION, change.caption)) if text is not None
    }
    for dataset in iim.datasets:
        if dataset.key not in touched:
            is_text = _is_text(dataset.key)
            kept.append(
                (dataset.key, dataset.value.decode(iim.codec) if is_text else dataset.value)
            )
    return kept


def stored_texts(block: bytes, key: Key) -> tuple[str, ...]:
    """The values of a data set exactly as they stand in the block.

    Raises:
        MetadataError: ``iptc-unusual``.
    """
    data = parse_resources(block).find(IPTC)
    iim = _parse(data or b"")
    return tuple(value.decode(iim.codec) for value in iim.values(key))


def is_in_step(block: bytes, change: IptcChange) -> bool:
    """Whether the block says what it shall, as far as its lengths allow."""
    data = parse_resources(block).find(IPTC)
    return data is None or _is_in_step(_parse(data), change)


def is_cut_form(short: str, full: str, limit_bytes: int) -> bool:
    """Whether a text is what IIM's length limit left of another one, or the same."""
    if short == full:
        return True
    # The next character may not have fitted, and white space at the cut is not read.
    is_long_enough = len(short.encode("utf-8")) > limit_bytes - _CUT_SLACK_BYTES
    return is_long_enough and full.startswith(short)


def cut(text: str, limit_bytes: int) -> bytes:
    """The text in UTF-8, as much of it as fits, whole characters only."""
    return text.encode("utf-8")[:limit_bytes].decode("utf-8", "ignore").encode("utf-8")


def _parse(data: bytes) -> _Iim:
    datasets = []
    at = 0
    while data[at : at + 1] == b"\x1c":
        if at + 5 > len(data):
            raise unusual(because="their data sets are cut off")
        record, number, size = struct.unpack_from(">BBH", data, at + 1)
        value_at = at + 5
        if size & _EXTENDED:  # IIM 4.2, 1.5(b): the count field says how long the length is
            length_bytes = size & ~_EXTENDED
            size = int.from_bytes(data[value_at : value_at + length_bytes], "big")
            value_at += length_bytes
        end = value_at + size
        if end > len(data):
            raise unusual(because="their data sets are cut off")
        datasets.append(_Dataset((record, number), data[value_at:end], data[at:end]))
        at = end
    if data[at:].strip(b"\0"):
        raise unusual(because="their data sets do not join")
    return _Iim(tuple(datasets), data[at:], _codec(datasets))


def _codec(datasets: Sequence[_Dataset]) -> str:
    """How the texts are encoded, as declared or as all of them agree.

    Raises:
        MetadataError: ``iptc-unusual``: there is no telling.
    """
    declared = {d.value for d in datasets if d.key == CHARACTER_SET}
    texts = [d.value for d in datasets if _is_text(d.key) and not d.value.isascii()]
    if not texts:
        return "utf-8"
    if declared <= {_UTF8}:
        can_be = [_is_decodable(text, "utf-8") for text in texts]
        if all(can_be):
            return "utf-8"
        if declared or any(can_be):
            raise unusual(because="their character set is not clear")
    elif not declared <= _LATIN1:
        raise unusual(because="their character set is not known")
    if not all(_is_decodable(text, "cp1252") for text in texts):
        raise unusual(because="their character set is not clear")
    return "cp1252"


def _is_decodable(value: bytes, codec: str) -> bool:
    try:
        value.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _is_text(key: Key) -> bool:
    return key[0] == _APPLICATION and key[1] not in _BINARY


def _texts(iim: _Iim) -> IptcTexts:
    def first(key: Key, *, keep_newlines: bool = False) -> str:
        found = iim.values(key)
        return clean_text(found[0].decode(iim.codec), keep_newlines=keep_newlines) if found else ""

    keywords = (clean_text(value.decode(iim.codec)) for value in iim.values(KEYWORD))
    return IptcTexts(
        title=first(TITLE),
        caption=first(CAPTION, keep_newlines=True),
        keywords=tuple(dict.fromkeys(text for text in keywords if text)),
        created=iso_date(first(DATE), first(TIME)),
    )


def decode_loosely(raw: bytes) -> str:
    """The text of a value whose character set is not known: UTF-8 where it is that, else Latin."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252" if _is_decodable(raw, "cp1252") else "latin-1")


def iso_date(date: str, time: str) -> str:
    """ISO 8601 from CCYYMMDD and HHMMSS±HHMM (IIM 4.2, 2:55 and 2:60); empty when it is neither."""
    digits = date.replace("-", "").replace(":", "")
    if len(digits) != 8 or not digits.isdecimal() or digits == "00000000":
        return ""
    day = f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
    clock = time.replace(":", "")
    if len(clock) < 6 or not clock[:6].isdecimal():
        return day
    zone = clock[6:]
    has_zone = len(zone) == 5 and zone[0] in "+-" and zone[1:].isdecimal()
    shown = f"{day}T{clock[:2]}:{clock[2:4]}:{clock[4:6]}"
    return f"{shown}{zone[:3]}:{zone[3:]}" if has_zone else shown


def _digest_state(resources: ResourceBlock, data: bytes) -> Digest:
    digest = resources.find(IPTC_DIGEST)
    if digest is None:
        return Digest.ABSENT
    return Digest.CURRENT if digest == digest_of(data) else Digest.STALE


def _is_in_step(iim: _Iim, change: IptcChange) -> bool:
    wanted = _wanted_values(iim, change)
    return all([d.value for d in iim.datasets if d.key == k] == v for k, v in wanted.items())


def _wanted_values(iim: _Iim, change: IptcChange) -> dict[Key, list[bytes]]:
    """What the changing data sets shall hold; one that says it already keeps its form."""
    fields: dict[Key, Iterable[str]] = {KEYWORD: change.keywords}
    for key, text in ((TITLE, change.title), (CAPTION, change.caption)):
        if text is not None:
            fields[key] = (text,) if text else ()
            if len(iim.values(key)) > 1:
                raise unusual(because="a title or caption stands there twice")
    wanted: dict[Key, list[bytes]] = {}
    for key, texts in fields.items():
        present = {_plain(value.decode(iim.codec)): value for value in iim.values(key)}
        values = [_encoded(text, present, iim, key) for text in texts]
        wanted[key] = list(dict.fromkeys(value for value in values if value))
    return wanted


def _encoded(text: str, present: dict[str, bytes], iim: _Iim, key: Key) -> bytes:
    kept = present.get(_plain(text))
    if kept is None:
        return cut(text, MAX_BYTES[key])
    return kept if iim.codec == "utf-8" else kept.decode(iim.codec).encode("utf-8")


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _changed(iim: _Iim, change: IptcChange) -> list[_Dataset]:
    datasets = [_transcoded(dataset, iim.codec) for dataset in iim.datasets]
    wanted = _wanted_values(iim, change)
    if not iim.is_declared:
        wanted[CHARACTER_SET] = [_UTF8]
    for key, values in wanted.items():
        datasets = _with_values(datasets, key, values)
    return datasets


def _transcoded(dataset: _Dataset, codec: str) -> _Dataset:
    if codec == "utf-8" or dataset.value.isascii():
        return dataset
    if dataset.key[0] not in _STANDARD_RECORDS:
        raise unusual(because="they hold private records in an unknown character set")
    if not _is_text(dataset.key):
        return dataset
    return _made(dataset.key, dataset.value.decode(codec).encode("utf-8"))


def _with_values(datasets: list[_Dataset], key: Key, values: Sequence[bytes]) -> list[_Dataset]:
    """The values where the first one stood, else where their number belongs."""
    old = {dataset.value: dataset for dataset in datasets if dataset.key == key}
    made = [old.get(value) or _made(key, value) for value in values]
    rest = [dataset for dataset in datasets if dataset.key != key]
    if old:
        at = next(i for i, dataset in enumerate(datasets) if dataset.key == key)
    else:
        at = next((i for i, dataset in enumerate(rest) if dataset.key > key), len(rest))
    return [*rest[:at], *made, *rest[at:]]


def _made(key: Key, value: bytes) -> _Dataset:
    size = len(value)
    length = (
        struct.pack(">H", size) if size < _EXTENDED else struct.pack(">HI", _EXTENDED | 4, size)
    )
    return _Dataset(key, value, b"\x1c" + bytes(key) + length + value)


def _serialise(datasets: Sequence[_Dataset], padding: bytes) -> bytes:
    return b"".join(dataset.raw for dataset in datasets) + padding
