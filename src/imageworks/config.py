"""All settings: each declared once, collected from every source, checked, frozen.

`PersonalTaggerConfig` declares the settings. `PersonalTaggerSettings` collects them from the
user's file, the project's ``pyproject.toml``, the environment and the command line, lowest first,
and remembers where each value came from. ``--help``, the documentation and the error texts are made
from the same declarations.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imageworks.errors import ConfigError
from imageworks.models import IMAGE_EXTENSIONS
from imageworks.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from imageworks.paths import AppPaths

ENVIRONMENT_PREFIX = "IMAGEWORKS_PERSONAL_TAGGER__"
PROJECT_TABLE = ("tool", "imageworks", "personal_tagger")
BACKENDS = ("lmdeploy", "vllm", "ollama", "llamacpp", "lmstudio", "openai", "builtin", "auto")
SECRET_SETTINGS = frozenset({"api_key"})
CONTEXT_FACTS = ("existing", "folder", "date", "camera", "place")
FIELD_MAPPINGS = ("imageworks", "lightroom")
_MODEL = "Qwen2.5-VL-7B-AWQ"
_TRUE_WORDS = {"1", "true", "yes", "on"}
_FALSE_WORDS = {"0", "false", "no", "off"}


@dataclass(frozen=True, slots=True)
class SettingSpec:
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


def _setting(kind: str, help_text: str, *, default: Any, **spec: Any) -> Any:  # noqa: ANN401  # a dataclass field
    metadata = {"spec": SettingSpec(kind=kind, help=help_text, **spec)}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalTaggerConfig:
    """Every setting with its value; frozen for the life of a run."""

    input_paths: tuple[Path, ...] = _setting("paths", "Folders and files to work on.", default=())
    recursive: bool = _setting("bool", "Walk into sub-folders.", default=True)
    image_extensions: tuple[str, ...] = _setting(
        "strs",
        "File name endings to take for images.",
        default=IMAGE_EXTENSIONS,
        flag="image-exts",
        metavar="EXT,EXT…",
    )
    backend: str = _setting(
        "str", "What answers the questions.", default="lmdeploy", choices=BACKENDS
    )
    base_url: tuple[str, ...] = _setting(
        "strs",
        "Address of the OpenAI-compatible server, with its /v1.",
        default=("http://localhost:24001/v1",),
        metavar="URL",
    )
    api_key: str = _setting(
        "str", "Key for the server; never printed or logged.", default="EMPTY", metavar="KEY"
    )
    timeout: float = _setting(
        "float", "Longest wait for one answer, in seconds.", default=120.0, minimum=1, maximum=3600
    )
    model: str = _setting("str", "Model for all three stages.", default=_MODEL, metavar="NAME")
    caption_model: str = _setting("str", "Model for captions.", default=_MODEL, metavar="NAME")
    keyword_model: str = _setting("str", "Model for keywords.", default=_MODEL, metavar="NAME")
    description_model: str = _setting(
        "str", "Model for descriptions.", default=_MODEL, metavar="NAME"
    )
    use_registry: bool = _setting("bool", "Take models from the registry by role.", default=False)
    registry_path: Path = _setting(
        "path", "The model registry.", default=Path("configs/model_registry.json"), metavar="FILE"
    )
    caption_role: str = _setting(
        "str", "Registry role for captions.", default="caption", metavar="ROLE"
    )
    keyword_role: str = _setting(
        "str", "Registry role for keywords.", default="keywords", metavar="ROLE"
    )
    description_role: str = _setting(
        "str", "Registry role for descriptions.", default="description", metavar="ROLE"
    )
    prompt_profile: str = _setting(
        "str", "Prompt profile; `ptag profiles` lists them.", default="default", metavar="NAME"
    )
    max_keywords: int = _setting(
        "int", "Most keywords to keep for an image.", default=15, minimum=1, maximum=100
    )
    max_new_tokens: int = _setting(
        "int", "Most tokens in one answer.", default=512, minimum=16, maximum=8192
    )
    temperature: float = _setting(
        "float", "Randomness of the answers.", default=0.2, minimum=0, maximum=2
    )
    top_p: float = _setting("float", "Nucleus sampling.", default=0.9, minimum=0.01, maximum=1)
    batch_size: int = _setting(
        "int",
        "Most images prepared ahead and under way at once; 0 finds it while running.",
        default=0,
        minimum=0,
        maximum=1024,
    )
    max_workers: int = _setting(
        "int",
        "Most requests under way at once; 0 finds the best while running.",
        default=0,
        minimum=0,
        maximum=512,
    )
    preflight: bool = _setting("bool", "Probe the server before the first image.", default=True)
    dry_run: bool = _setting("bool", "Ask and report, but write no metadata.", default=False)
    no_meta: bool = _setting("bool", "Never write metadata.", default=False)
    review_later: bool = _setting(
        "bool", "Keep the suggestions for review; write nothing.", default=False
    )
    backup_originals: bool = _setting(
        "bool", "Keep the first original as NAME.EXT_original before its first write.", default=True
    )
    overwrite_metadata: bool = _setting(
        "bool",
        "Replace existing title, description and keywords instead of merging.",
        default=False,
    )
    sidecar: str = _setting(
        "str",
        "XMP sidecars: by format, for every file, or for none.",
        default="auto",
        choices=("auto", "always", "never"),
    )
    backup_place: str = _setting(
        "str",
        "Where first originals are kept: beside the photograph, or in the user data folder.",
        default="beside",
        choices=("beside", "folder"),
    )
    on_hazard: str = _setting(
        "str",
        "What to do about a file that cannot safely be written into.",
        default="sidecar",
        choices=("sidecar", "refuse"),
    )
    content_credentials: str = _setting(
        "str",
        "Where metadata goes for files with content credentials (C2PA); an edit breaks their seal.",
        default="sidecar",
        choices=("sidecar", "embed"),
    )
    dng: str = _setting(
        "str",
        "Where metadata goes for DNG files.",
        default="sidecar",
        choices=("sidecar", "embed"),
    )
    write_iptc: str = _setting(
        "str",
        "Older IPTC blocks: keep them in step where a file has one, or leave them.",
        default="if-present",
        choices=("if-present", "never"),
    )
    preserve_mtime: bool = _setting(
        "bool", "Keep a file's modification time at a write.", default=False
    )
    fields: str | dict[str, str] = _setting(
        "str",
        "Which XMP fields caption and description go to, by name or as a table.",
        default="imageworks",
        choices=FIELD_MAPPINGS,
    )
    hierarchy: bool = _setting(
        "bool", "Write lr:hierarchicalSubject beside dc:subject.", default=True
    )
    digikam_tags: bool = _setting("bool", "Write digiKam:TagsList as well.", default=False)
    language: str = _setting(
        "str", "Language of caption, keywords and description.", default="en", metavar="TAG"
    )
    context: tuple[str, ...] = _setting(
        "strs",
        "Facts about the file that the prompt may mention.",
        default=CONTEXT_FACTS,
        choices=CONTEXT_FACTS,
    )
    output_jsonl: Path = _setting(
        "path",
        "One JSON object per image.",
        default=Path("outputs/results/personal_tagger.jsonl"),
        metavar="FILE",
    )
    summary_path: Path = _setting(
        "path",
        "Markdown summary; the HTML contact sheet goes beside it.",
        default=Path("outputs/summaries/personal_tagger_summary.md"),
        flag="summary",
        metavar="FILE",
    )
    metrics_path: Path = _setting(
        "path",
        "Metrics history.",
        default=Path("outputs/metrics/personal_tagger_batch_metrics.json"),
        flag="metrics",
        metavar="FILE",
    )
    store_path: Path | None = _setting(
        "path",
        "The library; default in the user data folder.",
        default=None,
        flag="store",
        metavar="FILE",
    )
    cache_gb: float = _setting(
        "float", "Most disk space for previews, in GB.", default=4.0, minimum=0.01, maximum=10_000
    )
    theme: str = _setting("str", "Colours of the workstation.", default="darkroom", metavar="NAME")
    keymap: dict[str, str] = _setting("table", "Own keys: action name = key.", default={})

    def models(self) -> dict[str, str]:
        """The model of each stage, by stage name."""
        return {
            "caption": self.caption_model,
            "keywords": self.keyword_model,
            "description": self.description_model,
        }

    @property
    def writes_metadata(self) -> bool:
        """Whether an unattended run accepts and writes what it gets."""
        return not (self.dry_run or self.no_meta or self.review_later)

    def with_absolute_paths(self, working_dir: Path) -> PersonalTaggerConfig:
        """The same settings with every path made absolute, links not resolved."""

        def absolute(path: Path) -> Path:
            return Path(os.path.normpath(working_dir / path.expanduser()))

        return replace(
            self,
            input_paths=tuple(absolute(path) for path in self.input_paths),
            registry_path=absolute(self.registry_path),
            output_jsonl=absolute(self.output_jsonl),
            summary_path=absolute(self.summary_path),
            metrics_path=absolute(self.metrics_path),
            store_path=None if self.store_path is None else absolute(self.store_path),
        )

    def to_json(self) -> str:
        """The settings that differ from their defaults, without secrets, as a JSON object."""
        changed = {
            name: _plain(getattr(self, name))
            for name in setting_specs()
            if name not in SECRET_SETTINGS and getattr(self, name) != setting_default(name)
        }
        return json.dumps(changed, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, *, api_key: str = "EMPTY") -> PersonalTaggerConfig:
        """The config that `to_json` wrote; a key no longer known raises ConfigError."""
        settings = PersonalTaggerSettings()
        settings.add_stored(json.loads(text), "the library")
        return replace(settings.resolve(), api_key=api_key)


def _plain(value: Any) -> Any:  # noqa: ANN401  # of a declared kind
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def setting_specs() -> dict[str, SettingSpec]:
    """All settings by name, in the order of their declaration."""
    return {f.name: f.metadata["spec"] for f in dataclasses.fields(PersonalTaggerConfig)}


def setting_default(name: str) -> Any:  # noqa: ANN401  # as declared
    """The built-in default of a setting."""
    return getattr(PersonalTaggerConfig(), name)


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
        self._add(values, lambda key: f"{path}, line {_line_of(text, key, table)}", _from_toml)

    def add_environment(self, environment: Mapping[str, str]) -> None:
        """Takes every ``IMAGEWORKS_PERSONAL_TAGGER__<SETTING>`` variable."""
        found = {
            name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
            for name, value in environment.items()
            if name.startswith(ENVIRONMENT_PREFIX)
        }
        self._add(found, lambda key: f"variable {ENVIRONMENT_PREFIX}{key.upper()}", _from_text)

    def add_flags(self, flags: Mapping[str, Any]) -> None:
        """Takes command line values: texts, booleans, or lists of texts for repeatable flags."""
        self._add(dict(flags), lambda key: f"flag --{flag_name(key)}", _from_text)

    def add_stored(self, values: Mapping[str, Any], source: str) -> None:
        """Takes values that `PersonalTaggerConfig.to_json` wrote."""
        self._add(values, lambda _key: source, _from_toml)

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
                raise ConfigError(message, hint=_nearest(name, specs))
            converted[name] = _checked(name, specs[name], value, convert, source)
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


def flag_name(setting: str) -> str:
    """A setting's name on the command line, without its dashes."""
    spec = setting_specs().get(setting)
    return (spec.flag if spec and spec.flag else setting).replace("_", "-")


def _checked(
    name: str,
    spec: SettingSpec,
    value: Any,  # noqa: ANN401  # from outside
    convert: Callable[[SettingSpec, Any], Any],
    source: str,
) -> Any:  # noqa: ANN401  # of the declared kind
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


def _from_toml(spec: SettingSpec, value: Any) -> Any:  # noqa: ANN401, PLR0911  # one branch a kind
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


def _from_text(spec: SettingSpec, value: Any) -> Any:  # noqa: ANN401, PLR0911  # one branch a kind
    if isinstance(value, bool):
        return _from_toml(spec, value)
    if isinstance(value, (list, tuple)):
        parts = [part for item in value for part in _split(spec, str(item))]
        return _from_toml(spec, parts)
    text = _text(value)
    match spec.kind:
        case "bool":
            return _bool_word(text)
        case "int":
            return int(text)
        case "float":
            return float(text)
        case "paths" | "strs":
            return _from_toml(spec, _split(spec, text))
        case "table":
            return _from_toml(spec, dict(pair.split("=", 1) for pair in text.split(",") if pair))
        case _:
            return _from_toml(spec, text)


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


def _nearest(name: str, specs: Mapping[str, SettingSpec]) -> str:
    import difflib  # noqa: PLC0415  # only on the way out

    close = difflib.get_close_matches(name, specs, n=1)
    return f"did you mean {close[0]}?" if close else "`ptag run --help` lists every setting."


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
