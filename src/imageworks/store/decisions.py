"""Decisions: an append-only journal that is also the undo stack and the list of writes to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from imageworks.errors import UsageError
from imageworks.models import DecisionKind, DecisionMark, ImageState, Tags
from imageworks.store.records import (
    Choice,
    PendingWrite,
    choice_of_row,
    existing_from_json,
    moment,
    stored_path,
    tags_to_json,
)

if TYPE_CHECKING:
    import sqlite3

    from imageworks.models import ExistingMetadata
    from imageworks.stages import WriteOutcome
    from imageworks.store.library import Library

_STATE_AFTER = {
    DecisionKind.ACCEPT: ImageState.ACCEPTED,
    DecisionKind.REJECT: ImageState.REJECTED,
    DecisionKind.SKIP: ImageState.SKIPPED,
}


class MadeDecision(NamedTuple):
    """A decision in the journal of decisions.

    Attributes:
        write_state: Of its write: none, intended, writing, written, failed, superseded, undone.
        is_latest: It is the image's decision now.
        is_open: It was taken back, and nothing has been decided or suggested since.
    """

    kind: DecisionKind
    choice: Choice
    write_state: str
    is_latest: bool
    is_open: bool


class Decisions:
    """The library's decisions and their writes. See `Library`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def decide(
        self,
        image_id: int,
        run_id: int,
        kind: DecisionKind,
        *,
        by: str,
        choice: Choice | None = None,
        write_after_ms: int = 0,
    ) -> int:
        """Records a decision, its image's new state and, for an accept, the write to do.

        A person's work is synced to the disk before this returns.

        Args:
            image_id: The image.
            run_id: The batch or review session it was made in; its config says how to write.
            kind: The decision; `undo` has its own method.
            by: ``person`` or ``run``.
            choice: What to have in the file, for an accept.
            write_after_ms: Earliest time of the write, in milliseconds since the epoch.

        Raises:
            UsageError: An earlier accept is being written at this moment.
        """
        choice = choice or Choice()
        with self._library.transaction(is_durable=by == "person") as connection:
            before = connection.execute(
                "SELECT state, suggestion_id, decision_id FROM image WHERE id=?", (image_id,)
            ).fetchone()
            self._supersede(connection, before["decision_id"])
            row = connection.execute(
                "INSERT INTO decision(image_id, suggestion_id, run_id, at, made_by, kind,"
                " state_before, previous_id, tags, is_caption_edited, is_description_edited,"
                " removed, write_state, write_after) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
                " RETURNING id",
                (
                    *(image_id, before["suggestion_id"], run_id, self._library.now_ms(), by),
                    *(kind, before["state"], before["decision_id"], tags_to_json(choice.tags)),
                    *(choice.is_caption_edited, choice.is_description_edited),
                    json.dumps(choice.removed_keywords, ensure_ascii=False),
                    "intended" if kind is DecisionKind.ACCEPT else "none",
                    write_after_ms,
                ),
            ).fetchone()
            decision_id = int(row["id"])
            connection.execute(
                "UPDATE image SET decision_id=?, state=?, state_at=?, reason='', reason_text=''"
                " WHERE id=?",
                (decision_id, _STATE_AFTER[kind], self._library.now_ms(), image_id),
            )
            connection.execute("DELETE FROM draft WHERE image_id=?", (image_id,))
            return decision_id

    def undo(self, decision_id: int, run_id: int) -> bool:
        """Takes back an image's latest decision; False when it is not, or its write has begun.

        A write that failed has changed nothing, so its decision can be taken back as well.
        """
        with self._library.transaction(is_durable=True) as connection:
            row = connection.execute(
                "SELECT d.*, i.decision_id AS latest FROM decision d"
                " JOIN image i ON i.id = d.image_id WHERE d.id=?",
                (decision_id,),
            ).fetchone()
            if row is None or row["latest"] != decision_id:
                return False
            if row["write_state"] not in {"none", "intended", "failed"}:
                return False
            connection.execute("UPDATE decision SET write_state='none' WHERE id=?", (decision_id,))
            connection.execute(
                "UPDATE decision SET write_state='intended'"
                " WHERE id=? AND write_state='superseded'",
                (row["previous_id"],),
            )
            connection.execute(
                "INSERT INTO decision(image_id, suggestion_id, run_id, at, made_by, kind,"
                " state_before, previous_id, tags, is_caption_edited, is_description_edited,"
                " removed) VALUES (?,?,?,?,'person',?,?,?,?,0,0,'[]')",
                (
                    *(row["image_id"], row["suggestion_id"], run_id, self._library.now_ms()),
                    *(DecisionKind.UNDO, _state_of(connection, row["image_id"]), decision_id),
                    tags_to_json(Tags()),
                ),
            )
            connection.execute(
                "UPDATE image SET decision_id=?, state=?, state_at=? WHERE id=?",
                (row["previous_id"], row["state_before"], self._library.now_ms(), row["image_id"]),
            )
            return True

    def choice(self, decision_id: int) -> Choice:
        """What a decision wants in the file."""
        row = self._library.connection.execute(
            "SELECT * FROM decision WHERE id=?", (decision_id,)
        ).fetchone()
        return choice_of_row(row)

    def accepted_keywords(self, image_id: int) -> list[str]:
        """Every keyword that was ever accepted for an image, written or not, oldest first."""
        rows = self._library.connection.execute(
            "SELECT DISTINCT json_extract(k.value, '$.keyword') FROM decision d,"
            " json_each(d.tags, '$.keywords') k WHERE d.image_id=? AND d.kind='accept'"
            " ORDER BY d.id",
            (image_id,),
        )
        return [row[0] for row in rows]

    def made(self, decision_id: int) -> MadeDecision:
        """A decision as it was made, and whether it still stands."""
        row = self._library.connection.execute(
            "SELECT d.*, i.decision_id AS latest, i.suggestion_id AS asked FROM decision d"
            " JOIN image i ON i.id = d.image_id WHERE d.id=?",
            (decision_id,),
        ).fetchone()
        return MadeDecision(
            kind=DecisionKind(row["kind"]),
            choice=choice_of_row(row),
            write_state=row["write_state"],
            is_latest=row["latest"] == decision_id,
            is_open=row["latest"] in {None, row["previous_id"]}
            and row["asked"] == row["suggestion_id"],
        )

    def mark(self, decision_id: int | None) -> DecisionMark | None:
        """Who made a decision and when."""
        if decision_id is None:
            return None
        row = self._library.connection.execute(
            "SELECT made_by, at FROM decision WHERE id=?", (decision_id,)
        ).fetchone()
        return DecisionMark(row["made_by"], moment(row["at"]))

    def hasten_writes(self) -> None:
        """Lets all intended writes go at once: the person who might undo them has left."""
        with self._library.transaction() as connection:
            connection.execute("UPDATE decision SET write_after=0 WHERE write_state='intended'")

    def count_intended(self) -> int:
        """How many accepted images are not yet on disk."""
        row = self._library.connection.execute(
            "SELECT count(*) FROM decision WHERE write_state IN ('intended', 'writing')"
        ).fetchone()
        return int(row[0])

    def intended(self) -> list[int]:
        """The decisions of accepted images that are not yet on disk."""
        rows = self._library.connection.execute(
            "SELECT id FROM decision WHERE write_state IN ('intended', 'writing')"
        )
        return [int(row[0]) for row in rows]

    def begin_writes(self, limit: int) -> list[PendingWrite]:
        """The next writes whose time has come, oldest first, marked as begun."""
        with self._library.transaction() as connection:
            rows = connection.execute(
                "SELECT d.*, i.name, i.content, f.path AS folder, s.existing FROM decision d"
                " JOIN image i ON i.id = d.image_id JOIN folder f ON f.id = i.folder_id"
                " LEFT JOIN suggestion s ON s.id = d.suggestion_id"
                " WHERE d.write_state='intended' AND d.write_after <= ? ORDER BY d.id LIMIT ?",
                (self._library.now_ms(), limit),
            ).fetchall()
            connection.executemany(
                "UPDATE decision SET write_state='writing' WHERE id=?", [(r["id"],) for r in rows]
            )
        return [
            PendingWrite(
                decision_id=row["id"],
                image_id=row["image_id"],
                run_id=row["run_id"],
                made_by=row["made_by"],
                path=stored_path(row["folder"], row["name"]),
                content_id=row["content"] or "",
                choice=choice_of_row(row),
                reviewed=None if row["existing"] is None else existing_from_json(row["existing"]),
            )
            for row in rows
        ]

    def mark_written(self, decision_id: int) -> None:
        """Marks a begun write as done that was found on the disk after its engine had died."""
        with self._library.transaction(is_durable=True) as connection:
            connection.execute(
                "UPDATE decision SET write_state='written' WHERE id=?", (decision_id,)
            )
            connection.execute(
                "UPDATE image SET state=?, state_at=? WHERE decision_id=?",
                (ImageState.WRITTEN, self._library.now_ms(), decision_id),
            )

    def reopen_interrupted(self) -> int:
        """Puts writes that an ended engine had begun back on the list; how many there were."""
        with self._library.transaction() as connection:
            return connection.execute(
                "UPDATE decision SET write_state='intended' WHERE write_state='writing'"
            ).rowcount

    def intended_folders(self) -> list[bytes]:
        """The folders of images whose write is intended or was begun."""
        rows = self._library.connection.execute(
            "SELECT DISTINCT f.path FROM decision d JOIN image i ON i.id = d.image_id"
            " JOIN folder f ON f.id = i.folder_id WHERE d.write_state IN ('intended', 'writing')"
        )
        return [row[0] for row in rows]

    def record_written(self, write: PendingWrite, outcome: WriteOutcome) -> None:
        """Journals a write and marks its image ``written``."""
        with self._library.transaction(is_durable=True) as connection:
            self._library.journal.complete(write, outcome)
            self._end_write(connection, write, "written", ImageState.WRITTEN, ("", ""))

    def record_write_failed(self, write: PendingWrite, *, reason: str, reason_text: str) -> None:
        """Marks a write and its image as failed; the decision is kept for another try."""
        with self._library.transaction() as connection:
            self._library.journal.drop_intents(write.decision_id)
            self._end_write(connection, write, "failed", ImageState.FAILED, (reason, reason_text))

    def record_conflict(
        self, write: PendingWrite, present: ExistingMetadata, *, reason_text: str
    ) -> None:
        """Gives an image back to the reviewer: its file changed where the person did, too.

        The person's fields become the draft, the file's present metadata what they are shown with.
        """
        with self._library.transaction(is_durable=True) as connection:
            self._library.journal.drop_intents(write.decision_id)
            connection.execute(
                "UPDATE decision SET write_state='conflict' WHERE id=?", (write.decision_id,)
            )
            row = connection.execute(
                "SELECT suggestion_id FROM image WHERE id=?", (write.image_id,)
            ).fetchone()
            if row["suggestion_id"] is not None:
                self._library.suggestions.record_existing(row["suggestion_id"], present)
            connection.execute(
                "UPDATE image SET state=?, state_at=?, decision_id=NULL, reason='conflict',"
                " reason_text=? WHERE id=? AND decision_id=?",
                (
                    *(ImageState.SUGGESTED, self._library.now_ms(), reason_text),
                    *(write.image_id, write.decision_id),
                ),
            )
            self._library.session.save_draft(write.image_id, write.choice.tags)

    def has_due_writes(self) -> bool:
        """Whether `begin_writes` would find something; takes no lock."""
        row = self._library.connection.execute(
            "SELECT 1 FROM decision WHERE write_state='intended' AND write_after <= ? LIMIT 1",
            (self._library.now_ms(),),
        ).fetchone()
        return row is not None

    def retry(self, image_id: int, run_id: int) -> None:
        """Decides the same again for an image whose write failed, so that it is written anew."""
        row = self._library.connection.execute(
            "SELECT d.* FROM decision d JOIN image i ON i.decision_id = d.id WHERE i.id=?",
            (image_id,),
        ).fetchone()
        self.decide(
            image_id, run_id, DecisionKind.ACCEPT, by=row["made_by"], choice=choice_of_row(row)
        )

    def failed_writes(self) -> list[int]:
        """Images whose accepted metadata could not be written."""
        rows = self._library.connection.execute(
            "SELECT i.id FROM image i JOIN decision d ON d.id = i.decision_id"
            " WHERE i.state=? AND d.write_state='failed' ORDER BY i.id",
            (ImageState.FAILED,),
        )
        return [row[0] for row in rows]

    def count_for_run(self, run_id: int) -> int:
        """How many of a run's accepted images are not yet on disk."""
        row = self._library.connection.execute(
            "SELECT count(*) FROM decision WHERE write_state IN ('intended', 'writing')"
            " AND run_id=?",
            (run_id,),
        ).fetchone()
        return int(row[0])

    def _supersede(self, connection: sqlite3.Connection, decision_id: int | None) -> None:
        row = connection.execute(
            "SELECT write_state FROM decision WHERE id=?", (decision_id,)
        ).fetchone()
        if row is not None and row["write_state"] == "writing":
            message = "This image is being written at this moment."
            raise UsageError(message, hint="decide again in a second.", reason="being-written")
        connection.execute(
            "UPDATE decision SET write_state='superseded' WHERE id=? AND write_state='intended'",
            (decision_id,),
        )

    def _end_write(
        self,
        connection: sqlite3.Connection,
        write: PendingWrite,
        write_state: str,
        state: ImageState,
        reason: tuple[str, str],
    ) -> None:
        connection.execute(
            "UPDATE decision SET write_state=? WHERE id=?", (write_state, write.decision_id)
        )
        connection.execute(
            "UPDATE image SET state=?, state_at=?, reason=?, reason_text=?"
            " WHERE id=? AND decision_id=?",
            (state, self._library.now_ms(), *reason, write.image_id, write.decision_id),
        )


def _state_of(connection: sqlite3.Connection, image_id: int) -> str:
    row = connection.execute("SELECT state FROM image WHERE id=?", (image_id,)).fetchone()
    return str(row["state"])
