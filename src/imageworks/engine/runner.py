"""PersonalTaggerRunner: takes one run through its stages over bounded queues."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from typing import TYPE_CHECKING

from imageworks.engine.ahead import Shelf, Shelved
from imageworks.engine.asking import Asker
from imageworks.engine.gate import BackendGate
from imageworks.engine.hold import Hold
from imageworks.engine.limiter import Limiter
from imageworks.engine.progress import Progress, RateMeter
from imageworks.engine.reporting import RunReporter, collect_metrics
from imageworks.engine.retrying import FailedScan
from imageworks.engine.review_ahead import LEAST_AHEAD, ReviewAhead
from imageworks.engine.scanning import RunScan
from imageworks.engine.warming import WarmUp
from imageworks.engine.watching import WatchScan
from imageworks.errors import BackendError, ImageworksError
from imageworks.models import ImageState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from imageworks.config import PersonalTaggerConfig
    from imageworks.engine.asking import ReadyImage
    from imageworks.infer.engine import BaseInferenceEngine
    from imageworks.metadata.process import MetadataProcess
    from imageworks.prepare.processes import ImageProcesses
    from imageworks.stages import RunSummary
    from imageworks.store.library import Library
    from imageworks.store.records import RunRow, WorkItem

logger = logging.getLogger(__name__)

_TICK_S = 0.1
_TOTALS_EVERY_S = 0.5
_PATIENCE_S = 900.0
_DRAIN_S = 20.0
_PREPARERS = 4
# While these read metadata or look pictures up, no decoder waits for work.
_PREPARERS_BESIDE_DECODERS = 2
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
        hold: Holds back questions while it is held.
        changed: Returns after some seconds, or sooner when the library has changed.
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
        hold: Hold | None = None,
        changed: Callable[[float], Awaitable[None]] = asyncio.sleep,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._library = library
        self._run_row = run
        self._config = config
        self._engine = engine
        self._on_progress = on_progress
        self._check_service = check
        self._ticker: asyncio.Task[None] | None = None
        self._images = images
        self._gate = BackendGate(engine, patience_s=patience_s)
        self._metrics = collect_metrics(library, run.id)
        self._shelf = Shelf()
        self._asker = Asker(
            library,
            config,
            self._engine,
            images=images,
            metadata=metadata,
            gate=self._gate,
            metrics=self._metrics,
            is_awaited=self._shelf.is_awaited,
        )
        self._scan = _scan_for(library, run, config, engine.fingerprint())
        self._stop = asyncio.Event()
        self._drop = asyncio.Event()
        self._hold = hold or Hold()
        self._asked_now = 0
        self._is_scanned = False
        self._ahead = ReviewAhead(library, run.id, self._shelf, stop=self._stop, changed=changed)
        self._held = Limiter(self._most_held())
        self._warm_up = WarmUp(
            library, run, config, images=images, metadata=metadata, most=self._most_held()
        )
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

    def stop(self, *, is_now: bool = True) -> None:
        """Ends the run; what was done is kept.

        Args:
            is_now: Requests under way are dropped, else their answers are waited for and kept.
        """
        self._stop.set()
        self._follow_hold()
        if is_now:
            self._drop.set()

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
            await self._await_leave()
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
            elif self._is_out_of_time():
                left = self._library.queue.count(self._run_row.id)
                message = f"Its time was up with {left} images left."
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

    async def _await_leave(self) -> None:
        """Returns once nothing is held, or the run is stopped before it has begun."""
        waits = [asyncio.create_task(self._hold.wait()), asyncio.create_task(self._stop.wait())]
        if self._hold.is_held:
            self._note_progress()
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _preflight(self) -> None:
        if not self._config.preflight or self._stop.is_set():
            return
        async with self._warm_up:
            probes = await self._engine.preflight()
        failed = next((probe for probe in probes if not probe.is_ok), None)
        if failed is not None:
            raise BackendError(failed.message, hint=failed.hint, reason=failed.reason)

    async def _work(self) -> None:
        """Runs scan, preparers and askers until nothing is left or the run is stopped."""
        try:
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(self._discover())]
                preparers = max(_PREPARERS, self._images.count + _PREPARERS_BESIDE_DECODERS)
                workers += [group.create_task(self._prepare()) for _ in range(preparers)]
                workers.append(group.create_task(self._engine.watch()))
                workers.append(group.create_task(self._ahead.attend()))
                workers.append(group.create_task(self._asker.look_around()))
                workers += [
                    group.create_task(self._ahead.prepare(self._hold, self._guarded_prepare))
                    for _ in range(_PREPARERS)
                ]
                if self._engine.base_url:
                    take = self._shelf.take_awaited
                    workers += [group.create_task(self._ask(take)) for _ in range(LEAST_AHEAD)]
                self._add_asker = lambda: group.create_task(self._ask(self._shelf.take))
                self._engine.follow(self._follow_limit)
                self._follow_limit()
                self._hold.follow(self._follow_hold)
                self._follow_hold()
                await self._until_done()
                self._add_asker = None
                for worker in workers + self._askers:
                    worker.cancel()
        except* ImageworksError as errors:
            raise _first_leaf(errors) from None
        finally:
            self._add_asker = None
            self._hold.follow(lambda: None)
            self._engine.follow(lambda: None)
            await self._gate.aclose()

    def _most_held(self) -> int:
        """Images that may be prepared or asked about at once."""
        most = 2 * self._engine.limit + _AHEAD
        return min(most, self._config.batch_size or most)

    def _follow_limit(self) -> None:
        """As many requests at once, and pictures ready for them, as the server is good for."""
        self._held.resize(self._most_held())
        while self._add_asker is not None and len(self._askers) < self._most_asked():
            self._askers.append(self._add_asker())

    def _follow_hold(self) -> None:
        """A run that is held or ends sends nothing more; what is sent is waited for."""
        self._engine.hold_back(is_held=self._hold.is_held or self._stop.is_set())

    def _most_asked(self) -> int:
        """Images in the hands of the engine: under way, to be kept, or waiting to be asked again.

        The engine itself holds back what a server has no room for.
        """
        limit = self._engine.limit
        return limit + limit // 4 + _AHEAD if self._engine.base_url else limit

    async def _until_done(self) -> None:
        while not self._stop.is_set():
            self._check()
            if self._is_out_of_time():
                self.stop(is_now=False)
                break
            if self._is_scanned and self._library.queue.is_empty(self._run_row.id):
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._stop.wait()
        await self._let_finish()

    def _is_out_of_time(self) -> bool:
        """Whether the moment until which the run may ask has come; by the clock on the wall."""
        until_ms = self._run_row.options.until_ms
        return until_ms is not None and self._library.now_ms() >= until_ms

    async def _let_finish(self) -> None:
        """Waits for the answers under way, unless they are to be dropped or cannot come."""
        while self._is_answer_due() and not self._drop.is_set():
            self._check()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_S):
                    await self._drop.wait()

    def _is_answer_due(self) -> bool:
        """Whether a request that was sent may still bring an answer to be kept."""
        return self._asked_now > self._engine.waiting and self._gate.is_open

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
        while not self._stop.is_set():
            await self._held.acquire()
            await self._hold.wait()
            claimed = self._library.queue.claim(self._run_row.id, 1)
            ready = None
            if claimed:
                await self._gate.wait()
                ready = await self._guarded_prepare(claimed[0])
            if ready is not None:
                self._shelf.put(Shelved(ready, self._held))
                continue
            self._held.release()
            if not claimed:
                await asyncio.sleep(_TICK_S)

    async def _ask(self, take: Callable[[], Awaitable[Shelved]]) -> None:
        while not self._stop.is_set():
            shelved = await take()
            ready = shelved.ready
            try:
                await self._hold.wait()
                await self._timed_ask(ready)
            except ImageworksError:
                raise
            except Exception:
                logger.exception("Internal error while asking about %s", ready.item.path)
                self._fail_internally(ready.item)
            finally:
                shelved.permit.release()

    async def _timed_ask(self, ready: ReadyImage) -> None:
        started = time.monotonic()
        self._asked_now += 1
        try:
            await self._asker.ask(ready)
        finally:
            self._asked_now -= 1
        self._ahead.note_request(time.monotonic() - started)

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
            message=self._message(),
        )

    def _message(self) -> str:
        away = "" if self._gate.is_open else "the backend is away; waiting for it"
        is_watching = isinstance(self._scan, WatchScan) and self._scan.is_watching
        watching = "watching for new files" if is_watching else ""
        return "; ".join(part for part in (self._hold.text, away, watching) if part)


def _scan_for(
    library: Library, run: RunRow, config: PersonalTaggerConfig, fingerprint: str
) -> RunScan | FailedScan:
    if run.options.retry_failed:
        return FailedScan(library, run, config)
    scan = WatchScan if run.options.is_watch else RunScan
    return scan(library, run, config, fingerprint)


def _first_leaf(group: BaseExceptionGroup[ImageworksError]) -> ImageworksError:
    """The first error of a group of groups."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, ImageworksError):
        raise TypeError(type(error))
    return error
