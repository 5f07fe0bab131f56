"""Opens the library and owns its connection, its transactions and its migrations."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from functools import cached_property
from typing import TYPE_CHECKING

from imageworks.errors import StoreError
from imageworks.store.acts import Acts
from imageworks.store.corrections import StoredCorrections
from imageworks.store.decisions import Decisions
from imageworks.store.images import Images
from imageworks.store.journal import Journal
from imageworks.store.kinship import Kinship
from imageworks.store.neighbours import Neighbours
from imageworks.store.pending import Pending
from imageworks.store.queue import WorkQueue
from imageworks.store.runs import Runs
from imageworks.store.schema import APPLICATION_ID, MIGRATIONS, OLDEST_SQLITE
from imageworks.store.search import Search
from imageworks.store.session import SessionMemory
from imageworks.store.spacing import spaced_column
from imageworks.store.suggestions import Suggestions
from imageworks.store.usage import Usage
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from imageworks.store.folders import Folders
    from imageworks.store.outcomes import Outcomes

_BUSY_TIMEOUT_S = 30.0
_BUSY_PAUSE_S = 0.01


class Library:
    """The one truth about images, suggestions, decisions and runs, shared by screen and engine.

    Every public method of its parts is one transaction. Not for use from several threads at once.

    Args:
        path: The SQLite file; made, with its folder, when it does not exist.
        mapped_bytes: How much of the file may be mapped into memory, which makes reading here and
            there quicker. For an engine none: whatever it has read would count as its memory.
        now: The clock, in seconds since the epoch.

    Raises:
        StoreError: The file is not a library, is newer than this program, or cannot be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        mapped_bytes: int = 256 * 1024 * 1024,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self._now = now
        self._is_durable: bool | None = None
        with store_errors(path):
            self._connection = _connect(path)
            _prepare(self._connection, path, mapped_bytes)
        self.images = Images(self)
        self.suggestions = Suggestions(self)
        self.decisions = Decisions(self)
        self.journal = Journal(self)
        self.queue = WorkQueue(self)
        self.runs = Runs(self)
        self.session = SessionMemory(self)
        self.search = Search(self)
        self.kinship = Kinship(self)
        self.acts = Acts(self)
        self.corrections = StoredCorrections(self)
        self.pending = Pending(self)
        self.usage = Usage(self)
        self.neighbours = Neighbours(self)

    @cached_property
    def folders(self) -> Folders:
        """The folders, and what a scan found in them."""
        from imageworks.store.folders import Folders  # noqa: PLC0415  # for scans only

        return Folders(self)

    @cached_property
    def outcomes(self) -> Outcomes:
        """What became of each image of a run."""
        from imageworks.store.outcomes import Outcomes  # noqa: PLC0415  # for reports only

        return Outcomes(self)

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, for the parts of this room."""
        return self._connection

    def now_ms(self) -> int:
        """The time as it is stored: milliseconds since the epoch."""
        return int(self._now() * 1000)

    @contextlib.contextmanager
    def transaction(self, *, is_durable: bool = False) -> Iterator[sqlite3.Connection]:
        """One change of state: all of it or nothing.

        Args:
            is_durable: Survives a power cut once committed (``synchronous=FULL``); for a person's
                work. Without it, a power cut may lose the last commits, never tear one.
        """
        with store_errors(self.path):
            if self._connection.in_transaction:
                yield self._connection
                return
            if is_durable is not self._is_durable:
                self._connection.execute(f"PRAGMA synchronous={'FULL' if is_durable else 'NORMAL'}")
                self._is_durable = is_durable
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.rollback()
                raise
            self._connection.commit()

    def errors(self) -> contextlib.AbstractContextManager[None]:
        """Translates SQLite's errors for work on another connection to this library."""
        return store_errors(self.path)

    def data_version(self) -> int:
        """A number that changes when another process has changed the library."""
        with store_errors(self.path):
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def change_mark(self) -> tuple[int, int]:
        """Two numbers of which one changes with every change of the library, also from here."""
        return self.data_version(), self._connection.total_changes

    def close(self) -> None:
        """Closes the connection; the library itself needs no closing to be safe."""
        self._connection.close()


@contextlib.contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Translates SQLite's errors into `StoreError`, naming the library."""
    try:
        yield
    except sqlite3.OperationalError as error:
        shown = show_path(path)
        if "locked" in str(error):
            message = f"The library {shown} is locked by another program."
            raise StoreError(message, hint="close what holds it.", reason="locked") from error
        if "disk is full" in str(error) or "disk I/O" in str(error):
            message = f"The library {shown} cannot be written: {error}."
            raise StoreError(message, hint="make room on that disk.", reason="disk-full") from error
        message = f"The library {shown} cannot be used: {error}."
        raise StoreError(message, hint="check the path, or use --store FILE.") from error
    except sqlite3.DatabaseError as error:
        message = f"{show_path(path)} is damaged or not a library: {error}."
        hint = "restore it from its .bak copy, or name another with --store FILE."
        raise StoreError(message, hint=hint, reason="damaged") from error


def _connect(path: Path) -> sqlite3.Connection:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        message = f"SQLite {sqlite3.sqlite_version} is too old."
        needed = ".".join(map(str, OLDEST_SQLITE))
        raise StoreError(message, hint=f"use a Python with SQLite {needed} or newer.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"The folder {show_path(path.parent)} cannot be made: {error.strerror}."
        raise StoreError(message, hint="use --store FILE.") from error
    connection = sqlite3.connect(
        path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    # The view behind the full-text index needs it at every write.
    connection.create_function("spaced", 1, spaced_column, deterministic=True)
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, mapped_bytes: int) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    has_tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] > 0
    if has_tables and application != APPLICATION_ID:
        message = f"{show_path(path)} is a database of another program."
        raise StoreError(message, hint="name another file with --store.", reason="not-a-library")
    if version > len(MIGRATIONS):
        message = f"The library {show_path(path)} was made by a newer version ({version})."
        raise StoreError(message, hint="update this program.", reason="newer")
    _use_write_ahead_log(connection)
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA mmap_size={mapped_bytes}")
    if version < len(MIGRATIONS):
        _migrate(connection, path)


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switches to the write-ahead log, waiting for others that open the same new library.

    SQLite refuses the switch at once while another connection reads, whatever the busy timeout: a
    read lock that is to become exclusive could deadlock (sqlite.org, "sqlite3_busy_handler").
    """
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_BUSY_PAUSE_S)
        else:
            return


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Brings the library to this version, after a copy of the old one beside it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have migrated while this one waited for the lock.
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if 0 < version < len(MIGRATIONS):
            _back_up(path, version)
        for step in MIGRATIONS[version:]:
            for statement in _statements(step):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
    path.chmod(0o600)


def _back_up(path: Path, version: int) -> None:
    target = path.with_name(f"{path.name}.v{version}.bak")
    partial = path.with_name(f"{path.name}.v{version}.bak.part")
    source = sqlite3.connect(path)
    copy = sqlite3.connect(partial)
    try:
        source.backup(copy)
    finally:
        copy.close()
        source.close()
    partial.replace(target)


def _statements(script: str) -> Iterator[str]:
    """The script's statements one by one: `executescript` would commit the transaction."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
