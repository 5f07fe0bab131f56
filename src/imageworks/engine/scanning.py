"""Walks folders into the library, and queues what a run has to do with the files."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from typing import TYPE_CHECKING

from imageworks.discover.walk import discover_images
from imageworks.engine.plan import Plan, plan_for
from imageworks.models import DecisionKind, DiscoveredImage, ImageState, SkippedPath
from imageworks.review.merge import proposed_tags
from imageworks.store.records import Choice
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence
    from pathlib import Path

    from imageworks.config import PersonalTaggerConfig
    from imageworks.store.library import Library
    from imageworks.store.records import FoundImage, RunRow

logger = logging.getLogger(__name__)

_BATCH_SIZE = 256
_BATCH_TIME_S = 0.1


async def discovered(
    folders: Sequence[Path], *, is_recursive: bool, extensions: Collection[str]
) -> AsyncIterator[list[DiscoveredImage | SkippedPath]]:
    """Batches of what `discover_images` finds, walked in a thread; the first comes at once."""
    found = discover_images(folders, is_recursive=is_recursive, extensions=extensions)

    def next_batch(limit: int) -> list[DiscoveredImage | SkippedPath]:
        batch: list[DiscoveredImage | SkippedPath] = []
        deadline = time.monotonic() + _BATCH_TIME_S
        for item in found:
            batch.append(item)
            if len(batch) >= limit or time.monotonic() > deadline:
                break
        return batch

    limit = 8
    while batch := await asyncio.to_thread(next_batch, limit):
        yield batch
        limit = _BATCH_SIZE


class LibraryScan:
    """Looks for files without asking about them, for a screen that opens on a folder."""

    def __init__(self, library: Library, config: PersonalTaggerConfig) -> None:
        self._library = library
        self._config = config

    async def run(self) -> int:
        """Takes note of all images in the input folders; how many there are."""
        count = 0
        batches = discovered(
            self._config.input_paths,
            is_recursive=self._config.recursive,
            extensions=self._config.image_extensions,
        )
        async for batch in batches:
            with self._library.transaction():
                for item in batch:
                    if isinstance(item, DiscoveredImage):
                        self._library.images.record_found(item)
                        count += 1
                    else:
                        note_skipped(self._library, item)
        return count


class RunScan:
    """Walks a run's folders and puts every image where it belongs: queue, accept, or left alone.

    Args:
        fingerprint: How the run asks; see `plan_for`.

    Attributes:
        planned: Images that this run deals with, so far.
        left: How many were left alone, so far.
        skipped: Why files were not taken, counted by reason.
    """

    def __init__(
        self, library: Library, run: RunRow, config: PersonalTaggerConfig, fingerprint: str
    ) -> None:
        self._library = library
        self._run = run
        self._config = config
        self._fingerprint = fingerprint
        self.planned = 0
        self.left = 0
        self.skipped: Counter[str] = Counter()

    async def run(self, *, is_redo: bool, limit: int | None, stop: asyncio.Event) -> None:
        """Walks to the end, to the limit of images to deal with, or until told to stop."""
        batches = discovered(
            self._config.input_paths,
            is_recursive=self._config.recursive,
            extensions=self._config.image_extensions,
        )
        async for batch in batches:
            with self._library.transaction():
                taken = [self._take(item, is_redo=is_redo, limit=limit) for item in batch]
                to_ask = [image_id for image_id in taken if image_id is not None]
                self._library.queue.add(self._run.id, to_ask, is_redo=is_redo)
            if stop.is_set() or (limit is not None and self.planned >= limit):
                return

    def _take(
        self, item: DiscoveredImage | SkippedPath, *, is_redo: bool, limit: int | None
    ) -> int | None:
        """Deals with one file; its id when it has to be asked about."""
        if limit is not None and self.planned >= limit:
            return None
        if isinstance(item, SkippedPath):
            self._skip(item)
            return None
        found = self._library.images.record_found(item)
        if self._library.outcomes.has(self._run.id, found.id):
            self.planned += 1
            return None
        plan = plan_for(
            found,
            fingerprint=self._fingerprint,
            writes_metadata=self._config.writes_metadata,
            is_redo=is_redo,
        )
        if plan in {Plan.LEAVE, Plan.AWAIT_WRITE}:
            self.left += 1
            return None
        self.planned += 1
        if plan is Plan.ACCEPT:
            self._accept(found)
        elif plan is Plan.RETRY_WRITE:
            self._library.decisions.retry(found.id, self._run.id)
        return found.id if plan is Plan.ASK else None

    def _skip(self, item: SkippedPath) -> None:
        self.skipped[item.reason] += 1
        image_id = note_skipped(self._library, item)
        if image_id is not None:
            self.planned += 1
            if not self._library.outcomes.has(self._run.id, image_id):
                self._library.outcomes.record(
                    self._run.id, image_id, ImageState.FAILED, reason="not-an-image"
                )

    def _accept(self, found: FoundImage) -> None:
        row = self._library.images.get(found.id)
        stored = (
            self._library.suggestions.get(row.suggestion_id)
            if row is not None and row.suggestion_id is not None
            else None
        )
        if stored is None:
            return
        tags = proposed_tags(stored.suggestion.tags, stored.existing, self._config)
        self._library.decisions.decide(
            found.id, self._run.id, DecisionKind.ACCEPT, by="run", choice=Choice(tags)
        )


def note_skipped(library: Library, item: SkippedPath) -> int | None:
    """Logs a path that was not taken; one that should be an image is kept as failed."""
    logger.info("%s: %s", show_path(item.path), item.reason)
    if not item.is_failure:
        return None
    return library.images.record_failed_path(
        item.path, reason="not-an-image", reason_text=item.reason
    )
