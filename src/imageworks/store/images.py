"""Images: what discovery found, what preparing measured, and the pages that a list shows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from imageworks.models import ImageFormat, ImageState
from imageworks.store.found import FOUND, found_image
from imageworks.store.records import (
    FoundImage,
    ImageRow,
    Standing,
    cache_path,
    stored_path,
    time_of,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from imageworks.stages import DiscoveredImage, PreparedImage
    from imageworks.store.library import Library

_ROW = """
SELECT i.*, f.path AS folder,
  coalesce((SELECT json_extract(d.tags, '$.caption') FROM decision d
            WHERE d.id = i.decision_id AND d.kind = 'accept'), s.caption, '') AS caption,
  (SELECT group_id FROM kin WHERE image_id = i.id) AS group_id,
  (SELECT count(*) FROM image r WHERE r.lead_id = i.id) AS followers,
  EXISTS (SELECT 1 FROM wish w WHERE w.image_id = i.id) AS is_asked_again
FROM image i JOIN folder f ON f.id = i.folder_id LEFT JOIN suggestion s ON s.id = i.suggestion_id
"""


class Images:
    """The library's images. See `Library`."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._folder_ids: dict[bytes, int] = {}

    def record_found(self, found: DiscoveredImage) -> FoundImage:
        """Takes note of a file; a changed one loses its content id until it is read again."""
        with self._library.transaction() as connection:
            folder_id = self._folder_id(connection, os.fsencode(found.path.parent))
            name = os.fsencode(found.path.name)
            row = connection.execute(f"{FOUND} AND i.name = ?", (folder_id, name)).fetchone()
            if row is None:
                return self._insert(connection, folder_id, name, found)
            is_changed = (row["size"], row["mtime_ns"]) != (found.size_bytes, found.mtime_ns)
            if is_changed or not row["is_inspected"]:
                connection.execute(
                    "UPDATE image SET size=?, mtime_ns=?, inode=?, format=?, note=?,"
                    " content=iif(?, NULL, content), is_inspected=1 WHERE id=?",
                    (
                        *(found.size_bytes, found.mtime_ns, found.inode),
                        *(found.format, found.note, is_changed, row["id"]),
                    ),
                )
            return found_image(row, is_changed=is_changed)._replace(format=found.format)

    def record_failed_path(self, path: Path, *, reason: str, reason_text: str) -> int:
        """Takes note of a file that claims to be an image but is none; it is ``failed``."""
        with self._library.transaction() as connection:
            folder_id = self._folder_id(connection, os.fsencode(path.parent))
            row = connection.execute(
                "INSERT INTO image(folder_id, name, format, size, mtime_ns, inode, state,"
                " state_at, reason, reason_text) VALUES (?, ?, ?, 0, 0, 0, ?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET state=excluded.state, state_at=excluded.state_at,"
                " size=0, mtime_ns=0, is_inspected=1, reason=excluded.reason,"
                " reason_text=excluded.reason_text"
                " RETURNING id",
                (
                    *(folder_id, os.fsencode(path.name), ImageFormat.JPEG, ImageState.FAILED),
                    *(self._library.now_ms(), reason, reason_text),
                ),
            ).fetchone()
            return int(row["id"])

    def uninspected(self, folders: Sequence[Path], after_id: int, limit: int) -> list[ImageRow]:
        """Images in or below some folders that are known by their names alone, in order of ids."""
        clause, values = below(folders)
        rows = self._library.connection.execute(
            f"{_ROW} WHERE i.is_inspected=0 AND i.id > ? AND {clause} ORDER BY i.id LIMIT ?",
            (after_id, *values, limit),
        )
        return self._image_rows(rows)

    def record_prepared(self, image_id: int, prepared: PreparedImage) -> None:
        """Takes note of what decoding measured and where the previews are."""
        taken_at = prepared.capture.taken_at
        taken_ms = None if taken_at is None else int(taken_at.timestamp() * 1000)
        perceptual_hash = f"{prepared.perceptual_hash:016x}"
        with self._library.transaction() as connection:
            known = connection.execute(
                "SELECT perceptual_hash, taken FROM image WHERE id=?", (image_id,)
            ).fetchone()
            is_same = tuple(known) == (perceptual_hash, taken_ms)
            if not is_same and known["perceptual_hash"] is not None:
                self._library.kinship.forget(image_id)
            connection.execute(
                "UPDATE image SET content=?, width=?, height=?, taken=?, perceptual_hash=?,"
                " preview=?, thumbnail=? WHERE id=?",
                (
                    *(prepared.content_id, prepared.width_px, prepared.height_px),
                    *(taken_ms, perceptual_hash),
                    os.fsencode(prepared.preview_path),
                    os.fsencode(prepared.thumbnail_path),
                    image_id,
                ),
            )
            if not is_same:
                self._library.kinship.relate(image_id)

    def record_rewritten(self, image_id: int, path: Path) -> None:
        """Takes note of a file's new size and time after this program has written to it."""
        try:
            status = path.stat()
        except FileNotFoundError:
            return  # gone since: the next discovery will say so
        with self._library.transaction() as connection:
            connection.execute(
                "UPDATE image SET size=?, mtime_ns=?, inode=? WHERE id=?",
                (status.st_size, status.st_mtime_ns, status.st_ino, image_id),
            )

    def set_state(
        self, image_id: int, state: ImageState, *, reason: str = "", reason_text: str = ""
    ) -> None:
        """Changes an image's state, with its reason and time."""
        with self._library.transaction() as connection:
            connection.execute(
                "UPDATE image SET state=?, state_at=?, reason=?, reason_text=? WHERE id=?",
                (state, self._library.now_ms(), reason, reason_text, image_id),
            )

    def restore_state(self, image_id: int) -> ImageState:
        """Sets the state that an image's suggestion and decision imply, and returns it."""
        with self._library.transaction() as connection:
            row = connection.execute(
                "SELECT i.suggestion_id, d.kind, d.write_state FROM image i"
                " LEFT JOIN decision d ON d.id = i.decision_id WHERE i.id=?",
                (image_id,),
            ).fetchone()
            state = _implied_state(row)
            self.set_state(image_id, state)
            return state

    def same_picture(self, image_id: int, content_id: str) -> list[ImageRow]:
        """Other images with the same picture data, oldest first."""
        rows = self._library.connection.execute(
            f"{_ROW} WHERE i.content=? AND i.id<>? ORDER BY i.id", (content_id, image_id)
        )
        return self._image_rows(rows)

    def adopt_moved(self, old_id: int, new_id: int) -> None:
        """The file of ``new_id`` is ``old_id``'s, moved: history stays with the old row."""
        with self._library.transaction() as connection:
            new = connection.execute("SELECT * FROM image WHERE id=?", (new_id,)).fetchone()
            connection.execute("DELETE FROM work WHERE image_id=?", (old_id,))
            connection.execute("UPDATE work SET image_id=? WHERE image_id=?", (old_id, new_id))
            for image_id in (old_id, new_id):
                self._library.kinship.forget(image_id)
            connection.execute("UPDATE image SET lead_id=NULL WHERE id=?", (old_id,))
            connection.execute("UPDATE image SET lead_id=NULL WHERE lead_id=?", (old_id,))
            connection.execute("UPDATE image SET lead_id=? WHERE lead_id=?", (old_id, new_id))
            for table in ("outcome", "draft", "decision", "act_change"):
                connection.execute(
                    f"UPDATE OR REPLACE {table} SET image_id=? WHERE image_id=?",  # noqa: S608  # fixed names
                    (old_id, new_id),
                )
            connection.execute("DELETE FROM image WHERE id=?", (new_id,))
            columns = "folder_id name format size mtime_ns inode width height preview thumbnail"
            assignments = ", ".join(f"{column}=?" for column in columns.split())
            connection.execute(
                f"UPDATE image SET {assignments} WHERE id=?",  # noqa: S608  # fixed names
                (*(new[column] for column in columns.split()), old_id),
            )
            self._library.kinship.relate(old_id)

    def get(self, image_id: int) -> ImageRow | None:
        """One image, or None when it is not in the library."""
        rows = self.rows([image_id])
        return rows[0] if rows else None

    def standing(self, image_id: int) -> Standing | None:
        """An image's newest suggestion and decision; cheap, whatever group the image is in."""
        row = self._library.connection.execute(
            "SELECT suggestion_id, decision_id FROM image WHERE id=?", (image_id,)
        ).fetchone()
        return None if row is None else Standing(row["suggestion_id"], row["decision_id"])

    def rows(self, image_ids: Sequence[int]) -> list[ImageRow]:
        """Images by id, in the order of the ids; unknown ids are left out."""
        marks = ",".join("?" * len(image_ids))
        found = self._library.connection.execute(f"{_ROW} WHERE i.id IN ({marks})", image_ids)
        by_id = {row.id: row for row in self._image_rows(found)}
        return [by_id[i] for i in image_ids if i in by_id]

    def ids(self, *, states: Iterable[ImageState] = (), folders: Sequence[Path] = ()) -> list[int]:
        """Ids of all images in some states (all when empty) in or below some folders or files.

        In the order of their discovery.
        """
        where: list[str] = []
        values: list[bytes | int | str] = []
        listed = list(states)
        if listed:
            clause, state_values = in_states(listed)
            where.append(clause)
            values += state_values
        if folders:
            clause, folder_values = below(folders)
            where.append(clause)
            values += folder_values
        condition = f"WHERE {' AND '.join(where)}" if where else ""
        rows = self._library.connection.execute(
            "SELECT i.id FROM image i JOIN folder f ON f.id = i.folder_id"  # noqa: S608  # fixed parts
            f" {condition} ORDER BY i.id",
            values,
        )
        return [row[0] for row in rows]

    def counts(self, folders: Sequence[Path] = ()) -> dict[ImageState, int]:
        """How many images are in each state, in or below some folders; from the tally.

        A RAW and the JPEG whose card it shares count once.
        """
        condition, values = "", list[bytes | int]()
        if folders:
            clause, values = below(folders, with_files=False)
            condition = f"WHERE {clause}"
        rows = self._library.connection.execute(
            "SELECT t.state, sum(t.n) AS n FROM tally t JOIN folder f ON f.id = t.folder_id"  # noqa: S608  # built from fixed parts
            f" {condition} GROUP BY t.state HAVING sum(t.n) > 0",
            values,
        )
        return {ImageState(row["state"]): row["n"] for row in rows}

    def failures(self) -> dict[str, int]:
        """How many images failed, by reason."""
        rows = self._library.connection.execute(
            "SELECT reason, count(*) AS n FROM image WHERE state=? AND state <> 'discovered'"
            " GROUP BY reason ORDER BY n DESC",
            (ImageState.FAILED,),
        )
        return {row["reason"]: row["n"] for row in rows}

    def _image_rows(self, rows: Iterable[sqlite3.Row]) -> list[ImageRow]:
        """Images from rows of `_ROW`. A group is counted once, however many of them are in it."""
        found = list(rows)
        groups = list({row["group_id"] for row in found} - {None})
        sizes = self._library.connection.execute(
            f"SELECT group_id, count(*) FROM kin WHERE group_id IN ({','.join('?' * len(groups))})"  # noqa: S608  # marks
            " GROUP BY group_id",
            groups,
        )
        size_of = {row[0]: row[1] for row in sizes}
        return [_image_row(row, size_of.get(row["group_id"], 1)) for row in found]

    def _insert(
        self, connection: sqlite3.Connection, folder_id: int, name: bytes, found: DiscoveredImage
    ) -> FoundImage:
        row = connection.execute(
            "INSERT INTO image(folder_id, name, format, size, mtime_ns, inode, note, state,"
            " state_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (
                *(folder_id, name, found.format, found.size_bytes, found.mtime_ns, found.inode),
                *(found.note, ImageState.DISCOVERED, self._library.now_ms()),
            ),
        ).fetchone()
        self._library.folders.count_new(connection, folder_id, 1)
        return FoundImage(
            id=row["id"],
            format=found.format,
            state=ImageState.DISCOVERED,
            is_new=True,
            is_changed=False,
            is_queued=False,
            content_id="",
            fingerprint="",
            decided_by="",
            is_decided=False,
        )

    def _folder_id(self, connection: sqlite3.Connection, folder: bytes) -> int:
        known = self._folder_ids.get(folder)
        if known is not None:
            return known
        connection.execute("INSERT INTO folder(path) VALUES (?) ON CONFLICT DO NOTHING", (folder,))
        row = connection.execute("SELECT id FROM folder WHERE path=?", (folder,)).fetchone()
        self._folder_ids[folder] = row["id"]
        return int(row["id"])


def _implied_state(row: sqlite3.Row) -> ImageState:
    match row["kind"], row["write_state"]:
        case "accept", "written":
            return ImageState.WRITTEN
        case "accept", "failed":
            return ImageState.FAILED
        case "accept", _:
            return ImageState.ACCEPTED
        case "reject", _:
            return ImageState.REJECTED
        case "skip", _:
            return ImageState.SKIPPED
        case _:
            has_suggestion = row["suggestion_id"] is not None
            return ImageState.SUGGESTED if has_suggestion else ImageState.DISCOVERED


def in_states(states: Sequence[str]) -> tuple[str, list[str]]:
    """SQL for images (``i``) in one of some states, with its parameters."""
    clause = f"i.state IN ({','.join('?' * len(states))})"
    if ImageState.DISCOVERED not in states:
        clause += " AND i.state <> 'discovered'"  # as the index of states says of its own rows
    return clause, [str(state) for state in states]


def below(folders: Sequence[Path], *, with_files: bool = True) -> tuple[str, list[bytes | int]]:
    """SQL for images (``i``) in or below folders (``f``), with its parameters."""
    clauses, values = [], list[bytes | int]()
    for folder in folders:
        path = os.fsencode(folder)
        inside = path.rstrip(b"/") + b"/"
        clauses.append("f.path = ? OR substr(f.path, 1, ?) = ?")
        values += [path, len(inside), inside]
        if with_files:
            clauses.append("(f.path = ? AND i.name = ?)")
            values += [os.fsencode(folder.parent), os.fsencode(folder.name)]
    return f"({' OR '.join(clauses)})", values


def _image_row(row: sqlite3.Row, group_size: int) -> ImageRow:
    return ImageRow(
        id=row["id"],
        path=stored_path(row["folder"], row["name"]),
        state=ImageState(row["state"]),
        caption=row["caption"],
        reason=row["reason"],
        reason_text=row["reason_text"],
        content_id=row["content"] or "",
        width_px=row["width"] or 0,
        height_px=row["height"] or 0,
        taken_at=time_of(row["taken"]),
        preview_path=cache_path(row["preview"]),
        thumbnail_path=cache_path(row["thumbnail"]),
        suggestion_id=row["suggestion_id"],
        decision_id=row["decision_id"],
        note=row["note"],
        group_size=group_size,
        followers=row["followers"],
        is_asked_again=bool(row["is_asked_again"]),
    )
