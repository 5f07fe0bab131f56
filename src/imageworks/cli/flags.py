"""Makes command line flags out of the settings' declarations."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from imageworks.config import flag_name, setting_default, setting_specs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imageworks.config import SettingSpec

_PREFIX = "setting_"
_INPUT_FLAGS = ("-i", "--input", "--input-dir")
_LISTED_DEFAULT_LENGTH = 40
_METAVARS = {
    "int": "N",
    "float": "N",
    "str": "TEXT",
    "strs": "TEXT",
    "path": "FILE",
    "paths": "PATH",
}


def add_setting_flags(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Adds a flag for each of these settings that a flag can set."""
    specs = setting_specs()
    group = parser.add_argument_group("settings")
    for name in names:
        if specs[name].kind != "table":
            _add(group, name, specs[name])


def setting_flags_of(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given as flags, for `PersonalTaggerSettings.add_flags`."""
    return {
        name.removeprefix(_PREFIX): value
        for name, value in vars(options).items()
        if name.startswith(_PREFIX)
    }


def positive_number(text: str) -> int:
    """The type of a flag that counts something, from 1."""
    if not text.isdecimal() or int(text) < 1:
        message = f"{text!r} is no whole number from 1"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _add(group: argparse._ArgumentGroup, name: str, spec: SettingSpec) -> None:
    flags = _INPUT_FLAGS if name == "input_paths" else (f"--{flag_name(name)}",)
    common: dict[str, Any] = {
        "dest": f"{_PREFIX}{name}",
        "default": argparse.SUPPRESS,
        "help": describe(name, spec).replace("%", "%%"),
    }
    if spec.kind == "bool" and name.startswith("no_"):
        group.add_argument(*flags, action="store_true", **common)
        return
    if spec.kind == "bool":
        group.add_argument(*flags, action=argparse.BooleanOptionalAction, **common)
        return
    if spec.kind in {"paths", "strs"}:
        common["action"] = "append"
    metavar = spec.metavar or _METAVARS[spec.kind]
    if spec.choices:
        metavar = f"{{{','.join(spec.choices)}}}"
    group.add_argument(*flags, metavar=metavar, **common)


def describe(name: str, spec: SettingSpec) -> str:
    """A setting's help with its range and default."""
    default = setting_default(name)
    text = spec.help
    if spec.minimum is not None and spec.maximum is not None:
        text += f" {spec.minimum:g} to {spec.maximum:g}."
    if default is None or default == ():
        return text
    shown = ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)
    if isinstance(default, bool):
        shown = "on" if default else "off"
    if len(shown) > _LISTED_DEFAULT_LENGTH and isinstance(default, tuple):
        shown = "all known" if name == "image_extensions" else shown
    return f"{text} Default: {shown}."
