"""Folders: what a walk found in each, taken over folder by folder, and what need not be walked."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from imageworks.models import FolderListing, ImageFormat, ImageState, KnownFolder, ListedFile
from imageworks.store.records import FoundImage

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from imageworks.store.library import Library

_SETTLED_MS = 2000
"""Some file systems count time in steps of two seconds (FAT): within one a folder may change and
keep its time."""

_INSERT = """
INSERT INTO image(folder_id, name, format, size, mtime_ns, inode, state, state_at, is_inspected)
SELECT json_extract(value, '$[0]'), CAST(json_extract(value, '$[1]') AS BLOB),
  json_extract(value, '$[2]'), json_extract(value, '$[3]'), json_extract(value, '$[4]'),
  json_extract(value, '$[5]'), 'discovered', ?2, 0
FROM json_each(?1)
"""
_INSERT_ONE = """
INSERT INTO image(folder_id, name, format, size, mtime_ns, inode, state, state_at, is_inspected)
VALUES (?, ?, ?, ?, ?, ?, 'discovered', ?, 0)
"""
FOUND = """
SELECT i.*, s.fingerprint, d.made_by, d.kind AS decided, w.image_id AS queued
FROM image i LEFT JOIN suggestion s ON s.id = i.suggestion_id
  LEFT JOIN decision d ON d.id = i.decision_id LEFT JOIN work w ON w.image_id = i.id
WHERE i.folder_id = ?
"""


_NewFile = tuple[int, str, ImageFormat, int, int, int]
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
            ids, new = [], list[_NewFile]()
            for listing in listings:
                folder_id, is_known = self._take_folder(connection, listing)
                ids.append(folder_id)
                files = [entry for entry in listing.entries if isinstance(entry, ListedFile)]
                if is_known:
                    files = self._compare(connection, folder_id, listing, files)
                if files:
                    new += [(folder_id, *file) for file in files]
                    self.count_new(connection, folder_id, len(files))
            self._insert(connection, new)
        return ids

    def found(self, folder_id: int, names: Iterable[str]) -> list[FoundImage]:
        """What the library knows of some files in a folder, in the order of their names here."""
        rows = {row["name"]: row for row in self._library.connection.execute(FOUND, (folder_id,))}
        return [found_image(rows[os.fsencode(name)]) for name in names]

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
        """Counts new images in the tally: in one step, where a trigger would take one for each."""
        connection.execute(
            "INSERT INTO tally VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
            (folder_id, ImageState.DISCOVERED, number),
        )

    def _take_folder(
        self, connection: sqlite3.Connection, listing: FolderListing
    ) -> tuple[int, bool]:
        """A folder's id, and whether it was known."""
        path = os.fsencode(listing.path)
        mtime_ns = self._settled(listing.mtime_ns)
        row = connection.execute("SELECT id, mtime_ns FROM folder WHERE path=?", (path,)).fetchone()
        if row is None:
            made = connection.execute(
                "INSERT INTO folder(path, mtime_ns) VALUES (?,?)", (path, mtime_ns)
            )
            return int(made.lastrowid or 0), False
        if listing.mtime_ns and row["mtime_ns"] != mtime_ns:
            connection.execute("UPDATE folder SET mtime_ns=? WHERE id=?", (mtime_ns, row["id"]))
        return int(row["id"]), True

    def _settled(self, mtime_ns: int) -> int | None:
        """A folder's time, if a later change would not leave it the same."""
        is_settled = mtime_ns and mtime_ns // 1_000_000 < self._library.now_ms() - _SETTLED_MS
        return mtime_ns if is_settled else None

    def _insert(self, connection: sqlite3.Connection, files: Sequence[_NewFile]) -> None:
        """Adds files in one statement, during which a walk in another thread goes on."""
        now_ms = self._library.now_ms()
        try:
            "".join([file[1] for file in files]).encode()
        except UnicodeEncodeError:  # names of other bytes than UTF-8 have no place in JSON
            rows = [(file[0], os.fsencode(file[1]), *file[2:], now_ms) for file in files]
            connection.executemany(_INSERT_ONE, rows)
        else:
            connection.execute(_INSERT, (json.dumps(files, check_circular=False), now_ms))

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


def found_image(row: sqlite3.Row, *, is_changed: bool = False) -> FoundImage:
    """What the library knows of a file, from a row of `FOUND`.

    Args:
        row: The row.
        is_changed: The file is not as it was. It counts as changed until it is read again.
    """
    is_unread = row["content"] is None and row["suggestion_id"] is not None
    return FoundImage(
        id=row["id"],
        format=ImageFormat(row["format"]),
        state=ImageState(row["state"]),
        is_new=False,
        is_changed=is_changed or is_unread,
        is_queued=row["queued"] is not None,
        content_id=row["content"] or "",
        fingerprint=row["fingerprint"] or "",
        decided_by=row["made_by"] or "",
        is_decided=row["decided"] in {"accept", "reject", "skip"},
    )
