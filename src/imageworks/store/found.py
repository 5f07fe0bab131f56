"""What the library knows of a file that discovery came upon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imageworks.models import ImageFormat, ImageState
from imageworks.store.records import FoundImage

if TYPE_CHECKING:
    import sqlite3

FOUND = """
SELECT i.*, s.fingerprint, d.made_by, d.kind AS decided, w.image_id AS queued
FROM image i LEFT JOIN suggestion s ON s.id = i.suggestion_id
  LEFT JOIN decision d ON d.id = i.decision_id LEFT JOIN work w ON w.image_id = i.id
WHERE i.folder_id = ?
"""
"""A folder's files; more of the condition may follow."""


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
