"""The person's own vocabulary: the words that keywords should be, and where they belong.

The vocabulary file is TOML: ``keywords = ["animal|bird|heron"]`` lists keywords with the levels
above them, ``[aliases]`` says which keyword takes another word's place (see `review.rules`). A list
beside it with the ending ``.txt`` is one as Lightroom Classic and Photo Mechanic export it: a
keyword a line, a tab for each level below another, ``{synonym}`` lines below the keyword that they
stand for, ``[category]`` for a level that is no keyword itself (Adobe, "Lightroom Classic:
Keywords", import and export); ``a|b|c`` is taken as a path there, too.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imageworks.errors import ConfigError
from imageworks.files import change_stamp
from imageworks.models import Keyword, Origin
from imageworks.text import clean_keyword, fold, one_line, show_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


LIST_ENDING = ".txt"
_MOST_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Keywords with their paths, by their folded form.

    Attributes:
        terms: Each keyword once; the first path it was given.
        aliases: Folded words that stand for a keyword, such as synonyms.
    """

    terms: Mapping[str, Keyword] = field(default_factory=dict)
    aliases: Mapping[str, Keyword] = field(default_factory=dict)

    def find(self, text: str) -> Keyword | None:
        """The keyword that a word is or stands for; None when it is not in the vocabulary."""
        key = fold(text)
        return self.terms.get(key) or self.aliases.get(key)


def read_vocabulary(path: Path | None) -> Vocabulary:
    """The vocabulary of a file and the list beside it; empty where there is none.

    Raises:
        ConfigError: One of them is there and cannot be read; names it.
    """
    if path is None:
        return Vocabulary()
    terms: dict[str, Keyword] = {}
    aliases: dict[str, str] = {}
    for keyword, stands_for in _all_entries(path):
        key = fold(keyword.text)
        if stands_for:
            aliases.setdefault(fold(stands_for), key)
        elif key not in terms or (keyword.path and not terms[key].path):
            terms[key] = keyword
    known = {
        word: terms[key]
        for word, key in aliases.items()
        if word and key in terms and word not in terms
    }
    return Vocabulary(terms, known)


def vocabulary_stamp(path: Path | None) -> tuple[tuple[int, int] | None, ...]:
    """What changes when the vocabulary's files do: times and sizes; None for one that is not."""
    if path is None:
        return ()
    return tuple(change_stamp(file) for file in (path, path.with_suffix(LIST_ENDING)))


def listed_keywords(text: str) -> Iterator[tuple[Keyword, str]]:
    """The keywords of an exported list, each with "" or the word that stands for it."""
    levels: list[str] = []
    for line in text.splitlines():
        name = line.strip()
        depth = len(line) - len(line.lstrip("\t"))
        if not name:
            continue
        if name.startswith("{") and name.endswith("}"):
            above = [level for level in levels[:depth] if level]
            if above:
                yield _keyword(above), clean_keyword(name[1:-1])
            continue
        is_category = name.startswith("[") and name.endswith("]")
        parts = [part for part in map(clean_keyword, name.strip("[]").split("|")) if part]
        # A level that was left out counts as the one above it.
        levels = [*levels[:depth], *[""] * max(0, depth - len(levels)), *parts]
        if parts and not is_category:
            yield _keyword([level for level in levels if level]), ""


def _all_entries(path: Path) -> Iterator[tuple[Keyword, str]]:
    yield from _table_entries(path, _text_of(path))
    yield from listed_keywords(_text_of(path.with_suffix(LIST_ENDING)))


def _table_entries(path: Path, text: str) -> Iterator[tuple[Keyword, str]]:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"The vocabulary {show_path(path)} cannot be read: {one_line(str(error))}."
        raise ConfigError(message, hint="mend the file.") from error
    keywords, aliases = values.get("keywords", []), values.get("aliases", {})
    if not isinstance(keywords, list) or not isinstance(aliases, dict):
        message = f"The vocabulary {show_path(path)} has a wrong keywords list or aliases table."
        raise ConfigError(message, hint='write keywords = ["bird|heron"] and [aliases].')
    for entry in keywords:
        parts = _parts(str(entry))
        if parts:
            yield _keyword(parts), ""
    for word, meant in aliases.items():
        parts = _parts(str(meant))
        if parts:
            yield _keyword(parts), ""
            yield _keyword(parts), clean_keyword(word)


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            message = f"The vocabulary {show_path(path)} is larger than 32 MB."
            raise ConfigError(message, hint="is it a list of keywords?")
        return path.read_bytes().decode("utf-8-sig", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        message = f"The vocabulary {show_path(path)} cannot be read: {error.strerror}."
        raise ConfigError(message, hint="check the file.") from error


def _parts(entry: str) -> list[str]:
    return [part for part in map(clean_keyword, entry.split("|")) if part]


def _keyword(levels: Iterable[str]) -> Keyword:
    path = tuple(levels)
    return Keyword(path[-1], origin=Origin.VOCABULARY, path=path if path[1:] else ())
