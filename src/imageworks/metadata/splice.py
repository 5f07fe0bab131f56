"""Edits of a file's bytes, and the exact way back.

A splice replaces one stretch of bytes. A file's change is a list of them, so every byte outside
is the original's, and the earlier file can be restored bit for bit from the few bytes replaced.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.errors import MetadataError
from imageworks.metadata.source import identity_of
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MAGIC = b"PTU1"
_MAX_UNDO_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Splice:
    """One replaced stretch.

    Attributes:
        offset: Where it starts in the old bytes.
        length: How many old bytes it replaces; 0 for an insertion.
        new: What stands there instead.
    """

    offset: int
    length: int
    new: bytes


class Stretch:
    """A stretch of a file that compares by its bytes without a copy of them.

    Args:
        data: The whole file.
        start: Where the stretch begins.
        end: Where it ends; with the file when not given.
    """

    __slots__ = ("_data", "_end", "_start")
    __hash__ = None  # type: ignore[assignment]  # a comparison of megabytes is no dictionary key

    def __init__(self, data: bytes, start: int, end: int | None = None) -> None:
        self._data = data
        self._start = min(start, len(data))
        self._end = len(data) if end is None else max(self._start, min(end, len(data)))

    def __eq__(self, other: object) -> bool:  # noqa: D105  # as of any value
        if not isinstance(other, Stretch):
            return NotImplemented
        if self._end - self._start != other._end - other._start:
            return False
        # Not `==`, which compares memoryviews item by item.
        part = memoryview(other._data)[other._start : other._end]
        return self._data.startswith(part, self._start)


def apply_splices(data: bytes, splices: Iterable[Splice]) -> bytes:
    """The bytes with every splice applied; they must not overlap."""
    return b"".join(spliced_pieces(data, splices))


def spliced_pieces(data: bytes, splices: Iterable[Splice]) -> list[bytes | memoryview]:
    """What `apply_splices` joins, without copies: what stays of the data, and what is new."""
    whole = memoryview(data)
    pieces: list[bytes | memoryview] = []
    at = 0
    for splice in sorted(splices, key=lambda s: s.offset):
        if splice.offset < at or splice.offset + splice.length > len(data):
            message = "splices overlap or reach beyond the end"
            raise ValueError(message)
        pieces += [whole[at : splice.offset], splice.new]
        at = splice.offset + splice.length
    return [*pieces, whole[at:]]


def invert_splices(data: bytes, splices: Iterable[Splice]) -> tuple[Splice, ...]:
    """The splices that turn the changed bytes back into ``data``."""
    inverse: list[Splice] = []
    shift = 0
    for splice in sorted(splices, key=lambda s: s.offset):
        old = data[splice.offset : splice.offset + splice.length]
        inverse.append(Splice(splice.offset + shift, len(splice.new), old))
        shift += len(splice.new) - splice.length
    return tuple(inverse)


def leads_to(new: bytes, splices: Iterable[Splice], old: bytes) -> bool:
    """Whether `apply_splices` on the new bytes gives the old ones, found without making them."""
    kept = memoryview(new)
    at = made = 0
    for splice in sorted(splices, key=lambda s: s.offset):
        if splice.offset < at or splice.offset + splice.length > len(new):
            return False
        for part in (kept[at : splice.offset], splice.new):
            if not old.startswith(part, made):
                return False
            made += len(part)
        at = splice.offset + splice.length
    return made + len(new) - at == len(old) and old.startswith(kept[at:], made)


@dataclass(frozen=True, slots=True)
class FileUndo:
    """What puts one file back.

    Attributes:
        path: The file that was written.
        identity_before: Digest of its earlier bytes, hex; empty when it did not exist.
        identity_after: Digest of the bytes written, hex.
        mtime_ns: Its earlier modification time, in nanoseconds since the epoch; 0 when new.
        splices: They turn the written bytes into the earlier ones.
    """

    path: Path
    identity_before: str
    identity_after: str
    mtime_ns: int
    splices: tuple[Splice, ...]


def undo_splice(data: bytes, undo: FileUndo) -> bytes:
    """The earlier bytes of a file, restored from the present ones.

    Raises:
        MetadataError: ``changed-since``: another program wrote the file in between.
    """
    if identity_of(data) != undo.identity_after:
        message = f"{show_path(undo.path)} was changed after it was written here."
        hint = "its earlier metadata can be put back by hand from the backup."
        raise MetadataError(message, hint=hint, reason="changed-since")
    restored = apply_splices(data, undo.splices)
    if undo.identity_before and identity_of(restored) != undo.identity_before:
        message = f"The way back of {show_path(undo.path)} does not lead to its earlier bytes."
        raise MetadataError(message, hint="use the backup.", reason="undo-damaged")
    return restored


def pack_undo(files: Sequence[FileUndo]) -> bytes:
    """The undo of one write, to keep in the journal; see `unpack_undo`."""
    entries = [
        {
            "path": str(undo.path),
            "before": undo.identity_before,
            "after": undo.identity_after,
            "mtime_ns": undo.mtime_ns,
            "splices": [
                [splice.offset, splice.length, base64.b64encode(splice.new).decode("ascii")]
                for splice in undo.splices
            ],
        }
        for undo in files
    ]
    return _MAGIC + zlib.compress(json.dumps(entries).encode("ascii"))


def unpack_undo(packed: bytes) -> tuple[FileUndo, ...]:
    """The undo of one write, one entry a file.

    Raises:
        MetadataError: ``undo-damaged``: these bytes were not made by `pack_undo`.
    """
    head, body = packed[: len(_MAGIC)], packed[len(_MAGIC) :]
    try:
        text = zlib.decompressobj().decompress(body if head == _MAGIC else b"", _MAX_UNDO_BYTES)
        return tuple(_file_undo(entry) for entry in json.loads(text))
    except (ValueError, KeyError, TypeError, zlib.error, binascii.Error) as error:
        message = "The journal's way back is damaged."
        raise MetadataError(message, hint="use the backup.", reason="undo-damaged") from error


def _file_undo(entry: dict[str, object]) -> FileUndo:
    splices = entry["splices"]
    mtime_ns = entry["mtime_ns"]
    if not isinstance(splices, list) or not isinstance(mtime_ns, int):
        raise TypeError(entry)
    return FileUndo(
        path=Path(str(entry["path"])),
        identity_before=str(entry["before"]),
        identity_after=str(entry["after"]),
        mtime_ns=mtime_ns,
        splices=tuple(
            Splice(int(offset), int(length), base64.b64decode(new, validate=True))
            for offset, length, new in splices
        ),
    )
