"""Decodes a run's first pictures while its server is still being asked whether it can work.

Nothing is noted in the library and nothing fails: what cannot be decoded is told when its turn
comes. What is decoded is in the preview cache by then, and the processes are running.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from imageworks.engine.scanning import inspect_path, walked
from imageworks.errors import PhotoError
from imageworks.stages import DiscoveredImage, ListedFile, SkippedPath

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from imageworks.config import PersonalTaggerConfig
    from imageworks.metadata.process import MetadataProcess
    from imageworks.prepare.processes import ImageProcesses
    from imageworks.stages import FolderListing
    from imageworks.store.library import Library
    from imageworks.store.records import RunRow

logger = logging.getLogger(__name__)


class WarmUp:
    """Pictures decoded ahead of a run, for a block of code.

    Args:
        library: Tells what is left of a run that goes on; nothing is written to it.
        run: The run.
        config: The run's settings.
        images: Decodes.
        metadata: Reads what files say.
        most: Pictures at most.
    """

    def __init__(
        self,
        library: Library,
        run: RunRow,
        config: PersonalTaggerConfig,
        *,
        images: ImageProcesses,
        metadata: MetadataProcess,
        most: int,
    ) -> None:
        self._library = library
        self._run = run
        self._config = config
        self._images = images
        self._metadata = metadata
        self._most = most
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> WarmUp:
        """Begins."""
        self._task = asyncio.create_task(self.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends it; a decode under way goes on into the cache."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled() and self._task.exception() is not None:
            logger.warning("Warming up ended early.", exc_info=self._task.exception())

    async def run(self) -> None:
        """Decodes to the end, or until cancelled."""
        if self._run.options.retry_failed:
            return  # those that failed are not the first that a walk comes to
        under_way: set[asyncio.Task[None]] = set()
        try:
            async for path in self._first_paths():
                under_way.add(asyncio.create_task(self._decode(path)))
                if len(under_way) > self._images.count:
                    done, under_way = await asyncio.wait(
                        under_way, return_when=asyncio.FIRST_COMPLETED
                    )
                    await asyncio.gather(*done)
            await asyncio.gather(*under_way)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)  # the first one is raised

    async def _first_paths(self) -> AsyncIterator[Path]:
        """The paths that the run asks about first, as far as that is known without a scan."""
        left = self._library.queue.next_paths(self._run.id, self._most)
        for path in left:
            yield path
        if left:
            return
        count = 0
        async with contextlib.aclosing(walked(self._config)) as batches:  # type: ignore[type-var]  # a generator
            async for batch in batches:
                for path in _listed(batch):
                    yield path
                    count += 1
                    if count >= self._most:
                        return

    async def _decode(self, path: Path) -> None:
        found = await asyncio.to_thread(inspect_path, path)
        if isinstance(found, SkippedPath):
            return
        try:
            await self._images.prepare(path, found.format)
            await self._metadata.read(path)
        except PhotoError as error:
            logger.debug("%s", error)


def _listed(batch: list[FolderListing]) -> Iterator[Path]:
    for listing in batch:
        for entry in listing.entries:
            if isinstance(entry, ListedFile):
                yield listing.path / entry.name
            elif isinstance(entry, DiscoveredImage):
                yield entry.path
