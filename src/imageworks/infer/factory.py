"""Makes the engine that the settings ask for."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imageworks.config import setting_default
from imageworks.errors import BackendError, UsageError
from imageworks.infer.chat import ChatEngine
from imageworks.infer.memory import ServerMemory
from imageworks.infer.preflight import is_listed, nearest_model
from imageworks.infer.responses import is_model_list, model_ids, model_owner
from imageworks.infer.servers import LOCAL_SERVERS, backend_of_owner
from imageworks.infer.transport import NO_KEY, ServerConnection
from imageworks.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from imageworks.config import PersonalTaggerConfig
    from imageworks.infer.embedded_server import EmbeddedServers
    from imageworks.infer.engine import BaseInferenceEngine
    from imageworks.infer.profiles import PromptProfile

logger = logging.getLogger(__name__)

_PROBE_TIMEOUT_S = 1.5
_VISION_NAMES = re.compile(
    r"vl\b|vl[-_:]|vision|llava|pixtral|gemma-?[3-9]|minicpm-?[vo]|moondream|smolvlm|internvl"
    r"|qwen3\.[5-9]|idefics|phi-?[3-9].*(vision|multimodal)|granite.*vision|molmo",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _FoundServer:
    backend: str
    url: str
    listed: tuple[str, ...]


def create_engine(
    config: PersonalTaggerConfig,
    profile: PromptProfile,
    *,
    pixels: Callable[[bytes, int], list[bytes]],
    memory_path: Path | None = None,
    servers: EmbeddedServers | None = None,
) -> BaseInferenceEngine:
    """The engine for ``config.backend``; nothing is sent or loaded yet.

    Args:
        config: The settings; ``auto`` is resolved with `choose_backend` before, and the embedded
            backend's model with `with_embedded_model`.
        profile: The prompts, for engines that ask a model.
        pixels: Crops of a JPEG as RGB bytes of a given side, for engines that look themselves.
        memory_path: Where to keep what servers were found to take; None keeps nothing.
        servers: Runs the embedded backend's server.

    Raises:
        ConfigError: An address, the key or a model file cannot be used.
        UsageError: ``auto`` was not resolved, or the embedded backend's model not chosen.
    """
    if config.backend == "auto":
        message = "The backend auto has to be chosen before it is used."
        raise UsageError(message, hint="name a backend with --backend.", reason="no-backend")
    if config.backend == "builtin":
        from imageworks.infer.builtin import BuiltinEngine  # noqa: PLC0415  # loads numpy

        return BuiltinEngine(config, pixels)
    if config.backend == "embedded" and servers is not None:
        from imageworks.infer.embedded import EmbeddedEngine  # noqa: PLC0415  # seldom used

        return EmbeddedEngine(config, profile, servers)
    return ChatEngine(config, profile, memory=ServerMemory(memory_path))


async def choose_backend(
    config: PersonalTaggerConfig,
    *,
    candidates: Sequence[tuple[str, str]] = LOCAL_SERVERS,
    models_folder: Path | None = None,
) -> tuple[PersonalTaggerConfig, str]:
    """Settings with ``auto`` resolved, and one sentence on what was chosen and why.

    Addresses given in the settings come first, then the usual local ports, all asked at once. A
    server counts when it serves the models of the settings; when those are the defaults, one of its
    own that looks like a vision-language model will do. Without any server it is ``embedded`` when
    that is installed and a model is on this disk, else ``builtin``.

    Args:
        config: The settings; returned as they are unless the backend is ``auto``.
        candidates: Backends with their addresses, best first.
        models_folder: Our own folder of models; None leaves the embedded backend out.
    """
    if config.backend != "auto":
        return config, f"Using the backend {config.backend}."
    found = await asyncio.gather(
        *(_look(backend, url, config) for backend, url in _places(config, candidates))
    )
    servers = [server for server in found if server is not None]
    for server in servers:
        chosen = _fitted(config, server)
        if chosen is not None:
            models = ", ".join(dict.fromkeys(chosen.models().values()))
            shown = one_line(models, limit=200)
            return chosen, f"Using {server.backend} at {server.url} with {shown}."
    if not servers:
        why = "no model server answers on this machine"
    else:
        urls = ", ".join(server.url for server in servers)
        why = f"no suitable model is served at {urls}"
    embedded = await asyncio.to_thread(_embedded, config, models_folder)
    if embedded is not None:
        return embedded[0], f"{embedded[1]} It runs embedded, as {why}."
    builtin = dataclasses.replace(config, backend="builtin")
    return builtin, f"Using the built-in classifier: {why}."


def _embedded(
    config: PersonalTaggerConfig, models_folder: Path | None
) -> tuple[PersonalTaggerConfig, str] | None:
    """The settings for the embedded backend, and what it uses; None when it cannot work."""
    from imageworks.infer.embedded_models import with_embedded_model  # noqa: PLC0415  # seldom used
    from imageworks.infer.embedded_server import is_runtime_installed  # noqa: PLC0415

    if models_folder is None or not is_runtime_installed():
        return None
    try:
        return with_embedded_model(config, models_folder)
    except BackendError as error:
        logger.debug("%s", error)
        return None


def _places(
    config: PersonalTaggerConfig, candidates: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    places = {url.rstrip("/"): backend for backend, url in candidates}
    if config.base_url != setting_default("base_url"):
        own = {url.rstrip("/"): places.get(url.rstrip("/"), "openai") for url in config.base_url}
        places = {**own, **{url: backend for url, backend in places.items() if url not in own}}
    return [(backend, url) for url, backend in places.items()]


async def _look(backend: str, url: str, config: PersonalTaggerConfig) -> _FoundServer | None:
    # The key belongs to the server it was given for, not to whatever listens on a usual port.
    api_key = config.api_key if url in {own.rstrip("/") for own in config.base_url} else NO_KEY
    connection = ServerConnection(url, api_key=api_key, timeout_s=_PROBE_TIMEOUT_S)
    try:
        page = await connection.page("/models", timeout_s=_PROBE_TIMEOUT_S)
    except BackendError:
        return None
    finally:
        await connection.aclose()
    if not is_model_list(page):
        return None
    actual = backend_of_owner(model_owner(page), backend)
    return _FoundServer(actual, connection.base_url, model_ids(page))


def _fitted(config: PersonalTaggerConfig, server: _FoundServer) -> PersonalTaggerConfig | None:
    """The settings for this server, or None when it serves nothing suitable."""
    here = dataclasses.replace(config, backend=server.backend, base_url=(server.url,))
    if all(is_listed(model, server.listed) for model in config.models().values()):
        return here
    is_default = set(config.models().values()) == {setting_default("model")}
    if not is_default:
        return None
    likely = [name for name in server.listed if _VISION_NAMES.search(name)]
    model = nearest_model(setting_default("model"), likely) or next(iter(likely), "")
    if not model and len(server.listed) == 1:
        model = server.listed[0]
    if not model:
        return None
    return dataclasses.replace(
        here, model=model, caption_model=model, keyword_model=model, description_model=model
    )
