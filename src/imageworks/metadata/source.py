"""A file read once, with what tells whether it is still the same file later."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.errors import MetadataError
from imageworks.metadata.refusal import refusal
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from io import BufferedReader

MAX_SIZE_BYTES = 1_000_000_000
"""Larger files are not taken into memory; their metadata goes to a sidecar (Exiv2's own limit)."""
_BLOCK_BYTES = 1024 * 1024
_WHOLE_BYTES = 1024 * 1024
_HEAD_BYTES = 512 * 1024
_TAIL_BYTES = 256 * 1024
_COARSEST_TIME_S = 2.5
_SAMPLES = 32
_SAMPLE_BYTES = 8 * 1024


def identity_of(*pieces: bytes | memoryview) -> str:
    """A digest that tells the versions of one file apart, hex; of its bytes, whole or in pieces.

    Of up to 1 MB it is of all bytes. Of a larger file it is of its length, its first half MB and
    last quarter MB, where metadata is, and of 32 stretches evenly spread between: hashing a
    photograph whole takes as long as writing it. What compares a file with itself before a
    replacement does not rely on this; it compares all bytes.
    """
    size = sum(map(len, pieces))
    digest = hashlib.sha256(str(size).encode("ascii"))
    # At once: a thread that hashes many small stretches would wait for its turn after each.
    digest.update(b"".join(_parts(pieces, _stretches(size))))
    return digest.hexdigest()


def identity_of_file(stream: BufferedReader) -> str:
    """The same of an open file, without reading all of it."""
    size = os.fstat(stream.fileno()).st_size
    digest = hashlib.sha256(str(size).encode("ascii"))
    for start, end in _stretches(size):
        stream.seek(start)
        digest.update(stream.read(end - start))
    return digest.hexdigest()


def _parts(
    pieces: Sequence[bytes | memoryview], stretches: Iterable[tuple[int, int]]
) -> Iterator[memoryview]:
    """What lies in some stretches of the bytes that the pieces make together."""
    starts = [0, *accumulate(map(len, pieces))]
    for start, end in stretches:
        for at, piece in zip(starts, pieces, strict=False):
            if start < at + len(piece) and at < end:
                yield memoryview(piece)[max(start - at, 0) : end - at]


def _stretches(size: int) -> list[tuple[int, int]]:
    if size <= _WHOLE_BYTES:
        return [(0, size)]
    inner = size - _HEAD_BYTES - _TAIL_BYTES
    step = inner // _SAMPLES
    starts = [_HEAD_BYTES + number * step for number in range(_SAMPLES)]
    samples = [(start, min(start + _SAMPLE_BYTES, start + step)) for start in starts]
    return [(0, _HEAD_BYTES), *samples, (size - _TAIL_BYTES, size)]


@dataclass(frozen=True)
class Source:
    """A file as it was read.

    Attributes:
        path: The file itself; symbolic links are resolved.
        data: Its bytes; only the first MB of a file that is too large.
        status: ``os.stat`` of the very file that was read.
        read_identity: The identity of a file that is too large, which ``data`` cannot tell.
    """

    path: Path
    data: bytes
    status: os.stat_result
    read_identity: str = ""

    @cached_property
    def identity(self) -> str:
        """See `identity_of`; found when it is first asked for, as not everybody does."""
        return self.read_identity or identity_of(self.data)

    @property
    def is_whole(self) -> bool:
        """Whether ``data`` is all of the file."""
        return len(self.data) == self.status.st_size

    def check_unchanged(self, seen: os.stat_result | None = None) -> None:
        """Makes sure that the file is still the one that was read.

        Args:
            seen: What `seen_unchanged` returned; its bytes are read again only where the file's
                status has changed since.

        Raises:
            MetadataError: ``changed-meanwhile``: it is no longer the file that was read.
        """
        try:
            now = self.path.lstat()
            is_same = _stat_of(now) == _stat_of(self.status)
            is_same = is_same and (self._is_as(seen) or self._holds_the_same())
        except FileNotFoundError:
            is_same = False
        if not is_same:
            because = "another program changed it in the meantime"
            raise refusal(reason="changed-meanwhile", because=because, hint="accept it again.")

    def seen_unchanged(self) -> os.stat_result | None:
        """Reads the file again, and returns a status from which any later change would differ.

        None where the bytes are others, or the file was touched so lately that one more change
        could bear the same times: file systems count in steps of up to two seconds (FAT). No
        program can set the time of the last change of status (``st_ctime``) as it likes, unlike
        that of the last modification.
        """
        with open_regular(self.path) as stream:
            status = os.fstat(stream.fileno())
        latest_s = max(status.st_ctime, status.st_mtime)
        if not 0 < latest_s < time.time() - _COARSEST_TIME_S or not self._holds_the_same():
            return None
        return status

    def _is_as(self, seen: os.stat_result | None) -> bool:
        """Whether nobody has touched the file since; opened, as NFS asks its server only then."""
        if seen is None:
            return False
        with open_regular(self.path) as stream:
            now = os.fstat(stream.fileno())
        return (*_stat_of(now), now.st_ctime_ns) == (*_stat_of(seen), seen.st_ctime_ns)

    def _holds_the_same(self) -> bool:
        with open_regular(self.path) as stream:
            if self.is_whole:
                return has_bytes(stream, self.data)
            return identity_of_file(stream) == self.identity


def read_source(path: Path) -> Source:
    """The file's bytes and identity.

    Raises:
        MetadataError: ``not-found``, ``not-a-file``, ``empty``, ``unreadable`` or
            ``changed-meanwhile``.
    """
    try:
        real = Path(os.path.realpath(path, strict=True))
        if not stat.S_ISREG(real.lstat().st_mode):
            message = f"{show_path(path)} is not a regular file."
            raise MetadataError(message, reason="not-a-file")
        with open_regular(real) as stream:
            before = os.fstat(stream.fileno())
            is_small = before.st_size <= MAX_SIZE_BYTES
            data = _read_whole(stream) if is_small else stream.read(_BLOCK_BYTES)
            identity = "" if is_small else identity_of_file(stream)
            after = os.fstat(stream.fileno())
    except FileNotFoundError as error:
        message = f"{show_path(path)} does not exist."
        raise MetadataError(message, hint="was it moved?", reason="not-found") from error
    except OSError as error:
        message = f"{show_path(path)} cannot be read: {error.strerror}."
        hint = "check the disk and the file's permissions."
        raise MetadataError(message, hint=hint, reason="unreadable") from error
    if not data:
        message = f"{show_path(path)} is empty."
        raise MetadataError(message, hint="restore it from a copy.", reason="empty")
    if _stat_of(before) != _stat_of(after) or (is_small and len(data) != after.st_size):
        message = f"{show_path(path)} is being written by another program."
        raise MetadataError(message, hint="try again later.", reason="changed-meanwhile")
    return Source(real, data, after, identity)


def _read_whole(stream: BufferedReader) -> bytes:
    """All of a file that nothing was read of yet, without the detour through the buffer."""
    with FileIO(stream.fileno(), closefd=False) as unbuffered:
        return unbuffered.readall()


def has_bytes(stream: BufferedReader | FileIO, expected: bytes) -> bool:
    """Whether a file holds exactly these bytes, from its start to its end.

    Read in blocks that stay in the processor's cache; a memory map would be as fast, but a file cut
    short meanwhile would end the process.
    """
    block = memoryview(bytearray(_BLOCK_BYTES))
    at = 0
    stream.seek(0)
    while count := stream.readinto(block):
        # Not `==`, which compares memoryviews item by item.
        if not expected.startswith(block[:count], at):
            return False
        at += count
    return at == len(expected)


def open_regular(path: Path) -> BufferedReader:
    """Opens without waiting for a FIFO that took the file's place."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY), "rb")


def _stat_of(status: os.stat_result) -> tuple[int, int, int, int]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
