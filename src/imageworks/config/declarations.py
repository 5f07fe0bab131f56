"""Every setting, declared once: type, default, range, choices and help."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imageworks.config.values import (
    BACKENDS,
    CONTEXT_FACTS,
    FIELD_MAPPINGS,
    IMAGE_RENDERERS,
    SECRET_SETTINGS,
    SettingSpec,
    checked,
    from_toml,
    nearest,
)
from imageworks.errors import ConfigError
from imageworks.models import IMAGE_EXTENSIONS
from imageworks.text import one_line

_MODEL = "Qwen2.5-VL-7B-AWQ"


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
    embedded_model: Path | None = _setting(
        "path",
        "GGUF file of the embedded backend's model; default the best found on this disk.",
        default=None,
        metavar="FILE",
    )
    embedded_mmproj: Path | None = _setting(
        "path",
        "Its mmproj file, with which it sees; default the one beside it.",
        default=None,
        metavar="FILE",
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
    library_keywords: bool = _setting(
        "bool",
        "Suggest keywords that you accepted before on similar photographs (needs the extra"
        " builtin).",
        default=False,
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
    images: str = _setting(
        "str",
        "How photographs are drawn; auto asks the terminal, and over SSH takes half blocks.",
        default="auto",
        choices=IMAGE_RENDERERS,
    )
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
            embedded_model=None if self.embedded_model is None else absolute(self.embedded_model),
            embedded_mmproj=(
                None if self.embedded_mmproj is None else absolute(self.embedded_mmproj)
            ),
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
        specs, values = setting_specs(), {}
        for name, value in json.loads(text).items():
            if name not in specs:
                message = f"The library names an unknown setting {one_line(name)!r}."
                raise ConfigError(message, hint=nearest(name, specs))
            values[name] = checked(name, specs[name], value, from_toml, "the library")
        return replace(cls(**values), api_key=api_key)


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


def flag_name(setting: str) -> str:
    """A setting's name on the command line, without its dashes."""
    spec = setting_specs().get(setting)
    return (spec.flag if spec and spec.flag else setting).replace("_", "-")
