"""What a setting may be, and how a value from outside becomes one."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from imageworks.errors import ConfigError
from imageworks.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BACKENDS = (
    *("lmdeploy", "vllm", "ollama", "llamacpp", "lmstudio", "openai", "embedded", "builtin"),
    "auto",
)
SECRET_SETTINGS = frozenset({"api_key"})
CONTEXT_FACTS = ("existing", "folder", "date", "camera", "place")
IMAGE_RENDERERS = ("auto", "kitty", "sixel", "half", "ascii", "off")
FIELD_MAPPINGS = ("imageworks", "lightroom")
_TRUE_WORDS = {"1", "true", "yes", "on"}
_FALSE_WORDS = {"0", "false", "no", "off"}


class SettingSpec(NamedTuple):
    """What a setting is, for checking it and for telling people about it.

    Attributes:
        kind: ``bool``, ``int``, ``float``, ``str``, ``path``, ``paths``, ``strs`` or ``table``.
        help: One sentence; rendered by ``--help``, the documentation and the settings screen.
        choices: The accepted words, or empty for any.
        minimum: Smallest accepted number (inclusive), or None.
        maximum: Largest accepted number (inclusive), or None.
        flag: Name on the command line where it differs from the setting's own.
        metavar: What stands for the value in ``--help``.
    """

    kind: str
    help: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    flag: str = ""
    metavar: str = ""

    def accepts(self) -> str:
        """The accepted values in words, for errors and documentation."""
        words = {
            "bool": "true or false",
            "int": "a whole number",
            "float": "a number",
            "str": "a text",
            "path": "a path",
            "paths": "a list of paths",
            "strs": "a list of texts",
            "table": "a table of texts",
        }[self.kind]
        if self.choices:
            listed = ", ".join(self.choices)
            words = f"a list of: {listed}" if self.kind == "strs" else f"one of: {listed}"
        if self.minimum is not None and self.maximum is not None:
            words += f" from {self.minimum:g} to {self.maximum:g}"
        elif self.minimum is not None:
            words += f", {self.minimum:g} or more"
        return words


def checked(
    name: str,
    spec: SettingSpec,
    value: Any,  # noqa: ANN401  # from outside
    convert: Callable[[SettingSpec, Any], Any],
    source: str,
) -> Any:  # noqa: ANN401  # of the declared kind
    """A value as its declared kind.

    Args:
        name: The setting.
        spec: Its declaration.
        value: As it came from outside.
        convert: `from_toml` or `from_text`.
        source: Where it came from, for the error.

    Raises:
        ConfigError: Wrong type or out of range.
    """
    try:
        result: Any = _field_table(value) if name == "fields" else None
        result = convert(spec, value) if result is None else result
        _check_range(spec, result)
        if name == "base_url":
            _check_urls(result)
    except (TypeError, ValueError, OverflowError):
        found = "(hidden)" if name in SECRET_SETTINGS else one_line(repr(value), limit=80)
        message = f"Setting {name} from {source} is {found}."
        raise ConfigError(message, hint=f"use {spec.accepts()}.") from None
    return result


def _field_table(value: Any) -> dict[str, str] | None:  # noqa: ANN401  # from outside
    if not isinstance(value, dict):
        return None
    roles = {"caption", "description", "alt_text"}
    if not set(value) <= roles or not all(isinstance(v, str) and ":" in v for v in value.values()):
        raise ValueError
    return dict(value)


def _check_urls(urls: tuple[str, ...]) -> None:
    if not urls or not all(re.fullmatch(r"https?://[^\s/]\S*", url) for url in urls):
        raise ValueError


def _check_range(spec: SettingSpec, value: Any) -> None:  # noqa: ANN401  # of the declared kind
    if spec.choices:
        words = value if isinstance(value, tuple) else (value,)
        if not isinstance(value, dict) and any(word not in spec.choices for word in words):
            raise ValueError
    if spec.minimum is not None and not value >= spec.minimum:
        raise ValueError
    if spec.maximum is not None and not value <= spec.maximum:
        raise ValueError


def from_toml(spec: SettingSpec, value: Any) -> Any:  # noqa: ANN401, PLR0911  # one branch a kind
    """A TOML or JSON value as a setting's kind; TypeError when it is of another."""
    match spec.kind, value:
        case "bool", bool():
            return value
        case "int", int() if not isinstance(value, bool):
            return value
        case "float", int() | float() if not isinstance(value, bool):
            return float(value)
        case "str", str():
            return value
        case "path", str() if value:
            return Path(value).expanduser()
        case "paths", list():
            return tuple(Path(_text(v)).expanduser() for v in value)
        case "strs", str() if not spec.choices:
            return (value,)
        case "strs", list():
            return tuple(_text(v) for v in value)
        case "table", dict():
            return {_text(k): _text(v) for k, v in value.items()}
        case _:
            raise TypeError


def from_text(spec: SettingSpec, value: Any) -> Any:  # noqa: ANN401, PLR0911  # one branch a kind
    """A text, or the texts of a repeated flag, as a setting's kind; TypeError or ValueError."""
    if isinstance(value, bool):
        return from_toml(spec, value)
    if isinstance(value, (list, tuple)):
        parts = [part for item in value for part in _split(spec, str(item))]
        return from_toml(spec, parts)
    text = _text(value)
    match spec.kind:
        case "bool":
            return _bool_word(text)
        case "int":
            return int(text)
        case "float":
            return float(text)
        case "paths" | "strs":
            return from_toml(spec, _split(spec, text))
        case "table":
            return from_toml(spec, dict(pair.split("=", 1) for pair in text.split(",") if pair))
        case _:
            return from_toml(spec, text)


def _split(spec: SettingSpec, text: str) -> list[str]:
    """Several values in one text: paths split as the system splits PATH, words at commas."""
    separator = os.pathsep if spec.kind == "paths" else ","
    if spec.kind == "paths" and Path(text).exists():
        return [text]
    return [part.strip() for part in text.split(separator) if part.strip()]


def _bool_word(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE_WORDS:
        return True
    if word in _FALSE_WORDS:
        return False
    raise ValueError


def _text(value: Any) -> str:  # noqa: ANN401  # narrowed here
    if not isinstance(value, str):
        raise TypeError
    return value


def nearest(name: str, specs: Mapping[str, SettingSpec]) -> str:
    """A hint that names the setting most like an unknown one."""
    import difflib  # noqa: PLC0415  # only on the way out

    close = difflib.get_close_matches(name, specs, n=1)
    return f"did you mean {close[0]}?" if close else "`ptag run --help` lists every setting."
