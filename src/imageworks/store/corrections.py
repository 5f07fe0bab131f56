"""What a person put right in suggestions: what was wrong, and what they wrote instead.

A correction counts as long as its decision stands, so an undo takes it back as well.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imageworks.store.library import Library

_DECLINED = "rules.declined"


class CorrectionKind(StrEnum):
    """What was corrected."""

    KEYWORD = "keyword"
    REMOVED = "removed"
    """A keyword was taken out, and none took its place."""
    CAPTION = "caption"


class Correction(NamedTuple):
    """One value put right; ``better`` is empty where it was taken out."""

    kind: CorrectionKind
    wrong: str
    better: str = ""


class StoredCorrections:
    """The library's corrections. See `Library`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def record(self, decision_id: int, corrections: Iterable[Correction]) -> None:
        """Keeps what a decision put right."""
        with self._library.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO correction VALUES (?,?,?,?)",
                [(decision_id, each.kind, each.wrong, each.better) for each in corrections],
            )

    def count(self, correction: Correction) -> int:
        """On how many images it was made by decisions that still stand."""
        row = self._library.connection.execute(
            "SELECT count(*) FROM correction c JOIN decision d ON d.id = c.decision_id"
            " JOIN image i ON i.id = d.image_id AND i.decision_id = d.id"
            " WHERE c.kind=? AND c.wrong=? AND c.better=?",
            (correction.kind, correction.wrong, correction.better),
        ).fetchone()
        return int(row[0])

    def decline(self, correction: Correction) -> None:
        """Remembers that a rule is not wanted, so that it is not offered again."""
        declined = sorted({*self._declined(), _key(correction)})
        self._library.session.remember(_DECLINED, json.dumps(declined, ensure_ascii=False))

    def is_declined(self, correction: Correction) -> bool:
        """Whether the person did not want this as a rule."""
        return _key(correction) in self._declined()

    def _declined(self) -> list[str]:
        return [str(key) for key in json.loads(self._library.session.recall(_DECLINED, "[]"))]


def _key(correction: Correction) -> str:
    return "\n".join((correction.kind, correction.wrong, correction.better))
