"""Folders: what a walk found in each, taken over folder by folder, and what need not be walked."""

from __future__ import annotations

import os
from collections import Counter
from itertools import chain, repeat
from typing import TYPE_CHECKING

from imageworks.models import ImageState
from imageworks.stages import FolderListing, KnownFolder, ListedFile
from imageworks.store.found import FOUND, found_image

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from imageworks.store.library import Library
    from imageworks.store.records import FoundImage

_SETTLED_MS = 2000
"""Some file systems count time in steps of two seconds (FAT): within one a folder may change and
keep its time."""

_ROWS_AT_ONCE = 250
"""More rows make a statement no faster; with these it has far fewer parameters than it may (32,766:
sqlite.org, "Implementation Limits For SQLite", section 9)."""

_INSERT = (
    "INSERT INTO image(state_at, folder_id, name, format, size, mtime_ns, inode, state,"
    " is_inspected) VALUES "
)
_NEW_FILE = "(?1, ?, CAST(? AS BLOB), ?, ?, ?, ?, 'discovered', 0)"

_NewFile = tuple[tuple[int], tuple[str | bytes, str, int, int, int]]
"""A folder's id, and a `ListedFile`."""


class Folders:
    """The library's folders. See `Library`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def record(self, listings: Sequence[FolderListing]) -> list[int]:
        """Takes note of the images that a walk took by their names; the folders' ids.

        A changed file loses its content id until it is read again. One that is gone is forgotten
        unless something is known of it besides its name.
        """
        with self._library.transaction() as connection:
            return [
                folder_id
                for start in range(0, len(listings), _ROWS_AT_ONCE)
                for folder_id in self._record(connection, listings[start : start + _ROWS_AT_ONCE])
            ]

    def found(self, folder_id: int, names: Sequence[str]) -> Iterator[FoundImage]:
        """What the library knows of some files in a folder, in the order of their names here.

        Read a few at a time, so that a folder of 10,000 takes no more memory than one of 100.
        """
        for start in range(0, len(names), _ROWS_AT_ONCE):
            some = [os.fsencode(name) for name in names[start : start + _ROWS_AT_ONCE]]
            rows = self._library.connection.execute(
                f"{FOUND} AND i.name IN ({','.join('?' * len(some))})", (folder_id, *some)
            )
            by_name = {row["name"]: row for row in rows}
            for name in some:
                yield found_image(by_name[name])

    def files(self, folder: Path) -> dict[str, tuple[int, int]]:
        """Size in bytes and time in nanoseconds of the files known in a folder, by name."""
        rows = self._library.connection.execute(
            "SELECT i.name, i.size, i.mtime_ns FROM image i JOIN folder f ON f.id = i.folder_id"
            " WHERE f.path=?",
            (os.fsencode(folder),),
        )
        return {os.fsdecode(row["name"]): (row["size"], row["mtime_ns"]) for row in rows}

    def known(self) -> dict[str, KnownFolder]:
        """Every folder that was walked, by its path."""
        rows = self._library.connection.execute("SELECT path, mtime_ns FROM folder").fetchall()
        times = {os.fsdecode(row["path"]): row["mtime_ns"] for row in rows}
        below: dict[str, list[str]] = {path: [] for path in times}
        for path in times:
            parent = os.path.dirname(path)  # noqa: PTH120  # a million of them
            if parent in below and parent != path:
                below[parent].append(path)
        return {path: KnownFolder(times[path], tuple(below[path])) for path in times}

    def count_new(self, connection: sqlite3.Connection, folder_id: int, number: int) -> None:
        """Counts new images in the tally."""
        _count_new(connection, {folder_id: number})

    def _record(
        self, connection: sqlite3.Connection, listings: Sequence[FolderListing]
    ) -> list[int]:
        """Takes note of some folders in few statements: each waits for the walk in its thread."""
        times: dict[bytes, int] = {}
        for listing in listings:
            path = os.fsencode(listing.path)
            times[path] = listing.mtime_ns or times.get(path, 0)
        known = self._take_times(connection, times)
        ids = known | self._add(connection, {p: t for p, t in times.items() if p not in known})
        new: list[_NewFile] = []
        counts: Counter[int] = Counter()
        for listing in listings:
            path = os.fsencode(listing.path)
            files = [entry for entry in listing.entries if isinstance(entry, ListedFile)]
            if path in known:
                files = self._compare(connection, ids[path], listing, files)
            if files:
                new += zip(repeat((ids[path],)), files)
                counts[ids[path]] += len(files)
        if new:
            self._insert(connection, new)
            _count_new(connection, counts)
        return [ids[os.fsencode(listing.path)] for listing in listings]

    def _take_times(
        self, connection: sqlite3.Connection, times: Mapping[bytes, int]
    ) -> dict[bytes, int]:
        """The ids of those folders that are known; their times are taken over."""
        marks = ",".join("?" * len(times))
        rows = connection.execute(
            f"SELECT id, path, mtime_ns FROM folder WHERE path IN ({marks})",  # noqa: S608  # marks
            list(times),
        ).fetchall()
        changed = [
            (mtime_ns, row["id"])
            for row in rows
            if times[row["path"]]
            and row["mtime_ns"] != (mtime_ns := self._settled(times[row["path"]]))
        ]
        connection.executemany("UPDATE folder SET mtime_ns=? WHERE id=?", changed)
        return {row["path"]: row["id"] for row in rows}

    def _add(self, connection: sqlite3.Connection, times: Mapping[bytes, int]) -> dict[bytes, int]:
        """The ids of new folders."""
        if not times:
            return {}
        rows = ",".join(["(?,?)"] * len(times))
        made = connection.execute(
            f"INSERT INTO folder(path, mtime_ns) VALUES {rows} RETURNING path, id",  # noqa: S608  # marks
            [value for path, time in times.items() for value in (path, self._settled(time))],
        )
        return {row["path"]: row["id"] for row in made}

    def _settled(self, mtime_ns: int) -> int | None:
        """A folder's time, if a later change would not leave it the same."""
        is_settled = mtime_ns and mtime_ns // 1_000_000 < self._library.now_ms() - _SETTLED_MS
        return mtime_ns if is_settled else None

    def _insert(self, connection: sqlite3.Connection, files: Sequence[_NewFile]) -> None:
        """Adds files, some hundreds in a statement, during which the walk's thread goes on."""
        now_ms = self._library.now_ms()
        for start in range(0, len(files), _ROWS_AT_ONCE):
            some = files[start : start + _ROWS_AT_ONCE]
            statement = _INSERT + ",".join([_NEW_FILE] * len(some))
            try:
                connection.execute(statement, _values(now_ms, some))
            except UnicodeEncodeError:  # a name of other bytes than UTF-8
                coded = [(folder, (os.fsencode(file[0]), *file[1:])) for folder, file in some]
                connection.execute(statement, _values(now_ms, coded))

    def _compare(
        self,
        connection: sqlite3.Connection,
        folder_id: int,
        listing: FolderListing,
        files: Sequence[ListedFile],
    ) -> list[ListedFile]:
        """Takes note of what has changed in a known folder; returns the files that are new."""
        known = {
            row["name"]: (row["size"], row["mtime_ns"], row["inode"])
            for row in connection.execute(
                "SELECT name, size, mtime_ns, inode FROM image WHERE folder_id=?", (folder_id,)
            )
        }
        new, changed = [], []
        for file in files:
            before = known.pop(os.fsencode(file.name), None)
            if before is None:
                new.append(file)
            elif before[:2] != file[2:4]:
                changed.append(file)
        connection.executemany(
            "UPDATE image SET format=?, size=?, mtime_ns=?, inode=?, note='', content=NULL,"
            " is_inspected=0 WHERE folder_id=? AND name=?",
            [(*file[1:], folder_id, os.fsencode(file.name)) for file in changed],
        )
        if listing.mtime_ns:
            self._forget(connection, folder_id, os.fsencode(listing.path), known)
        return new

    def _forget(
        self, connection: sqlite3.Connection, folder_id: int, folder: bytes, names: Iterable[bytes]
    ) -> None:
        gone = [name for name in names if not os.path.lexists(os.path.join(folder, name))]  # noqa: PTH118  # bytes
        connection.executemany(
            "DELETE FROM image WHERE folder_id=? AND name=? AND state=? AND suggestion_id IS NULL"
            " AND decision_id IS NULL AND content IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM outcome o WHERE o.image_id=image.id)"
            " AND NOT EXISTS (SELECT 1 FROM work w WHERE w.image_id=image.id)"
            " AND NOT EXISTS (SELECT 1 FROM decision d WHERE d.image_id=image.id)"
            " AND NOT EXISTS (SELECT 1 FROM suggestion s WHERE s.image_id=image.id)",
            [(folder_id, name, ImageState.DISCOVERED) for name in gone],
        )


def _values(now_ms: int, files: Iterable[_NewFile]) -> list[object]:
    return [now_ms, *chain.from_iterable(chain.from_iterable(files))]


def _count_new(connection: sqlite3.Connection, counts: Mapping[int, int]) -> None:
    """Counts new images of folders in one step, where a trigger would take one for each image."""
    rows = ",".join([f"(?, '{ImageState.DISCOVERED}', ?)"] * len(counts))
    connection.execute(
        f"INSERT INTO tally VALUES {rows} ON CONFLICT DO UPDATE SET n = n + excluded.n",  # noqa: S608  # marks
        list(chain.from_iterable(counts.items())),
    )
