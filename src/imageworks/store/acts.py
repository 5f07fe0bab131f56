"""Acts: what a person did with one key, to one image or to ten thousand, and may take back.

An act is ``done`` or ``undone``; ``gone`` once another act has taken its place ahead. Each of its
changes has a state of its own, because an undo may find some images being written just then:
``done``, ``undone``, or ``kept`` where somebody has decided otherwise since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from imageworks.store.records import tags_from_json, tags_to_json

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from imageworks.models import Tags
    from imageworks.store.library import Library

KEPT_ACTS = 500
"""How many acts can be taken back; older ones are forgotten when a session begins."""


class StoredAct(NamedTuple):
    """An act, without its changes. ``label`` says what was done, such as ``Accepted``."""

    id: int
    label: str


class ActChange(NamedTuple):
    """What an act did to one image.

    Attributes:
        decision_id: The decision that it made; None where it changed a draft only.
        draft_before: What was typed before the act, or None.
        draft_after: What is typed since; always None with a decision.
    """

    image_id: int
    decision_id: int | None = None
    draft_before: Tags | None = None
    draft_after: Tags | None = None


class Acts:
    """The library's acts. See `Library`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def begin(self, label: str) -> int:
        """A new act; `seal` ends it."""
        with self._library.transaction() as connection:
            row = connection.execute(
                "INSERT INTO act(at, label, state) VALUES (?,?,'done') RETURNING id",
                (self._library.now_ms(), label),
            ).fetchone()
            return int(row["id"])

    def add(self, act_id: int, changes: Iterable[ActChange]) -> None:
        """Notes changes of an act; an image changes once in an act."""
        with self._library.transaction() as connection:
            connection.executemany(
                "INSERT INTO act_change VALUES (?,?,'done',?,?,?)",
                [
                    (
                        *(act_id, change.image_id, change.decision_id),
                        *(_text(change.draft_before), _text(change.draft_after)),
                    )
                    for change in changes
                ],
            )

    def seal(self, act_id: int) -> None:
        """Keeps an act durably; what was undone before it cannot be done again."""
        with self._library.transaction(is_durable=True) as connection:
            connection.execute(
                "UPDATE act SET state='gone' WHERE state='undone' AND id<?", (act_id,)
            )

    def drop_if_empty(self, act_id: int) -> None:
        """Forgets an act that has changed nothing."""
        with self._library.transaction() as connection:
            connection.execute(
                "DELETE FROM act WHERE id=?"
                " AND NOT EXISTS (SELECT 1 FROM act_change WHERE act_id=act.id)",
                (act_id,),
            )

    def last_done(self) -> StoredAct | None:
        """The act that an undo takes back."""
        return self._act("WHERE state='done' ORDER BY id DESC LIMIT 1")

    def first_undone(self) -> StoredAct | None:
        """The act that a redo does again: undos go backwards, so it is the oldest."""
        return self._act("WHERE state='undone' ORDER BY id LIMIT 1")

    def set_state(self, act_id: int, state: str) -> None:
        """Says where an act is."""
        with self._library.transaction(is_durable=True) as connection:
            connection.execute("UPDATE act SET state=? WHERE id=?", (state, act_id))

    def image_ids(self, act_id: int, state: str) -> list[int]:
        """The images whose change is in a state, in order of their ids."""
        rows = self._library.connection.execute(
            "SELECT image_id FROM act_change WHERE act_id=? AND state=? ORDER BY image_id",
            (act_id, state),
        )
        return [row[0] for row in rows]

    def change(self, act_id: int, image_id: int) -> ActChange:
        """What an act did to one of its images."""
        row = self._library.connection.execute(
            "SELECT * FROM act_change WHERE act_id=? AND image_id=?", (act_id, image_id)
        ).fetchone()
        return ActChange(
            image_id, row["decision_id"], _tags(row["draft_before"]), _tags(row["draft_after"])
        )

    def settle(
        self, act_id: int, image_id: int, state: str, *, decision_id: int | None = None
    ) -> None:
        """Says where a change is; ``decision_id`` is the new one of a decision made again."""
        with self._library.transaction() as connection:
            connection.execute(
                "UPDATE act_change SET state=?, decision_id=coalesce(?, decision_id)"
                " WHERE act_id=? AND image_id=?",
                (state, decision_id, act_id, image_id),
            )

    def trim(self) -> None:
        """Forgets all but the last `KEPT_ACTS` acts."""
        with self._library.transaction() as connection:
            row = connection.execute(
                "SELECT id FROM act ORDER BY id DESC LIMIT 1 OFFSET ?", (KEPT_ACTS,)
            ).fetchone()
            if row is not None:
                connection.execute("DELETE FROM act_change WHERE act_id <= ?", (row["id"],))
                connection.execute("DELETE FROM act WHERE id <= ?", (row["id"],))

    def _act(self, condition: str) -> StoredAct | None:
        row: sqlite3.Row | None = self._library.connection.execute(
            f"SELECT id, label FROM act {condition}"  # noqa: S608  # fixed parts
        ).fetchone()
        return None if row is None else StoredAct(row["id"], row["label"])


def _text(tags: Tags | None) -> str | None:
    return None if tags is None else tags_to_json(tags)


def _tags(text: str | None) -> Tags | None:
    return None if text is None else tags_from_json(text)
