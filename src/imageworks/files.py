"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from imageworks.errors import StoreError
from imageworks.models import IMAGE_EXTENSIONS
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNSEEN = (-1, -1)


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A text stream (UTF-8) whose content becomes the file when the block ends without an error.

    Written beside the file, synced, then renamed over it; links are followed, missing folders are
    made, the mode of a file that exists stays. What is no regular file, such as ``/dev/stdout``,
    is written straight.

    Raises:
        StoreError: The name is a photograph's, or anything on the way to disk failed; names the
            file. The old file is untouched.
    """
    refuse_photograph(path)
    try:
        target = Path(os.path.realpath(path))
        mode = _mode_of(target)
        if mode is not None and not stat.S_ISREG(mode):
            with path.open("w", encoding="utf-8", newline="\n") as stream:
                yield stream
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".ptag-{os.urandom(8).hex()}.tmp")
        try:
            with beside.open("x", encoding="utf-8", newline="\n") as stream:
                yield stream
                stream.flush()
                if mode is not None:
                    os.fchmod(stream.fileno(), stat.S_IMODE(mode))
                os.fsync(stream.fileno())
            beside.replace(target)
        finally:
            with suppress(FileNotFoundError):
                beside.unlink()
        sync_folder(target.parent)
    except OSError as error:
        raise output_error(path, error) from error


def change_stamp(path: Path) -> tuple[int, int] | None:
    """What differs once a file has changed: its modification time and size; None: not there.

    A file that cannot be looked at has one as well, so that reading it is tried and tells why.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError:
        return _UNSEEN
    return status.st_mtime_ns, status.st_size


def refuse_photograph(path: Path) -> None:
    """Keeps a slip on the command line from turning a photograph or sidecar into a report.

    Raises:
        StoreError: The file is named like one.
    """
    if path.suffix.lower() in {*IMAGE_EXTENSIONS, ".xmp"}:
        message = f"{show_path(path)} is named like a photograph; no report is written there."
        raise StoreError(message, hint="name another file.", reason="photograph")


def output_error(path: Path, error: OSError) -> StoreError:
    """The error for an output file that cannot be read or written."""
    message = f"{show_path(path)} cannot be written: {error.strerror or error}."
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreError(message, hint="make room on that disk.", reason="disk-full")
    return StoreError(message, hint="check the disk and the folder, or name another file.")


def sync_folder(folder: Path) -> None:
    """Makes a rename in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mode_of(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None
