"""Completes a keyword from the vocabulary and from what this library already uses."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from imageworks.models import Keyword, Origin
from imageworks.review.vocabulary import Vocabulary
from imageworks.store.library import Library
from imageworks.text import fold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from imageworks.store.usage import Usage

MOST_COMPLETIONS = 8
_ROWS_AT_ONCE = 200
_LOOKED_AT = 400
"""Vocabulary entries weighed for one prefix: a key must not wait for a vocabulary's every word."""


class Completion(NamedTuple):
    """A keyword that what is typed may become, and how often this library has used it."""

    keyword: Keyword
    uses: int


class KeywordCompleter:
    """Finds keywords by how they begin; quick enough to be asked at every key.

    Args:
        usage: What the library uses.
        vocabulary: The person's own words; they win over the library's spelling.
    """

    def __init__(self, usage: Usage, vocabulary: Vocabulary | None = None) -> None:
        self._usage = usage
        self._vocabulary = vocabulary or Vocabulary()
        words = {**self._vocabulary.aliases, **self._vocabulary.terms}
        self._starts = sorted(words)
        self._words = words

    def complete(self, text: str, limit: int = MOST_COMPLETIONS) -> list[Completion]:
        """The most used first; what is in the vocabulary and was never used comes last."""
        found: dict[str, Completion] = {}
        for use in self._usage.starting_with(text, limit):
            keyword = self.known(use.text) or Keyword(use.text, origin=Origin.PERSON)
            found.setdefault(fold(keyword.text), Completion(keyword, use.uses))
        for keyword in self._from_vocabulary(fold(text)):
            if len(found) >= limit:
                break
            found.setdefault(fold(keyword.text), Completion(keyword, 0))
        return list(found.values())

    def known(self, text: str) -> Keyword | None:
        """The vocabulary's keyword for a typed word, or None."""
        return self._vocabulary.find(text)

    def uses(self, text: str) -> int:
        """How often the library has used a keyword."""
        return self._usage.uses(text)

    def _from_vocabulary(self, start: str) -> Iterator[Keyword]:
        if not start:
            return
        first = bisect_left(self._starts, start)
        for word in self._starts[first : first + _LOOKED_AT]:
            if not word.startswith(start):
                return
            yield self._words[word]


def count_usage(path: Path, is_stopped: Callable[[], bool]) -> None:
    """Counts what the library uses, up to now, on a connection of its own; for a thread.

    Args:
        path: The library.
        is_stopped: Asked between short steps; the next count goes on from there.
    """
    library = Library(path)
    try:
        while not is_stopped() and library.usage.catch_up(_ROWS_AT_ONCE):
            pass
    finally:
        library.close()
