"""What an engine process owns while it holds a library: processes, writes, and the runs it does."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.backends import open_engine
from imageworks.engine.lease import say_alive
from imageworks.engine.runner import PersonalTaggerRunner
from imageworks.engine.scanning import LibraryScan
from imageworks.engine.writing import WriteLoop, write_settings
from imageworks.errors import ImageworksError
from imageworks.metadata.process import MetadataProcess
from imageworks.metadata.replace import sweep_leftovers
from imageworks.prepare.cache import PreviewCache
from imageworks.prepare.processes import ImageProcesses

if TYPE_CHECKING:
    from collections.abc import Callable

    from imageworks.engine.progress import Progress
    from imageworks.models import RunSummary
    from imageworks.paths import AppPaths
    from imageworks.store.library import Library
    from imageworks.store.records import RunRow

logger = logging.getLogger(__name__)

_HEARTBEAT_S = 1.0
_BYTES_PER_GB = 1_000_000_000


class EngineService:
    """The engine of one library; the process that makes one must hold the engine lock.

    Args:
        library: The library.
        paths: Where caches and profiles are.
        api_key: Key for the model server; never stored.
    """

    def __init__(self, library: Library, paths: AppPaths, *, api_key: str = "EMPTY") -> None:
        self._library = library
        self._paths = paths
        self._api_key = api_key
        self._writes = WriteLoop(library)
        self._runner: PersonalTaggerRunner | None = None
        self._run_name = ""
        self._stopped_by_wish = ""
        self._activity = "starting"
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Puts right what an engine that was killed left, and begins to write what is accepted."""
        interrupted = self._library.queue.release_interrupted()
        for folder in self._library.decisions.intended_folders():
            for leftover in sweep_leftovers(Path(os.fsdecode(folder))):
                logger.info("Removed %s, left by a write that was cut off.", leftover)
        await self._writes.recover()
        if interrupted:
            logger.info("Going on with %d images that were under way.", interrupted)
        self._tasks = [
            asyncio.create_task(self._writes.run()),
            asyncio.create_task(self._beat()),
            asyncio.create_task(self._heed()),
        ]

    async def aclose(self) -> None:
        """Ends all that belongs to this engine; a write under way is finished first."""
        await self._writes.aclose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._library.session.drop_lease()

    def check(self) -> None:
        """Raises what ended a background task, such as a `StoreError`."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def do_run(
        self,
        run: RunRow,
        config: PersonalTaggerConfig,
        *,
        on_progress: Callable[[Progress], None] = lambda _progress: None,
    ) -> RunSummary:
        """Takes a run from where it is to its end.

        Raises:
            BackendError: The backend cannot be used.
            UsageError: The profile or a model is unknown.
            StoreError: The library or an output cannot be written.
        """
        self._activity, self._run_name = f"run {run.name}", run.name
        engine, config, budget = await open_engine(config, self._paths)
        cache = PreviewCache(
            self._paths.cache_dir / "previews", int(config.cache_gb * _BYTES_PER_GB)
        )
        images = ImageProcesses(cache, budget)
        metadata = MetadataProcess(write_settings(config), is_dry_run=True)
        try:
            self._runner = PersonalTaggerRunner(
                self._library,
                run,
                config,
                engine,
                images=images,
                metadata=metadata,
                on_progress=on_progress,
                check=self.check,
            )
            return await self._runner.run()
        finally:
            self._runner = None
            self._activity, self._run_name = "idle", ""
            await engine.aclose()
            await images.aclose()
            await metadata.aclose()
            await asyncio.to_thread(cache.trim)

    def stop_run(self) -> bool:
        """Tells the run under way to stop; False when there is none."""
        if self._runner is None:
            return False
        self._runner.stop()
        return True

    async def do_pending_run(self) -> bool:
        """Takes up the oldest batch that waits; False when there is none."""
        run = self._library.runs.next_pending()
        if run is None:
            return False
        try:
            config = PersonalTaggerConfig.from_json(run.config, api_key=self._api_key)
            await self.do_run(run, config)
        except ImageworksError as error:
            logger.error("Run %s ended: %s", run.name, error)  # noqa: TRY400  # said in one line
            self._library.runs.end(run.id, "interrupted", message=str(error))
        if self._stopped_by_wish == run.name:
            self._library.queue.drop_run(run.id)
            self._library.runs.end(run.id, "stopped", message="stopped by the person")
        return True

    async def _beat(self) -> None:
        while True:
            say_alive(self._library, self._activity)
            await asyncio.sleep(_HEARTBEAT_S)

    async def _heed(self) -> None:
        """Does what screens ask for."""
        version = -1
        while True:
            current = self._library.data_version()
            if current != version:
                version = current
                for kind, value in self._library.session.take_wishes():
                    await self._fulfil(kind, value)
            await asyncio.sleep(_HEARTBEAT_S / 10)

    async def _fulfil(self, kind: str, value: str) -> None:
        if kind == "stop":
            self._stopped_by_wish = value
            run = self._library.runs.find(value)
            if value == self._run_name:
                self.stop_run()
            elif run is not None and run.status == "pending":
                self._library.runs.end(run.id, "stopped", message="stopped before it began")
        elif kind == "scan":
            count = await LibraryScan(self._library, PersonalTaggerConfig.from_json(value)).run()
            logger.info("Found %d images.", count)
        else:
            logger.warning("Unknown wish %s.", kind)
