"""The filter a person types: `state:ready kw:heron -kw:bird cap:"red boat" lisbon`.

Terms are separated by spaces and all hold; a minus in front turns one round. Before the colon
stands what to look at, any case; a bare word is looked for in caption, keywords and description.
Quotes keep a value together; a backslash inside them takes the next character as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imageworks.errors import UsageError
from imageworks.models import ImageState
from imageworks.store.criteria import Criterion, FilterKey, ImageQuery
from imageworks.text import clean_text, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

STATE_WORDS = {str(state): state for state in ImageState} | {
    "new": ImageState.DISCOVERED,
    "asking": ImageState.INFERRING,
    "ready": ImageState.SUGGESTED,
}
"""What may stand behind ``state:``: the states, and the words that the list shows for them."""

IS_WORDS = ("changed", "draft")
"""What may stand behind ``is:``. ``changed``: the suggestion has keywords that the file had not."""

_MOST_TERMS = 50
_TERM = re.compile(r'(-?)(?:([^\s":]+):)?(?:"((?:[^"\\]|\\.)*)(?:"|\\?$)|(\S*))\s*')
_PLAIN = re.compile(r'[^\s":\\-][^\s":\\]*')
_KEYS = {str(key): key for key in FilterKey if key is not FilterKey.TEXT}
_FULL_TEXT = frozenset({FilterKey.TEXT, FilterKey.KEYWORD, FilterKey.CAPTION})


def parse_filter(text: str) -> ImageQuery:
    """The criteria of a typed filter; none for an empty text.

    Raises:
        UsageError: A key, state or flag is unknown, or a term has nothing to look for; says what
            is known.
    """
    cleaned = clean_text(text)
    criteria: list[Criterion] = []
    position = 0
    while position < len(cleaned):
        term = _TERM.match(cleaned, position)
        if term is None or term.end() == position:  # pragma: no cover  # any character is matched
            break
        criteria.append(_criterion(term))
        position = term.end()
    if len(criteria) > _MOST_TERMS:
        message = f"The filter has {len(criteria):,} terms."
        raise UsageError(message, hint=f"use at most {_MOST_TERMS}.", reason="filter")
    return ImageQuery(tuple(dict.fromkeys(criteria)))


def filter_text(query: ImageQuery) -> str:
    """The criteria as they may be typed; `parse_filter` makes the same of it."""
    return " ".join(_term_text(criterion) for criterion in query.criteria)


def _criterion(term: re.Match[str]) -> Criterion:
    minus, name, quoted, bare = term.groups()
    if name is None:
        key = FilterKey.TEXT
    else:
        known = _KEYS.get(name.casefold())
        if known is None:
            message = f"The filter has no {one_line(name, limit=40)}:."
            words = ", ".join(f"{word}:" for word in _KEYS)
            raise UsageError(message, hint=f'use {words} or quotes: "a:b".', reason="filter")
        key = known
    value = clean_text(bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
    is_phrase = key is FilterKey.TEXT and (quoted is not None or not _PLAIN.fullmatch(value))
    return Criterion(key, _checked(key, value), is_negated=bool(minus), is_phrase=is_phrase)


def _checked(key: FilterKey, value: str) -> str:
    shown = one_line(value, limit=40)
    match key:
        case FilterKey.STATE:
            state = STATE_WORDS.get(value.casefold())
            if state is None:
                raise _unknown(key, shown, STATE_WORDS)
            return str(state)
        case FilterKey.IS:
            if value.casefold() not in IS_WORDS:
                raise _unknown(key, shown, IS_WORDS)
            return value.casefold()
        case _:
            is_enough = any(map(str.isalnum, value)) if key in _FULL_TEXT else bool(value)
            if not is_enough:
                message = f"{f'{key}:' if key else 'The filter'} has nothing to look for."
                raise UsageError(message, hint="type a word with a letter.", reason="filter")
            return value


def _unknown(key: FilterKey, shown: str, known: Iterable[str]) -> UsageError:
    message = f"The filter knows no {key}:{shown}."
    return UsageError(message, hint=f"use one of: {', '.join(known)}.", reason="filter")


def _term_text(criterion: Criterion) -> str:
    value = criterion.value
    if criterion.is_phrase or not _PLAIN.fullmatch(value):
        value = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    colon = ":" if criterion.key else ""
    return f"{'-' if criterion.is_negated else ''}{criterion.key}{colon}{value}"
