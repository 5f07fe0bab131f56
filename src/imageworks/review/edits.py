"""What a person did to one image's fields, and the same done to another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imageworks.models import Keyword, Origin, Tags
from imageworks.text import clean_keyword, clean_text, fold

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class TagsEdit:
    """The difference between two states of an image's fields.

    Attributes:
        added: Keywords that came, in order.
        removed: Keywords that went.
        caption: The new caption; None where it stayed.
        description: Likewise.
    """

    added: tuple[Keyword, ...] = ()
    removed: tuple[Keyword, ...] = ()
    caption: str | None = None
    description: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was changed."""
        return self == TagsEdit()


def edit_between(before: Tags, after: Tags) -> TagsEdit:
    """What was done between two states; another order of the keywords is nothing to repeat."""
    return TagsEdit(
        added=_without(after.keywords, before.keywords),
        removed=_without(before.keywords, after.keywords),
        caption=None if after.caption == before.caption else after.caption,
        description=None if after.description == before.description else after.description,
    )


def repeated(edit: TagsEdit, tags: Tags, known: Iterable[Keyword]) -> Tags:
    """The same done to another image's fields.

    Args:
        edit: What to do.
        tags: The image's fields.
        known: What its file and its suggestion say; their keywords keep their origin.
    """
    kept = _without(tags.keywords, edit.removed)
    return Tags(
        caption=tags.caption if edit.caption is None else edit.caption,
        keywords=with_added(kept, edit.added, known),
        description=tags.description if edit.description is None else edit.description,
    )


def with_added(
    keywords: Iterable[Keyword], added: Iterable[Keyword], known: Iterable[Keyword] = ()
) -> tuple[Keyword, ...]:
    """Keywords and behind them those of another image that they lack."""
    merged = {fold(keyword.text): keyword for keyword in keywords}
    for keyword in adopted(added, known):
        merged.setdefault(fold(keyword.text), keyword)
    merged.pop("", None)
    return tuple(merged.values())


def adopted(keywords: Iterable[Keyword], known: Iterable[Keyword] = ()) -> tuple[Keyword, ...]:
    """Another image's keywords as this one's: the person has put them there.

    That a keyword is in the other file, or that a model saw it there, says nothing about this one.
    """
    own = {fold(keyword.text): keyword for keyword in known}
    result: dict[str, Keyword] = {}
    for keyword in keywords:
        text = clean_keyword(keyword.text)
        if clean_text(keyword.text) != text:
            continue  # the other file's own, such as one with a comma: not to be written anew
        origin = keyword.origin if keyword.origin is Origin.VOCABULARY else Origin.PERSON
        foreign = replace(keyword, text=text, score=None, origin=origin)
        result.setdefault(fold(text), own.get(fold(text), foreign))
    result.pop("", None)
    return tuple(result.values())


def _without(keywords: Iterable[Keyword], gone: Iterable[Keyword]) -> tuple[Keyword, ...]:
    keys = {fold(keyword.text) for keyword in gone}
    return tuple(keyword for keyword in keywords if fold(keyword.text) not in keys)
