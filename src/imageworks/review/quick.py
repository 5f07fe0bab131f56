"""Quick keywords: a few keywords on each of nine slots, put on an image by one key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imageworks.review.edits import adopted, with_added
from imageworks.store.records import keywords_from_json, keywords_to_json
from imageworks.text import fold

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imageworks.models import Keyword
    from imageworks.store.library import Library

SLOTS = range(1, 10)


class QuickKeywords:
    """The slots, kept in the library.

    Args:
        library: Where they are remembered.
    """

    def __init__(self, library: Library) -> None:
        self._library = library

    def slot(self, number: int) -> tuple[Keyword, ...]:
        """The keywords of a slot, 1 to 9; empty until it is filled."""
        stored = self._library.session.recall(_key(number))
        return keywords_from_json(stored) if stored else ()

    def fill(self, number: int, keywords: Iterable[Keyword]) -> tuple[Keyword, ...]:
        """Keeps keywords on a slot, and says which; none clears it."""
        kept = adopted(keywords)
        self._library.session.remember(_key(number), keywords_to_json(kept) if kept else "")
        return kept


def with_slot(
    keywords: tuple[Keyword, ...], slot: tuple[Keyword, ...], known: Iterable[Keyword]
) -> tuple[Keyword, ...]:
    """An image's keywords with those of a slot; without them where it has all of them already."""
    wanted = {fold(keyword.text) for keyword in slot}
    if wanted <= {fold(keyword.text) for keyword in keywords}:
        return tuple(keyword for keyword in keywords if fold(keyword.text) not in wanted)
    return with_added(keywords, slot, known)


def _key(number: int) -> str:
    return f"keywords.slot.{number}"
