"""What a value that a model wrote says: caption, keywords, description, whatever it calls them."""

# ruff: noqa: RUF001  # curly quotes, dashes and full-width marks are what is looked for

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imageworks.models import Stage
from imageworks.suggest.tolerant_json import CutText, find_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imageworks.suggest.tolerant_json import JsonValue

_MAX_DEPTH = 6
_MAX_RAW_KEYWORDS = 2000

# Names of each field, best first; several languages, as models translate keys with their values.
_NAMES: dict[Stage, tuple[str, ...]] = {
    Stage.CAPTION: (
        *("caption", "imagecaption", "shortcaption", "captiontext", "captions", "title"),
        *("imagetitle", "headline", "shortdescription", "bildunterschrift", "titel", "légende"),
        *("titre", "título", "leyenda", "didascalia", "titolo", "bildetekst", "bildtext"),
    ),
    Stage.KEYWORDS: (
        *("keywords", "keyword", "tags", "tag", "subject", "subjects", "labels", "keywordlist"),
        *("imagekeywords", "imagetags", "hashtags", "terms", "schlagwörter", "schlüsselwörter"),
        *("stichwörter", "motsclés", "palabrasclave", "etiquetas", "parolechiave", "palavraschave"),
        *("trefwoorden", "nøkkelord", "nyckelord", "nøgleord"),
    ),
    Stage.DESCRIPTION: (
        *("description", "imagedescription", "longdescription", "detaileddescription", "desc"),
        *("summary", "narrative", "details", "beschreibung", "bildbeschreibung", "descripción"),
        *("descrizione", "descrição", "beschrijving", "beskrivelse", "beskrivning"),
    ),
}
_ALTERNATIVE_TEXT = ("alttext", "alt", "alternativetext", "accessibilitytext")
_STAGE_OF = {name: stage for stage, names in _NAMES.items() for name in names}
_TEXT_KEYS = ("text", "value", "content", "xdefault", "en")
_NAME_KEYS = ("keyword", "name", "text", "label", "tag", "term", "value", "word")
_SCORE_KEYS = ("score", "confidence", "probability", "relevance")
_PATH_KEYS = ("path", "hierarchy")

_NOT_LETTER = re.compile(r"[\W\d_]+")
_KEYWORD_BREAK = re.compile(r"[,;|\n\r،、，；\u2028]+|(?:(?<=\s)|^)(?=#\w)")


@dataclass(frozen=True, slots=True)
class RawKeyword:
    """A keyword as the model wrote it.

    Attributes:
        text: Not cleaned.
        score: 0..1 as claimed, honest or not; None where there is none.
        path: From the broadest term to this one, where the model gave it.
    """

    text: str
    score: float | None = None
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fields:
    """The three fields of an answer; None where it does not mention one."""

    caption: str | None = None
    keywords: tuple[RawKeyword, ...] | None = None
    description: str | None = None

    def __bool__(self) -> bool:
        """Whether the answer mentions any field."""
        return not (self.caption is None and self.keywords is None and self.description is None)

    def filled_from(self, other: Fields) -> Fields:
        """These fields; those that are missing come from the other."""
        return Fields(
            caption=other.caption if self.caption is None else self.caption,
            keywords=other.keywords if self.keywords is None else self.keywords,
            description=other.description if self.description is None else self.description,
        )


def stage_named(name: str) -> Stage | None:
    """The stage that a key or label means, in any case and spelling."""
    folded = _NOT_LETTER.sub("", name.casefold())
    if folded in _ALTERNATIVE_TEXT:
        return Stage.DESCRIPTION
    return _STAGE_OF.get(folded)


def fields_of(value: JsonValue, depth: int = 0) -> Fields:
    """The fields that a value holds, at its top or inside; all None when it holds none."""
    if depth > _MAX_DEPTH:
        return Fields()
    if isinstance(value, dict):
        return _fields_of_object(value, depth)
    if isinstance(value, list):
        return _fields_of_list(value, depth)
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        found = Fields()
        for inner in find_json(value):
            found = found.filled_from(fields_of(inner.value, depth + 1))
        return found
    return Fields()


def _fields_of_object(value: dict[str, JsonValue], depth: int) -> Fields:
    named = {_NOT_LETTER.sub("", key.casefold()): inner for key, inner in value.items()}
    found = Fields(
        caption=_first_text(named, _NAMES[Stage.CAPTION]),
        keywords=_named_keywords(named),
        description=_first_text(named, _NAMES[Stage.DESCRIPTION]),
    )
    alternative = _first_text(named, _ALTERNATIVE_TEXT)
    if found.description is None:
        found = replace(found, description=alternative)
    elif found.caption is None:
        found = replace(found, caption=alternative)
    if found:
        return found
    for inner in value.values():
        found = found.filled_from(_unless_plain_list(inner, depth))
    if found:
        return found
    groups = [inner for inner in value.values() if isinstance(inner, list)]
    keywords = tuple(keyword for group in groups for keyword in keywords_of(group))
    return Fields(keywords=keywords or None)


def _unless_plain_list(value: JsonValue, depth: int) -> Fields:
    """Fields of an inner value; a bare list of words is no field before its siblings are read."""
    if isinstance(value, list) and not any(isinstance(item, dict) for item in value):
        return Fields()
    return fields_of(value, depth + 1)


def _fields_of_list(items: list[JsonValue], depth: int) -> Fields:
    records = [item for item in items if isinstance(item, dict) and not _is_keyword(item)]
    found = Fields()
    for record in records:
        found = found.filled_from(fields_of(record, depth + 1))
    if found:
        return found
    if not records and len(items) == 1 and isinstance(items[0], list):
        return fields_of(items[0], depth + 1)
    keywords = tuple(keywords_of(items))
    return Fields(keywords=keywords or None)


def _is_keyword(value: dict[str, JsonValue]) -> bool:
    """Whether an object is one keyword, not a record with several fields."""
    named = {_NOT_LETTER.sub("", key.casefold()): inner for key, inner in value.items()}
    if any(isinstance(named.get(key), list) for key in ("keyword", "keywords", "tags")):
        return False
    if {"caption", "description", "keywords"} & set(named):
        return False
    return _first_text(named, _NAME_KEYS) is not None


def _named_keywords(named: dict[str, JsonValue]) -> tuple[RawKeyword, ...] | None:
    present = [named[name] for name in _NAMES[Stage.KEYWORDS] if name in named]
    usable = [value for value in present if value is not None]
    if not usable:
        return None
    return tuple(keyword for value in usable for keyword in keywords_of(value))


def keywords_of(value: JsonValue) -> list[RawKeyword]:
    """The keywords of a list, an object, a text; at most 2000."""
    found: list[RawKeyword] = []
    for keyword in _walk_keywords(value, 0):
        found.append(keyword)
        if len(found) >= _MAX_RAW_KEYWORDS:
            break
    return found


def _walk_keywords(value: JsonValue, depth: int) -> Iterator[RawKeyword]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, str):
        for text in split_keyword_text(value):
            yield RawKeyword(text)
    elif isinstance(value, list):
        for item in value:
            yield from _walk_keywords(item, depth + 1)
    elif isinstance(value, dict):
        yield from _walk_keyword_object(value, depth)


def _walk_keyword_object(value: dict[str, JsonValue], depth: int) -> Iterator[RawKeyword]:
    """An object that is a keyword, a group of lists, or a table of keyword and score."""
    named = {_NOT_LETTER.sub("", key.casefold()): inner for key, inner in value.items()}
    text = _first_text(named, _NAME_KEYS)
    if text is not None:
        if not isinstance(text, CutText):
            yield RawKeyword(text, _score_in(named), _path_in(named))
        return
    for key, inner in value.items():
        score = as_score(inner)
        if score is not None:
            yield RawKeyword(key, score)
        elif isinstance(inner, (list, dict)):
            yield from _walk_keywords(inner, depth + 1)


def split_keyword_text(text: str) -> list[str]:
    """The keywords of one text: by commas, semicolons, bars, lines or hash signs.

    Of a text whose end is missing, the last keyword is left out: it may be half a word.
    """
    parts = _KEYWORD_BREAK.split(text)
    if isinstance(text, CutText):
        parts.pop()
    return [part.strip() for part in parts if part.strip()]


def _first_text(named: dict[str, JsonValue], names: tuple[str, ...]) -> str | None:
    for name in names:
        text = _text_of(named.get(name))
        if text is not None:
            return text
    return None


def _text_of(value: JsonValue, depth: int = 0) -> str | None:
    if depth > _MAX_DEPTH:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        texts = [text for item in value if (text := _text_of(item, depth + 1))]
        return _joined(texts) if texts else None
    if isinstance(value, dict):
        named = {_NOT_LETTER.sub("", key.casefold()): inner for key, inner in value.items()}
        inner_texts = (_text_of(named.get(key), depth + 1) for key in _TEXT_KEYS)
        return next((text for text in inner_texts if text is not None), None)
    return None


def loose_text_of(value: JsonValue) -> str:
    """The longest text of an object, or the sentences of a list, whatever their names; or empty."""
    if isinstance(value, dict):
        texts = [text for text in value.values() if isinstance(text, str)]
        return max(texts, key=len, default="")
    if isinstance(value, list):
        texts = [text for text in value if isinstance(text, str)]
        if len(texts) == len(value) and all(len(text.split()) >= 3 for text in texts):
            return _joined(texts) if texts else ""
    return ""


def _joined(texts: list[str]) -> str:
    joined = " ".join(texts)
    return CutText(joined) if isinstance(texts[-1], CutText) else joined


def _score_in(named: dict[str, JsonValue]) -> float | None:
    scores = (as_score(named.get(key)) for key in _SCORE_KEYS)
    return next((score for score in scores if score is not None), None)


def _path_in(named: dict[str, JsonValue]) -> tuple[str, ...]:
    for key in _PATH_KEYS:
        value = named.get(key)
        if isinstance(value, str):
            return tuple(part.strip() for part in re.split(r"[|>/]", value) if part.strip())
        if isinstance(value, list):
            return tuple(part for part in value if isinstance(part, str))
    return ()


def as_score(value: JsonValue) -> float | None:
    """A number of 0..1, also written as text or in per cent; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip()[:20]
        try:
            value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            return None
    if not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= 1 and math.isfinite(value) else None
