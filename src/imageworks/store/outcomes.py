"""Outcomes: what became of each image in a run, reported once and again on request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from imageworks.models import DecisionMark, ImageState, MetadataTarget, Tags
from imageworks.stages import PersonalTaggerRecord
from imageworks.store.records import (
    answers_from_json,
    cache_path,
    keywords_from_json,
    moment,
    stored_path,
    tags_from_json,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from imageworks.store.library import Library

_RECORD = """
SELECT o.run_id, o.image_id, o.at, o.state AS outcome_state,
  o.reason AS outcome_reason,
  o.note AS outcome_note, i.name, f.path AS folder, i.content,
  i.thumbnail, i.reason, i.reason_text, i.note, r.name AS run_name, s.caption, s.description,
  s.keyword_json, s.backend, s.base_url, s.models, s.profile, s.answers, s.timing, s.duration_ms,
  s.notes, d.kind AS decided, d.made_by, d.at AS decided_at, d.tags, d.write_state,
  j.target, j.is_changed, j.notes AS write_notes
FROM outcome o JOIN image i ON i.id = o.image_id JOIN folder f ON f.id = i.folder_id
  JOIN run r ON r.id = o.run_id LEFT JOIN suggestion s ON s.id = i.suggestion_id
  LEFT JOIN decision d ON d.id = i.decision_id
  LEFT JOIN write_journal j ON j.id =
    (SELECT max(id) FROM write_journal WHERE decision_id = i.decision_id)
"""


class Outcomes:
    """The library's outcomes. See `Library`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def record(
        self, run_id: int, image_id: int, state: ImageState, *, reason: str = "", note: str = ""
    ) -> None:
        """Notes what became of an image in a run; a later outcome replaces an earlier one."""
        with self._library.transaction() as connection:
            connection.execute(
                "INSERT INTO outcome(run_id, image_id, at, state, reason, note)"
                " VALUES (?,?,?,?,?,?) ON CONFLICT DO UPDATE SET at=excluded.at,"
                " state=excluded.state, reason=excluded.reason, note=excluded.note, is_reported=0",
                (run_id, image_id, self._library.now_ms(), state, reason, note),
            )

    def has(self, run_id: int, image_id: int) -> bool:
        """Whether an image has an outcome in a run."""
        row = self._library.connection.execute(
            "SELECT 1 FROM outcome WHERE run_id=? AND image_id=?", (run_id, image_id)
        ).fetchone()
        return row is not None

    def unreported(self, run_id: int, limit: int) -> list[tuple[int, PersonalTaggerRecord]]:
        """Image ids with their records that are not in the JSONL yet, oldest first."""
        rows = self._library.connection.execute(
            f"{_RECORD} WHERE o.run_id=? AND o.is_reported=0 ORDER BY o.at, o.image_id LIMIT ?",
            (run_id, limit),
        )
        return [(row["image_id"], _record(row)) for row in rows]

    def mark_reported(self, run_id: int, image_ids: Iterable[int]) -> None:
        """Notes that these images' lines are in the JSONL."""
        with self._library.transaction() as connection:
            connection.executemany(
                "UPDATE outcome SET is_reported=1 WHERE run_id=? AND image_id=?",
                [(run_id, image_id) for image_id in image_ids],
            )

    def records(self, run_id: int) -> Iterator[PersonalTaggerRecord]:
        """All records of a run, by folder and name."""
        rows = self._library.connection.execute(
            f"{_RECORD} WHERE o.run_id=? ORDER BY f.path, i.name", (run_id,)
        )
        return (_record(row) for row in rows)

    def counts(self, run_id: int, *, is_reported: bool = False) -> dict[str, int]:
        """Images of a run by outcome; of those in the JSONL only when asked so."""
        rows = self._library.connection.execute(
            "SELECT state, count(*) AS n FROM outcome WHERE run_id=? AND is_reported >= ?"
            " GROUP BY state",
            (run_id, is_reported),
        )
        return {row["state"]: row["n"] for row in rows}

    def failed_ids(self, run_id: int, limit: int) -> list[int]:
        """Images that failed in a run, the first ones, and have not got over it since."""
        rows = self._library.connection.execute(
            "SELECT o.image_id FROM outcome o JOIN image i ON i.id = o.image_id AND i.state=?1"
            " WHERE o.run_id=?2 AND o.state=?1 ORDER BY o.at, o.image_id LIMIT ?3",
            (ImageState.FAILED, run_id, limit),
        )
        return [row[0] for row in rows]

    def failures(self, run_id: int, *, is_reported: bool = False) -> dict[str, int]:
        """Failed images of a run by reason, most frequent first."""
        rows = self._library.connection.execute(
            "SELECT reason, count(*) AS n FROM outcome WHERE run_id=? AND state='failed'"
            " AND is_reported >= ? GROUP BY reason ORDER BY n DESC",
            (run_id, is_reported),
        )
        return {row["reason"]: row["n"] for row in rows}


def _record(row: sqlite3.Row) -> PersonalTaggerRecord:
    is_accepted = row["decided"] == "accept"
    is_failed = row["outcome_state"] == ImageState.FAILED
    decision = (
        None if row["decided"] is None else DecisionMark(row["made_by"], moment(row["decided_at"]))
    )
    return PersonalTaggerRecord(
        image=stored_path(row["folder"], row["name"]),
        state=ImageState(row["outcome_state"]),
        run_id=row["run_name"],
        created_at=moment(row["at"]),
        content_id=row["content"] or "",
        tags=tags_from_json(row["tags"]) if is_accepted else _suggested(row),
        backend=row["backend"] or "",
        base_url=row["base_url"] or "",
        models=json.loads(row["models"] or "{}"),
        prompt_profile=row["profile"] or "",
        answers=answers_from_json(row["answers"] or "[]"),
        timing_s=json.loads(row["timing"] or "{}"),
        decision=decision,
        is_metadata_written=is_accepted and bool(row["is_changed"]),
        metadata_target=MetadataTarget(row["target"] or "none"),
        reason=row["outcome_reason"],
        notes=_notes(row, is_failed=is_failed),
        duration_s=(row["duration_ms"] or 0) / 1000,
        thumbnail_path=cache_path(row["thumbnail"]),
    )


def _suggested(row: sqlite3.Row) -> Tags:
    if row["caption"] is None:
        return Tags()
    return Tags(row["caption"], keywords_from_json(row["keyword_json"]), row["description"])


def _notes(row: sqlite3.Row, *, is_failed: bool) -> tuple[str, ...]:
    notes = [row["reason_text"]] if is_failed and row["reason_text"] else []
    notes += [note for note in (row["note"], row["outcome_note"]) if note]
    notes += json.loads(row["notes"] or "[]")
    notes += json.loads(row["write_notes"] or "[]")
    if row["target"] is not None and not row["is_changed"]:
        notes.append("nothing had to be written")
    return tuple(notes)
