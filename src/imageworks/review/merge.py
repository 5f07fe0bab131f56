"""What the fields show first: the file's own words and the model's, as the write merges them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imageworks.models import ExistingMetadata, Keyword, Origin, Tags
from imageworks.store.records import Choice
from imageworks.text import clean_keyword, clean_text, fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from imageworks.config import PersonalTaggerConfig

# Which of the file's values a target field holds, for the fields that are read back.
_VALUE_OF_FIELD = {
    "dc:title": "title",
    "dc:description": "description",
    "Iptc4xmpCore:AltTextAccessibility": "alt_text",
    "Iptc4xmpCore:ExtDescrAccessibility": "extended_description",
}
_SEPARATOR = re.compile(r"[,;\n]")
_TARGETS = {
    "imageworks": ("dc:title", "dc:description"),
    "lightroom": ("dc:description", "Iptc4xmpCore:ExtDescrAccessibility"),
}


def text_in_file(existing: ExistingMetadata, name: str) -> str | None:
    """What the file says in one XMP property; None for one that is not read back."""
    value = _VALUE_OF_FIELD.get(name)
    return None if value is None else str(getattr(existing, value))


def current_texts(existing: ExistingMetadata, config: PersonalTaggerConfig) -> tuple[str, str]:
    """What the file says now in the fields that caption and description go to."""
    if isinstance(config.fields, str):
        targets = _TARGETS[config.fields]
    else:
        targets = (config.fields.get("caption", ""), config.fields.get("description", ""))
    caption, description = (
        str(getattr(existing, _VALUE_OF_FIELD[target])) if target in _VALUE_OF_FIELD else ""
        for target in targets
    )
    return caption, description


def proposed_tags(
    suggested: Tags, existing: ExistingMetadata, config: PersonalTaggerConfig
) -> Tags:
    """What an accept without an edit will leave in the file (contract, section 7).

    The file's keywords come first, in their order and spelling; its title and description stay.
    With ``overwrite_metadata`` it is the suggestion alone.
    """
    if config.overwrite_metadata:
        return suggested
    caption, description = current_texts(existing, config)
    return Tags(
        caption=caption or suggested.caption,
        keywords=merge_keywords(
            (Keyword(text, origin=Origin.EXISTING) for text in existing.keywords),
            suggested.keywords,
        ),
        description=description or suggested.description,
    )


def merge_keywords(first: Iterable[Keyword], then: Iterable[Keyword]) -> tuple[Keyword, ...]:
    """Both lists in order without doubles; the first spelling stays, hierarchy is taken over."""
    merged: dict[str, Keyword] = {}
    for keyword in (*first, *then):
        key = fold(keyword.text)
        known = merged.get(key)
        if known is None:
            merged[key] = keyword
        elif keyword.path and not known.path:
            path = (*keyword.path[:-1], known.text)
            merged[key] = Keyword(known.text, known.score, known.origin, path)
    merged.pop("", None)
    return tuple(merged.values())


def keywords_text(keywords: Iterable[Keyword]) -> str:
    """Keywords as a person edits them: one line, separated by commas."""
    return ", ".join(clean_text(keyword.text) for keyword in keywords)


def typed_keywords(text: str, known: Iterable[Keyword]) -> tuple[Keyword, ...]:
    """The keywords of an edited line; one that the file holds with a comma in it stays whole."""
    known = tuple(known)
    compounds = {
        tuple(_folded_parts(keyword.text)): keyword.text
        for keyword in known
        if _SEPARATOR.search(keyword.text)
    }
    parts = [part.strip() for part in _SEPARATOR.split(text)]
    return edited_keywords(_joined(parts, compounds), known)


def has_separator(text: str) -> bool:
    """Whether a typed text is more than one keyword."""
    return bool(_SEPARATOR.search(text))


def split_at_separators(text: str) -> list[str]:
    """A typed text cut where one keyword ends and the next begins."""
    return _SEPARATOR.split(text.replace("\r\n", "\n").replace("\r", "\n"))


def starts_known_keyword(text: str, known: Iterable[Keyword]) -> bool:
    """Whether a typed text with a comma may become a keyword that the file holds with it."""
    parts = _folded_parts(text)
    return any(
        has_separator(keyword.text) and _goes_on(parts, _folded_parts(keyword.text))
        for keyword in known
    )


def edited_keywords(texts: Iterable[str], known: Iterable[Keyword]) -> tuple[Keyword, ...]:
    """Keywords that a person has typed or kept: those known keep their origin and score."""
    by_key = {fold(keyword.text): keyword for keyword in known}
    result: dict[str, Keyword] = {}
    for text in texts:
        kept = by_key.get(fold(text))
        if kept is not None and clean_text(kept.text) == clean_text(text):
            result.setdefault(fold(kept.text), kept)
            continue
        cleaned = clean_keyword(text)
        key = fold(cleaned)
        if key:
            result.setdefault(key, Keyword(cleaned, origin=Origin.PERSON))
    return tuple(result.values())


def _folded_parts(text: str) -> list[str]:
    return [fold(part) for part in _SEPARATOR.split(text)]


def _goes_on(parts: Sequence[str], whole: Sequence[str]) -> bool:
    """Whether the whole begins with these parts; the last one may be half typed."""
    start = len(parts) - 1
    return list(parts[:start]) == list(whole[:start]) and (
        len(whole) > start and whole[start].startswith(parts[start])
    )


def _joined(parts: Sequence[str], compounds: dict[tuple[str, ...], str]) -> list[str]:
    """Puts neighbours together again that were one keyword before the split, longest first."""
    folded = [fold(part) for part in parts]
    lengths = sorted({len(compound) for compound in compounds}, reverse=True)
    joined: list[str] = []
    position = 0
    while position < len(parts):
        for length in lengths:
            whole = compounds.get(tuple(folded[position : position + length]))
            if whole is not None:
                joined.append(whole)
                position += length
                break
        else:
            joined.append(parts[position])
            position += 1
    return joined


def choice_of(tags: Tags, proposed: Tags, existing: ExistingMetadata) -> Choice:
    """A person's final fields as a decision: what was changed, and what was taken out."""
    kept = {fold(keyword.text) for keyword in tags.keywords}
    return Choice(
        tags=tags,
        is_caption_edited=tags.caption != proposed.caption,
        is_description_edited=tags.description != proposed.description,
        removed_keywords=tuple(text for text in existing.keywords if fold(text) not in kept),
    )
