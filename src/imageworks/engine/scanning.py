"""Walks folders into the library, and queues what a run has to do with the files."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.discover.inspect import inspect_file
from imageworks.discover.walk import list_folders
from imageworks.engine.plan import Plan, plan_for
from imageworks.models import DecisionKind, ImageState
from imageworks.paths import app_paths
from imageworks.review.merge import proposed_tags
from imageworks.review.rules import RuleBook
from imageworks.stages import DiscoveredImage, FolderListing, ListedFile, SkippedPath
from imageworks.store.records import Choice
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from imageworks.config import PersonalTaggerConfig
    from imageworks.stages import KnownFolder
    from imageworks.store.library import Library
    from imageworks.store.records import FoundImage, RunRow, WorkItem

logger = logging.getLogger(__name__)

_BATCH_FILES = 2000
_BATCH_TIME_S = 0.05
_INSPECT_AT_ONCE = 64
_PAIRED_AT_ONCE = 1000


async def walked(
    config: PersonalTaggerConfig, known: Mapping[str, KnownFolder] | None = None
) -> AsyncIterator[list[FolderListing]]:
    """Batches of folders, walked in a thread while the one before is dealt with.

    The first folder comes at once.
    """
    walk = list_folders(
        config.input_paths,
        is_recursive=config.recursive,
        extensions=config.image_extensions,
        known=known,
    )

    def next_batch(most_files: int) -> list[FolderListing]:
        batch: list[FolderListing] = []
        deadline = time.monotonic() + _BATCH_TIME_S
        count = 0
        for listing in walk:
            batch.append(listing)
            count += len(listing.entries)
            time.sleep(0)  # lets the thread that keeps the batch before have its turn
            if count >= most_files or time.monotonic() > deadline:
                break
        return batch

    loop = asyncio.get_running_loop()
    # Not `to_thread`, whose thread begins only once the loop has its turn again.
    waiting = loop.run_in_executor(None, next_batch, 1)
    try:
        while batch := await waiting:
            waiting = loop.run_in_executor(None, next_batch, _BATCH_FILES)
            yield batch
    finally:
        await asyncio.wait([waiting])


class LibraryScan:
    """Looks for files without asking about them, for a screen that opens on a folder."""

    def __init__(self, library: Library, config: PersonalTaggerConfig) -> None:
        self._library = library
        self._config = config

    async def run(self) -> None:
        """Takes note of images that came and went, by their names: folders as they were are left.

        See `check` for the rest.
        """
        await self._take_over(self._library.folders.known())

    async def check(self) -> None:
        """Finds what names do not tell: files edited in place, and files that are no images."""
        await self._take_over(None)
        await self._forget_gone_folders()
        last_id = 0
        while rows := self._library.images.uninspected(
            self._config.input_paths, last_id, _INSPECT_AT_ONCE
        ):
            found = await asyncio.to_thread(lambda: [inspect_path(row.path) for row in rows])
            with self._library.transaction():
                for item in found:
                    take_note(self._library, item)
            last_id = rows[-1].id

    async def _forget_gone_folders(self) -> None:
        """Takes note of folders that no walk comes to any more, because they are gone."""
        inputs = [os.fspath(path) for path in self._config.input_paths]
        known = [
            folder
            for folder in self._library.folders.known()
            if any(folder == path or folder.startswith(path + os.sep) for path in inputs)
        ]
        gone = await asyncio.to_thread(
            lambda: [Path(folder) for folder in known if not os.path.lexists(folder)]
        )
        # A time that no folder has: it counts as listed, and as changed should it come back.
        self._library.folders.record([FolderListing(folder, 1, ()) for folder in gone])

    async def _take_over(self, known: Mapping[str, KnownFolder] | None) -> None:
        async for batch in walked(self._config, known):
            with self._library.transaction():
                self._library.folders.record(batch)
                odd = [e for some in batch for e in some.entries if not isinstance(e, ListedFile)]
                for entry in odd:
                    take_note(self._library, entry)


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
        self._rules = RuleBook(app_paths().vocabulary).sound_rules()
        self.planned = 0
        self.left = 0
        self.skipped: Counter[str] = Counter()

    async def run(self, *, is_redo: bool, limit: int | None, stop: asyncio.Event) -> None:
        """Walks to the end, to the limit of images to deal with, or until told to stop."""
        async for batch in walked(self._config):
            with self._library.transaction():
                to_ask = [
                    image_id
                    for listing in batch
                    for image_id in self._folder(listing, is_redo=is_redo, limit=limit)
                ]
                while self._library.kinship.pair_new(_PAIRED_AT_ONCE)[1]:
                    pass
                self._library.queue.add(self._run.id, to_ask, is_redo=is_redo)
            if stop.is_set() or (limit is not None and self.planned >= limit):
                return

    def _folder(self, listing: FolderListing, *, is_redo: bool, limit: int | None) -> Iterator[int]:
        """Deals with one folder's files; the ids of those that have to be asked about."""
        (folder_id,) = self._library.folders.record([listing])
        names = [entry.name for entry in listing.entries if isinstance(entry, ListedFile)]
        by_name = iter(self._library.folders.found(folder_id, names))
        for entry in listing.entries:
            if limit is not None and self.planned >= limit:
                return
            if isinstance(entry, SkippedPath):
                self._skip(entry)
                continue
            if isinstance(entry, ListedFile):
                found = next(by_name)
            else:
                found = self._library.images.record_found(entry)
            if self._is_to_ask(found, is_redo=is_redo):
                yield found.id

    def _is_to_ask(self, found: FoundImage, *, is_redo: bool) -> bool:
        """Deals with one file, unless it has to be asked about."""
        is_done = self._library.outcomes.has(self._run.id, found.id)
        if is_done and not found.is_changed:
            self.planned += 1
            return False
        plan = plan_for(
            found,
            fingerprint=self._fingerprint,
            writes_metadata=self._config.writes_metadata,
            is_redo=is_redo,
        )
        if plan in {Plan.LEAVE, Plan.AWAIT_WRITE}:
            self.left += 1
            return False
        self.planned += 1
        if plan is Plan.ACCEPT:
            self._accept(found)
        elif plan is Plan.RETRY_WRITE:
            self._library.decisions.retry(found.id, self._run.id)
        return plan is Plan.ASK

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
        suggested = self._rules.applied(stored.suggestion.tags)
        tags = proposed_tags(suggested, stored.existing, self._config)
        self._library.decisions.decide(
            found.id, self._run.id, DecisionKind.ACCEPT, by="run", choice=Choice(tags)
        )


def inspect_path(path: Path) -> DiscoveredImage | SkippedPath:
    """What a file is that was known by its name alone; opens it."""
    try:
        return inspect_file(path, path.stat())
    except OSError as error:
        return SkippedPath(path, f"cannot be read: {error.strerror}", is_failure=True)


async def inspect_claimed(library: Library, item: WorkItem) -> WorkItem | None:
    """A claimed image with its format by its bytes; None when it is no image, and so has failed."""
    if item.is_inspected:
        return item
    found = await asyncio.to_thread(inspect_path, item.path)
    with library.transaction():
        if isinstance(found, DiscoveredImage):
            library.images.record_found(found)
            return replace(item, format=found.format)
        note_skipped(library, found)
        library.queue.remove(item.image_id)
        library.outcomes.record(
            item.run_id, item.image_id, ImageState.FAILED, reason="not-an-image"
        )
    return None


def take_note(library: Library, item: DiscoveredImage | SkippedPath) -> int | None:
    """Keeps what a file is; its id, None for one that is passed over."""
    if isinstance(item, DiscoveredImage):
        return library.images.record_found(item).id
    return note_skipped(library, item)


def note_skipped(library: Library, item: SkippedPath) -> int | None:
    """Logs a path that was not taken; one that should be an image is kept as failed."""
    logger.info("%s: %s", show_path(item.path), item.reason)
    if not item.is_failure:
        return None
    return library.images.record_failed_path(
        item.path, reason="not-an-image", reason_text=item.reason
    )
