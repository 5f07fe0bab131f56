"""The sources of settings, lowest first, and where each value came from."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from imageworks.config.declarations import PersonalTaggerConfig, flag_name, setting_specs
from imageworks.config.values import SettingSpec, checked, from_text, from_toml, nearest
from imageworks.errors import ConfigError
from imageworks.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from imageworks.paths import AppPaths

ENVIRONMENT_PREFIX = "IMAGEWORKS_PERSONAL_TAGGER__"
PROJECT_TABLE = ("tool", "imageworks", "personal_tagger")


class PersonalTaggerSettings:
    """The sources of settings, lowest first; a later source wins.

    Setting ``model`` also sets the three stage models of the same source unless that source names
    them itself.
    """

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._sources: dict[str, str] = {}

    def add_toml_file(self, path: Path, table: tuple[str, ...] = ()) -> None:
        """Takes the settings of a TOML file, or of a table in it; a missing file holds none.

        Raises:
            ConfigError: Unreadable file, unknown key or wrong value; names file and line.
        """
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            message = f"{path} cannot be read: {error}."
            raise ConfigError(message, hint="mend or remove the file.") from error
        try:
            values: Any = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            message = f"{path} is not valid TOML: {error}."
            raise ConfigError(message, hint="mend the line named.") from error
        for key in table:
            values = values.get(key, {})
            if not isinstance(values, dict):
                message = f"{path}: [{'.'.join(table)}] is not a table."
                raise ConfigError(message, hint=f"write it as [{'.'.join(table)}].")
        self._add(values, lambda key: f"{path}, line {_line_of(text, key, table)}", from_toml)

    def add_environment(self, environment: Mapping[str, str]) -> None:
        """Takes every ``IMAGEWORKS_PERSONAL_TAGGER__<SETTING>`` variable."""
        found = {
            name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
            for name, value in environment.items()
            if name.startswith(ENVIRONMENT_PREFIX)
        }
        self._add(found, lambda key: f"variable {ENVIRONMENT_PREFIX}{key.upper()}", from_text)

    def add_flags(self, flags: Mapping[str, Any]) -> None:
        """Takes command line values: texts, booleans, or lists of texts for repeatable flags."""
        self._add(dict(flags), lambda key: f"flag --{flag_name(key)}", from_text)

    def add_stored(self, values: Mapping[str, Any], source: str) -> None:
        """Takes values that `PersonalTaggerConfig.to_json` wrote."""
        self._add(values, lambda _key: source, from_toml)

    def source_of(self, name: str) -> str:
        """Where a setting's value comes from."""
        return self._sources.get(name, "default")

    def resolve(self) -> PersonalTaggerConfig:
        """The frozen config."""
        return PersonalTaggerConfig(**self._values)

    def _add(
        self,
        values: Mapping[str, Any],
        name_source: Callable[[str], str],
        convert: Callable[[SettingSpec, Any], Any],
    ) -> None:
        specs = setting_specs()
        converted: dict[str, Any] = {}
        for key, value in values.items():
            name = key.replace("-", "_")
            source = name_source(key)
            if name not in specs:
                message = f"Unknown setting {one_line(key)!r} in {source}."
                raise ConfigError(message, hint=nearest(name, specs))
            converted[name] = checked(name, specs[name], value, convert, source)
            self._sources[name] = source
        if "model" in converted:
            for stage_model in ("caption_model", "keyword_model", "description_model"):
                if stage_model not in converted:
                    converted[stage_model] = converted["model"]
                    self._sources[stage_model] = self._sources["model"]
        self._values.update(converted)


def load_settings(
    paths: AppPaths,
    *,
    working_dir: Path,
    environment: Mapping[str, str],
    flags: Mapping[str, Any],
) -> PersonalTaggerSettings:
    """All sources in the contract's order: user file, project file, environment, command line."""
    settings = PersonalTaggerSettings()
    settings.add_toml_file(paths.user_config)
    project = find_project_file(working_dir)
    if project is not None:
        settings.add_toml_file(project, PROJECT_TABLE)
    settings.add_environment(environment)
    settings.add_flags(flags)
    return settings


def find_project_file(working_dir: Path) -> Path | None:
    """The nearest ``pyproject.toml`` at or above a folder."""
    for folder in (working_dir, *working_dir.parents):
        candidate = folder / "pyproject.toml"
        if candidate.is_file():
            return candidate
    return None


def _line_of(text: str, key: str, table: tuple[str, ...]) -> int:
    """The 1-based line where a key stands in its table; 1 when it is written in an unusual way."""
    inside = not table
    pattern = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]")
    header = re.compile(r"\s*\[([^\[\]]+)\]")
    for number, line in enumerate(text.splitlines(), 1):
        found = header.match(line)
        if found:
            name = tuple(part.strip().strip("\"'") for part in found[1].split("."))
            inside = name == table
            if name == (*table, key):
                return number
        elif inside and pattern.match(line):
            return number
    return 1
