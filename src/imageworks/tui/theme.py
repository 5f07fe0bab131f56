"""Themes: one TOML file each; the user's own come before ours, by name."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.theme import BUILTIN_THEMES, Theme

from imageworks.errors import ConfigError
from imageworks.files import change_stamp
from imageworks.text import one_line, show_path

if TYPE_CHECKING:
    from collections.abc import Mapping

PLAIN = "plain"
"""The theme without colours of its own, for ``NO_COLOR``."""

COLOUR_NAMES = (
    *("background", "surface", "panel", "text", "quiet", "primary", "accent"),
    *("ready", "good", "bad"),
)
_ANSI_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_ANSI_COLOURS = frozenset(
    {"ansi_default", *(f"ansi_{name}" for name in _ANSI_NAMES)}
    | {f"ansi_bright_{name}" for name in _ANSI_NAMES}
)
_HEX_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def own_themes_dir() -> Path:
    """Where the themes that come with the program are: in the package, or beside its checkout."""
    packaged = Path(__file__).with_name("themes")
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "themes"


def theme_files(themes_dir: Path) -> dict[str, Path]:
    """All themes by name; a file of the user's takes the place of ours with the same name."""
    return {
        path.stem: path
        for folder in (own_themes_dir(), themes_dir)
        for path in sorted(folder.glob("*.toml"))
    }


def load_theme(name: str, themes_dir: Path) -> Theme:
    """One theme, ready for Textual.

    Raises:
        ConfigError: There is none of that name, or its file is wrong; names file and key.
    """
    files = theme_files(themes_dir)
    if name not in files:
        message = f"Setting theme names {one_line(name, limit=80)!r}, which does not exist."
        known = ", ".join(one_line(known, limit=80) for known in sorted(files))
        raise ConfigError(message, hint=f"use one of: {known}.")
    path = files[name]
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"The theme {show_path(path)} cannot be read: {one_line(str(error))}."
        raise ConfigError(message, hint="mend the file, or choose another theme.") from error
    return _theme(name, path, values)


class ThemeWatch:
    """Notices when a theme's file has changed.

    Args:
        name: The theme.
        themes_dir: The user's own themes.
    """

    def __init__(self, name: str, themes_dir: Path) -> None:
        self._name = name
        self._themes_dir = themes_dir
        self._seen = self._look()

    def changed(self) -> Theme | None:
        """The theme as it is now, if its file is not as it was at the last call.

        Raises:
            ConfigError: Its file is wrong now; said once for each change.
        """
        now = self._look()
        if now is None or now == self._seen:
            return None
        self._seen = now
        return load_theme(self._name, self._themes_dir)

    def _look(self) -> tuple[Path, tuple[int, int]] | None:
        for folder in (self._themes_dir, own_themes_dir()):
            path = folder / f"{self._name}.toml"
            if (stamp := change_stamp(path)) is not None:
                return path, stamp
        return None  # also between two steps of an editor that saves


def _theme(name: str, path: Path, values: Mapping[str, Any]) -> Theme:
    _refuse_unknown(path, values, ("dark", "ansi", "colours"), "the file")
    is_ansi = _flag(path, values, "ansi", default=False)
    is_dark = _flag(path, values, "dark", default=True)
    colours = values.get("colours")
    if not isinstance(colours, dict):
        raise _wrong(path, "has no table [colours].", "copy one of the program's own themes.")
    _refuse_unknown(path, colours, COLOUR_NAMES, "[colours]")
    for key in COLOUR_NAMES:
        _check_colour(path, key, colours.get(key), is_ansi=is_ansi)
    return Theme(
        name=name,
        dark=is_dark,
        ansi=is_ansi,
        primary=colours["primary"],
        secondary=colours["primary"],
        accent=colours["accent"],
        foreground=colours["text"],
        background=colours["background"],
        surface=colours["surface"],
        panel=colours["panel"],
        warning=colours["ready"],
        success=colours["good"],
        error=colours["bad"],
        boost=colours["surface"],
        variables=_variables(colours, is_ansi=is_ansi),
    )


def _variables(colours: Mapping[str, str], *, is_ansi: bool) -> dict[str, str]:
    own = {f"tagger-{key}": colours[key] for key in ("quiet", "ready", "good", "bad")}
    if is_ansi:
        return (
            BUILTIN_THEMES["ansi-dark"].variables
            | own
            | {
                "border": "ansi_default",
                "border-blurred": "ansi_default",
                "block-cursor-foreground": "ansi_default",
                "block-cursor-background": "ansi_default",
                "block-cursor-text-style": "reverse",
                "input-cursor-background": "ansi_default",
                "input-cursor-foreground": "ansi_default",
                "input-cursor-text-style": "reverse",
                "scrollbar": "ansi_white",
                "scrollbar-background": "ansi_default",
            }
        )
    return own | {
        "block-cursor-background": colours["panel"],
        "block-cursor-foreground": colours["text"],
        "input-cursor-background": colours["text"],
        "input-cursor-foreground": colours["background"],
        "scrollbar": colours["quiet"],
        "scrollbar-background": colours["panel"],
    }


def _refuse_unknown(
    path: Path, values: Mapping[str, Any], known: tuple[str, ...], where: str
) -> None:
    for key in values:
        if key not in known:
            message = f"has the unknown key {one_line(key, limit=80)!r} in {where}."
            raise _wrong(path, message, f"use {', '.join(known)}.")


def _flag(path: Path, values: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = values.get(key, default)
    if not isinstance(value, bool):
        raise _wrong(path, f"has {key} = {one_line(repr(value), limit=80)}.", "use true or false.")
    return value


def _check_colour(path: Path, key: str, value: object, *, is_ansi: bool) -> None:
    is_right = isinstance(value, str) and (
        value in _ANSI_COLOURS if is_ansi else bool(_HEX_COLOUR.fullmatch(value))
    )
    if not is_right:
        found = "no" if value is None else one_line(repr(value), limit=80)
        wanted = "ansi_default or ansi_green" if is_ansi else "#rrggbb"
        raise _wrong(path, f"has {found} colour {key!r}.", f"write it as {wanted}.")


def _wrong(path: Path, message: str, hint: str) -> ConfigError:
    return ConfigError(f"The theme {show_path(path)} {message}", hint=hint)
