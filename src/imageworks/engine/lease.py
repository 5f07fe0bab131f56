"""Who works on a library, and who watches: two lock files beside it.

A lock dies with its process, whatever ends it, so a lease cannot be stale on one machine. The row
in the library tells people which engine holds it; the lock decides.
"""

from __future__ import annotations

import fcntl
import os
import socket
from typing import TYPE_CHECKING

from imageworks.errors import LibraryBusyError, StoreError
from imageworks.text import show_path

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from imageworks.store.library import Library


class FileLock:
    """An advisory lock on a file, held until `release` or the end of the process (flock(2)).

    Args:
        path: The lock file; made when missing, never removed.
        is_shared: Several holders at once; none beside an exclusive one.
    """

    def __init__(self, path: Path, *, is_shared: bool = False) -> None:
        self._path = path
        self._mode = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Takes the lock; False when somebody else holds it.

        Raises:
            StoreError: The lock file cannot be made.
        """
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            message = f"The lock {show_path(self._path)} cannot be made: {error.strerror}."
            raise StoreError(message, hint="use --store with a folder you can write.") from error
        try:
            fcntl.flock(descriptor, self._mode | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Gives the lock back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> FileLock:
        """Holds the lock for a block of code.

        Raises:
            LibraryBusyError: Somebody else holds it.
        """
        if not self.acquire():
            message = f"{show_path(self._path)} is held by another process."
            raise LibraryBusyError(message, hint="wait for it, or stop it.", reason="busy")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Gives the lock back."""
        self.release()


def engine_lock(library_path: Path) -> FileLock:
    """The lock of the one engine of a library."""
    return FileLock(library_path.with_name(library_path.name + ".engine.lock"))


def screen_lock(library_path: Path) -> FileLock:
    """The lock that every open screen shares."""
    return FileLock(library_path.with_name(library_path.name + ".screen.lock"), is_shared=True)


def is_engine_alive(library_path: Path) -> bool:
    """Whether an engine works on this library."""
    lock = engine_lock(library_path)
    if lock.acquire():
        lock.release()
        return False
    return True


def is_screen_open(library_path: Path) -> bool:
    """Whether any screen shows this library."""
    lock = FileLock(library_path.with_name(library_path.name + ".screen.lock"))
    if lock.acquire():
        lock.release()
        return False
    return True


def say_alive(library: Library, activity: str) -> None:
    """The engine's heartbeat: tells people what works here."""
    library.session.hold_lease(os.getpid(), socket.gethostname(), activity)
