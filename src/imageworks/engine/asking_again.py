"""Another suggestion for single images, at a person's wish and whatever batch runs beside it."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.asking import Asker
from imageworks.engine.backends import open_engine
from imageworks.engine.gate import BackendGate
from imageworks.engine.writing import write_settings
from imageworks.errors import (
    BackendError,
    ImageworksError,
    PhotoError,
    TransientBackendError,
    UsageError,
)
from imageworks.metadata.process import MetadataProcess
from imageworks.model_loader.metrics import BatchRunMetrics
from imageworks.models import ImageState, Priority, Stage
from imageworks.prepare.cache import PreviewCache
from imageworks.prepare.processes import ImageProcesses

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from imageworks.paths import AppPaths
    from imageworks.store.library import Library
    from imageworks.store.records import WorkItem
    from imageworks.store.session import SuggestionWish

logger = logging.getLogger(__name__)

_AT_ONCE = 2
_PATIENCE_S = 60.0
_KEPT_OPEN_S = 60.0
_LOOK_S = 1.0
_BYTES_PER_GB = 1_000_000_000


class AskAgainLane:
    """Asks about images that a person has named, with the settings of their session.

    What it gets is a suggestion for the person to decide on, never written by itself. An image
    that had a suggestion keeps it when the new one fails.

    Args:
        changed: Returns after some seconds, or sooner when the library has changed.
    """

    def __init__(
        self,
        library: Library,
        paths: AppPaths,
        *,
        api_key: str,
        changed: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._library = library
        self._paths = paths
        self._api_key = api_key
        self._changed = changed
        self._waiting: list[SuggestionWish] = []
        self._run_ids: set[int] = set()
        self._open: tuple[str, Asker, AsyncExitStack] | None = None

    def add(self, wish: SuggestionWish) -> None:
        """Takes a wish, which is durable from here on unless its image is under way just now."""
        self._waiting.append(wish)
        self._queue_up()

    async def run(self) -> None:
        """Serves wishes until cancelled."""
        self._run_ids = set(self._library.queue.runs_of_kind("review"))
        used_at_s = time.monotonic()
        try:
            while True:
                self._queue_up()
                if await self._serve():
                    used_at_s = time.monotonic()
                    continue
                if time.monotonic() - used_at_s > _KEPT_OPEN_S:
                    await self._close()
                await self._changed(_LOOK_S)
        finally:
            for run_id in self._run_ids:
                self._library.queue.release_claims(run_id)
            await self._close()

    def _queue_up(self) -> None:
        """Puts wishes on the queue; one for an image under way waits until that has ended."""
        later = []
        for wish in self._waiting:
            if self._library.queue.is_claimed(wish.image_id):
                later.append(wish)
                continue
            run_id = self._run_id()
            self._run_ids.add(run_id)
            self._library.queue.add(
                run_id,
                [wish.image_id],
                priority=Priority.REVIEWER_WAITS,
                hint=wish.hint,
                stage=wish.stage,
                is_redo=True,
            )
        self._waiting = later

    def _run_id(self) -> int:
        """The review whose settings count: the latest, or one of its own."""
        latest = self._library.runs.latest(1, kind="review")
        if latest:
            return latest[0].id
        batches = self._library.runs.latest(1)
        config = batches[0].config if batches else PersonalTaggerConfig().to_json()
        return self._library.runs.create("review", config, status="finished").id

    async def _serve(self) -> bool:
        """Asks about what waits; whether there was anything."""
        served = False
        for run_id in tuple(self._run_ids):
            items = self._library.queue.claim(run_id, _AT_ONCE)
            if not items:
                continue
            served = True
            try:
                asker = await self._asker(self._library.runs.get(run_id).config)
            except (BackendError, UsageError) as error:
                for item in items:
                    self._give_up(item, error)
                continue
            await asyncio.gather(*(self._ask(asker, item) for item in items))
        return served

    async def _ask(self, asker: Asker, item: WorkItem) -> None:
        stages = tuple(Stage) if item.stage is None else (item.stage,)
        sample = self._library.suggestions.count(item.image_id)
        try:
            await asker.ask_now(item, stages=stages, sample=sample)
        except TransientBackendError as error:
            if not asker.try_later(item, error):
                self._give_up(item, error)
        except (PhotoError, BackendError) as error:
            self._give_up(item, error)

    def _give_up(self, item: WorkItem, error: ImageworksError) -> None:
        logger.warning("%s", error)
        self._library.queue.remove(item.image_id)
        if self._has_suggestion(item):
            self._keep_old(item, str(error))
        else:
            self._library.images.set_state(
                item.image_id, ImageState.FAILED, reason=error.reason, reason_text=str(error)
            )

    def _keep_old(self, item: WorkItem, why: str) -> None:
        with self._library.transaction():
            state = self._library.images.restore_state(item.image_id)
            self._library.images.set_state(
                item.image_id, state, reason="not-asked-again", reason_text=why
            )

    def _has_suggestion(self, item: WorkItem) -> bool:
        row = self._library.images.get(item.image_id)
        return row is not None and row.suggestion_id is not None

    async def _asker(self, config_json: str) -> Asker:
        if self._open is not None and self._open[0] == config_json:
            return self._open[1]
        await self._close()
        config = replace(
            PersonalTaggerConfig.from_json(config_json, api_key=self._api_key),
            review_later=True,
            dry_run=False,
        )
        engine, config, budget = await open_engine(config, self._paths)
        stack = AsyncExitStack()
        stack.push_async_callback(engine.aclose)
        previews = self._paths.cache_dir / "previews"
        cache = PreviewCache(previews, int(config.cache_gb * _BYTES_PER_GB))
        images = ImageProcesses(cache, budget)
        stack.push_async_callback(images.aclose)
        metadata = MetadataProcess(write_settings(config), is_dry_run=True)
        stack.push_async_callback(metadata.aclose)
        gate = BackendGate(engine, patience_s=_PATIENCE_S)
        stack.push_async_callback(gate.aclose)
        asker = Asker(
            self._library,
            config,
            engine,
            images=images,
            metadata=metadata,
            gate=gate,
            metrics=BatchRunMetrics(),
        )
        self._open = (config_json, asker, stack)
        return asker

    async def _close(self) -> None:
        if self._open is not None:
            _, _, stack = self._open
            self._open = None
            await stack.aclose()
