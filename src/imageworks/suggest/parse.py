"""Reads a model's answer, whatever its form; total: it never raises.

Tried in order: JSON (see `tolerant_json`), tags such as ``<caption>``, labelled lines such as
``Caption:``. What remains is prose, which the caller may take for the one thing it asked.
"""

# ruff: noqa: RUF001  # curly quotes, dashes and full-width marks are what is looked for

from __future__ import annotations

import re
from dataclasses import dataclass

from imageworks.models import Stage
from imageworks.suggest.envelope import MAX_ANSWER_CHARACTERS, open_envelope
from imageworks.suggest.fields import (
    Fields,
    RawKeyword,
    fields_of,
    loose_text_of,
    split_keyword_text,
    stage_named,
)
from imageworks.suggest.tolerant_json import CutText, FoundJson, find_json, unescape_once

NOTE_CUT = "answer was cut off"
NOTE_ONLY_THOUGHTS = "the model only thought and did not answer"

_LABEL = (
    r"captions?|image captions?|(?:image )?title|headline|keywords?|tags|subjects?|keyword list"
    r"|hashtags|(?:image |long |detailed )?description|summary|alt(?:ernative)?[ -]text"
    r"|bildunterschrift|titel|schlagwörter|stichwörter|schlüsselwörter|beschreibung"
    r"|légende|titre|mots[ -]clés|título|palabras clave|descripción|titolo|didascalia"
    r"|parole chiave|descrizione"
)
_LEAD = r"[\s>*_#•\-–\"']{0,12}(?:\d{1,2}[.)]\s{0,4})?[*_#\"']{0,4}"
_LABELLED_LINE = re.compile(
    rf"{_LEAD}({_LABEL})[*_\"']{{0,4}}\s?(?:\([^()\n]{{0,40}}\))?[*_\"']{{0,4}}\s{{0,4}}[:：=][*_\s]{{0,6}}(.*)",
    re.IGNORECASE,
)
_HEADING_LINE = re.compile(
    rf"\s{{0,4}}(?:#{{1,6}}|\*\*|__)\s{{0,4}}({_LABEL})\W{{0,6}}", re.IGNORECASE
)
_TAG = re.compile(r"<(caption|title|keywords|tags|description)>", re.IGNORECASE)
_LIST_LEAD = re.compile(r"(?:\A|[\n:])[ \t*]*\Z")
_LIST_TAIL = re.compile(r"[ \t*.]*(?:\n|\Z)")


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """What an answer says, not yet cleaned.

    Attributes:
        caption: None where the answer names none.
        keywords: None where the answer names none.
        description: None where the answer names none.
        notes: What the person should know about the answer.
        prose: The text outside of the fields: all of it where there are none.
    """

    caption: str | None = None
    keywords: tuple[RawKeyword, ...] | None = None
    description: str | None = None
    notes: tuple[str, ...] = ()
    prose: str = ""


def read_answer(text: str, *, is_truncated: bool = False) -> ParsedAnswer:
    """The fields, or the prose, of a model's answer.

    Args:
        text: As received; anything.
        is_truncated: The server said that the answer ran into its token limit.
    """
    is_truncated = is_truncated or len(text) > MAX_ANSWER_CHARACTERS
    envelope = open_envelope(text)
    body = unescape_once(envelope.body)
    notes = [NOTE_CUT] if is_truncated else []
    if envelope.has_only_thoughts:
        notes.append(NOTE_ONLY_THOUGHTS)
    found = _read_json(body)
    if found.is_cut and not is_truncated:
        notes.append(NOTE_CUT)
    fields, prose = found.fields, found.loose_text
    if not fields and not found.has_objects:
        fields, prose = _read_plain(body, envelope.fenced, is_truncated=is_truncated)
        fields = Fields(keywords=found.keywords).filled_from(fields)
        prose = found.loose_text or ("" if found.keywords else prose)
    return ParsedAnswer(fields.caption, fields.keywords, fields.description, tuple(notes), prose)


@dataclass(slots=True)
class _JsonReading:
    """What the JSON in a text says.

    Attributes:
        fields: From objects, first come first served.
        keywords: From a list of words on lines of its own.
        loose_text: The text of an object or list that names no field.
        has_objects: An object stands on lines of its own, so the text is no prose.
        is_cut: The end is missing.
    """

    fields: Fields
    keywords: tuple[RawKeyword, ...] | None = None
    loose_text: str = ""
    has_objects: bool = False
    is_cut: bool = False


def _read_json(body: str) -> _JsonReading:
    reading = _JsonReading(Fields())
    for found in find_json(body):
        held = fields_of(found.value)
        starts_line, is_alone = _placed(body, found)
        if isinstance(found.value, list):
            if not is_alone:
                continue
            if held.caption is None and held.description is None:
                reading.keywords = reading.keywords or held.keywords
                held = Fields()
        elif not held and not starts_line:
            continue
        else:
            reading.has_objects = True
        reading.fields = reading.fields.filled_from(held)
        reading.is_cut = reading.is_cut or found.is_cut
        reading.loose_text = reading.loose_text or ("" if held else loose_text_of(found.value))
    return reading


def _placed(body: str, found: FoundJson) -> tuple[bool, bool]:
    """Whether a value begins a line (or follows a colon), and whether it also ends one.

    A bracket in the middle of a sentence is no answer.
    """
    before = body[max(0, found.start - 40) : found.start]
    if found.start > 40:
        before = "x" + before
    starts_line = _LIST_LEAD.search(before) is not None
    return starts_line, starts_line and _LIST_TAIL.match(body, found.end) is not None


def _read_plain(body: str, fenced: str | None, *, is_truncated: bool) -> tuple[Fields, str]:
    """The fields of an answer without JSON, and the prose outside of them."""
    fields = _fields_in_tags(body)
    if fields:
        return fields, ""
    fields, preamble = _fields_in_labels(body, is_truncated=is_truncated)
    if fields:
        return fields, preamble
    prose = fenced or body
    return fields, CutText(prose) if is_truncated else prose


def _fields_in_tags(body: str) -> Fields:
    """The fields of ``<caption>…</caption>`` and its kind; the first of each name counts."""
    lowered = body.lower()
    texts: dict[Stage, str] = {}
    seen: set[str] = set()
    for opening in _TAG.finditer(body):
        name = opening[1].lower()
        stage = stage_named(name)
        if name in seen or stage is None:
            continue
        seen.add(name)
        end = lowered.find(f"</{name}>", opening.end())
        if end >= 0:
            texts.setdefault(stage, body[opening.end() : end])
    return _from_texts(texts)


def _fields_in_labels(body: str, *, is_truncated: bool) -> tuple[Fields, str]:
    """The fields of ``Caption: …`` lines and headings, and the text before the first.

    What follows a label belongs to it up to the next one.
    """
    sections: list[tuple[Stage | None, list[str]]] = [(None, [])]
    for line in body.splitlines():
        labelled = _LABELLED_LINE.match(line) or _HEADING_LINE.fullmatch(line)
        stage = stage_named(labelled[1]) if labelled else None
        if labelled is None or stage is None:
            sections[-1][1].append(line)
        else:
            rest = labelled[2] if labelled.re is _LABELLED_LINE else ""
            sections.append((stage, [rest]))
    texts: dict[Stage, str] = {}
    for number, (stage, lines) in enumerate(sections, 1):
        text = "\n".join(lines).strip()
        if stage is not None and text:
            is_last = number == len(sections)
            texts.setdefault(stage, CutText(text) if is_last and is_truncated else text)
    return _from_texts(texts), "\n".join(sections[0][1]).strip()


def _from_texts(texts: dict[Stage, str]) -> Fields:
    listed = texts.get(Stage.KEYWORDS)
    keywords = None
    if listed is not None:
        keywords = tuple(RawKeyword(part) for part in split_keyword_text(listed))
    return Fields(texts.get(Stage.CAPTION), keywords, texts.get(Stage.DESCRIPTION))
