"""Turns what a model wrote into keywords fit for metadata, without harming a word of them.

No word is ever made singular or otherwise bent: ``grass``, ``series`` and ``Paris`` stay as they
are. Case stays as the model wrote it, with one exception in English: a list of at least five
keywords in which every keyword is in Title Case (or every one in capitals) shows the model's
style, not names. Then its plain words are lowered, where caption or description can tell names
from words: a keyword keeps its case where one of its words stands with a capital inside a
sentence there, or is a common name. Without caption and description nothing is lowered.
"""

# ruff: noqa: RUF001  # curly quotes, dashes and full-width marks are what is looked for

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from imageworks.models import Keyword
from imageworks.suggest.clean import is_refusal, sentences
from imageworks.suggest.phrases import CHATTER, EMPTY_KEYWORDS, ENGLISH_PROPER_WORDS, GREETING
from imageworks.text import clean_text, fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from imageworks.suggest.fields import RawKeyword

# IPTC-IIM 2:25 Keywords holds at most 64 octets, and it is kept in step with `dc:subject`.
KEYWORD_LIMIT_BYTES = 64
KEYWORD_LIMIT_WORDS = 6

_MAX_ROUNDS = 12
_MIN_STYLED_KEYWORDS = 5

_BREAK = re.compile(r"[,;|\n\r،、，；\u2028\u2029]+|\s>+\s|(?<=[^\W\d])\s?/\s?(?=[^\W\d])")
_APERTURE = re.compile(r"\b([fF])/(?=\d)")
_RATIO = re.compile(r"(?<=\d)/(?=\d)")
_FORBIDDEN = re.compile(r"[,;|/<>]+")
_LEAD_IN = re.compile(
    r"[^:]{0,60}\b(?:keywords?|tags|hashtags|subjects|labels)\b[^:]{0,20}[:：]\s*", re.IGNORECASE
)
_LIST_MARK = re.compile(r"(?:\(?\d{1,3}[.):\]]\s+|\(?\d{1,2}[.)](?=[^\W\d])|[-*•‣▪◦–—·+>]+\s*)")
_SCORE = re.compile(r"\s*(?:[(\[]|[:=–-]\s)\s*(?:0?\.\d+|1\.0+|[01]|\d{1,3}\s?%)\s*[)\]]?\s*\Z")
_OF_PICTURE = re.compile(
    r"(?:(?:an?|the) )?(?:photo|image|picture|photograph)s? of (?:(?:an?|the) )?", re.IGNORECASE
)
_ARTICLE = re.compile(r"(?:an?|the) (?!cappella\b|capella\b|la\b|priori\b)")
_SNAKE_CASE = re.compile(r"[a-z\d]+(?:_[a-z\d]+)+\Z")
_NUMBER = re.compile(r"[\d.%\s+]+\Z")
_YEAR = re.compile(r"\d{4}\Z")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_TITLE_WORD = re.compile(r"[A-Z][a-z]+(?:['’-][A-Za-z]+)*\Z")
_SHOUTED_WORD = re.compile(r"[A-Z]{2,}(?:['’-][A-Z]+)*\Z")
_SMALL_WORDS = frozenset({"a", "an", "and", "at", "by", "de", "for", "in", "of", "on", "or", "the"})


def clean_keywords(
    raw: Iterable[RawKeyword],
    *,
    max_keywords: int,
    language: str = "en",
    keep_scores: bool = False,
    prose: str = "",
) -> tuple[Keyword, ...]:
    """Keywords without duplicates, in the model's order, at most ``max_keywords``.

    Args:
        raw: As read from the answer.
        max_keywords: Counted after cleaning.
        language: As in the settings; ``en`` turns on the case rule of this module.
        keep_scores: The scores are probabilities; otherwise they and the paths are dropped.
        prose: The cleaned caption and description, for names in them.
    """
    is_english = fold(language).split("-")[0].split("_")[0] == "en"
    split = _split(raw, keep_scores=keep_scores)
    keywords = _distinct(split, max_keywords, is_english=is_english)
    texts = [keyword.text for keyword in keywords]
    names = _names_in(prose) if is_english and _is_styled(texts) else None
    if names is not None:
        lowered = [replace(word, text=_lowered(word.text, names, texts)) for word in keywords]
        keywords = _distinct(lowered, max_keywords, is_english=is_english)
    return keywords


def clean_keyword(text: str, *, is_english: bool = True) -> str:
    """One keyword without list marks, quotes, hash, score and full stop; or empty.

    Empty is what says nothing about a picture, is longer than 64 bytes or six words, is a bare
    number, or will not come to rest.
    """
    for _ in range(_MAX_ROUNDS):
        cleaned = _round(text, is_english=is_english)
        if cleaned == text:
            return text if _is_keyword(text) else ""
        text = cleaned
    return ""


def _split(raw: Iterable[RawKeyword], *, keep_scores: bool) -> Iterator[Keyword]:
    for keyword in raw:
        text = clean_text(keyword.text[:2000], keep_newlines=True)
        if is_refusal(text) or fold(text) in EMPTY_KEYWORDS or "://" in text:
            continue
        parts = _BREAK.split(_RATIO.sub("-", _APERTURE.sub(r"\1", text)))
        score = keyword.score if keep_scores else None
        path = keyword.path if keep_scores and len(parts) == 1 else ()
        for part in parts:
            yield Keyword(part, score, path=path)


def _distinct(
    keywords: Iterable[Keyword], max_keywords: int, *, is_english: bool
) -> tuple[Keyword, ...]:
    kept: dict[str, Keyword] = {}
    for keyword in keywords:
        if len(kept) >= max_keywords:
            break
        text = clean_keyword(keyword.text, is_english=is_english)
        if text:
            path = _clean_path(keyword.path, text)
            kept.setdefault(fold(text), replace(keyword, text=text, path=path))
    return tuple(kept.values())


def _clean_path(path: tuple[str, ...], text: str) -> tuple[str, ...]:
    """A path whose last level is the keyword itself; empty when it has no other level."""
    levels = [clean_text(_FORBIDDEN.sub(" ", clean_text(level))) for level in path]
    broader = [level for level in levels if level and fold(level) != fold(text)]
    return (*broader, text) if broader else ()


def _round(text: str, *, is_english: bool) -> str:
    text = clean_text(_FORBIDDEN.sub(" ", clean_text(text)))
    for pattern in (GREETING, _LEAD_IN, _LIST_MARK, _OF_PICTURE):
        found = pattern.match(text)
        text = text[found.end() :] if found else text
    text = _SCORE.sub("", text)
    if _SNAKE_CASE.match(text):
        text = text.replace("_", " ")
    text = _unwrapped(text.lstrip("#").strip())
    article = _ARTICLE.match(text) if is_english else None
    text = text[article.end() :] if article else text
    return clean_text(_without_full_stop(text))


def _unwrapped(text: str) -> str:
    """A keyword without quotes and brackets around it; ``Boeing 737 (MAX)`` keeps its own."""
    stripped = text.strip('"“”„«»`*_{}[]')
    if stripped[:1] in "'‘(" and stripped[-1:] in "'’)" and len(stripped) > 1:
        stripped = stripped[1:-1]
    elif stripped.startswith("(") or (stripped.endswith(")") and "(" not in stripped):
        stripped = stripped.strip("()") if stripped.count("(") != stripped.count(")") else stripped
    return stripped


def _without_full_stop(text: str) -> str:
    """A keyword without what ends a sentence; an abbreviation such as ``D.C.`` keeps its dot."""
    text = text.rstrip(" :…=")
    if text.endswith(".") and "." not in text.rstrip("."):
        return text.rstrip(".")
    return text


def _is_keyword(text: str) -> bool:
    has_letters = any(character.isalnum() for character in text)
    if not has_letters or fold(text) in EMPTY_KEYWORDS or CHATTER.match(text) or is_refusal(text):
        return False
    if "\ufffd" in text or (len(text) == 1 and text.isascii()):
        return False
    if _NUMBER.match(text) and not _YEAR.match(text):
        return False
    is_short = len(text.encode()) <= KEYWORD_LIMIT_BYTES
    return is_short and len(text.split()) <= KEYWORD_LIMIT_WORDS


def _is_styled(texts: list[str]) -> bool:
    """Whether the whole list is in Title Case, or all of it in capitals."""
    if len(texts) < _MIN_STYLED_KEYWORDS:
        return False
    return all(_is_title(text) for text in texts) or all(_is_shouted(text) for text in texts)


def _is_title(text: str) -> bool:
    words = [word for word in _WORD.findall(text) if word not in _SMALL_WORDS]
    return bool(words) and all(word[0].isupper() for word in words)


def _is_shouted(text: str) -> bool:
    words = _WORD.findall(text)
    return bool(words) and all(word.isupper() for word in words)


def _lowered(text: str, names: frozenset[str], texts: list[str]) -> str:
    """A keyword in lower case where all its words are plain and none of them is a name."""
    pattern = _SHOUTED_WORD if all(map(_is_shouted, texts)) else _TITLE_WORD
    words = text.split(" ")
    is_plain = all(pattern.match(word) or word.lower() in _SMALL_WORDS for word in words)
    if not is_plain or any(word.lower() in names for word in words):
        return text
    return text.lower()


def _names_in(prose: str) -> frozenset[str] | None:
    """Words, in lower case, that are names: common ones, and those with a capital in a sentence.

    None where no sentence can tell, as all of it is in Title Case.
    """
    names: set[str] = set()
    is_telling = False
    for sentence in sentences(prose):
        words = _WORD.findall(sentence)
        capitals = [word for word in words[1:] if word[0].isupper()]
        if len(words) > 3 and 2 * len(capitals) <= len(words):
            is_telling = True
            names.update(word.lower() for word in capitals)
    return ENGLISH_PROPER_WORDS | names if is_telling else None
