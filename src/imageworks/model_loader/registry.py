"""The model registry: which model serves which role, in one JSON file shared by all programs.

The file is ``{"models": [entry, …]}``. An entry has ``name`` (as the server knows the model),
``backend``, ``roles`` and ``capabilities``, and may have ``base_url``, ``aliases``, ``deprecated``
and ``notes``. Order matters: the first entry that fits a role is taken. The file is read strictly:
nothing in it is ignored in silence.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imageworks.config import BACKENDS
from imageworks.errors import UsageError
from imageworks.text import one_line, show_path

VISION = "vision"
_REGISTRY_BACKENDS = tuple(backend for backend in BACKENDS if backend != "auto")
_URL = re.compile(r"https?://[^\s/]\S*")
_REQUIRED = ("name", "backend", "roles", "capabilities")
_OPTIONAL = ("base_url", "aliases", "deprecated", "notes")
_FILE_NAME = "model_registry.json"


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """One model that a server offers.

    Attributes:
        name: As the server lists it.
        backend: One of the contract's backends.
        roles: What it is meant for, e.g. ``caption``.
        capabilities: What it can do, e.g. ``vision``.
        base_url: Its server; empty: the one of the settings.
        aliases: Other names to find it by.
        is_deprecated: Kept for old results; no role resolves to it.
        notes: For people.
    """

    name: str
    backend: str
    roles: tuple[str, ...]
    capabilities: frozenset[str]
    base_url: str = ""
    aliases: tuple[str, ...] = ()
    is_deprecated: bool = False
    notes: str = ""


class ModelRegistry:
    """The entries of a registry file, in its order."""

    def __init__(self, entries: tuple[RegistryEntry, ...], *, source: str = "the registry") -> None:
        self.entries = entries
        self.source = source

    def roles(self) -> tuple[str, ...]:
        """All roles, in the order in which they first appear."""
        return tuple(dict.fromkeys(role for entry in self.entries for role in entry.roles))

    def resolve(self, role: str, *, needs: frozenset[str] = frozenset({VISION})) -> RegistryEntry:
        """The first entry for a role that is not deprecated and has all capabilities needed.

        Raises:
            UsageError: There is none; names the role and what the registry has.
        """
        in_role = [entry for entry in self.entries if role in entry.roles]
        current = [entry for entry in in_role if not entry.is_deprecated]
        for entry in current:
            if needs <= entry.capabilities:
                return entry
        raise self._unresolved(role, needs, in_role, current)

    def find(self, name: str) -> RegistryEntry:
        """The entry with this name or alias, in any case; deprecated ones too.

        Raises:
            UsageError: There is none; names the entries there are.
        """
        for entry in self.entries:
            if name.casefold() in {known.casefold() for known in (entry.name, *entry.aliases)}:
                return entry
        message = f"{self.source} has no model {one_line(name)!r}."
        listed = ", ".join(entry.name for entry in self.entries) or "none"
        raise UsageError(message, hint=f"it has: {listed}.", reason="unknown-model")

    def _unresolved(
        self,
        role: str,
        needs: frozenset[str],
        in_role: list[RegistryEntry],
        current: list[RegistryEntry],
    ) -> UsageError:
        shown = one_line(role)
        if current:
            names = ", ".join(entry.name for entry in current)
            wanted = ", ".join(sorted(needs))
            message = f"No model for role {shown!r} in {self.source} has: {wanted}."
            return UsageError(message, hint=f"models of that role: {names}.", reason="capability")
        if in_role:
            names = ", ".join(entry.name for entry in in_role)
            message = f"Every model for role {shown!r} in {self.source} is deprecated."
            return UsageError(message, hint=f"they are: {names}.", reason="deprecated")
        message = f"{self.source} has no model for role {shown!r}."
        close = difflib.get_close_matches(role, self.roles(), n=1)
        listed = ", ".join(self.roles()) or "none"
        hint = f"did you mean {close[0]}? roles: {listed}." if close else f"its roles: {listed}."
        return UsageError(message, hint=hint, reason="unknown-role")


def default_registry_path() -> Path:
    """The registry of the checkout, or the one packaged with the program."""
    in_checkout = Path(__file__).resolve().parents[3] / "configs" / _FILE_NAME
    return in_checkout if in_checkout.is_file() else Path(__file__).with_name(_FILE_NAME)


def load_registry(path: Path) -> ModelRegistry:
    """The registry in a file.

    Raises:
        UsageError: The file cannot be read, or is not a registry; names file, entry and key.
    """
    shown = show_path(path)
    try:
        document = json.loads(path.read_text("utf-8"), object_pairs_hook=_unique_keys)
    except OSError as error:
        message = f"{shown} cannot be read: {error.strerror}."
        raise UsageError(message, hint="see --registry-path.", reason="registry") from error
    except (ValueError, RecursionError) as error:
        message = f"{shown} is not valid JSON: {one_line(str(error))}."
        raise UsageError(message, hint="mend the place named.", reason="registry") from error
    if not isinstance(document, dict) or not isinstance(document.get("models"), list):
        raise _wrong(shown, "the file", "models", "must hold a list under this key")
    for key in document:
        if key != "models":
            raise _wrong(shown, "the file", key, "is not known; the only key is models")
    listed = enumerate(document["models"], 1)
    entries = tuple(_entry(value, f"entry {number}", shown) for number, value in listed)
    _check_names(entries, shown)
    return ModelRegistry(entries, source=shown)


def _entry(value: Any, place: str, shown: str) -> RegistryEntry:  # noqa: ANN401  # from JSON
    if not isinstance(value, dict):
        message = f"{shown}, {place} is not an object."
        raise UsageError(message, hint='write it as {"name": …}.', reason="registry")
    if isinstance(value.get("name"), str):
        place = f"{place} ({one_line(value['name'], limit=80)})"
    for key in value:
        if key not in _REQUIRED + _OPTIONAL:
            close = difflib.get_close_matches(key, _REQUIRED + _OPTIONAL, n=1)
            problem = f"is not known; did you mean {close[0]}?" if close else "is not known"
            raise _wrong(shown, place, key, problem)
    for key in _REQUIRED:
        if key not in value:
            raise _wrong(shown, place, key, "is missing")
    reader = _EntryReader(value, place, shown)
    return RegistryEntry(
        name=reader.word("name"),
        backend=reader.backend(),
        roles=reader.words("roles"),
        capabilities=frozenset(reader.words("capabilities")),
        base_url=reader.url(),
        aliases=reader.words("aliases"),
        is_deprecated=reader.flag("deprecated"),
        notes=reader.text("notes"),
    )


class _EntryReader:
    """Checks the values of one entry."""

    def __init__(self, value: dict[str, Any], place: str, shown: str) -> None:
        self._value = value
        self._place = place
        self._shown = shown

    def text(self, key: str) -> str:
        value = self._value.get(key, "")
        if not isinstance(value, str):
            raise self._wrong(key, "must be a text")
        return value

    def word(self, key: str) -> str:
        value = self.text(key)
        if not value.strip() or value != one_line(value, limit=200):
            raise self._wrong(key, "must be a text of one line that is not empty")
        return value

    def words(self, key: str) -> tuple[str, ...]:
        value = self._value.get(key, [])
        is_list = isinstance(value, list)
        if not is_list or not all(isinstance(word, str) and word.strip() for word in value):
            raise self._wrong(key, "must be a list of texts")
        return tuple(value)

    def flag(self, key: str) -> bool:
        value = self._value.get(key, False)
        if not isinstance(value, bool):
            raise self._wrong(key, "must be true or false")
        return value

    def backend(self) -> str:
        key = "backend"
        value = self.word(key)
        if value not in _REGISTRY_BACKENDS:
            raise self._wrong(key, f"must be one of: {', '.join(_REGISTRY_BACKENDS)}")
        return value

    def url(self) -> str:
        key = "base_url"
        value = self.text(key)
        if value and not _URL.fullmatch(value):
            raise self._wrong(key, "must begin with http:// or https://")
        return value

    def _wrong(self, key: str, problem: str) -> UsageError:
        return _wrong(self._shown, self._place, key, problem)


def _check_names(entries: tuple[RegistryEntry, ...], shown: str) -> None:
    """Each name and alias means one entry."""
    seen: dict[str, str] = {}
    for number, entry in enumerate(entries, 1):
        place = f"entry {number} ({one_line(entry.name, limit=80)})"
        for key, known in [("name", entry.name), *(("aliases", alias) for alias in entry.aliases)]:
            other = seen.setdefault(known.casefold(), place)
            if other != place:
                raise _wrong(shown, place, key, f"holds {one_line(known)!r}, taken by {other}")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            message = f"key {key!r} stands twice in one object"
            raise ValueError(message)
        found[key] = value
    return found


def _wrong(shown: str, place: str, key: str, problem: str) -> UsageError:
    message = f"{shown}, {place}: {one_line(key, limit=80)} {problem}."
    return UsageError(message, hint="mend that key.", reason="registry")
