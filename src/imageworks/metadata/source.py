"""A file read once, with what tells whether it is still the same file later."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.errors import MetadataError
from imageworks.metadata.refusal import refusal
from imageworks.text import show_path

if TYPE_CHECKING:
    from io import BufferedReader, FileIO

MAX_SIZE_BYTES = 1_000_000_000
"""Larger files are not taken into memory; their metadata goes to a sidecar (Exiv2's own limit)."""
_BLOCK_BYTES = 1024 * 1024
_WORTH_A_THREAD_BYTES = 256 * 1024


class Digest:
    """The sha256 of some bytes, worked out beside what the caller does meanwhile.

    A large file takes as long to hash as to write. Hashing lets other threads run, so its cost
    hides behind the reading, proving and flushing that have to be done anyway.

    Args:
        data: The bytes; they are hashed once, however often the digest is asked for.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._hash = hashlib.sha256()
        self._thread: threading.Thread | None = None
        if len(data) < _WORTH_A_THREAD_BYTES:
            self._work()
        else:
            self._thread = threading.Thread(target=self._work, name="sha256", daemon=True)
            self._thread.start()

    @property
    def hex(self) -> str:
        """The digest; waits for it."""
        if self._thread is not None:
            self._thread.join()
        return self._hash.hexdigest()

    def _work(self) -> None:
        self._hash.update(self._data)


@dataclass(frozen=True, slots=True)
class KnownDigest:
    """A sha256 that was worked out while reading; ``hex`` as in `Digest`."""

    hex: str


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was read.

    Attributes:
        path: The file itself; symbolic links are resolved.
        data: Its bytes; only the first MB of a file that is too large.
        status: ``os.stat`` of the very file that was read.
        digest: Of all its bytes.
    """

    path: Path
    data: bytes
    status: os.stat_result
    digest: Digest | KnownDigest

    @property
    def sha256(self) -> str:
        """Digest of all its bytes, hex; waits until it is known."""
        return self.digest.hex

    @property
    def is_whole(self) -> bool:
        """Whether ``data`` is all of the file."""
        return len(self.data) == self.status.st_size

    def check_unchanged(self) -> None:
        """Reads the file again.

        Raises:
            MetadataError: ``changed-meanwhile``: it is no longer the file that was read.
        """
        try:
            now = self.path.lstat()
            is_same = _identity(now) == _identity(self.status)
            is_same = is_same and self._holds_the_same()
        except FileNotFoundError:
            is_same = False
        if not is_same:
            because = "another program changed it in the meantime"
            raise refusal(reason="changed-meanwhile", because=because, hint="accept it again.")

    def _holds_the_same(self) -> bool:
        with open_regular(self.path) as stream:
            if self.is_whole:
                return has_bytes(stream, self.data)
            return _digest_of(stream) == self.sha256


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
            data = stream.read() if is_small else stream.read(_BLOCK_BYTES)
            digest = Digest(data) if is_small else KnownDigest(_digest_of(stream))
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
    if _identity(before) != _identity(after) or (is_small and len(data) != after.st_size):
        message = f"{show_path(path)} is being written by another program."
        raise MetadataError(message, hint="try again later.", reason="changed-meanwhile")
    return Source(real, data, after, digest)


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


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _digest_of(stream: BufferedReader) -> str:
    stream.seek(0)
    return hashlib.file_digest(stream, "sha256").hexdigest()
