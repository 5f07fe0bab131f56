"""What acts on many images need to know of each, without the answers of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from imageworks.models import ExistingMetadata, ImageState, Tags
from imageworks.store.records import existing_from_json, keywords_from_json, tags_from_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from imageworks.store.library import Library

_MOST_MARKS = 10_000
"""Parameters in one statement; SQLite takes 32,766 (sqlite.org, "Limits", section 9)."""

_ROWS = """
SELECT i.id, i.state, i.decision_id, s.caption, s.keyword_json, s.description, s.existing,
  r.tags AS draft, d.tags AS decided
FROM image i JOIN suggestion s ON s.id = i.suggestion_id
  LEFT JOIN draft r ON r.image_id = i.id
  LEFT JOIN decision d ON d.id = i.decision_id AND d.kind = 'accept'
    AND i.state IN ('accepted', 'written')
WHERE i.id IN
"""


class PendingImage(NamedTuple):
    """An image with a suggestion, as an act on many sees it.

    Attributes:
        suggested: What the engine said.
        existing: What the file said then.
        draft: What a person has typed and not decided on, or None.
        decided: What was accepted, or None.
    """

    id: int
    state: ImageState
    decision_id: int | None
    suggested: Tags
    existing: ExistingMetadata
    draft: Tags | None
    decided: Tags | None


class Pending:
    """The library's images that acts on many work on. See `Library`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def of(self, image_ids: Sequence[int]) -> list[PendingImage]:
        """The images in the order of their ids; those without a suggestion are left out."""
        marks = ",".join("?" * len(image_ids))
        rows = self._library.connection.execute(f"{_ROWS} ({marks})", image_ids)
        by_id = {row["id"]: _pending(row) for row in rows}
        return [by_id[image_id] for image_id in image_ids if image_id in by_id]

    def in_states(self, image_ids: Sequence[int], states: Sequence[ImageState]) -> list[int]:
        """Those of the images that have a suggestion and are in one of the states, in order.

        A file that follows another one on its card is left out: it is decided on with that one.
        """
        found: set[int] = set()
        state_marks = ",".join("?" * len(states))
        for start in range(0, len(image_ids), _MOST_MARKS):
            part = image_ids[start : start + _MOST_MARKS]
            rows = self._library.connection.execute(
                f"SELECT id FROM image WHERE id IN ({','.join('?' * len(part))})"  # noqa: S608  # marks
                f" AND suggestion_id IS NOT NULL AND lead_id IS NULL AND state IN ({state_marks})",
                (*part, *(str(state) for state in states)),
            )
            found.update(row[0] for row in rows)
        return [image_id for image_id in image_ids if image_id in found]


def _pending(row: sqlite3.Row) -> PendingImage:
    return PendingImage(
        id=row["id"],
        state=ImageState(row["state"]),
        decision_id=row["decision_id"],
        suggested=Tags(row["caption"], keywords_from_json(row["keyword_json"]), row["description"]),
        existing=existing_from_json(row["existing"]),
        draft=None if row["draft"] is None else tags_from_json(row["draft"]),
        decided=None if row["decided"] is None else tags_from_json(row["decided"]),
    )
