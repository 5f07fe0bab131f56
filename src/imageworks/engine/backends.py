"""Chooses and opens the inference engine that a run's settings name."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from imageworks.errors import UsageError
from imageworks.infer.embedded_models import MODELS_FOLDER, with_embedded_model
from imageworks.infer.embedded_server import EmbeddedServers
from imageworks.infer.factory import choose_backend, create_engine
from imageworks.infer.profiles import ProfileBook
from imageworks.model_loader.registry import load_registry
from imageworks.prepare.budget import PixelBudget, budget_for
from imageworks.prepare.crops import rgb_crops

if TYPE_CHECKING:
    from imageworks.config import PersonalTaggerConfig
    from imageworks.infer.engine import BaseInferenceEngine
    from imageworks.paths import AppPaths

logger = logging.getLogger(__name__)


async def open_engine(
    config: PersonalTaggerConfig, paths: AppPaths, *, servers: EmbeddedServers | None = None
) -> tuple[BaseInferenceEngine, PersonalTaggerConfig, PixelBudget]:
    """The engine, the settings with models and backend filled in, and the picture size it wants.

    Args:
        config: The settings.
        paths: Where profiles, caches, models and logs are.
        servers: Embedded servers that engines share; None gives the engine one of its own.

    Raises:
        UsageError: The profile, a role or a model is unknown, or a model file cannot be used.
        BackendError: The embedded backend finds no model on this disk.
    """
    config = with_registry(config)
    if config.backend == "auto":
        config, message = await choose_backend(config, models_folder=paths.data_dir / MODELS_FOLDER)
        logger.warning("%s", message)
    elif config.backend == "embedded":
        config, message = await asyncio.to_thread(
            with_embedded_model, config, paths.data_dir / MODELS_FOLDER
        )
        logger.info("%s", message)
    profile = ProfileBook(paths.profiles_dir).get(config.prompt_profile)
    engine = create_engine(
        config,
        profile,
        pixels=rgb_crops,
        memory_path=paths.cache_dir / "servers.json",
        servers=servers or EmbeddedServers(paths.log_dir),
    )
    return engine, config, budget_for(profile.long_edge_px, config.models().values())


def with_registry(config: PersonalTaggerConfig) -> PersonalTaggerConfig:
    """The settings with models, backend and address taken from the registry, if asked for.

    Raises:
        UsageError: A role has no fitting entry, or the roles need different servers.
    """
    if not config.use_registry:
        return config
    registry = load_registry(config.registry_path)
    caption, keywords, description = (
        registry.resolve(role)
        for role in (config.caption_role, config.keyword_role, config.description_role)
    )
    servers = {(entry.backend, entry.base_url) for entry in (caption, keywords, description)}
    if len(servers) > 1:
        message = "The registry's entries for the three roles are on different servers."
        raise UsageError(message, hint="choose roles whose models one server offers.")
    return replace(
        config,
        backend=caption.backend,
        base_url=(caption.base_url,) if caption.base_url else config.base_url,
        caption_model=caption.name,
        keyword_model=keywords.name,
        description_model=description.name,
    )
