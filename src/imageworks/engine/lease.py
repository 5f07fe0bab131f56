"""Who works on a library, and who watches: two lock files beside it.

A lock dies with its process, whatever ends it, so a lease cannot be stale on one machine: a pid
that was used again means nothing. Between machines that share a disk a lock may not be seen; there
the row in the library counts, in which an engine says every few seconds that it is alive.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import time
from typing import TYPE_CHECKING

from imageworks.errors import LibraryBusyError, StoreError
from imageworks.text import one_line, show_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from imageworks.store.library import Library
    from imageworks.store.records import Lease

logger = logging.getLogger(__name__)

HEARTBEAT_S = 3.0
"""How often an engine says that it is alive."""

_MISSED_BEATS = 3
_LOOK_S = 0.2


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
    """The engine's heartbeat: tells people and other machines what works here.

    Raises:
        LibraryBusyError: An engine on another machine has taken over meanwhile, as it may when
            this one slept.
    """
    lease = library.session.lease()
    if lease is not None and lease.host != this_host():
        raise _held_elsewhere(library, lease)
    library.session.hold_lease(os.getpid(), this_host(), activity)


def claim_lease(
    library: Library,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Makes this process, which holds the engine lock, the one engine of a library.

    An engine on another machine is alive when its row changes; the clocks of two machines are not
    compared. One that is silent for some beats is taken over.

    Raises:
        LibraryBusyError: An engine on another machine is alive.
    """
    first = library.session.lease()
    if first is not None and first.host != this_host():
        deadline = clock() + _MISSED_BEATS * HEARTBEAT_S
        while clock() < deadline:
            sleep(_LOOK_S)
            lease = library.session.lease()
            if lease is None:
                break
            if lease != first:
                raise _held_elsewhere(library, lease)
        logger.warning("Taking over from an engine on %s that is silent.", one_line(first.host))
        library.session.drop_lease()
    elif first is not None and first.pid != os.getpid():
        logger.warning("Taking over from engine %d, which was killed.", first.pid)
    library.session.hold_lease(os.getpid(), this_host(), "starting")


def drop_own_lease(library: Library) -> None:
    """Says that this engine has ended; the row of another is left alone."""
    lease = library.session.lease()
    if lease is not None and (lease.host, lease.pid) == (this_host(), os.getpid()):
        library.session.drop_lease()


def is_alive_elsewhere(library: Library, lease: Lease | None) -> bool:
    """Whether an engine on another machine has said lately that it is alive, for people to see."""
    if lease is None or lease.host == this_host():
        return False
    return abs(library.now_ms() - lease.heartbeat_ms) < _MISSED_BEATS * HEARTBEAT_S * 1000


def this_host() -> str:
    """This machine's name."""
    return socket.gethostname()


def _held_elsewhere(library: Library, lease: Lease) -> LibraryBusyError:
    message = (
        f"An engine on {one_line(lease.host)} (process {lease.pid}) works on"
        f" {show_path(library.path)}."
    )
    hint = "stop it there with `ptag stop`, or name another library with --store FILE."
    return LibraryBusyError(message, hint=hint, reason="busy-elsewhere")
