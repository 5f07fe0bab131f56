"""Lists the ids of a large library in a thread, while the screen is used already."""

from __future__ import annotations

import sqlite3
import threading
from array import array
from typing import TYPE_CHECKING

from imageworks.store.spacing import spaced_column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_CHUNK = 4096
_BUSY_TIMEOUT_S = 30.0


class IdLoad:
    """A query for ids under way, on a connection of its own that only reads.

    Args:
        path: The library.
        query: Returns ids in its only column.
        values: The query's parameters.
        folded: The library's function of that name in SQL.
    """

    def __init__(
        self,
        path: Path,
        query: str,
        values: Sequence[bytes | int | str],
        folded: Callable[[bytes | str | None], str],
    ) -> None:
        self._path = path
        self._query = query
        self._values = values
        self._folded = folded
        self._ids = array("q")
        self._error: sqlite3.Error | None = None
        self._is_cancelled = False
        self._thread = threading.Thread(target=self._run, name="list ids", daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether `result` has something to say."""
        return not self._thread.is_alive()

    def result(self, timeout_s: float | None = None) -> array[int]:
        """The ids, waiting for them if need be.

        Raises:
            sqlite3.Error: The query failed; `Search.finish` translates it.
        """
        self._thread.join(timeout_s)
        if self._error is not None:
            raise self._error
        return self._ids

    def cancel(self) -> None:
        """Ends the query soon; nobody waits for it any more."""
        self._is_cancelled = True

    def _run(self) -> None:
        try:
            connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S)
            try:
                self._read(connection)
            finally:
                connection.close()
        except sqlite3.Error as error:
            self._error = error

    def _read(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA query_only=ON")
        connection.create_function("folded", 1, self._folded, deterministic=True)
        connection.create_function("spaced", 1, spaced_column, deterministic=True)
        cursor = connection.execute(self._query, self._values)
        while not self._is_cancelled and (rows := cursor.fetchmany(_CHUNK)):
            self._ids.extend(row[0] for row in rows)
