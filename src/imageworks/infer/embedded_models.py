"""Vision models that this disk already holds, and which of them to use."""

from __future__ import annotations

import dataclasses
import difflib
import json
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.config import setting_default
from imageworks.errors import BackendError, ConfigError
from imageworks.infer.gguf import GgufFacts, read_gguf
from imageworks.text import one_line, show_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from imageworks.config import PersonalTaggerConfig

logger = logging.getLogger(__name__)

OWN_SOURCE = "ptag"
MODELS_FOLDER = "models"
"""Below the data folder: what ``ptag embedded get`` fetched."""
LOOPBACK_URL = "http://127.0.0.1/v1"
"""What stands for the embedded server's address until it has a port."""

_DEEPEST_FOLDER = 8
_MOST_FILES = 2_000
_LARGEST_MANIFEST_BYTES = 1024 * 1024
_LARGEST_GOOD_BYTES = 8_000_000_000
_SPARE_BYTES = 1_000_000_000
_GROWTH = 1.1
# A model in several files: llama.cpp opens the first and finds the others (llama-gguf-split).
_PART = re.compile(r"-(\d{5})-of-\d{5}\.gguf$", re.IGNORECASE)
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
# Projectors of LLaVA's first generation, whose projection_dim is that of their own encoder.
_OLD_PROJECTORS = frozenset({"", "mlp", "mlp_norm", "ldp", "ldpv2", "resampler"})
_OLLAMA_INSIDE = "its vision part is inside, in Ollama's own way: use it with --backend ollama"


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A vision model on this disk.

    Attributes:
        name: Its own name, or its file's.
        model_path: The language model.
        projector_path: The part that sees; None where it is missing.
        source: Which program keeps it.
        size_bytes: Both files together.
        context_tokens: Longest context that it was trained for; 0 if unknown.
        quantization: Such as ``Q4_K_M``; empty if unknown.
        obstacle: Why it cannot be used; empty when it can.
    """

    name: str
    model_path: Path
    projector_path: Path | None
    source: str
    size_bytes: int
    context_tokens: int = 0
    quantization: str = ""
    obstacle: str = ""

    @property
    def is_usable(self) -> bool:
        """Both parts are there, in a form that llama.cpp takes."""
        return self.projector_path is not None and not self.obstacle

    def describe(self) -> str:
        """Name, form, size and keeper, such as ``Qwen3 VL 4B (Q4_K_M, 3.0 GB, LM Studio)``."""
        parts = (self.quantization, f"{self.size_bytes / 1e9:.1f} GB", self.source)
        return f"{one_line(self.name, limit=120)} ({', '.join(part for part in parts if part)})"


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """A folder in which a program keeps models."""

    source: str
    folder: Path


def model_places(
    own_folder: Path,
    *,
    environment: Mapping[str, str] = os.environ,
    home: Path | None = None,
) -> tuple[ModelPlace, ...]:
    """Where models may be: ours, llama.cpp's, LM Studio's, the Hugging Face hub's, Ollama's.

    Args:
        own_folder: Where ``ptag embedded get`` puts them.
        environment: Variables with which those programs are told of other folders.
        home: The person's home folder.
    """
    home = home or Path.home()
    cache = Path(environment.get("XDG_CACHE_HOME") or home / ".cache")
    llama = environment.get("LLAMA_CACHE") or cache / "llama.cpp"
    hub_home = Path(environment.get("HF_HOME") or cache / "huggingface")
    hub = environment.get("HF_HUB_CACHE") or hub_home / "hub"
    ollama = environment.get("OLLAMA_MODELS") or home / ".ollama" / "models"
    return (
        ModelPlace(OWN_SOURCE, own_folder),
        ModelPlace("llama.cpp", Path(llama)),
        ModelPlace("LM Studio", home / ".lmstudio" / "models"),
        ModelPlace("LM Studio", cache / "lm-studio" / "models"),
        ModelPlace("Hugging Face", Path(hub)),
        ModelPlace("Ollama", Path(ollama)),
        ModelPlace("Ollama", Path("/usr/share/ollama/.ollama/models")),
    )


def find_models(places: Sequence[ModelPlace]) -> tuple[LocalModel, ...]:
    """The vision models in these places, each once, in the places' order; nothing is changed."""
    found: dict[tuple[Path, Path | None], LocalModel] = {}
    for place in places:
        look = _ollama_models if place.source == "Ollama" else _folder_models
        for model in look(place):
            projector = model.projector_path
            key = (model.model_path.resolve(), projector.resolve() if projector else None)
            found.setdefault(key, model)
    return tuple(found.values())


def best_model(
    models: Sequence[LocalModel], *, available_bytes: int | None = None
) -> LocalModel | None:
    """The model to use when none is named; None when none is usable.

    Of those that fit into the free memory with a gigabyte to spare and are not over 8 GB, one
    fetched with ``ptag embedded get`` comes first, then the largest. When none fits, the smallest.

    Args:
        models: As found.
        available_bytes: Free memory; None asks the system.
    """
    if available_bytes is None:
        available_bytes = free_memory_bytes()

    def rank(model: LocalModel) -> tuple[bool, bool, int]:
        needed_bytes = model.size_bytes * _GROWTH + _SPARE_BYTES
        is_fit = needed_bytes <= available_bytes and model.size_bytes <= _LARGEST_GOOD_BYTES
        size_bytes = model.size_bytes if is_fit else -model.size_bytes
        return (is_fit, model.source == OWN_SOURCE, size_bytes)

    return max((model for model in models if model.is_usable), key=rank, default=None)


def named_model(model_path: Path, projector_path: Path | None) -> LocalModel:
    """The model in files that a person named; its projector is looked for beside it if need be.

    Raises:
        ConfigError: A file is missing, is no GGUF file, or is the wrong one of the two.
    """
    facts = read_gguf(model_path)
    if facts.is_projector:
        message = f"{show_path(model_path)} is a projector, not a model."
        hint = "name it with --embedded-mmproj, and the model with --embedded-model."
        raise ConfigError(message, hint=hint, reason="mmproj-missing")
    if projector_path is None:
        beside = [found for found in _gguf_files(model_path.parent, deepest=0) if found.has_vision]
        projector = _partner(facts, beside)
    else:
        projector = read_gguf(projector_path)
        _check_projector(projector)
    if projector is None:
        message = f"No mmproj file, with which a model sees, lies beside {show_path(model_path)}."
        hint = "name the one that belongs to the model with --embedded-mmproj."
        raise ConfigError(message, hint=hint, reason="mmproj-missing")
    return _paired(facts, projector, "named")


def with_embedded_model(
    config: PersonalTaggerConfig, own_folder: Path
) -> tuple[PersonalTaggerConfig, str]:
    """The settings with the embedded engine's files and model filled in, and a sentence on it.

    Files that are named come first, then a found model with the name of setting ``model``; when
    that is the default, `best_model` decides.

    Raises:
        ConfigError: A file that was named cannot be used.
        BackendError: No model is on this disk, or none of that name.
    """
    if config.embedded_model is not None:
        model = named_model(config.embedded_model, config.embedded_mmproj)
        return _filled(config, model), f"Using {model.describe()}."
    found = find_models(model_places(own_folder))
    usable = [model for model in found if model.is_usable]
    wanted = "" if config.model == setting_default("model") else config.model
    chosen = _of_name(wanted, usable) if wanted else best_model(usable)
    if chosen is None:
        raise _no_model(wanted, usable)
    why = "the one named" if wanted else "the best found on this disk"
    return _filled(config, chosen), f"Using {chosen.describe()}, {why}."


def free_memory_bytes() -> int:
    """Memory that a program can take without swapping (proc(5), MemAvailable); 0 if unknown."""
    try:
        text = Path("/proc/meminfo").read_text("ascii", "replace")
    except OSError:
        return 0
    found = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _filled(config: PersonalTaggerConfig, model: LocalModel) -> PersonalTaggerConfig:
    return dataclasses.replace(
        config,
        backend="embedded",
        base_url=(LOOPBACK_URL,),
        model=model.name,
        caption_model=model.name,
        keyword_model=model.name,
        description_model=model.name,
        embedded_model=model.model_path,
        embedded_mmproj=model.projector_path,
    )


def _of_name(wanted: str, models: Sequence[LocalModel]) -> LocalModel | None:
    for model in models:
        if wanted.lower() in {model.name.lower(), model.model_path.name.lower()}:
            return model
    stems = {model.model_path.stem.lower(): model for model in models}
    close = difflib.get_close_matches(wanted.rpartition("/")[2].lower(), stems, n=1, cutoff=0.8)
    return stems[close[0]] if close else None


def _no_model(wanted: str, usable: Sequence[LocalModel]) -> BackendError:
    if wanted and usable:
        names = ", ".join(one_line(model.name, limit=80) for model in usable[:12])
        message = f"No model named {one_line(wanted, limit=80)} is on this disk. There is: {names}."
        hint = "choose one with --model, or name its files with --embedded-model."
    else:
        message = "No vision model for the embedded engine is on this disk."
        hint = "fetch one with `ptag embedded get`, or name its files with --embedded-model."
    return BackendError(message, hint=hint, reason="model-missing")


# -- folders of GGUF files -------------------------------------------------------------


def _folder_models(place: ModelPlace) -> Iterator[LocalModel]:
    by_folder: dict[Path, list[GgufFacts]] = {}
    for facts in _gguf_files(place.folder):
        by_folder.setdefault(facts.path.parent, []).append(facts)
    for siblings in by_folder.values():
        projectors = [facts for facts in siblings if facts.has_vision]
        for facts in siblings:
            projector = None if facts.is_projector else _partner(facts, projectors)
            if projector is not None:
                yield _paired(facts, projector, place.source)


def _gguf_files(folder: Path, *, deepest: int = _DEEPEST_FOLDER) -> Iterator[GgufFacts]:
    """GGUF files below a folder that can be read; further parts of split models are left out."""
    seen = 0
    for root, folders, names in os.walk(folder):
        folders.sort()
        if len(Path(root).relative_to(folder).parts) >= deepest:
            folders.clear()
        for name in sorted(names):
            if not name.lower().endswith(".gguf"):
                continue
            seen += 1
            if seen > _MOST_FILES:
                logger.warning("%s holds too many models; the rest is left out", show_path(folder))
                return
            part = _PART.search(name)
            if part is None or part[1] == "00001":
                facts = _readable(Path(root) / name)
                if facts is not None:
                    yield facts


def _readable(path: Path) -> GgufFacts | None:
    try:
        return read_gguf(path)
    except ConfigError as error:
        logger.debug("%s", error.message)
        return None


def _partner(model: GgufFacts, projectors: Sequence[GgufFacts]) -> GgufFacts | None:
    """The projector that fits a model: of the same width, and most like it in name."""
    fitting = [projector for projector in projectors if _is_fit(model, projector)]

    def likeness(projector: GgufFacts) -> float:
        ours, theirs = _stem(model.path), _stem(projector.path)
        return difflib.SequenceMatcher(None, ours, theirs).ratio()

    return max(fitting, key=likeness, default=None)


def _stem(path: Path) -> str:
    return path.stem.lower().replace("mmproj", "").strip("-_. ")


def _is_fit(model: GgufFacts, projector: GgufFacts) -> bool:
    is_width_told = projector.projector_type not in _OLD_PROJECTORS
    if is_width_told and model.width and projector.width:
        return model.width == projector.width
    return True


def _check_projector(projector: GgufFacts) -> None:
    if not projector.has_vision:
        message = f"{show_path(projector.path)} is not a projector for pictures."
        hint = "name the mmproj file that belongs to the model with --embedded-mmproj."
        raise ConfigError(message, hint=hint, reason="mmproj-missing")


def _paired(model: GgufFacts, projector: GgufFacts, source: str) -> LocalModel:
    return LocalModel(
        name=model.name or model.path.stem,
        model_path=model.path,
        projector_path=projector.path,
        source=source,
        size_bytes=model.size_bytes + projector.size_bytes,
        context_tokens=model.context_tokens,
        quantization=model.quantization,
    )


# -- Ollama ----------------------------------------------------------------------------


def _ollama_models(place: ModelPlace) -> Iterator[LocalModel]:
    """Models of Ollama's store: manifests that name blobs by their digests.

    Source: ollama/ollama ``docs/import.md`` and ``server/manifest.go``: layers with the media types
    ``application/vnd.ollama.image.model`` and ``.projector``, blobs at ``blobs/sha256-HEX``.
    """
    manifests = place.folder / "manifests"
    for path in sorted(manifests.glob("*/*/*/*"))[:_MOST_FILES]:
        layers = _layers(path)
        model = _blob(place.folder, layers.get("application/vnd.ollama.image.model", ""))
        if model is None or model.is_projector:
            continue
        projector = _blob(place.folder, layers.get("application/vnd.ollama.image.projector", ""))
        name = f"{path.parent.name}:{path.name}"
        if projector is not None and projector.has_vision:
            yield _of_ollama(_paired(model, projector, place.source), name)
        elif model.has_own_vision:
            bare = LocalModel(
                name=name,
                model_path=model.path,
                projector_path=None,
                source=place.source,
                size_bytes=model.size_bytes,
                context_tokens=model.context_tokens,
                quantization=model.quantization,
                obstacle=_OLLAMA_INSIDE,
            )
            yield bare


def _of_ollama(model: LocalModel, name: str) -> LocalModel:
    """The model under Ollama's name: its blobs are named by digests."""
    return dataclasses.replace(model, name=name)


def _layers(manifest: Path) -> dict[str, str]:
    """Digests by media type."""
    try:
        if manifest.stat().st_size > _LARGEST_MANIFEST_BYTES:
            return {}
        value = json.loads(manifest.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        logger.debug("%s: %s", show_path(manifest), error)
        return {}
    layers = value.get("layers") if isinstance(value, dict) else None
    if not isinstance(layers, list):
        return {}
    return {
        str(layer.get("mediaType")): str(layer.get("digest"))
        for layer in layers
        if isinstance(layer, dict)
    }


def _blob(folder: Path, digest: str) -> GgufFacts | None:
    found = _DIGEST.fullmatch(digest)
    return _readable(folder / "blobs" / f"sha256-{found[1]}") if found else None
