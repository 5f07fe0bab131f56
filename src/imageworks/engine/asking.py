"""One image on its way from the queue to a suggestion: prepare, look up, ask, keep."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imageworks.engine.careful import CarefulAnswering
from imageworks.engine.context import context_facts
from imageworks.engine.keeping import Keeper, completed, hinted
from imageworks.engine.neighbours import library_keywords
from imageworks.engine.scanning import inspect_claimed
from imageworks.errors import MetadataError, PhotoError, TransientBackendError
from imageworks.models import ExistingMetadata, Stage
from imageworks.stages import InferenceRequest, PreparedImage, WriteRequest
from imageworks.store.records import NewSuggestion, WorkItem
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from imageworks.config import PersonalTaggerConfig
    from imageworks.engine.gate import BackendGate
    from imageworks.infer.engine import BaseInferenceEngine
    from imageworks.metadata.process import MetadataProcess
    from imageworks.model_loader.metrics import BatchRunMetrics
    from imageworks.models import Suggestion
    from imageworks.prepare.processes import ImageProcesses
    from imageworks.stages import InferenceResult
    from imageworks.store.library import Library
    from imageworks.store.records import StoredSuggestion

logger = logging.getLogger(__name__)

_TTFT = "ttft_s"
_STALL = "stall_s"
MAX_ATTEMPTS = 3
"""How often an image is tried when requests fail in ways that may pass."""


@dataclass(frozen=True, slots=True)
class ReadyImage:
    """A claimed image that can be asked about."""

    item: WorkItem
    prepared: PreparedImage
    existing: ExistingMetadata
    jpeg: bytes
    timing_s: Mapping[str, float]


class Asker:
    """Takes images of one run from claimed to suggested, failed, or back on the queue.

    Args:
        images: Decodes in processes of its own.
        metadata: Reads what files say now; in a dry run it also tells what a write would do.
        gate: Opens and closes with the backend.
        metrics: Gets the measurements of each suggestion.
        is_awaited: Whether a person has the cursor on an image.
    """

    def __init__(  # noqa: PLR0913  # the rooms that one image passes through
        self,
        library: Library,
        config: PersonalTaggerConfig,
        engine: BaseInferenceEngine,
        *,
        images: ImageProcesses,
        metadata: MetadataProcess,
        gate: BackendGate,
        metrics: BatchRunMetrics,
        is_awaited: Callable[[int], bool] = lambda _image_id: False,
    ) -> None:
        self._library = library
        self._config = config
        self._engine = engine
        self._images = images
        self._metadata = metadata
        self._gate = gate
        self._metrics = metrics
        self._fingerprint = engine.fingerprint()
        self._answering = CarefulAnswering(
            engine,
            config,
            samples=engine.keyword_samples,
            verifies=engine.verifies_keywords,
            on_answer=gate.succeeded,
        )
        self._neighbours = library_keywords(library, config)
        self._is_awaited = is_awaited
        self._keeper = Keeper(library, config, self._fingerprint)

    async def prepare(self, item: WorkItem) -> ReadyImage | None:
        """Decodes an image and reads its metadata; None when that already decided its fate."""
        try:
            ready = await self._made_ready(item, may_reuse=not item.is_redo)
        except PhotoError as error:
            self._keeper.fail(item, error)
            return None
        if ready is not None and self._keeper.share(ready.item, ready.prepared, ready.existing):
            return None
        return ready

    async def ask(self, ready: ReadyImage) -> None:
        """Gets an answer and keeps the suggestion that it makes.

        Raises:
            BackendError: The backend cannot be used for this run.
        """
        await self._gate.wait()
        started = time.monotonic()
        try:
            result, suggestion = await self._answering.answer(self._request(ready))
            suggestion = await self._with_neighbours(ready, suggestion)
        except TransientBackendError as error:
            if not self.try_later(ready.item, error):
                self._keeper.fail(ready.item, error)
            return
        except PhotoError as error:
            self._gate.succeeded()
            self._keeper.fail(ready.item, error)
            return
        new = self._new(ready, result, suggestion, asked_s=started)
        note = await self._rehearse(ready.item, new) if self._config.dry_run else ""
        self._keeper.keep(ready.item, new, note=note)
        self._measure(new)

    async def ask_now(
        self, item: WorkItem, *, stages: tuple[Stage, ...] = tuple(Stage), sample: int = 1
    ) -> Suggestion | None:
        """Another suggestion for the one image that a person waits for, kept as its newest.

        It goes before the batch, costs one short call for a single field, and may run while the
        batch runs. Nothing changes when it fails.

        Args:
            item: The image, queued or not; its ``hint`` is what the person typed, in any form.
            stages: What to ask; the other fields stay as its present suggestion has them. All are
                asked where there is none.
            sample: Raise it with every wish for yet another answer to the same question.

        Returns:
            None where the file turned out to be no picture any more, and its image says so.

        Raises:
            PhotoError: The picture cannot be read, or the model gives no usable answer.
            BackendError: The backend does not answer.
        """
        ready = await self._made_ready(item, may_reuse=False)
        if ready is None:
            return None
        await self._gate.wait()
        present = self._present(ready.item.image_id)
        stages = stages if present is not None else tuple(Stage)
        request = replace(self._request(ready), stages=stages, sample=sample, is_interactive=True)
        asked = time.monotonic()
        result, suggestion = await self._answering.answer(request)
        if Stage.KEYWORDS in stages:
            suggestion = await self._with_neighbours(ready, suggestion)
        new = self._new(ready, result, suggestion, asked_s=asked)
        if present is not None and set(stages) != set(Stage):
            new = completed(new, stages, present)
        self._library.suggestions.record(ready.item.image_id, item.run_id, new)
        self._measure(new)
        return new.suggestion

    async def look_around(self) -> None:
        """Makes ready what similar photographs are found by, where that is wanted."""
        if self._neighbours is not None:
            await self._neighbours.backfill()

    async def _made_ready(self, item: WorkItem, *, may_reuse: bool) -> ReadyImage | None:
        """An image with its preview and metadata; None when nothing is left to be asked about it.

        Args:
            item: The image.
            may_reuse: What was asked before about the same picture will do.

        Raises:
            PhotoError: The picture cannot be read.
        """
        started = time.monotonic()
        inspected = await inspect_claimed(self._library, item)
        if inspected is None:
            return None
        prepared = await self._images.prepare(inspected.path, inspected.format)
        decoded = time.monotonic()
        item = self._keeper.settle_identity(inspected, prepared)
        try:
            existing = await self._metadata.read(item.path)
        except MetadataError as error:
            # What cannot be read now will be refused at the write, with its reason.
            logger.info("%s", error)
            existing = ExistingMetadata()
        if may_reuse and self._keeper.reuse(item, prepared, existing):
            return None
        # Written a moment ago as a rule: shorter than the way to a thread and back.
        jpeg = prepared.preview_path.read_bytes()
        timing = {"prepare": decoded - started, "read_metadata": time.monotonic() - decoded}
        return ReadyImage(item, prepared, existing, jpeg, timing)

    async def _with_neighbours(self, ready: ReadyImage, suggestion: Suggestion) -> Suggestion:
        if self._neighbours is None:
            return suggestion
        return await self._neighbours.added(ready.prepared.content_id, ready.jpeg, suggestion)

    def _present(self, image_id: int) -> StoredSuggestion | None:
        """The newest suggestion of an image, or None."""
        row = self._library.images.get(image_id)
        if row is None or row.suggestion_id is None:
            return None
        return self._library.suggestions.get(row.suggestion_id)

    def _new(
        self, ready: ReadyImage, result: InferenceResult, suggestion: Suggestion, *, asked_s: float
    ) -> NewSuggestion:
        infer_s = time.monotonic() - asked_s
        return NewSuggestion(
            suggestion=suggestion,
            content_id=ready.prepared.content_id,
            fingerprint=hinted(self._fingerprint, ready.item.hint),
            backend=self._engine.backend,
            base_url=result.base_url or self._engine.base_url,
            models=self._engine.models(),
            prompt_profile=self._config.prompt_profile,
            answers=result.answers,
            existing=ready.existing,
            timing_s={**ready.timing_s, **_stage_times(result), "infer": infer_s},
            duration_s=sum(ready.timing_s.values()) + infer_s,
        )

    def _measure(self, new: NewSuggestion) -> None:
        measure(self._metrics, new.timing_s)
        for answer in new.answers:
            self._metrics.add_tokens(
                prompt=answer.prompt_tokens, completion=answer.completion_tokens
            )
            self._metrics.add_retries(answer.attempts - 1)

    async def _rehearse(self, item: WorkItem, new: NewSuggestion) -> str:
        """What a write would do, asked of the dry-run writer."""
        try:
            outcome = await self._metadata.write(WriteRequest(item.path, new.suggestion.tags))
        except MetadataError as error:
            return f"would not be written: {error.message}"
        if not outcome.is_changed:
            return "would leave the file as it is"
        is_in_file = outcome.target_path == item.path
        return (
            f"would write to {'the file' if is_in_file else show_path(outcome.target_path or '')}"
        )

    def _request(self, ready: ReadyImage) -> InferenceRequest:
        prepared = ready.prepared
        return InferenceRequest(
            path=ready.item.path,
            jpeg=ready.jpeg,
            context=context_facts(
                self._config.context, ready.item.path, prepared.capture, ready.existing
            ),
            pixels=prepared.pixels,
            capture=prepared.capture,
            hint=ready.item.hint,
            sample=1 if ready.item.is_redo else 0,
            is_interactive=self._is_awaited(ready.item.image_id),
        )

    def try_later(self, item: WorkItem, error: TransientBackendError) -> bool:
        """Puts an image back on the queue for another try; False when it had its tries."""
        is_unreachable = error.reason == "unreachable"
        self._gate.failed(is_unreachable=is_unreachable)
        if is_unreachable or not self._gate.is_open:
            self._library.queue.release(item.image_id)
        elif item.attempts + 1 < MAX_ATTEMPTS:
            self._library.queue.release(item.image_id, is_attempt=True)
        else:
            return False
        return True


def measure(metrics: BatchRunMetrics, timing_s: Mapping[str, float]) -> None:
    """Adds one image's times to a run's metrics."""
    for stage, seconds in timing_s.items():
        if stage == _TTFT:
            metrics.add_ttft(seconds)
        elif stage == _STALL:
            metrics.add_stall(seconds)
        else:
            metrics.add(stage, seconds)


def _stage_times(result: InferenceResult) -> dict[str, float]:
    """Seconds per request, under what it asked for or ``structured`` for all in one.

    With them the time to the first token of the first that was streamed, and the longest stall.
    """
    times: dict[str, float] = {}
    for answer in result.answers:
        name = answer.names[0] if len(answer.names) == 1 else "structured"
        times[name] = times.get(name, 0.0) + answer.duration_s
        if answer.ttft_s is not None and _TTFT not in times:
            times[_TTFT] = answer.ttft_s
        if answer.longest_stall_s is not None:
            times[_STALL] = max(times.get(_STALL, 0.0), answer.longest_stall_s)
    return times
