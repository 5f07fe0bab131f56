"""Turns what a model wrote into text fit for metadata, without harming a word of it.

Cleaning is idempotent: what comes out would pass through again unchanged, and `text.clean_text`
leaves it as it is.
"""

# ruff: noqa: RUF001  # curly quotes, dashes and full-width marks are what is looked for

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

from imageworks.suggest.phrases import CHATTER, EMPTY_TEXTS, OPENERS, REFUSAL
from imageworks.text import clean_text, fold

if TYPE_CHECKING:
    from collections.abc import Callable

CAPTION_LIMIT_CHARACTERS = 250
# IPTC-IIM 2:120 Caption/Abstract, which mirrors the description, holds at most 2000 octets.
DESCRIPTION_LIMIT_BYTES = 2000

_MAX_PROSE_CHARACTERS = 20_000
_MAX_ROUNDS = 20
_MAX_LOOP_WORDS = 12
_LOOP_REPEATS = 4
_MIN_REPEATED_SENTENCE_WORDS = 4

_BULLET = re.compile(r"(?:[-*•‣▪◦–—]|#{1,6}|>)\s+")
_NUMBER = re.compile(r"\(?\d{1,2}[.)]\s+")
_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_MARKUP = re.compile(r"\*\*|__|`+")
_TAG = re.compile(r"</?(?:b|i|em|strong|br|p|u|div|span)\s?/?>", re.IGNORECASE)
_LOOSE_END = re.compile(r"(?:[\s,;]+(?:and|or|with|of|the|an?|in|on))*[\s,;]*\Z", re.IGNORECASE)
_APOSTROPHE = re.compile(r"(?<=\w)['’](?=\w)")
_CLOSING_QUOTES = "\"'”’»"
_CHATTER_LEAD = " *_>(-"
_JOINERS = "\u200d\ufe0e\ufe0f"
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s|\Z)|[。！？]+[”」』）]*")
_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|st|mt|ft|vs|prof|sr|jr|ca|approx|e\.g|i\.e)|(?:\A|[\s.])[^\W\d_])\Z",
    re.IGNORECASE,
)
_QUOTE_PAIRS = {
    '"': '"',
    "'": "'",
    "“": "”",
    "„": "“",
    "‘": "’",
    "«": "»",
    "*": "*",
    "_": "_",
    "(": ")",
    "[": "]",
}


def clean_caption(text: str) -> str:
    """A caption: one paragraph, at most 250 characters, its first letter a capital; or empty."""
    return _settled(_first_paragraph(text[:_MAX_PROSE_CHARACTERS]), _caption_round)


def clean_description(text: str) -> str:
    """A description: one line of at most 2000 bytes of UTF-8; or empty."""
    return _settled(_joined_lines(text[:_MAX_PROSE_CHARACTERS]), _description_round)


def is_refusal(text: str) -> bool:
    """Whether a text apologises or declines instead of saying what is to be seen."""
    start = clean_text(text[:400]).lstrip(" \"'“‘*_>-")
    return REFUSAL.match(start) is not None


def complete_sentences(text: str) -> str:
    """A text of which the end is missing, up to its last whole sentence; or empty."""
    ends = _sentence_ends(text[:_MAX_PROSE_CHARACTERS])
    return text[: ends[-1]] if ends else ""


def sentences(text: str) -> list[str]:
    """The sentences of a text with the spaces before them; joined, they are the text again."""
    ends = _sentence_ends(text)
    starts = [0, *ends]
    parts = [text[start:end] for start, end in zip(starts, [*ends, len(text)], strict=True)]
    return [part for part in parts if part]


def limit_characters(text: str, limit: int) -> str:
    """A text of at most so many characters; cut between words, with an ellipsis."""
    if len(text) <= limit:
        return text
    end = _character_boundary(text, limit - 1)
    blank = text.rfind(" ", end // 2, end + 1)
    return text[: blank if blank > 0 else end].rstrip(" ,;:-–—") + "…"


def limit_bytes(text: str, limit: int) -> str:
    """A text of at most so many bytes of UTF-8; cut between sentences, else between words."""
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    head = encoded[: limit - len("…".encode())].decode("utf-8", "ignore")
    whole = complete_sentences(head)
    return whole if len(whole) * 2 >= len(head) else limit_characters(text, len(head))


def _settled(text: str, one_round: Callable[[str], str]) -> str:
    """The text after as many rounds as it takes until a round changes nothing.

    A text that will not come to rest is nesting made to be cleaned for ever: nothing is left of it.
    """
    for _ in range(_MAX_ROUNDS):
        cleaned = one_round(text)
        if cleaned == text:
            return text if _says_something(text) else ""
        text = cleaned
    return ""


def _says_something(text: str) -> bool:
    has_content = any(character.isalnum() for character in text)
    return has_content and fold(text).strip(" .") not in EMPTY_TEXTS


def _caption_round(text: str) -> str:
    text = limit_characters(_prose_round(text), CAPTION_LIMIT_CHARACTERS)
    return clean_text(_capitalised(text))


def _description_round(text: str) -> str:
    return clean_text(limit_bytes(_capitalised(_prose_round(text)), DESCRIPTION_LIMIT_BYTES))


def _prose_round(text: str) -> str:
    """One pass of everything that captions and descriptions have in common."""
    text = clean_text(_TAG.sub(" ", _MARKUP.sub("", text.replace("\ufffd", " "))))
    text = _unwrapped(text)
    bullet = _BULLET.match(text)
    text = text[bullet.end() :] if bullet else text
    for opener in OPENERS:
        found = opener.match(text)
        text = text[found.end() :] if found else text
    return _without_loops(_without_repeats_and_chatter(text)).strip()


def _first_paragraph(text: str) -> str:
    """The first paragraph that says something; of a list, its first entry."""
    for paragraph in _PARAGRAPH.split(text.strip(), maxsplit=8):
        lines = paragraph.strip().splitlines()
        first = next((line.strip() for line in lines if line.strip()), "")
        numbered = _NUMBER.match(first)
        if len(lines) > 1 and (numbered or _BULLET.match(first)):
            paragraph = first[numbered.end() :] if numbered else first  # noqa: PLW2901  # narrowed
        cleaned = _caption_round(_joined_lines(paragraph))
        if any(character.isalnum() for character in cleaned):
            return _joined_lines(paragraph)
    return ""


def _joined_lines(text: str) -> str:
    """Lines as one text, without their bullets and without the offers to help at the end."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    while len(lines) > 1 and CHATTER.match(lines[-1].lstrip(_CHATTER_LEAD)):
        lines.pop()
    if len(lines) > 1:
        lines = [line[found.end() :] if (found := _BULLET.match(line)) else line for line in lines]
    return clean_text("\n".join(lines))


def _unwrapped(text: str) -> str:
    """A text without quotes or brackets around the whole of it."""
    full_stop = "." if text.endswith(".") and len(text) > 3 and text[-2] in _CLOSING_QUOTES else ""
    inner = text[1 : -1 - len(full_stop)]
    closing = _QUOTE_PAIRS.get(text[:1])
    if closing and len(text) > 2 and text[len(text) - 1 - len(full_stop)] == closing:
        plain = _APOSTROPHE.sub("", inner)
        if text[0] not in plain and closing not in plain:
            return inner + full_stop if inner[-1:] not in ".!?…" else inner
    if text.count('"') == 1 and (text.startswith('"') or text.endswith('"')):
        return text.strip('"')
    return text


def _without_repeats_and_chatter(text: str) -> str:
    """A text without sentences said before and without offers to help at its end."""
    kept = sentences(text)
    while kept and CHATTER.match(kept[-1].lstrip(_CHATTER_LEAD)):
        kept.pop()
    seen: set[str] = set()
    fresh: list[str] = []
    for part in kept:
        key = fold(part)
        if key in seen and len(key.split()) >= _MIN_REPEATED_SENTENCE_WORDS:
            continue
        seen.add(key)
        fresh.append(part)
    return "".join(fresh)


def _without_loops(text: str) -> str:
    """A text in which words that a model in a loop said four times or more stand once."""
    words = text.split(" ")
    count = len(words)
    for period in range(1, min(_MAX_LOOP_WORDS, _longest_period(words)) + 1):
        words = _collapsed(words, period)
    if len(words) == count:
        return text
    return _LOOSE_END.sub("", " ".join(words))


def _longest_period(words: list[str]) -> int:
    """The most words that a loop may have: all of them are said often, one after another."""
    keys = list(map(_loop_key, words))
    often = {key for key, count in Counter(keys).items() if count >= _LOOP_REPEATS}
    stretches = itertools.groupby(keys, often.__contains__)
    longest = max((sum(1 for _ in keys) for is_often, keys in stretches if is_often), default=0)
    return longest // _LOOP_REPEATS


def _loop_key(word: str) -> str:
    return word.strip(".,;:!?").casefold()


def _collapsed(words: list[str], period: int) -> list[str]:
    keys = list(map(_loop_key, words))
    kept: list[str] = []
    start = 0
    while start < len(words):
        end = start + period
        while end < len(words) and keys[end] == keys[end - period]:
            end += 1
        if end - start >= _LOOP_REPEATS * period:
            kept += words[start : start + period]
            start = end
        else:
            kept.append(words[start])
            start += 1
    return kept


def _sentence_ends(text: str) -> list[int]:
    """Indexes after each sentence; a full stop after an abbreviation or an initial ends none."""
    return [
        found.end()
        for found in _SENTENCE_END.finditer(text)
        if not _ABBREVIATION.search(text[max(0, found.start() - 8) : found.start()])
    ]


def _character_boundary(text: str, end: int) -> int:
    """The nearest place at or before an index that does not part a letter from its marks."""
    for place in range(end, max(0, end - 32), -1):
        is_joined = unicodedata.combining(text[place]) or text[place] in _JOINERS
        if not is_joined and text[place - 1] != "\u200d":
            return place
    return end


def _capitalised(text: str) -> str:
    """A text with a capital first letter; ``iPhone`` and its kind stay."""
    capital = text[:1].upper()
    if len(capital) != 1 or text[1:2].isupper():
        return text
    return capital + text[1:]
