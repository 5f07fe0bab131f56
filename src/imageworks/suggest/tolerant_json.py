"""JSON as models really write it: cut off, with wrong quotes, inside chatter. Never raises.

Strict JSON is tried first at every place where a value may begin; only what it refuses goes to
`_Reader`, which understands the usual damage: an end that is missing, single and curly quotes,
unescaped quotes and line ends inside a text, trailing and missing commas, bare words, Python's
``None`` and ``True``. Time grows linearly with the text.
"""

# ruff: noqa: RUF001  # curly quotes, dashes and full-width marks are what is looked for

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"

_MAX_DEPTH = 40
_MAX_CANDIDATES = 64

_OPENING = re.compile(r"[{\[]")
_BETWEEN = re.compile(r"(?:[\s,;]+|//[^\n]*)*")
_SPACE = re.compile(r"\s*")
_ESCAPED_OPENING = re.compile(r'\s*"?[{\[](?:\s|\\n)*\\"')
_BARE_KEY = re.compile(r"[^:=,{}\[\]\n\"“”]+")
_BARE_ITEM = re.compile(r"[^,\]}\n]*")
_KEY_AHEAD = re.compile(r"\s{0,200}[\"'“‘][^\"'“”‘’\n]{1,40}[\"'”’]\s{0,8}:")
_AFTER_COMMA = re.compile(
    r"[ \t]*(?:\n|//|[\"'“‘\[{\]}]|-?\d|\Z|(?:true|false|null|True|False|None)\b"
    r"|[A-Za-z_]\w{0,40}\s{0,8}[:=])"
)
_CLOSERS = {'"': '"', "'": "'", "“": '”“"', "”": '”"', "„": '“”"', "‘": "’'", "’": "’'"}
_STOPS = {opener: re.compile(rf"[\\\n{closers}]") for opener, closers in _CLOSERS.items()}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\n", "b": " ", "f": " "}
_LITERALS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "none": None}
# JSON's numbers, and those with a plus sign or without a digit on either side of the point.
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_HEX4 = re.compile(r"[0-9a-fA-F]{4}")


class CutText(str):
    """A text whose end is missing."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class FoundJson:
    """A list or object found in a text.

    Attributes:
        value: What it says; texts without an end are `CutText`.
        start: Index of its first character.
        end: Index after its last character.
        is_cut: The text ended before it did.
    """

    value: JsonValue
    start: int
    end: int
    is_cut: bool


def find_json(text: str) -> Iterator[FoundJson]:
    """Every list or object of the text that is not inside another, in order; at most 64."""
    # NaN and Infinity, which Python would take for numbers, are words.
    decoder = json.JSONDecoder(strict=False, object_pairs_hook=_first_wins, parse_constant=str)
    position = 0
    for _ in range(_MAX_CANDIDATES):
        opening = _OPENING.search(text, position)
        if opening is None:
            return
        start = opening.start()
        try:
            value, position = decoder.raw_decode(text, start)
            yield FoundJson(value, start, position, is_cut=False)
        except (ValueError, RecursionError):
            reader = _Reader(text, start)
            value = reader.value()
            position = reader.position
            yield FoundJson(value, start, position, is_cut=reader.is_cut)


def unescape_once(text: str) -> str:
    r"""The text itself, or what it means where it is JSON inside a JSON text: ``{\"a\": …}``."""
    if _ESCAPED_OPENING.match(text):
        return text.replace('\\"', '"').replace("\\n", "\n")
    return text


def _first_wins(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    """An object in which a repeated key keeps its first value: models in a loop repeat keys."""
    found: dict[str, JsonValue] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


class _Reader:
    """Reads one damaged value from ``text[position]`` on; every step moves forward."""

    def __init__(self, text: str, position: int) -> None:
        self.text = text
        self.position = position
        self.is_cut = False
        self._open_lists = 0
        self._open_objects = 0

    def value(self, depth: int = 0, *, in_list: bool = False) -> JsonValue:
        character = self.text[self.position]
        if character in "{[" and depth >= _MAX_DEPTH:
            self.position += 1
            return None
        if character == "{":
            return self._object(depth)
        if character == "[":
            return self._list(depth)
        if character in _CLOSERS:
            return self._string(in_list=in_list)
        return self._bare()

    def _next(self) -> str:
        """The next character that says something; empty at the end, which marks a cut."""
        self.position = _end_of(_BETWEEN, self.text, self.position)
        if self.position >= len(self.text):
            self.is_cut = True
            return ""
        return self.text[self.position]

    def _object(self, depth: int) -> dict[str, JsonValue]:
        found: dict[str, JsonValue] = {}
        self.position += 1
        self._open_objects += 1
        while character := self._next():
            if character == "]" and self._open_lists:
                break
            if character in "]}":
                self.position += 1
                if character == "}":
                    break
                continue
            key, value = self._pair(depth)
            if key:
                found.setdefault(key, value)
        self._open_objects -= 1
        return found

    def _pair(self, depth: int) -> tuple[str, JsonValue]:
        """One key with its value; an empty key where there is none."""
        if self.text[self.position] in _CLOSERS:
            key = self._string(is_key=True)
        else:
            end = _end_of(_BARE_KEY, self.text, self.position)
            key = self.text[self.position : end].strip(" '‘’`*\t\r")
            self.position = max(end, self.position + 1)
        self.position = _end_of(_SPACE, self.text, self.position)
        if self.text[self.position : self.position + 1] not in {":", "="}:
            return "", None
        self.position = _end_of(_SPACE, self.text, self.position + 1)
        if self.position >= len(self.text):
            self.is_cut = True
            return "", None
        if self.text[self.position] in ",}]":
            return key, None
        return key, self.value(depth + 1)

    def _list(self, depth: int) -> list[JsonValue]:
        items: list[JsonValue] = []
        self.position += 1
        self._open_lists += 1
        while character := self._next():
            if character == "}" and self._open_objects:
                break
            if character in "]}":
                self.position += 1
                if character == "]":
                    break
                continue
            items.append(self.value(depth + 1, in_list=True))
        self._open_lists -= 1
        return items

    def _string(self, *, is_key: bool = False, in_list: bool = False) -> str:
        opener = self.text[self.position]
        self.position += 1
        parts: list[str] = []
        while found := _STOPS[opener].search(self.text, self.position):
            parts.append(self.text[self.position : found.start()])
            self.position = found.end()
            character = found[0]
            if character == "\\":
                parts.append(self._escape())
            elif character == "\n":
                if _KEY_AHEAD.match(self.text, self.position):  # its closing quote is missing
                    return "".join(parts)
                parts.append("\n")
            elif self._closes(is_key=is_key, in_list=in_list):
                return "".join(parts)
            else:
                parts.append(character)
        parts.append(self.text[self.position :])
        self.position = len(self.text)
        self.is_cut = True
        return CutText("".join(parts))

    def _closes(self, *, is_key: bool, in_list: bool) -> bool:
        """Whether the quote just read ends its text, judged by what follows it."""
        after = _end_of(_SPACE, self.text, self.position)
        if after >= len(self.text):
            return True
        character = self.text[after]
        if is_key:
            return character in ":=,}]"
        if character in "]}" or "\n" in self.text[self.position : after]:
            return True
        if character in ",;":
            return _AFTER_COMMA.match(self.text, after + 1) is not None
        if character in _CLOSERS:
            is_item = in_list and after > self.position
            return is_item or _KEY_AHEAD.match(self.text, after) is not None
        return False

    def _escape(self) -> str:
        character = self.text[self.position : self.position + 1]
        if character == "u" and _HEX4.match(self.text, self.position + 1):
            unit = self._code_unit()
            follows = self.text[self.position : self.position + 2] == "\\u"
            if 0xD800 <= unit < 0xDC00 and follows and _HEX4.match(self.text, self.position + 2):
                self.position += 1
                low = self._code_unit()
                if 0xDC00 <= low < 0xE000:  # a surrogate pair (RFC 8259, section 7)
                    return chr(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
                return chr(unit) + chr(low)
            return chr(unit)
        self.position += len(character)
        return _ESCAPES.get(character, character)

    def _code_unit(self) -> int:
        digits = self.text[self.position + 1 : self.position + 5]
        self.position += 5
        return int(digits, 16)

    def _bare(self) -> JsonValue:
        """An unquoted word, number or literal, up to the end of its place."""
        end = _end_of(_BARE_ITEM, self.text, self.position)
        word = self.text[self.position : end].strip().lstrip(":=").strip(" \"'`")
        self.position = max(end, self.position + 1)
        if word.lower() in _LITERALS:
            return _LITERALS[word.lower()]
        if _NUMBER.fullmatch(word) and math.isfinite(number := float(word)):
            return number
        if end >= len(self.text):
            self.is_cut = True
            return CutText(word)
        return word


def _end_of(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position
