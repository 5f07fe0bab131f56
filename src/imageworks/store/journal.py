"""The write journal: what each write changed, noted before it happens, and the way back.

An entry is ``intended`` before the first byte of a file changes, then ``done``. An undo goes
through ``undo-intended`` and ``undoing`` to ``undone``, or to ``undo-failed`` with its reason.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from imageworks.models import DecisionKind, ImageState, MetadataTarget, Tags
from imageworks.store.records import (
    JournalEntry,
    cache_path,
    choice_of_row,
    existing_from_json,
    existing_to_json,
    moment,
    stored_path,
    tags_to_json,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from imageworks.stages import WriteOutcome
    from imageworks.store.library import Library
    from imageworks.store.records import PendingWrite

_ENTRY = """
SELECT j.*, i.name, f.path AS folder, d.tags, d.is_caption_edited, d.is_description_edited,
  d.removed, d.run_id, d.made_by
FROM write_journal j JOIN image i ON i.id = j.image_id JOIN folder f ON f.id = i.folder_id
  JOIN decision d ON d.id = j.decision_id
"""


class Journal:
    """The library's write journal. See `Library`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def intend(self, write: PendingWrite, outcome: WriteOutcome) -> None:
        """Notes what is about to be written, durably, before it is."""
        with self._library.transaction(is_durable=True) as connection:
            self.drop_intents(write.decision_id)
            self._insert(connection, write, outcome, "intended")

    def complete(self, write: PendingWrite, outcome: WriteOutcome) -> None:
        """Notes that a write is done; what was intended becomes its entry."""
        with self._library.transaction() as connection:
            changed = connection.execute(
                "UPDATE write_journal SET state='done' WHERE decision_id=? AND state='intended'",
                (write.decision_id,),
            ).rowcount
            if not changed:
                self._insert(connection, write, outcome, "done")

    def drop_intents(self, decision_id: int) -> None:
        """Forgets what was intended for a decision and did not happen."""
        with self._library.transaction() as connection:
            connection.execute(
                "DELETE FROM write_journal WHERE decision_id=? AND state='intended'",
                (decision_id,),
            )

    def keep_intents(self, decision_id: int) -> None:
        """Keeps what was intended for a decision as an entry: some of it happened."""
        with self._library.transaction(is_durable=True) as connection:
            connection.execute(
                "UPDATE write_journal SET state='done' WHERE decision_id=? AND state='intended'",
                (decision_id,),
            )

    def finish_intent(self, entry: JournalEntry) -> None:
        """Marks an intended entry as done that was found on the disk."""
        with self._library.transaction(is_durable=True) as connection:
            connection.execute("UPDATE write_journal SET state='done' WHERE id=?", (entry.id,))

    def intents(self) -> list[JournalEntry]:
        """What was intended when an engine died."""
        return self._entries("WHERE j.state='intended' ORDER BY j.id", ())

    def begun(self) -> list[Path]:
        """Images of which a write or an undo had begun when an engine died."""
        rows = self._library.connection.execute(
            "SELECT f.path, i.name FROM image i JOIN folder f ON f.id = i.folder_id WHERE i.id IN"
            " (SELECT image_id FROM write_journal WHERE state IN ('intended', 'undoing')"
            " UNION SELECT image_id FROM decision WHERE write_state='writing')"
        )
        return [stored_path(row["path"], row["name"]) for row in rows]

    def undoable(
        self,
        *,
        run_id: int | None = None,
        folders: Sequence[Path] = (),
        last: int | None = None,
    ) -> list[JournalEntry]:
        """Writes that can be undone, newest first: of a run, in or below folders, or the last few.

        Only the latest write of each image counts together with those before it that have not been
        undone: they come back in order.
        """
        where, values = ["j.state IN ('done', 'undo-failed')", "j.is_changed=1"], list[object]()
        if run_id is not None:
            where.append("d.run_id=?")
            values.append(run_id)
        if folders:
            clauses = []
            for folder in folders:
                path = os.fsencode(folder)
                inside = path.rstrip(b"/") + b"/"
                clauses.append("f.path=? OR substr(f.path, 1, ?)=? OR (f.path=? AND i.name=?)")
                values += [path, len(inside), inside]
                values += [os.fsencode(folder.parent), os.fsencode(folder.name)]
            where.append(f"({' OR '.join(clauses)})")
        limit = "" if last is None else f" LIMIT {int(last)}"
        return self._entries(f"WHERE {' AND '.join(where)} ORDER BY j.id DESC{limit}", values)

    def request_undo(self, entries: Sequence[JournalEntry]) -> None:
        """Asks for writes to be undone; the engine does it, newest first."""
        with self._library.transaction(is_durable=True) as connection:
            connection.executemany(
                "UPDATE write_journal SET state='undo-intended', undo_note='' WHERE id=?",
                [(entry.id,) for entry in entries],
            )

    def request_undo_of(self, decision_id: int) -> bool:
        """Asks for the write of one decision to be undone; False when it has not ended yet."""
        entries = self._entries("WHERE j.decision_id=? AND j.state='done'", (decision_id,))
        changed = [entry for entry in entries if entry.undo]
        self.request_undo(changed)
        for entry in entries:
            if not entry.undo:
                self.record_undone(entry)
        return bool(entries)

    def withdraw_undo_of(self, decision_id: int) -> bool:
        """Takes a request of `request_undo_of` back; False when the undo has begun or ended."""
        with self._library.transaction(is_durable=True) as connection:
            return bool(
                connection.execute(
                    "UPDATE write_journal SET state='done'"
                    " WHERE decision_id=? AND state='undo-intended'",
                    (decision_id,),
                ).rowcount
            )

    def is_undoing(self, decision_id: int) -> bool:
        """Whether the undo of a decision's write is asked for or under way."""
        row = self._library.connection.execute(
            "SELECT 1 FROM write_journal WHERE decision_id=?"
            " AND state IN ('undo-intended', 'undoing')",
            (decision_id,),
        ).fetchone()
        return row is not None

    def next_undo(self) -> JournalEntry | None:
        """The next undo to do, marked as begun."""
        query = "WHERE j.state IN ('undo-intended', 'undoing') ORDER BY j.id DESC LIMIT 1"
        entries = self._entries(query, ())
        if not entries:
            return None
        with self._library.transaction() as connection:
            connection.execute(
                "UPDATE write_journal SET state='undoing' WHERE id=?", (entries[0].id,)
            )
        return entries[0]

    def undos_due(self) -> set[int]:
        """The entries whose undo is asked for or under way."""
        rows = self._library.connection.execute(
            "SELECT id FROM write_journal WHERE state IN ('undo-intended', 'undoing')"
        )
        return {int(row[0]) for row in rows}

    def count_undos(self) -> int:
        """How many undos are to be done."""
        row = self._library.connection.execute(
            "SELECT count(*) FROM write_journal WHERE state IN ('undo-intended', 'undoing')"
        ).fetchone()
        return int(row[0])

    def record_undone(self, entry: JournalEntry, *, note: str = "") -> None:
        """Marks a write as undone; its image is to be decided on again."""
        with self._library.transaction(is_durable=True) as connection:
            connection.execute(
                "UPDATE write_journal SET state='undone', undo_note=? WHERE id=?", (note, entry.id)
            )
            connection.execute(
                "UPDATE decision SET write_state='undone' WHERE id=?", (entry.decision_id,)
            )
            row = connection.execute(
                "SELECT suggestion_id, decision_id FROM image WHERE id=?", (entry.image_id,)
            ).fetchone()
            if row["decision_id"] != entry.decision_id:
                return
            connection.execute(
                "INSERT INTO decision(image_id, suggestion_id, run_id, at, made_by, kind,"
                " state_before, previous_id, tags, is_caption_edited, is_description_edited,"
                " removed) VALUES (?,?,?,?,'person',?,?,?,?,0,0,'[]')",
                (
                    *(entry.image_id, row["suggestion_id"], entry.run_id, self._library.now_ms()),
                    *(DecisionKind.UNDO, ImageState.WRITTEN, entry.decision_id),
                    tags_to_json(Tags()),
                ),
            )
            connection.execute(
                "UPDATE image SET decision_id=NULL, state=?, state_at=?, reason='', reason_text=?"
                " WHERE id=?",
                (ImageState.SUGGESTED, self._library.now_ms(), note, entry.image_id),
            )
            if entry.made_by == "person":
                self._library.session.save_draft(entry.image_id, entry.choice.tags)

    def record_undo_failed(self, entry: JournalEntry, text: str) -> None:
        """Notes why a write could not be undone; the image stays ``written``."""
        with self._library.transaction() as connection:
            connection.execute(
                "UPDATE write_journal SET state='undo-failed', undo_note=? WHERE id=?",
                (text, entry.id),
            )

    def failed_undos(self) -> list[JournalEntry]:
        """Writes whose undo did not work."""
        return self._entries("WHERE j.state='undo-failed' ORDER BY j.id", ())

    def undone(self, *, last: int | None = None) -> list[JournalEntry]:
        """Writes that were undone and not decided on since, the latest undo first."""
        limit = "" if last is None else f" LIMIT {int(last)}"
        return self._entries(
            "WHERE j.state='undone' AND i.decision_id IS NULL AND i.state='suggested'"
            f" GROUP BY j.image_id HAVING j.id = max(j.id) ORDER BY j.id DESC{limit}",
            (),
        )

    def redo(self, entry: JournalEntry) -> None:
        """Decides again what was undone, so that it is written anew."""
        self._library.decisions.decide(
            entry.image_id, entry.run_id, DecisionKind.ACCEPT, by="person", choice=entry.choice
        )

    def _insert(
        self,
        connection: sqlite3.Connection,
        write: PendingWrite,
        outcome: WriteOutcome,
        state: str,
    ) -> None:
        target = outcome.target_path
        connection.execute(
            "INSERT INTO write_journal(decision_id, image_id, at, target, target_path,"
            " is_changed, identity_before, identity_after, before, notes, undo, state)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                *(write.decision_id, write.image_id, self._library.now_ms(), outcome.target),
                None if target is None else os.fsencode(target),
                *(outcome.is_changed, outcome.identity_before, outcome.identity_after),
                existing_to_json(outcome.before),
                json.dumps(outcome.notes, ensure_ascii=False),
                *(outcome.undo, state),
            ),
        )

    def _entries(self, condition: str, values: Sequence[object]) -> list[JournalEntry]:
        rows = self._library.connection.execute(f"{_ENTRY} {condition}", values)
        return [_entry(row) for row in rows]


def _entry(row: sqlite3.Row) -> JournalEntry:
    return JournalEntry(
        id=row["id"],
        decision_id=row["decision_id"],
        image_id=row["image_id"],
        run_id=row["run_id"],
        made_by=row["made_by"],
        path=stored_path(row["folder"], row["name"]),
        at=moment(row["at"]),
        target=MetadataTarget(row["target"]),
        target_path=cache_path(row["target_path"]),
        before=existing_from_json(row["before"]),
        choice=choice_of_row(row),
        undo=row["undo"],
        state=row["state"],
        undo_note=row["undo_note"],
    )
