"""Which keywords this library uses and how often, found by how they begin.

Counted from what was accepted and from what files said; both tables only grow, so the count goes on
behind the last row that it has seen, and nobody who decides has to wait for it. A decision taken
back stays counted: the figures rank completions and say no more than that.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from imageworks.text import clean_keyword, clean_text, fold

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imageworks.store.library import Library

_MEMORY = {"decision": "usage.decision", "suggestion": "usage.suggestion"}
_SOURCES = {
    "decision": (
        "SELECT d.id, json_extract(k.value, '$.keyword') AS keyword FROM"
        " (SELECT id, kind, tags FROM decision WHERE id > ? ORDER BY id LIMIT ?) d"
        " LEFT JOIN json_each(d.tags, '$.keywords') k ON d.kind = 'accept'"
    ),
    "suggestion": (
        "SELECT s.id, k.value AS keyword FROM"
        " (SELECT id, existing FROM suggestion WHERE id > ? ORDER BY id LIMIT ?) s"
        " LEFT JOIN json_each(s.existing, '$.keywords') k"
    ),
}
_LAST = "\U0010ffff"
_LONGEST_BYTES = 200
"""What is longer is no keyword that anybody wants completed."""


class KeywordUse(NamedTuple):
    """A keyword as it was spelled when it was first counted, and how often it was used."""

    text: str
    uses: int


class Usage:
    """The library's keywords by use. See `Library`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def starting_with(self, text: str, limit: int) -> list[KeywordUse]:
        """The most used keywords that begin so, then those with a later word that does."""
        start = fold(text)
        if not start:
            return []
        rows = self._library.connection.execute(
            "SELECT keyword, uses FROM keyword_use WHERE folded >= ? AND folded < ?"
            " ORDER BY uses DESC, folded LIMIT ?",
            (start, start + _LAST, limit),
        ).fetchall()
        if len(rows) < limit:
            rows += self._library.connection.execute(
                "SELECT DISTINCT u.keyword, u.uses FROM keyword_word w"
                " JOIN keyword_use u ON u.folded = w.folded WHERE w.start >= ? AND w.start < ?"
                " AND NOT (u.folded >= ? AND u.folded < ?) ORDER BY u.uses DESC, u.folded LIMIT ?",
                (start, start + _LAST, start, start + _LAST, limit - len(rows)),
            ).fetchall()
        return [KeywordUse(row["keyword"], row["uses"]) for row in rows]

    def uses(self, text: str) -> int:
        """How often a keyword was used, whatever its spelling."""
        row = self._library.connection.execute(
            "SELECT uses FROM keyword_use WHERE folded=?", (fold(text),)
        ).fetchone()
        return 0 if row is None else int(row["uses"])

    def is_behind(self) -> bool:
        """Whether there is something to count; takes no lock."""
        return any(
            self._library.connection.execute(f"SELECT max(id) FROM {source}").fetchone()[0]  # noqa: S608  # fixed names
            not in {None, self._counted(source)}
            for source in _SOURCES
        )

    def catch_up(self, rows: int) -> bool:
        """Counts at most so many more decisions and suggestions; whether some are left."""
        with self._library.transaction() as connection:
            counts: Counter[str] = Counter()
            for source, query in _SOURCES.items():
                found = connection.execute(query, (self._counted(source), rows)).fetchall()
                if found:
                    counts.update(row["keyword"] for row in found if row["keyword"])
                    last = max(row["id"] for row in found)
                    self._library.session.remember(_MEMORY[source], str(last))
            self._add(counts)
        return self.is_behind()

    def _counted(self, source: str) -> int:
        return int(self._library.session.recall(_MEMORY[source], "0"))

    def _add(self, counts: Counter[str]) -> None:
        known = [(text, count) for text, count in counts.items() if _can_be_completed(text)]
        rows = [(fold(text), clean_text(text), count) for text, count in known]
        connection = self._library.connection
        connection.executemany(
            "INSERT INTO keyword_use VALUES (?,?,?)"
            " ON CONFLICT DO UPDATE SET uses = uses + excluded.uses",
            rows,
        )
        connection.executemany(
            "INSERT OR IGNORE INTO keyword_word VALUES (?,?)",
            [(start, folded) for folded, _, _ in rows for start in _later_words(folded)],
        )


def _later_words(folded: str) -> Iterable[str]:
    """What a keyword is from each later word on: ``white sea eagle`` is found at ``eagle``."""
    words = folded.split(" ")
    return (" ".join(words[first:]) for first in range(1, len(words)))


def _can_be_completed(text: str) -> bool:
    """Whether the keyword could be typed as it is."""
    is_short = len(text.encode("utf-8", "replace")) <= _LONGEST_BYTES
    return is_short and bool(fold(text)) and clean_keyword(text) == clean_text(text)
