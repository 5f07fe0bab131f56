"""What an engine process owns while it holds a library: processes, writes, and the runs it does."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.asking_again import AskAgainLane
from imageworks.engine.backends import open_engine
from imageworks.engine.control import SCAN, STOP, STOP_NOW, current_pause
from imageworks.engine.hold import Hold
from imageworks.engine.lease import HEARTBEAT_S, claim_lease, drop_own_lease, say_alive
from imageworks.engine.pulse import Pulse
from imageworks.engine.room import PASSING_REASONS, RoomGuard, until_writable
from imageworks.engine.runner import PersonalTaggerRunner
from imageworks.engine.scanning import LibraryScan
from imageworks.engine.writing import WriteLoop, write_settings
from imageworks.errors import ImageworksError, LibraryBusyError, StoreError
from imageworks.metadata.process import MetadataProcess
from imageworks.prepare.cache import PreviewCache
from imageworks.prepare.processes import ImageProcesses
from imageworks.store.session import SUGGESTION_WISH, SuggestionWish

if TYPE_CHECKING:
    from collections.abc import Callable

    from imageworks.engine.progress import Progress
    from imageworks.paths import AppPaths
    from imageworks.stages import RunSummary
    from imageworks.store.library import Library
    from imageworks.store.records import RunRow

logger = logging.getLogger(__name__)

IDLE = "idle"
"""What an engine does that waits for work."""

_PERSON = "person"
_LOOK_AT_LEAST_EVERY_S = 5.0
_BYTES_PER_GB = 1_000_000_000
_STOPPED = "stopped by the person"


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
        self.pulse = Pulse(library)
        self.hold = Hold()
        self._writes = WriteLoop(library, pause=self.pulse.wait)
        self._again = AskAgainLane(library, paths, api_key=api_key, changed=self.pulse.wait)
        self._room = RoomGuard(self.hold)
        self._runner: PersonalTaggerRunner | None = None
        self._run_name = ""
        self._stopped_by_wish = ""
        self._work = IDLE
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def activity(self) -> str:
        """What this engine does, in words."""
        parts = (self._work, self.hold.text, self._writes.trouble)
        return " · ".join(part for part in parts if part)

    async def start(self) -> None:
        """Puts right what an engine that was killed left, and begins to write what is accepted.

        Raises:
            LibraryBusyError: An engine on another machine works on this library.
        """
        await asyncio.to_thread(claim_lease, self._library)
        interrupted = self._library.queue.release_interrupted()
        self._library.runs.take_over_orphans()
        await self._writes.recover()
        if interrupted:
            logger.info("Going on with %d images that were under way.", interrupted)
        self._note_pause()
        self._room.watch(
            [(self._library.path.parent, "the library"), (self._paths.cache_dir, "the previews")]
        )
        self._tasks = [
            asyncio.create_task(self._room.run()),
            asyncio.create_task(self.pulse.run()),
            asyncio.create_task(self._writes.run()),
            asyncio.create_task(self._again.run()),
            asyncio.create_task(self._beat()),
            asyncio.create_task(self._heed()),
        ]

    async def aclose(self) -> None:
        """Ends all that belongs to this engine; a write under way is finished first."""
        await self._writes.aclose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        drop_own_lease(self._library)

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
        """Takes a run from where it is to its end, or to where a person stops it.

        Raises:
            BackendError: The backend cannot be used.
            UsageError: The profile or a model is unknown.
            StoreError: The library or an output cannot be written.
        """
        self._work, self._run_name = f"run {run.name}", run.name
        self._room.watch([(config.output_jsonl.parent, "the results")])
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
                hold=self.hold,
                changed=self.pulse.wait,
            )
            if self._stopped_by_wish == run.name:
                self._runner.stop()
            return await self._runner.run()
        finally:
            self._runner = None
            self._work, self._run_name = IDLE, ""
            await engine.aclose()
            await images.aclose()
            await metadata.aclose()
            await asyncio.to_thread(cache.trim)
            if self._stopped_by_wish == run.name:
                self._library.queue.drop_run(run.id)
                self._library.runs.end(run.id, "stopped", message=_STOPPED)

    def stop_run(self, *, is_now: bool = True) -> bool:
        """Tells the run under way to stop; False when there is none.

        Args:
            is_now: Drop what is under way instead of waiting for it.
        """
        if self._runner is None:
            return False
        self._runner.stop(is_now=is_now)
        return True

    async def do_pending_run(self) -> bool:
        """Takes up the oldest batch that waits; False when there is none, or asking is paused."""
        run = None if self.hold.is_held else self._library.runs.next_pending()
        if run is None:
            return False
        try:
            config = PersonalTaggerConfig.from_json(run.config, api_key=self._api_key)
            await self.do_run(run, config)
        except LibraryBusyError:
            raise
        except StoreError as error:
            if error.reason not in PASSING_REASONS:
                raise
            logger.warning("Run %s waits: %s", run.name, error)
            await until_writable(self._library)
            self._library.runs.queue_up(run.id)
            raise
        except ImageworksError as error:
            logger.error("Run %s ended: %s", run.name, error)  # noqa: TRY400  # said in one line
            if self._library.runs.get(run.id).status != "stopped":
                self._library.runs.end(run.id, "interrupted", message=str(error))
        return True

    async def _beat(self) -> None:
        """Says every few seconds, and at every change, that this engine is alive."""
        said, said_at_s = "", float("-inf")
        while True:
            now_s = time.monotonic()
            if self.activity != said or now_s - said_at_s >= HEARTBEAT_S:
                said, said_at_s = self.activity, now_s
                say_alive(self._library, said)
            await self.pulse.wait(HEARTBEAT_S)

    async def _heed(self) -> None:
        """Does what screens and commands ask for."""
        while True:
            self._note_pause()
            if self._library.session.has_wishes():
                with self._library.transaction():  # a wish that is taken is never lost
                    for kind, value in self._library.session.take_wishes():
                        self._fulfil(kind, value)
            await self.pulse.wait(_LOOK_AT_LEAST_EVERY_S)

    def _note_pause(self) -> None:
        pause = current_pause(self._library)
        if pause is not None and self.hold.put(_PERSON, pause.text()):
            logger.info("Asking is paused.")
            self.pulse.ring()
        elif pause is None and self.hold.lift(_PERSON):
            logger.info("Asking goes on.")
            self.pulse.ring()

    def _fulfil(self, kind: str, value: str) -> None:
        if kind in {STOP, STOP_NOW}:
            self._stop(value, is_now=kind == STOP_NOW)
        elif kind == SUGGESTION_WISH:
            self._again.add(SuggestionWish.from_value(value))
        elif kind == SCAN:
            self._tasks.append(asyncio.create_task(self._scan(value)))
        else:
            logger.warning("Unknown wish %s.", kind)

    async def _scan(self, config: str) -> None:
        scan = LibraryScan(self._library, PersonalTaggerConfig.from_json(config))
        await scan.run()
        await scan.check()

    def _stop(self, run_name: str, *, is_now: bool) -> None:
        run = self._library.runs.find(run_name)
        if run_name == self._run_name:
            self._stopped_by_wish = run_name
            self.stop_run(is_now=is_now)
        elif run is not None and run.status in {"pending", "running"}:
            self._library.queue.drop_run(run.id)
            self._library.runs.end(run.id, "stopped", message=_STOPPED)
