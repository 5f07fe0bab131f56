"""What screen and engine tell each other besides images: drafts, memory, wishes, the lease."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from imageworks.models import Stage
from imageworks.store.records import Lease, moment, tags_from_json, tags_to_json

if TYPE_CHECKING:
    from imageworks.models import Tags
    from imageworks.store.library import Library


SUGGESTION_WISH = "suggest"
"""Kind of a wish for another suggestion of one image."""


class SuggestionWish(NamedTuple):
    """One image to ask about again.

    Attributes:
        image_id: The image.
        hint: What the person typed for it; empty as a rule.
        stage: The one field that the person wants; None for all.
    """

    image_id: int
    hint: str
    stage: Stage | None = None

    @classmethod
    def from_value(cls, value: str) -> SuggestionWish:
        """Reads a wish's value as `SessionMemory.take_wishes` hands it out."""
        row = json.loads(value)
        stage = row.get("stage")
        return cls(int(row["image_id"]), str(row["hint"]), Stage(stage) if stage else None)


class SessionMemory:
    """The library's small tables. See `Library`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def save_draft(self, image_id: int, tags: Tags) -> None:
        """Keeps what a person has typed so far."""
        with self._library.transaction(is_durable=True) as connection:
            connection.execute(
                "INSERT INTO draft VALUES (?,?,?) ON CONFLICT DO UPDATE SET tags=excluded.tags,"
                " at=excluded.at",
                (image_id, tags_to_json(tags), self._library.now_ms()),
            )

    def drop_draft(self, image_id: int) -> None:
        """Forgets what was typed for an image."""
        with self._library.transaction() as connection:
            connection.execute("DELETE FROM draft WHERE image_id=?", (image_id,))

    def put_draft(self, image_id: int, tags: Tags | None) -> None:
        """Sets what counts as typed for an image; None for nothing."""
        if tags is None:
            self.drop_draft(image_id)
        else:
            self.save_draft(image_id, tags)

    def draft(self, image_id: int) -> Tags | None:
        """What a person has typed for an image and not decided on, or None."""
        row = self._library.connection.execute(
            "SELECT tags FROM draft WHERE image_id=?", (image_id,)
        ).fetchone()
        return None if row is None else tags_from_json(row["tags"])

    def remember(self, key: str, value: str) -> None:
        """Keeps a value, such as the cursor's place, across restarts."""
        with self._library.transaction() as connection:
            connection.execute(
                "INSERT INTO memory VALUES (?,?) ON CONFLICT DO UPDATE SET value=excluded.value",
                (key, value),
            )

    def recall(self, key: str, default: str = "") -> str:
        """A remembered value."""
        row = self._library.connection.execute(
            "SELECT value FROM memory WHERE key=?", (key,)
        ).fetchone()
        return default if row is None else str(row["value"])

    def wish(self, kind: str, value: str = "") -> None:
        """Asks the engine for something: ``stop`` a run by name, for one."""
        with self._library.transaction() as connection:
            connection.execute(
                "INSERT INTO wish(at, kind, value) VALUES (?,?,?)",
                (self._library.now_ms(), kind, value),
            )

    def wish_suggestion(self, image_id: int, hint: str = "", *, stage: Stage | None = None) -> None:
        """Asks the engine for another suggestion, ahead of all others; the last hint counts.

        It comes out of `take_wishes` as kind `SUGGESTION_WISH`; `SuggestionWish` reads its value.

        Args:
            image_id: The image.
            hint: What the person says about it.
            stage: The one field to ask for; None for all. Wishes for different fields add up.
        """
        value = json.dumps({"image_id": image_id, "hint": hint, "stage": stage})
        with self._library.transaction(is_durable=True) as connection:
            connection.execute(
                "DELETE FROM wish WHERE image_id=?1"
                " AND (?2 IS NULL OR json_extract(value, '$.stage') IS ?2)",
                (image_id, stage),
            )
            connection.execute(
                "INSERT INTO wish(at, kind, value, image_id) VALUES (?,?,?,?)",
                (
                    *(self._library.now_ms(), SUGGESTION_WISH),
                    *(value, image_id),
                ),
            )

    def withdraw_suggestion_wish(self, image_id: int) -> bool:
        """Takes the wish back; False when the engine has taken it already."""
        with self._library.transaction() as connection:
            return bool(
                connection.execute("DELETE FROM wish WHERE image_id=?", (image_id,)).rowcount
            )

    def has_wishes(self) -> bool:
        """Whether there is anything to take; looking takes no lock."""
        row = self._library.connection.execute("SELECT 1 FROM wish LIMIT 1").fetchone()
        return row is not None

    def take_wishes(self) -> list[tuple[str, str]]:
        """All wishes as (kind, value), oldest first, taken off the list."""
        if not self.has_wishes():
            return []
        with self._library.transaction() as connection:
            rows = connection.execute("DELETE FROM wish RETURNING id, kind, value").fetchall()
        return [(row["kind"], row["value"]) for row in sorted(rows, key=lambda row: row["id"])]

    def hold_lease(self, pid: int, host: str, activity: str) -> None:
        """Says which engine works here, and that it is alive."""
        now_ms = self._library.now_ms()
        with self._library.transaction() as connection:
            connection.execute(
                "INSERT INTO lease VALUES (1,?,?,?,?,?) ON CONFLICT DO UPDATE SET pid=excluded.pid,"
                " host=excluded.host, heartbeat=excluded.heartbeat, activity=excluded.activity,"
                " started=CASE WHEN pid=excluded.pid THEN started ELSE excluded.started END",
                (pid, host, now_ms, now_ms, activity),
            )

    def drop_lease(self) -> None:
        """Says that no engine works here any more."""
        with self._library.transaction() as connection:
            connection.execute("DELETE FROM lease")

    def lease(self) -> Lease | None:
        """What the engine last said of itself; it may be dead (see `engine.lease`)."""
        row = self._library.connection.execute("SELECT * FROM lease").fetchone()
        if row is None:
            return None
        return Lease(
            pid=row["pid"],
            host=row["host"],
            started_at=moment(row["started"]),
            heartbeat_ms=row["heartbeat"],
            activity=row["activity"],
        )
