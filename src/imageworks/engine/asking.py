"""One image on its way from the queue to a suggestion: prepare, look up, ask, keep."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imageworks.engine.answering import Answering
from imageworks.engine.context import context_facts
from imageworks.engine.neighbours import library_keywords
from imageworks.engine.scanning import inspect_claimed
from imageworks.errors import MetadataError, PhotoError, TransientBackendError
from imageworks.models import (
    DecisionKind,
    ExistingMetadata,
    ImageState,
    InferenceRequest,
    InferenceResult,
    PreparedImage,
    Stage,
    Suggestion,
    Tags,
    WriteRequest,
)
from imageworks.review.merge import proposed_tags
from imageworks.store.records import Choice, NewSuggestion, WorkItem
from imageworks.text import show_path

if TYPE_CHECKING:
    from imageworks.config import PersonalTaggerConfig
    from imageworks.engine.gate import BackendGate
    from imageworks.infer.engine import BaseInferenceEngine
    from imageworks.metadata.process import MetadataProcess
    from imageworks.model_loader.metrics import BatchRunMetrics
    from imageworks.prepare.processes import ImageProcesses
    from imageworks.store.library import Library
    from imageworks.store.records import ImageRow, StoredSuggestion

logger = logging.getLogger(__name__)

_TTFT = "ttft_s"
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
    ) -> None:
        self._library = library
        self._config = config
        self._engine = engine
        self._images = images
        self._metadata = metadata
        self._gate = gate
        self._metrics = metrics
        self._fingerprint = engine.fingerprint()
        self._answering = Answering(engine, config, on_answer=gate.succeeded)
        self._neighbours = library_keywords(library, config)

    async def prepare(self, item: WorkItem) -> ReadyImage | None:
        """Decodes an image and reads its metadata; None when that already decided its fate."""
        started = time.monotonic()
        inspected = await inspect_claimed(self._library, item)
        if inspected is None:
            return None
        item = inspected
        try:
            prepared = await self._images.prepare(item.path, item.format)
        except PhotoError as error:
            self._fail(item, error)
            return None
        decoded = time.monotonic()
        item = self._settle_identity(item, prepared)
        try:
            existing = await self._metadata.read(item.path)
        except MetadataError as error:
            # What cannot be read now will be refused at the write, with its reason.
            logger.info("%s", error)
            existing = ExistingMetadata()
        if not item.is_redo and self._reuse(item, prepared, existing):
            return None
        jpeg = await asyncio.to_thread(prepared.preview_path.read_bytes)
        timing = {"prepare": decoded - started, "read_metadata": time.monotonic() - decoded}
        return ReadyImage(item, prepared, existing, jpeg, timing)

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
            self._retry(ready.item, error)
            return
        except PhotoError as error:
            self._gate.succeeded()
            self._fail(ready.item, error)
            return
        new = self._new(ready, result, suggestion, asked_s=started)
        note = await self._rehearse(ready.item, new) if self._config.dry_run else ""
        self._keep(ready.item, new, note=note)
        self._measure(new)

    async def ask_now(
        self, item: WorkItem, *, stages: tuple[Stage, ...] = tuple(Stage), sample: int = 1
    ) -> Suggestion:
        """Another suggestion for the one image that a person waits for, kept as its newest.

        It goes before the batch, costs one short call for a single field, and may run while the
        batch runs. Nothing changes when it fails.

        Args:
            item: The image, queued or not; its ``hint`` is what the person typed, in any form.
            stages: What to ask; the other fields stay as its present suggestion has them.
            sample: Raise it with every wish for yet another answer to the same question.

        Raises:
            PhotoError: The picture cannot be read, or the model gives no usable answer.
            BackendError: The backend does not answer.
        """
        started = time.monotonic()
        prepared = await self._images.prepare(item.path, item.format)
        existing = await self._metadata.read(item.path)
        jpeg = await asyncio.to_thread(prepared.preview_path.read_bytes)
        timing = {"prepare": time.monotonic() - started}
        ready = ReadyImage(item, prepared, existing, jpeg, timing)
        request = replace(self._request(ready), stages=stages, sample=sample, is_interactive=True)
        asked = time.monotonic()
        result, suggestion = await self._answering.answer(request)
        if Stage.KEYWORDS in stages:
            suggestion = await self._with_neighbours(ready, suggestion)
        suggestion = self._completed(item.image_id, suggestion, stages)
        new = self._new(ready, result, suggestion, asked_s=asked)
        self._library.suggestions.record(item.image_id, item.run_id, new)
        self._measure(new)
        return suggestion

    async def look_around(self) -> None:
        """Makes ready what similar photographs are found by, where that is wanted."""
        if self._neighbours is not None:
            await self._neighbours.backfill()

    async def _with_neighbours(self, ready: ReadyImage, suggestion: Suggestion) -> Suggestion:
        if self._neighbours is None:
            return suggestion
        return await self._neighbours.added(ready.prepared.content_id, ready.jpeg, suggestion)

    def _completed(
        self, image_id: int, suggestion: Suggestion, stages: Collection[Stage]
    ) -> Suggestion:
        """The suggestion with the fields that were not asked as the present one has them."""
        row = self._library.images.get(image_id)
        if row is None or row.suggestion_id is None or set(stages) == set(Stage):
            return suggestion
        present = self._library.suggestions.get(row.suggestion_id)
        if present is None:
            return suggestion
        old, new = present.suggestion.tags, suggestion.tags
        tags = Tags(
            new.caption if Stage.CAPTION in stages else old.caption,
            new.keywords if Stage.KEYWORDS in stages else old.keywords,
            new.description if Stage.DESCRIPTION in stages else old.description,
        )
        return replace(suggestion, tags=tags)

    def _new(
        self, ready: ReadyImage, result: InferenceResult, suggestion: Suggestion, *, asked_s: float
    ) -> NewSuggestion:
        infer_s = time.monotonic() - asked_s
        return NewSuggestion(
            suggestion=suggestion,
            content_id=ready.prepared.content_id,
            fingerprint=self._fingerprint,
            backend=self._engine.backend,
            base_url=result.base_url or self._engine.base_url,
            models=self._engine.models(),
            prompt_profile=self._config.prompt_profile,
            answers=tuple(replace(answer, token_logprobs=()) for answer in result.answers),
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

    def _keep(self, item: WorkItem, new: NewSuggestion, *, note: str = "") -> None:
        """One transaction: the suggestion and what the run decides about it."""
        tags = proposed_tags(new.suggestion.tags, new.existing, self._config)
        with self._library.transaction():
            self._library.suggestions.record(item.image_id, item.run_id, new)
            if self._config.writes_metadata:
                self._library.decisions.decide(
                    item.image_id, item.run_id, DecisionKind.ACCEPT, by="run", choice=Choice(tags)
                )
            else:
                self._library.outcomes.record(
                    item.run_id, item.image_id, ImageState.SUGGESTED, note=note
                )

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
        )

    def _settle_identity(self, item: WorkItem, prepared: PreparedImage) -> WorkItem:
        """Notes the picture's identity; a moved file gets its history back."""
        with self._library.transaction():
            self._library.images.record_prepared(item.image_id, prepared)
            for twin in self._library.images.same_picture(item.image_id, prepared.content_id):
                if not twin.path.exists():
                    logger.info("%s was moved to %s.", twin.path, item.path)
                    self._library.images.adopt_moved(twin.id, item.image_id)
                    return replace(item, image_id=twin.id)
        return item

    def _reuse(self, item: WorkItem, prepared: PreparedImage, existing: ExistingMetadata) -> bool:
        """Uses what was asked before about the same picture in the same way, if it was."""
        row = self._library.images.get(item.image_id)
        if row is None:
            return False
        asked = self._library.suggestions.find_asked(prepared.content_id, self._fingerprint)
        is_own = asked is not None and asked.id == row.suggestion_id
        if self._is_settled_by_person(row, prepared) or (is_own and row.decision_id is not None):
            self._settle_as_it_was(item)
            return True
        if asked is None:
            return False
        self._copy(item, asked, existing)
        return True

    def _is_settled_by_person(self, row: ImageRow, prepared: PreparedImage) -> bool:
        mark = self._library.decisions.mark(row.decision_id)
        if mark is None or mark.by != "person" or row.suggestion_id is None:
            return False
        stored = self._library.suggestions.get(row.suggestion_id)
        return stored is not None and stored.content_id == prepared.content_id

    def _settle_as_it_was(self, item: WorkItem) -> None:
        with self._library.transaction():
            self._library.queue.remove(item.image_id)
            state = self._library.images.restore_state(item.image_id)
            is_told = self._library.outcomes.has(item.run_id, item.image_id)
            if state is not ImageState.ACCEPTED and not is_told:
                self._library.outcomes.record(
                    item.run_id, item.image_id, state, note="unchanged since it was decided"
                )

    def _copy(self, item: WorkItem, asked: StoredSuggestion, existing: ExistingMetadata) -> None:
        note = "the same picture was asked about before"
        notes = tuple(dict.fromkeys((*asked.suggestion.notes, note)))
        new = NewSuggestion(
            suggestion=replace(asked.suggestion, notes=notes),
            content_id=asked.content_id,
            fingerprint=asked.fingerprint,
            backend=asked.backend,
            base_url=asked.base_url,
            models=asked.models,
            prompt_profile=asked.prompt_profile,
            existing=existing,
        )
        self._keep(item, new)

    def _retry(self, item: WorkItem, error: TransientBackendError) -> None:
        is_unreachable = error.reason == "unreachable"
        self._gate.failed(is_unreachable=is_unreachable)
        if is_unreachable or not self._gate.is_open:
            self._library.queue.release(item.image_id)
        elif item.attempts + 1 < MAX_ATTEMPTS:
            self._library.queue.release(item.image_id, is_attempt=True)
        else:
            self._fail(item, error)

    def _fail(self, item: WorkItem, error: PhotoError | TransientBackendError) -> None:
        with self._library.transaction():
            self._library.queue.remove(item.image_id)
            self._library.images.set_state(
                item.image_id, ImageState.FAILED, reason=error.reason, reason_text=str(error)
            )
            self._library.outcomes.record(
                item.run_id, item.image_id, ImageState.FAILED, reason=error.reason
            )


def measure(metrics: BatchRunMetrics, timing_s: Mapping[str, float]) -> None:
    """Adds one image's times to a run's metrics."""
    for stage, seconds in timing_s.items():
        if stage == _TTFT:
            metrics.add_ttft(seconds)
        else:
            metrics.add(stage, seconds)


def _stage_times(result: InferenceResult) -> dict[str, float]:
    """Seconds per request, under its stage or ``structured`` for all in one."""
    times: dict[str, float] = {}
    for answer in result.answers:
        name = answer.stages[0].value if len(answer.stages) == 1 else "structured"
        times[name] = times.get(name, 0.0) + answer.duration_s
        if answer.ttft_s is not None and _TTFT not in times:
            times[_TTFT] = answer.ttft_s
    return times
