"""What pictures look like as short vectors, and the keywords that a person accepted for them.

A vector belongs to the picture's content, so it outlives moves, renames and writes. Which of them
count is read from the decisions as they stand: an undo takes the keywords back here as well.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from imageworks.store.records import cache_path

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from imageworks.store.library import Library


class AcceptedVector(NamedTuple):
    """A picture whose keywords a person accepted; the newest decision has the highest id."""

    decision_id: int
    content_id: str
    vector: bytes


class Neighbours:
    """The library's picture vectors. See `Library`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def record(self, content_id: str, kind: str, vector: bytes) -> None:
        """Keeps a picture's vector.

        Args:
            content_id: Of the picture data.
            kind: What made the vector; only vectors of one kind can be compared.
            vector: Opaque here.
        """
        with self._library.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO picture_vector VALUES (?,?,?)", (content_id, kind, vector)
            )

    def vector(self, content_id: str, kind: str) -> bytes | None:
        """A picture's vector of this kind, or None."""
        row = self._library.connection.execute(
            "SELECT vector FROM picture_vector WHERE content=? AND kind=?", (content_id, kind)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def accepted_since(self, decision_id: int, kind: str, limit: int) -> list[AcceptedVector]:
        """Accepted pictures that have a vector, decided after another decision; oldest first."""
        rows = self._library.connection.execute(
            "SELECT a.decision_id, a.content, v.vector FROM person_accept a"
            " JOIN picture_vector v ON v.content = a.content AND v.kind = ?"
            " WHERE a.decision_id > ? ORDER BY a.decision_id LIMIT ?",
            (kind, decision_id, limit),
        )
        return [AcceptedVector(row[0], row[1], bytes(row[2])) for row in rows]

    def without_vector(
        self, before_decision_id: int, kind: str, limit: int
    ) -> list[tuple[int, str, Path]]:
        """Accepted pictures that lack a vector: decision, content id and preview; newest first."""
        rows = self._library.connection.execute(
            "SELECT a.decision_id, a.content, a.preview FROM person_accept a"
            " LEFT JOIN picture_vector v ON v.content = a.content AND v.kind = ?"
            " WHERE a.decision_id < ? AND v.content IS NULL AND a.content IS NOT NULL"
            " AND a.preview IS NOT NULL ORDER BY a.decision_id DESC LIMIT ?",
            (kind, before_decision_id, limit),
        )
        found = ((row[0], row[1], cache_path(row[2])) for row in rows)
        return [(number, content, path) for number, content, path in found if path is not None]

    def keywords(self, content_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """The keywords a person accepted for these pictures, where the decision still stands."""
        rows = self._library.connection.execute(
            "SELECT content, tags FROM person_accept"
            " WHERE content IN (SELECT value FROM json_each(?)) ORDER BY decision_id",
            (json.dumps(list(content_ids)),),
        )
        return {
            row[0]: tuple(str(keyword["keyword"]) for keyword in json.loads(row[1])["keywords"])
            for row in rows
        }
