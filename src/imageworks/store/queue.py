"""The work queue: what to ask about next, by priority and position, and what is under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imageworks.models import ImageFormat, ImageState, Priority, Stage
from imageworks.store.records import WorkItem, stored_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from imageworks.store.library import Library


class WorkQueue:
    """The library's queue. See `Library`.

    An image is on it at most once. Images that were under way when an engine died come back behind
    those of their priority that were not: a picture that kills the engine cannot block the rest.
    """

    def __init__(self, library: Library) -> None:
        self._library = library

    def add(
        self,
        run_id: int,
        image_ids: Sequence[int],
        *,
        priority: int = Priority.BATCH,
        hint: str = "",
        stage: Stage | None = None,
        is_redo: bool = False,
    ) -> None:
        """Queues images for a run; one queued already moves to this run and the higher priority.

        Args:
            run_id: The run.
            image_ids: In the order in which to ask.
            priority: See `Priority`.
            hint: What a person says about them.
            stage: The one field to ask for, None for all; an image that is queued for another
                field is asked for all.
            is_redo: Ask though the same was asked before.
        """
        with self._library.transaction() as connection:
            last = connection.execute("SELECT coalesce(max(position), 0) FROM work").fetchone()[0]
            connection.executemany(
                "INSERT INTO work(image_id, run_id, priority, position, hint, stage, is_redo)"
                " VALUES (?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET run_id=excluded.run_id,"
                " priority=max(priority, excluded.priority), hint=excluded.hint,"
                " stage=iif(stage=excluded.stage, stage, ''),"
                " is_redo=max(is_redo, excluded.is_redo)",
                (
                    (image_id, run_id, priority, position, hint, stage or "", is_redo)
                    for position, image_id in enumerate(image_ids, last + 1)
                ),
            )
            connection.executemany(
                "UPDATE image SET state=?, state_at=?, reason='', reason_text=''"
                " WHERE id=? AND state<>?",
                (
                    (ImageState.QUEUED, self._library.now_ms(), i, ImageState.INFERRING)
                    for i in image_ids
                ),
            )

    def attend(self, run_id: int, image_ids: Sequence[int], depth: int) -> int:
        """Moves what a person looks at to the front of a run's queue, in their order.

        What came to the front before, and is not among them, goes back to its place.

        Args:
            run_id: Only images that this run asks about anyway.
            image_ids: The image under the cursor first.
            depth: So many of them, at most, that are still to be asked about.

        Returns:
            How many there were.
        """
        waiting = self._library.connection.execute(
            f"SELECT image_id FROM work WHERE run_id=? AND image_id IN ({_marks(image_ids)})",  # noqa: S608  # marks
            (run_id, *image_ids),
        ).fetchall()
        found = {row[0] for row in waiting}
        ahead = [image_id for image_id in image_ids if image_id in found][:depth]
        unseen = f"image_id NOT IN ({_marks(ahead)})"
        with self._library.transaction() as connection:
            connection.execute(
                f"UPDATE work SET priority=? WHERE run_id=? AND priority > 0 AND {unseen}",  # noqa: S608  # marks
                (Priority.BATCH, run_id, *ahead),
            )
            connection.executemany(
                "UPDATE work SET priority=? WHERE image_id=? AND priority<>?1",
                [
                    (max(Priority.REVIEW_AHEAD, Priority.REVIEWER_WAITS - rank), image_id)
                    for rank, image_id in enumerate(ahead)
                ],
            )
        return len(ahead)

    def claim(
        self, run_id: int, limit: int, *, least_priority: int = Priority.BATCH
    ) -> list[WorkItem]:
        """A run's next images, marked as under way.

        A RAW comes after the JPEG whose card it shares, whose answer is its own too.
        """
        waiting = self._library.connection.execute(
            "SELECT 1 FROM work WHERE run_id=? AND is_claimed=0 AND priority >= ? LIMIT 1",
            (run_id, least_priority),
        ).fetchone()
        if waiting is None:
            return []  # looking takes no lock
        with self._library.transaction() as connection:
            rows = connection.execute(
                "SELECT w.*, i.name, i.format, i.is_inspected, f.path AS folder FROM work w"
                " JOIN image i ON i.id = w.image_id JOIN folder f ON f.id = i.folder_id"
                " WHERE w.run_id=? AND w.is_claimed=0 AND w.priority >= ?"
                " AND NOT EXISTS (SELECT 1 FROM work l"
                " WHERE l.image_id = i.lead_id AND l.run_id = w.run_id)"
                " ORDER BY w.priority DESC, w.attempts, w.position LIMIT ?",
                (run_id, least_priority, limit),
            ).fetchall()
            connection.executemany(
                "UPDATE work SET is_claimed=1 WHERE image_id=?", [(r["image_id"],) for r in rows]
            )
            connection.executemany(
                "UPDATE image SET state=?, state_at=? WHERE id=?",
                [(ImageState.INFERRING, self._library.now_ms(), r["image_id"]) for r in rows],
            )
        return [
            WorkItem(
                image_id=row["image_id"],
                run_id=row["run_id"],
                path=stored_path(row["folder"], row["name"]),
                format=ImageFormat(row["format"]),
                attempts=row["attempts"],
                hint=row["hint"],
                is_redo=bool(row["is_redo"]),
                is_inspected=bool(row["is_inspected"]),
                stage=Stage(row["stage"]) if row["stage"] else None,
            )
            for row in rows
        ]

    def next_paths(self, run_id: int, limit: int) -> list[Path]:
        """The files that a run would be given next; nothing is claimed."""
        rows = self._library.connection.execute(
            "SELECT i.name, f.path AS folder FROM work w JOIN image i ON i.id = w.image_id"
            " JOIN folder f ON f.id = i.folder_id WHERE w.run_id=? AND w.is_claimed=0"
            " ORDER BY w.priority DESC, w.attempts, w.position LIMIT ?",
            (run_id, limit),
        )
        return [stored_path(row["folder"], row["name"]) for row in rows]

    def release(self, image_id: int, *, is_attempt: bool = False) -> None:
        """Puts a claimed image back.

        Args:
            image_id: The image.
            is_attempt: It was tried in vain, so it goes behind those that were not.
        """
        with self._library.transaction() as connection:
            connection.execute(
                "UPDATE work SET is_claimed=0, attempts=attempts+? WHERE image_id=?",
                (is_attempt, image_id),
            )
            self._library.images.set_state(image_id, ImageState.QUEUED)

    def release_interrupted(self) -> int:
        """Puts back all that an ended engine had claimed; how many there were."""
        with self._library.transaction() as connection:
            claimed = connection.execute("SELECT image_id FROM work WHERE is_claimed=1").fetchall()
            for row in claimed:
                self.release(row["image_id"], is_attempt=True)
        return len(claimed)

    def release_claims(self, run_id: int) -> None:
        """Puts back what a run has claimed, without counting an attempt: the run was stopped."""
        with self._library.transaction() as connection:
            claimed = connection.execute(
                "SELECT image_id FROM work WHERE is_claimed=1 AND run_id=?", (run_id,)
            ).fetchall()
            for row in claimed:
                self.release(row["image_id"])

    def remove(self, image_id: int) -> None:
        """Takes an image off the queue; its state is the caller's to set."""
        with self._library.transaction() as connection:
            connection.execute("DELETE FROM work WHERE image_id=?", (image_id,))

    def drop_run(self, run_id: int) -> int:
        """Takes all waiting images of a run off the queue and restores their states."""
        with self._library.transaction() as connection:
            rows = connection.execute(
                "DELETE FROM work WHERE run_id=? AND is_claimed=0 RETURNING image_id", (run_id,)
            ).fetchall()
            for row in rows:
                self._library.images.restore_state(row["image_id"])
        return len(rows)

    def is_empty(self, run_id: int) -> bool:
        """Whether nothing of a run waits or is under way."""
        row = self._library.connection.execute(
            "SELECT 1 FROM work WHERE run_id=? LIMIT 1", (run_id,)
        ).fetchone()
        return row is None

    def is_claimed(self, image_id: int) -> bool:
        """Whether an image is under way."""
        row = self._library.connection.execute(
            "SELECT 1 FROM work WHERE image_id=? AND is_claimed=1", (image_id,)
        ).fetchone()
        return row is not None

    def runs_of_kind(self, kind: str) -> list[int]:
        """The runs of a kind that have images on the queue."""
        rows = self._library.connection.execute(
            "SELECT r.id FROM run r WHERE r.kind=?"
            " AND EXISTS (SELECT 1 FROM work w WHERE w.run_id = r.id)",
            (kind,),
        )
        return [row[0] for row in rows]

    def count(self, run_id: int | None = None) -> int:
        """How many images wait or are under way, in one run or in all."""
        condition, values = ("WHERE run_id=?", (run_id,)) if run_id is not None else ("", ())
        row = self._library.connection.execute(
            f"SELECT count(*) FROM work {condition}",  # noqa: S608  # fixed parts
            values,
        ).fetchone()
        return int(row[0])


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
