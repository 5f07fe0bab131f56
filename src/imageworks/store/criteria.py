"""What a list is asked for: which images, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple


class FilterKey(StrEnum):
    """What one term of a filter looks at; the values are what a person types before the colon."""

    TEXT = ""
    """A bare word: caption, keywords and description."""
    STATE = "state"
    KEYWORD = "kw"
    CAPTION = "cap"
    FOLDER = "dir"
    NAME = "name"
    MODEL = "model"
    FAILED = "failed"
    IS = "is"


class Criterion(NamedTuple):
    """One term of a filter.

    Attributes:
        key: What it looks at.
        value: Clean text, never empty; an `ImageState` for ``state``, ``changed`` or ``draft``
            for ``is``.
        is_negated: The images that do not have it.
        is_phrase: For ``TEXT``: whole words only; else the last word may go on.
    """

    key: FilterKey
    value: str
    is_negated: bool = False
    is_phrase: bool = False


@dataclass(frozen=True, slots=True)
class ImageQuery:
    """A filter: every criterion holds, except that any of several wanted states will do."""

    criteria: tuple[Criterion, ...] = ()


class SortOrder(Enum):
    """The orders of a list, as a key goes through them; what is not known comes last."""

    FOUND = "as found"
    NAME = "by name"
    NEWEST = "newest first"
    OLDEST = "oldest first"
    STATE = "by state"
    UNSURE = "least sure first"
    SURE = "surest first"
    DISAGREEMENT = "most at odds with the file first"

    @property
    def label(self) -> str:
        """What the screen calls it."""
        return self.value

    def next(self) -> SortOrder:
        """The one after this, round and round."""
        members = list(SortOrder)
        return members[(members.index(self) + 1) % len(members)]
