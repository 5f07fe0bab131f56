"""Prompt profiles: what is asked about a picture, as TOML files that a person may change."""

from __future__ import annotations

import difflib
import logging
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from imageworks.errors import UsageError
from imageworks.models import Stage
from imageworks.text import one_line, show_path

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path

logger = logging.getLogger(__name__)

PLACEHOLDERS = frozenset(
    {
        "language",
        "max_keywords",
        "keyword_range",
        "caption_words",
        "description_sentences",
        "context",
        "hint",
    }
)
"""What a prompt may have filled in, each written in braces."""

VERIFY_PLACEHOLDERS = frozenset({"language", "keywords"})
"""What the prompt that has keywords confirmed may have filled in."""

PLACEHOLDER_PATTERN = re.compile(r"\{([a-z_]+)\}")
_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_LARGEST_FILE_BYTES = 256 * 1024
_PROMPT_KEYS = ("system", "caption", "keywords", "description", "combined")
_NUMBER_RANGES = {
    "long_edge_px": (224, 4096),
    "limits.caption_words": (3, 100),
    "limits.description_sentences": (1, 20),
    "keyword_samples": (1, 9),
}
_VERIFY_KEY = "prompts.verify"
_KEYS = frozenset(
    {"description", *_NUMBER_RANGES, *(f"prompts.{key}" for key in _PROMPT_KEYS), _VERIFY_KEY}
)


@dataclass(frozen=True, slots=True)
class PromptProfile:
    """One way to ask about pictures.

    Attributes:
        name: The name by which settings choose it.
        description: One sentence for lists.
        system: The system prompt.
        prompts: The user prompt of each stage.
        combined: The user prompt that asks all stages for one JSON object.
        caption_words: Longest caption to ask for, in words.
        description_sentences: Longest description to ask for, in sentences.
        long_edge_px: Size of the picture to send, long side in pixels.
        keyword_samples: How often keywords are asked; what most answers name is kept.
        verify: The user prompt that has keywords confirmed, yes or no; empty: that is not asked.
        source: The file it was read from, for people.
    """

    name: str
    description: str
    system: str
    prompts: Mapping[Stage, str]
    combined: str
    caption_words: int
    description_sentences: int
    long_edge_px: int
    keyword_samples: int = 1
    verify: str = ""
    source: str = ""

    def answer_changing_parts(self) -> tuple[object, ...]:
        """All of the profile that a model can notice: neither its name nor where it is kept.

        What a profile does not use does not count, so that what it was asked before still stands.
        """
        return (
            self.system,
            tuple((stage.value, self.prompts[stage]) for stage in Stage),
            self.combined,
            self.caption_words,
            self.description_sentences,
            self.long_edge_px,
            self.keyword_samples,
            *((self.verify,) if self.verify else ()),
        )


@dataclass(frozen=True, slots=True)
class _ReadProfile:
    mtime_ns: int
    size_bytes: int
    profile: PromptProfile


class ProfileBook:
    """The built-in profiles and those of the user, which win where both have a name.

    A user's file is read again when its time or size has changed, so that an edit counts for the
    next picture.

    Args:
        user_dir: Folder of the user's own ``NAME.toml`` files; need not exist. None: built-in only.
    """

    def __init__(self, user_dir: Path | None = None) -> None:
        self._user_dir = user_dir
        self._read_profiles: dict[Path, _ReadProfile] = {}

    def names(self) -> tuple[str, ...]:
        """All profile names in order."""
        return tuple(sorted({*_built_in_files(), *self._user_files()}))

    def get(self, name: str) -> PromptProfile:
        """The profile of that name as it is on disk now.

        Raises:
            UsageError: There is none, or its file is wrong; names the file and the key.
        """
        path = self._user_files().get(name)
        if path is not None:
            return self._users_profile(name, path)
        built_in = _built_in_files().get(name)
        if built_in is None:
            message = f"There is no prompt profile {one_line(name, limit=80)!r}."
            raise UsageError(message, hint=self._names_hint(name), reason="no-profile")
        return _parse_profile(name, built_in.read_text("utf-8"), f"built-in {built_in.name}")

    def text(self, name: str) -> str:
        """The file of that profile as it is written, comments included.

        Raises:
            UsageError: There is none, or its file cannot be read or is wrong.
        """
        self.get(name)
        path = self._user_files().get(name)
        return _read_text(path) if path is not None else _built_in_files()[name].read_text("utf-8")

    def is_users(self, name: str) -> bool:
        """Whether the user's own file answers to that name."""
        return name in self._user_files()

    def copy_to_user(self, name: str) -> Path:
        """Copies a built-in profile into the user's folder, to be changed there.

        Raises:
            UsageError: No such built-in profile, the user has that file, or it cannot be written.
        """
        built_in = _built_in_files().get(name)
        if built_in is None:
            message = f"There is no built-in prompt profile {one_line(name, limit=80)!r}."
            hint = f"use one of: {', '.join(sorted(_built_in_files()))}."
            raise UsageError(message, hint=hint, reason="no-profile")
        if self._user_dir is None:
            message = "There is no folder for your own prompt profiles."
            raise UsageError(message, reason="no-profile-folder")
        path = self._user_dir / f"{name}.toml"
        try:
            self._user_dir.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as copy:
                copy.write(built_in.read_text("utf-8"))
        except FileExistsError as error:
            message = f"{show_path(path)} exists already."
            raise UsageError(message, hint="edit it.", reason="profile-exists") from error
        except OSError as error:
            message = f"{show_path(path)} cannot be written: {error.strerror}."
            raise UsageError(message, reason="profile-unwritable") from error
        return path

    def _user_files(self) -> dict[str, Path]:
        if self._user_dir is None:
            return {}
        try:
            found = [path for path in self._user_dir.iterdir() if path.suffix == ".toml"]
        except FileNotFoundError:
            return {}
        except OSError as error:
            message = f"{show_path(self._user_dir)} cannot be read: {error.strerror}."
            raise UsageError(message, reason="profile-unreadable") from error
        return {path.stem: path for path in found if _NAME_PATTERN.fullmatch(path.stem)}

    def _users_profile(self, name: str, path: Path) -> PromptProfile:
        try:
            status = path.stat()
        except OSError as error:
            message = f"{show_path(path)} cannot be read: {error.strerror}."
            raise UsageError(message, reason="profile-unreadable") from error
        known = self._read_profiles.get(path)
        if known and (known.mtime_ns, known.size_bytes) == (status.st_mtime_ns, status.st_size):
            return known.profile
        profile = _parse_profile(name, _read_text(path), show_path(path))
        self._read_profiles[path] = _ReadProfile(status.st_mtime_ns, status.st_size, profile)
        logger.debug("read prompt profile %s from %s", name, show_path(path))
        return profile

    def _names_hint(self, name: str) -> str:
        names = self.names()
        close = difflib.get_close_matches(name, names, n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        return f"{meant}There are: {', '.join(names)}."


def _built_in_files() -> dict[str, Traversable]:
    folder = files("imageworks.infer") / "profiles"
    return {
        entry.name.removesuffix(".toml"): entry
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    }


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE_BYTES + 1)
        if len(data) > _LARGEST_FILE_BYTES:
            message = f"{show_path(path)} is larger than {_LARGEST_FILE_BYTES // 1024} KiB."
            raise UsageError(message, reason="profile-wrong")
        return data.decode("utf-8")
    except OSError as error:
        message = f"{show_path(path)} cannot be read: {error.strerror}."
        raise UsageError(message, reason="profile-unreadable") from error
    except UnicodeDecodeError as error:
        message = f"{show_path(path)} is not UTF-8 text."
        raise UsageError(message, hint="save it as UTF-8.", reason="profile-wrong") from error


def _parse_profile(name: str, text: str, source: str) -> PromptProfile:
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        message = f"Prompt profile {source} is not valid TOML: {one_line(str(error))}."
        raise UsageError(message, hint="mend the line named.", reason="profile-wrong") from error
    values = _flattened(table, source)
    return PromptProfile(
        name=name,
        description=_text(values, "description", source),
        system=_prompt(values, "prompts.system", source),
        prompts={stage: _prompt(values, f"prompts.{stage.value}", source) for stage in Stage},
        combined=_prompt(values, "prompts.combined", source),
        caption_words=_number(values, "limits.caption_words", source),
        description_sentences=_number(values, "limits.description_sentences", source),
        long_edge_px=_number(values, "long_edge_px", source),
        keyword_samples=_number({"keyword_samples": 1, **values}, "keyword_samples", source),
        verify=_verify_prompt(values, source),
        source=source,
    )


def _flattened(table: dict[str, Any], source: str) -> dict[str, Any]:
    """The values by dotted key, every key known."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key in {"limits", "prompts"} and isinstance(value, dict):
            values.update({f"{key}.{inner}": found for inner, found in value.items()})
        else:
            values[key] = value
    for key in values:
        if key not in _KEYS:
            close = difflib.get_close_matches(key, _KEYS, n=1)
            hint = (
                f"did you mean {close[0]}?" if close else f"keys are: {', '.join(sorted(_KEYS))}."
            )
            raise _wrong(source, f"the key {one_line(key, limit=80)} is unknown", hint)
    return values


def _text(values: Mapping[str, Any], key: str, source: str) -> str:
    value = values.get(key)
    if not isinstance(value, str) or not value.strip():
        found = "is missing" if key not in values else "is not a text, or an empty one"
        raise _wrong(source, f"{key} {found}", f'write {key.rpartition(".")[2]} = "…".')
    return value.strip()


def _prompt(
    values: Mapping[str, Any], key: str, source: str, known: frozenset[str] = PLACEHOLDERS
) -> str:
    prompt = _text(values, key, source)
    for name in PLACEHOLDER_PATTERN.findall(prompt):
        if name not in known:
            hint = f"use one of: {', '.join(f'{{{one}}}' for one in sorted(known))}."
            raise _wrong(source, f"{key} has an unknown placeholder {{{name}}}", hint)
    return prompt


def _verify_prompt(values: Mapping[str, Any], source: str) -> str:
    """The prompt that has keywords confirmed; empty where the profile has none."""
    if _VERIFY_KEY not in values:
        return ""
    prompt = _prompt(values, _VERIFY_KEY, source, VERIFY_PLACEHOLDERS)
    if "{keywords}" not in prompt:
        hint = "say where they go with {keywords}."
        raise _wrong(source, f"{_VERIFY_KEY} does not name the keywords", hint)
    return prompt


def _number(values: Mapping[str, Any], key: str, source: str) -> int:
    value = values.get(key)
    lowest, highest = _NUMBER_RANGES[key]
    if type(value) is not int or not lowest <= value <= highest:
        hint = f"write a whole number from {lowest} to {highest}."
        found = "is missing" if key not in values else f"is {one_line(repr(value), limit=60)}"
        raise _wrong(source, f"{key} {found}", hint)
    return value


def _wrong(source: str, what: str, hint: str) -> UsageError:
    return UsageError(f"Prompt profile {source}: {what}.", hint=hint, reason="profile-wrong")
