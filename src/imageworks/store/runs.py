"""Runs: batches and review sessions, with the config they were made with."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from imageworks.store.records import RunOptions, RunRow, moment, time_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping

    from imageworks.store.library import Library


class Runs:
    """The library's runs. See `Library`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def create(
        self,
        kind: str,
        config: str,
        *,
        options: RunOptions | None = None,
        status: str = "pending",
    ) -> RunRow:
        """Adds a run of kind ``batch`` or ``review``, named after the moment."""
        now_ms = self._library.now_ms()
        name = f"{moment(now_ms):%Y%m%d-%H%M%S}-{os.urandom(2).hex()}"
        with self._library.transaction() as connection:
            row = connection.execute(
                "INSERT INTO run(name, kind, status, created, config, options)"
                " VALUES (?,?,?,?,?,?) RETURNING *",
                (name, kind, status, now_ms, config, _options_json(options)),
            ).fetchone()
        return _run(row)

    def find_unfinished(
        self, kind: str, config: str, options: RunOptions | None = None
    ) -> RunRow | None:
        """The newest run of the same kind, config and options that did not come to its end.

        Until when it may work and who watches it are not among what has to be the same.
        """
        wanted = replace(options or RunOptions(), until_ms=None, is_background=False)
        row = self._library.connection.execute(
            "SELECT * FROM run WHERE kind=? AND config=?"
            " AND json_set(options, '$.until_ms', NULL, '$.is_background', json('false'))=json(?)"
            " AND status IN ('running', 'interrupted') ORDER BY id DESC LIMIT 1",
            (kind, config, _options_json(wanted)),
        ).fetchone()
        return None if row is None else _run(row)

    def next_pending(self) -> RunRow | None:
        """The oldest batch that waits for an engine."""
        row = self._library.connection.execute(
            "SELECT * FROM run WHERE kind='batch' AND status='pending' ORDER BY id LIMIT 1"
        ).fetchone()
        return None if row is None else _run(row)

    def current_batch(self) -> RunRow | None:
        """The batch that runs or is next, else the latest, else None."""
        row = self._library.connection.execute(
            "SELECT * FROM run WHERE kind='batch' AND status IN ('running', 'pending')"
            " ORDER BY status DESC, id LIMIT 1"
        ).fetchone()
        if row is None:
            return self.find("last")
        return _run(row)

    def get(self, run_id: int) -> RunRow:
        """One run; KeyError when there is none."""
        row = self._library.connection.execute("SELECT * FROM run WHERE id=?", (run_id,)).fetchone()
        if row is None:
            raise KeyError(run_id)
        return _run(row)

    def find(self, name: str) -> RunRow | None:
        """The run of that name, or the latest batch for ``last``."""
        query = "SELECT * FROM run WHERE name=?"
        values: tuple[str, ...] = (name,)
        if name == "last":
            query = "SELECT * FROM run WHERE kind='batch' ORDER BY id DESC LIMIT 1"
            values = ()
        row = self._library.connection.execute(query, values).fetchone()
        return None if row is None else _run(row)

    def latest(self, limit: int, *, kind: str = "batch") -> list[RunRow]:
        """The newest runs of a kind, newest first."""
        rows = self._library.connection.execute(
            "SELECT * FROM run WHERE kind=? ORDER BY id DESC LIMIT ?", (kind, limit)
        )
        return [_run(row) for row in rows]

    def set_options(self, run_id: int, options: RunOptions) -> RunRow:
        """Changes what a run is asked to do, before it goes on."""
        with self._library.transaction() as connection:
            connection.execute(
                "UPDATE run SET options=? WHERE id=?", (_options_json(options), run_id)
            )
        return self.get(run_id)

    def take_over_orphans(self) -> int:
        """Deals with batches whose engine was killed; how many there were.

        Those that nobody watches wait for the next engine; the others for their command.
        """
        with self._library.transaction() as connection:
            return connection.execute(
                "UPDATE run SET status=iif(json_extract(options, '$.is_background'), 'pending',"
                " 'interrupted') WHERE kind='batch' AND status='running'"
            ).rowcount

    def queue_up(self, run_id: int) -> None:
        """Lets whichever engine is alive take up a run."""
        with self._library.transaction() as connection:
            connection.execute("UPDATE run SET status='pending' WHERE id=?", (run_id,))

    def start(self, run_id: int) -> None:
        """Marks a run as running; a resumed one keeps its first start."""
        with self._library.transaction() as connection:
            connection.execute(
                "UPDATE run SET status='running', started=coalesce(started, ?), ended=NULL,"
                " message='' WHERE id=?",
                (self._library.now_ms(), run_id),
            )

    def add_progress(self, run_id: int, *, worked_ms: int, totals: Mapping[str, Any]) -> None:
        """Adds working time and replaces the totals that screens show."""
        with self._library.transaction() as connection:
            connection.execute(
                "UPDATE run SET worked_ms=worked_ms+?, totals=? WHERE id=?",
                (worked_ms, json.dumps(dict(totals)), run_id),
            )

    def measurements(self, run_id: int) -> Iterator[tuple[Mapping[str, float], int]]:
        """Per suggestion made in a run: seconds per stage or phase, and the retries it took."""
        rows = self._library.connection.execute(
            "SELECT s.timing, coalesce((SELECT sum(q.attempts - 1) FROM request q"
            " WHERE q.run_id = s.run_id AND q.image_id = s.image_id), 0) AS retries"
            " FROM suggestion s WHERE s.run_id=?",
            (run_id,),
        )
        return ((json.loads(row["timing"]), row["retries"]) for row in rows)

    def models(self, run_id: int) -> dict[str, str]:
        """The models behind a run's newest suggestion, by stage; empty before there is one."""
        row = self._library.connection.execute(
            "SELECT models FROM suggestion WHERE run_id=? ORDER BY id DESC LIMIT 1", (run_id,)
        ).fetchone()
        return {} if row is None else dict(json.loads(row["models"]))

    def tokens(self, run_id: int) -> tuple[int, int]:
        """Prompt and completion tokens of a run, as the servers counted them."""
        row = self._library.connection.execute(
            "SELECT coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0)"
            " FROM request WHERE run_id=?",
            (run_id,),
        ).fetchone()
        return int(row[0]), int(row[1])

    def end(self, run_id: int, status: str, *, message: str = "") -> None:
        """Marks a run as ``finished``, ``interrupted`` or ``stopped``, with a word why."""
        with self._library.transaction() as connection:
            connection.execute(
                "UPDATE run SET status=?, ended=?, message=? WHERE id=?",
                (status, self._library.now_ms(), message, run_id),
            )


def _options_json(options: RunOptions | None) -> str:
    return json.dumps(asdict(options or RunOptions()), sort_keys=True)


def _run(row: sqlite3.Row) -> RunRow:
    return RunRow(
        id=row["id"],
        name=row["name"],
        kind=row["kind"],
        status=row["status"],
        created_at=moment(row["created"]),
        started_at=time_of(row["started"]),
        ended_at=time_of(row["ended"]),
        worked_s=row["worked_ms"] / 1000,
        config=row["config"],
        options=RunOptions(**json.loads(row["options"])),
        totals=json.loads(row["totals"]),
        message=row["message"],
    )
