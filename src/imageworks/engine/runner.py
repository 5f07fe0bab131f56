"""PersonalTaggerRunner: takes one run through its stages over bounded queues."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from typing import TYPE_CHECKING

from imageworks.engine.asking import Asker, ReadyImage
from imageworks.engine.gate import BackendGate
from imageworks.engine.limiter import Limiter, MeasuredEngine
from imageworks.engine.progress import Progress, RateMeter
from imageworks.engine.reporting import RunReporter, collect_metrics
from imageworks.engine.scanning import RunScan
from imageworks.errors import BackendError, ImageworksError
from imageworks.models import ImageState, RunSummary

if TYPE_CHECKING:
    from collections.abc import Callable

    from imageworks.config import PersonalTaggerConfig
    from imageworks.infer.engine import BaseInferenceEngine
    from imageworks.metadata.process import MetadataProcess
    from imageworks.prepare.processes import ImageProcesses
    from imageworks.store.library import Library
    from imageworks.store.records import RunRow, WorkItem

logger = logging.getLogger(__name__)

_TICK_S = 0.1
_TOTALS_EVERY_S = 0.5
_PATIENCE_S = 900.0
_DRAIN_S = 20.0
_PREPARERS = 4
_AHEAD = 2


class PersonalTaggerRunner:
    """Discovers, prepares, asks, keeps, accepts and reports; stops and resumes at any point.

    Args:
        library: The library; this process must hold its engine lock.
        run: The run to start or to go on with.
        config: The run's settings.
        engine: Answers the questions; closed by whoever made it.
        images: Decodes pictures.
        metadata: Reads what files say; the dry-run twin when the run is dry.
        on_progress: Called on the loop with each new `Progress`.
        check: Raises what has ended a part of the engine that the run depends on.
        patience_s: How long the backend may be away.
    """

    def __init__(  # noqa: PLR0913  # the rooms that a run passes through
        self,
        library: Library,
        run: RunRow,
        config: PersonalTaggerConfig,
        engine: BaseInferenceEngine,
        *,
        images: ImageProcesses,
        metadata: MetadataProcess,
        on_progress: Callable[[Progress], None] = lambda _progress: None,
        check: Callable[[], None] = lambda: None,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._library = library
        self._run_row = run
        self._config = config
        self._engine = MeasuredEngine(
            engine, max_workers=config.max_workers, on_change=self._follow_limit
        )
        self._on_progress = on_progress
        self._check_service = check
        self._ticker: asyncio.Task[None] | None = None
        self._gate = BackendGate(engine, patience_s=patience_s)
        self._metrics = collect_metrics(library, run.id)
        self._asker = Asker(
            library,
            config,
            self._engine,
            images=images,
            metadata=metadata,
            gate=self._gate,
            metrics=self._metrics,
        )
        self._scan = RunScan(library, run, config, engine.fingerprint())
        self._stop = asyncio.Event()
        self._is_scanned = False
        self._ready: asyncio.Queue[ReadyImage] = asyncio.Queue()
        self._asking = Limiter(self._engine.limit)
        self._held = Limiter(self._most_held())
        self._askers: list[asyncio.Task[None]] = []
        self._add_asker: Callable[[], asyncio.Task[None]] | None = None
        self._meter = RateMeter(time.monotonic)
        self._counts = Counter(library.outcomes.counts(run.id, is_reported=True))
        self._failures = Counter(library.outcomes.failures(run.id, is_reported=True))
        self._ticked_at = time.monotonic()

    @property
    def is_stopped(self) -> bool:
        """Whether the run was told to stop."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ends the run soon: requests under way are dropped, what was done is kept."""
        self._stop.set()

    async def run(self) -> RunSummary:
        """Works to the end, or until stopped; then the reports are written.

        Raises:
            BackendError: The backend fails its preflight, or stays away too long.
            StoreError: The library or an output cannot be written.
        """
        reporter = RunReporter(self._library, self._run_row, self._config)
        self._library.runs.start(self._run_row.id)
        status, message = "interrupted", ""
        try:
            await self._preflight()
            self._ticker = asyncio.create_task(self._tick(reporter))
            try:
                await self._work()
                await self._await_writes()
            finally:
                self._ticker.cancel()
                await asyncio.gather(self._ticker, return_exceptions=True)
            if not self._stop.is_set():
                status = "finished"
        except ImageworksError as error:
            message = str(error)
            raise
        finally:
            self._library.queue.release_claims(self._run_row.id)
            self._report(reporter)
            self._note_progress()
            self._library.runs.end(self._run_row.id, status, message=message)
            reporter.close()
        return RunReporter(self._library, self._run_row, self._config).finish(
            self._engine, concurrency=self._engine.limit
        )

    async def _preflight(self) -> None:
        if not self._config.preflight:
            return
        probes = await self._engine.preflight()
        failed = next((probe for probe in probes if not probe.is_ok), None)
        if failed is not None:
            raise BackendError(failed.message, hint=failed.hint, reason=failed.reason)

    async def _work(self) -> None:
        """Runs scan, preparers and askers until nothing is left or the run is stopped."""
        try:
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(self._discover())]
                workers += [group.create_task(self._prepare()) for _ in range(_PREPARERS)]
                self._add_asker = lambda: group.create_task(self._ask())
                self._follow_limit()
                await self._until_done()
                self._add_asker = None
                for worker in workers + self._askers:
                    worker.cancel()
        except* ImageworksError as errors:
            raise _first_leaf(errors) from None
        finally:
            self._add_asker = None
            await self._gate.aclose()

    def _most_held(self) -> int:
        """Images that may be prepared or asked about at once."""
        most = 2 * self._engine.limit + _AHEAD
        return min(most, self._config.batch_size or most)

    def _follow_limit(self) -> None:
        """As many requests at once, and pictures ready for them, as the server is good for."""
        self._asking.resize(self._engine.limit)
        self._held.resize(self._most_held())
        while self._add_asker is not None and len(self._askers) < self._engine.limit:
            self._askers.append(self._add_asker())

    async def _until_done(self) -> None:
        while not self._stop.is_set():
            self._check()
            if self._is_scanned and self._library.queue.is_empty(self._run_row.id):
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _TICK_S)

    async def _await_writes(self) -> None:
        """Waits for the run's accepted images; when stopped, for a while only."""
        deadline = time.monotonic() + _DRAIN_S
        while self._library.decisions.count_for_run(self._run_row.id):
            self._check()
            if self._stop.is_set() and time.monotonic() > deadline:
                return
            await asyncio.sleep(_TICK_S)

    def _check(self) -> None:
        """Raises what has ended the reporting or the writing, which nobody awaits."""
        if self._ticker is not None and self._ticker.done():
            self._ticker.result()
        self._check_service()

    async def _discover(self) -> None:
        await self._scan.run(
            is_redo=self._run_row.options.is_redo,
            limit=self._run_row.options.limit,
            stop=self._stop,
        )
        self._is_scanned = True

    async def _prepare(self) -> None:
        while True:
            await self._held.acquire()
            claimed = self._library.queue.claim(self._run_row.id, 1)
            ready = None
            if claimed:
                await self._gate.wait()
                ready = await self._guarded_prepare(claimed[0])
            if ready is not None:
                self._ready.put_nowait(ready)
                continue
            self._held.release()
            if not claimed:
                await asyncio.sleep(_TICK_S)

    async def _ask(self) -> None:
        while True:
            await self._asking.acquire()
            ready = await self._ready.get()
            try:
                await self._asker.ask(ready)
            except ImageworksError:
                raise
            except Exception:
                logger.exception("Internal error while asking about %s", ready.item.path)
                self._fail_internally(ready.item)
            finally:
                self._held.release()
                self._asking.release()

    async def _guarded_prepare(self, item: WorkItem) -> ReadyImage | None:
        try:
            return await self._asker.prepare(item)
        except ImageworksError:
            raise
        except Exception:
            logger.exception("Internal error while preparing %s", item.path)
            self._fail_internally(item)
            return None

    def _fail_internally(self, item: WorkItem) -> None:
        """One image with an unforeseen error must not end the batch; the log has the traceback."""
        with self._library.transaction():
            self._library.queue.remove(item.image_id)
            text = "an internal error; the log has the details"
            self._library.images.set_state(
                item.image_id, ImageState.FAILED, reason="internal", reason_text=text
            )
            self._library.outcomes.record(
                item.run_id, item.image_id, ImageState.FAILED, reason="internal"
            )

    async def _tick(self, reporter: RunReporter) -> None:
        totals_at = 0.0
        while True:
            await asyncio.sleep(_TICK_S)
            self._report(reporter)
            self._metrics.add_concurrency(self._engine.under_way)
            if time.monotonic() - totals_at >= _TOTALS_EVERY_S:
                totals_at = time.monotonic()
                self._note_progress()

    def _report(self, reporter: RunReporter) -> None:
        for record in reporter.flush():
            self._meter.tick()
            self._counts[record.state] += 1
            if record.state is ImageState.FAILED:
                self._failures[record.reason] += 1

    def _note_progress(self) -> None:
        now = time.monotonic()
        worked_ms = int((now - self._ticked_at) * 1000)
        self._ticked_at = now
        progress = self._progress()
        self._library.runs.add_progress(
            self._run_row.id, worked_ms=worked_ms, totals=progress.as_totals()
        )
        self._on_progress(progress)

    def _progress(self) -> Progress:
        done = self._counts.total()
        total = max(self._scan.planned, done + self._library.queue.count(self._run_row.id))
        worked_s = self._library.runs.get(self._run_row.id).worked_s
        metrics = self._metrics.summary(working_s=max(worked_s, _TICK_S))
        return Progress(
            total=total,
            done=done,
            failed=self._counts[ImageState.FAILED],
            written=self._counts[ImageState.WRITTEN],
            already_done=self._scan.left,
            images_per_s=self._meter.rate(),
            eta_s=self._meter.eta_s(total - done) if self._is_scanned else None,
            concurrency=self._engine.limit,
            is_scanning=not self._is_scanned,
            stages=metrics["stages"],
            tokens={
                "prompt": metrics["prompt_tokens"],
                "completion": metrics["completion_tokens"],
                "per_s": metrics["tokens_per_s"],
            },
            retries=metrics["retries"],
            failures=dict(self._failures),
            message="" if self._gate.is_open else "the backend is away; waiting for it",
        )


def _first_leaf(group: BaseExceptionGroup[ImageworksError]) -> ImageworksError:
    """The first error of a group of groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, ImageworksError):
        raise TypeError(type(error))
    return error
