"""The person's own words for things: aliases and bans from their vocabulary file.

The file is TOML; `review.vocabulary` reads the rest of it. ``[aliases]`` says which keyword takes
another's place, ``banned`` lists those that are not wanted. What this program adds goes behind what
is there; comments and order stay.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from imageworks.errors import ConfigError
from imageworks.files import change_stamp, whole_file
from imageworks.models import Keyword, Origin, Tags
from imageworks.text import clean_keyword, fold, show_path

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

_HEADER = "# Your own words: what takes a keyword's place, and what is not wanted.\n"


class Rule(NamedTuple):
    """One line for the vocabulary file: ``better`` takes the place of ``wrong``; empty bans it."""

    wrong: str
    better: str = ""

    @property
    def text(self) -> str:
        """The rule in words."""
        if not self.better:
            return f"{self.wrong} is never suggested"
        return f"{self.wrong} becomes {self.better}"


@dataclass(frozen=True, slots=True)
class KeywordRules:
    """All rules, by folded keyword."""

    aliases: Mapping[str, Keyword] = field(default_factory=dict)
    banned: frozenset[str] = frozenset()

    def has(self, wrong: str) -> bool:
        """Whether a keyword has a rule already."""
        return fold(wrong) in self.aliases or fold(wrong) in self.banned

    def applied(self, tags: Tags) -> Tags:
        """A suggestion in the person's own words; its texts stay as they are."""
        if not self.aliases and not self.banned:
            return tags
        kept: dict[str, Keyword] = {}
        for keyword in tags.keywords:
            key = fold(keyword.text)
            if key in self.banned:
                continue
            better = self.aliases.get(key)
            if better is not None:
                keyword = replace(better, score=keyword.score)  # noqa: PLW2901
            kept.setdefault(fold(keyword.text), keyword)
        return replace(tags, keywords=tuple(kept.values()))


class RuleBook:
    """The rules in a file, read again when it has changed.

    Args:
        path: The vocabulary file; None for no rules. It need not exist.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._rules = KeywordRules()
        self.problem = ""
        """Why the file cannot be used; the last rules that could be read count until it can."""

    def rules(self) -> KeywordRules:
        """The rules as the file has them now."""
        stamp = None if self.path is None else change_stamp(self.path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._rules = self._read()
                self.problem = ""
            except ConfigError as error:
                logger.warning("%s", error)
                self.problem = str(error)
        return self._rules

    def sound_rules(self) -> KeywordRules:
        """The rules as the file has them now, for work that nobody watches.

        Raises:
            ConfigError: The file cannot be used: what is banned there would be written.
        """
        rules = self.rules()
        if self.problem:
            raise ConfigError(self.problem, hint="mend the vocabulary file.")
        return rules

    def applied(self, tags: Tags) -> Tags:
        """A suggestion in the person's own words; see `KeywordRules.applied`."""
        return self.rules().applied(tags)

    def preview(self, rule: Rule) -> str:
        """The lines that `add` would put into the file, as a person would write them."""
        before = self._text()
        return _added_lines(before, with_rule(before, rule))

    def add(self, rule: Rule) -> None:
        """Puts a rule into the file, whole or not at all.

        Raises:
            ConfigError: The file is not what it should be; it stays as it is.
            StoreError: It cannot be written.
        """
        path = self.path
        if path is None:
            message = "This session has no vocabulary file."
            raise ConfigError(message)
        before = self._text()
        read_rules(before, path)
        with whole_file(path) as stream:
            stream.write(with_rule(before, rule))

    def _read(self) -> KeywordRules:
        return KeywordRules() if self.path is None else read_rules(self._text(), self.path)

    def _text(self) -> str:
        if self.path is None:
            return ""
        try:
            return self.path.read_text("utf-8-sig")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            message = f"{show_path(self.path)} cannot be read: {error}."
            raise ConfigError(message, hint="mend or remove the file.") from error


def read_rules(text: str, path: Path) -> KeywordRules:
    """The rules of a vocabulary file's text.

    Raises:
        ConfigError: It is not TOML, or a rule is not made of texts; names the file.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = f"{show_path(path)} is not valid TOML: {error}."
        raise ConfigError(message, hint="mend the line named.") from error
    aliases, banned = values.get("aliases", {}), values.get("banned", [])
    if not isinstance(aliases, dict) or not isinstance(banned, list):
        message = f"{show_path(path)}: aliases must be a table and banned a list."
        raise ConfigError(message, hint='write [aliases] and banned = ["a", "b"].')
    for value in (*aliases.values(), *banned):
        if not isinstance(value, str) or not clean_keyword(value):
            message = f"{show_path(path)}: {value!r} is not a keyword."
            raise ConfigError(message, hint="write it as a text in quotes.")
    return KeywordRules(
        {fold(wrong): _keyword(better) for wrong, better in aliases.items()},
        frozenset(fold(word) for word in banned),
    )


def with_rule(text: str, rule: Rule) -> str:
    """A vocabulary file's text with one rule more; all else stays as it is."""
    import tomlkit  # noqa: PLC0415  # slow to import, and seldom needed
    from tomlkit.items import Array, Table  # noqa: PLC0415

    document = tomlkit.parse(text or _HEADER)
    if rule.better:
        aliases = document.get("aliases")
        if not isinstance(aliases, Table):
            aliases = tomlkit.table()
            document["aliases"] = aliases
        aliases[rule.wrong] = rule.better
        return tomlkit.dumps(document)
    banned = document.get("banned")
    if not isinstance(banned, Array):
        banned = tomlkit.array()
        document["banned"] = banned
    banned.append(rule.wrong)
    return tomlkit.dumps(document)


def _keyword(text: str) -> Keyword:
    """What an alias stands for: a word, or levels from the broadest to it, joined by ``|``."""
    levels = tuple(filter(None, map(clean_keyword, text.split("|"))))
    return Keyword(levels[-1], origin=Origin.VOCABULARY, path=levels if levels[1:] else ())


def _added_lines(before: str, after: str) -> str:
    known = before.splitlines()
    return "\n".join(line for line in after.splitlines() if line.strip() and line not in known)
