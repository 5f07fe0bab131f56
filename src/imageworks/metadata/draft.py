"""New bytes on the disk beside a file, before they have its name.

A disk takes longer to write a photograph than we take to prove that it may be written, so a draft
is on its way to the disk while its bytes are being proven. A draft is nothing yet: it has a hidden
name, it tells where it is only once it was read back and found to hold the proven bytes, whatever
it was told to write, and it is gone when nobody asks.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import shutil
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, TypeVar

from imageworks.metadata.refusal import refusal
from imageworks.metadata.source import has_bytes, open_regular
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from imageworks.errors import MetadataError

_Result = TypeVar("_Result")

logger = logging.getLogger(__name__)

_MAX_NAME_BYTES = 255
_SPARE_BYTES = 4 * 1024 * 1024
_BLOCK_BYTES = 2 * 1024 * 1024
_PAGE_BYTES = 64 * 1024  # a multiple of every page size in use
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_PERMITTED = {errno.EACCES, errno.EPERM, errno.EROFS}

# Kept for all drafts, as a thread takes longer to start than most of its work takes. Tasks start in
# their order and wait for earlier ones only, so the threads never wait for one another.
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="draft")


class Draft:
    """A hidden file beside its target: filled, flushed and read back in threads.

    A context manager: the file is gone when the context ends, unless it was renamed. What goes
    wrong while it is filled is raised by `flush`.

    Args:
        target: The file whose name the draft may take later.
        pieces: The bytes, in order; nobody may change them.
        set_attributes: Gives the draft its mode and the like, so that one flush takes both to the
            disk.
    """

    def __init__(
        self,
        target: Path,
        pieces: Sequence[bytes | memoryview],
        set_attributes: Callable[[Path], None],
    ) -> None:
        self._pieces = pieces
        self._set_attributes = set_attributes
        ending = f".ptag-{os.getpid()}-{secrets.token_hex(4)}.tmp"
        stem = os.fsencode(target.name)[: _MAX_NAME_BYTES - 1 - len(ending)]
        self._path = target.with_name(f".{os.fsdecode(stem)}{ending}")
        self._flushed = _threads.submit(self._write)
        self._compared: Future[bool] | None = None
        self._pending: list[Future[Any]] = [self._flushed]

    def __enter__(self) -> Draft:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Discards the draft."""
        self.discard()

    def meanwhile(self, work: Callable[[], _Result]) -> Future[_Result]:
        """Has something done while the draft is flushed; waited for before the draft is gone."""
        begun = _threads.submit(work)
        self._pending.append(begun)
        return begun

    def flush(self, proven: bytes) -> None:
        """Returns once all is on the disk; from then on the draft is read back meanwhile.

        Args:
            proven: What the draft has to hold.

        Raises:
            MetadataError: ``disk-full``, ``disk-error``, ``read-only``, ``write-failed``, or what
                setting the attributes raised.
        """
        self._compared = self.meanwhile(lambda: self._holds(proven))
        with translated_errors():
            self._flushed.result()

    def finish(self) -> Path:
        """Where the draft is, which the disk has given back as it has to be.

        Raises:
            MetadataError: ``disk-error``; ``changed-meanwhile`` where somebody removed it.
        """
        with translated_errors():
            if self._compared is not None and self._compared.result():
                return self._path
        because = "the disk gave back other bytes than were written"
        raise refusal(reason="disk-error", because=because, hint="check the disk.")

    def discard(self) -> None:
        """Removes the file; what stands in its way must not hide why it is to go."""
        wait(self._pending)
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("%s cannot be removed: %s", show_path(self._path), error.strerror)

    def _write(self) -> None:
        _sync(self._fill())

    def _fill(self) -> int:
        """The descriptor of the file with all its bytes and attributes."""
        _check_space(self._path.parent, sum(len(piece) for piece in self._pieces))
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, self._pieces)
            self._set_attributes(self._path)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _holds(self, proven: bytes) -> bool:
        self._flushed.result()
        with open_regular(self._path) as stream:
            return has_bytes(stream, proven)


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Turns the system's errors into ours."""
    try:
        yield
    except OSError as error:
        raise _translation(error) from error


def _write_all(descriptor: int, pieces: Sequence[bytes | memoryview]) -> None:
    """Writes in blocks, each on its way to the disk while the next one is copied.

    Linux starts to write a stretch back when it is told that nobody will need it soon
    (mm/fadvise.c, POSIX_FADV_DONTNEED); the flush at the end then has less to wait for. What it
    forgets of it is read from the disk itself when the draft is compared.
    """
    made = sent = 0
    for piece in pieces:
        at = 0
        while at < len(piece):
            count = os.write(descriptor, memoryview(piece)[at : at + _BLOCK_BYTES])
            at += count
            made += count
            if made - sent >= _BLOCK_BYTES and hasattr(os, "posix_fadvise"):
                whole_pages = (made - sent) // _PAGE_BYTES * _PAGE_BYTES
                os.posix_fadvise(descriptor, sent, whole_pages, os.POSIX_FADV_DONTNEED)
                sent += whole_pages


def _check_space(folder: Path, size_bytes: int) -> None:
    if shutil.disk_usage(folder).free < size_bytes + _SPARE_BYTES:
        raise _no_room()


def _translation(error: OSError) -> MetadataError:
    if error.errno in _NO_ROOM:
        return _no_room()
    if error.errno in _NOT_PERMITTED:
        because = f"the system does not permit it ({error.strerror})"
        return refusal(reason="read-only", because=because)
    if error.errno == errno.ENOENT:
        because = "it was moved or removed in the meantime"
        return refusal(reason="changed-meanwhile", because=because)
    if error.errno == errno.EIO:
        because = "the disk reports an error"
        return refusal(reason="disk-error", because=because, hint="check the disk.")
    return refusal(reason="write-failed", because=f"the system refused: {error.strerror}")


def _no_room() -> MetadataError:
    return refusal(
        reason="disk-full", because="the disk is full", hint="free some space, then retry."
    )
