"""`ptag run --watch`: new and edited files join the queue once they have stopped growing.

It looks, at folders' own times, instead of being notified: that works alike on local disks, on
network mounts and in containers, costs a stat a folder, and cannot overflow. A file edited in place
changes no folder's time: all files are looked at as well, in turn, a few hundred at a time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from imageworks.discover.walk import list_folders
from imageworks.engine.scanning import RunScan, inspect_path
from imageworks.stages import DiscoveredImage, KnownFolder, ListedFile, SkippedPath
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from imageworks.config import PersonalTaggerConfig
    from imageworks.stages import FolderListing
    from imageworks.store.library import Library
    from imageworks.store.records import RunRow

logger = logging.getLogger(__name__)

SETTLE_S = 2.0
"""So long must a file's size and time stand still."""

_LOOK_S = 2.0
_LOOK_SHARE = 20
_FILES_A_LOOK = 500
"""With a look every two seconds, each of 100,000 files is looked at every seven minutes."""

# A name may come in the same tick of the file system's clock in which its folder was listed.
_UNSURE_NS = 2_000_000_000


class _Facts(NamedTuple):
    """What changes while a file is being written."""

    size_bytes: int
    mtime_ns: int


_NO_IMAGE = _Facts(0, 0)
"""What the library knows of a file that claims to be an image and is none."""


class WatchScan(RunScan):
    """A run's scan that does not end: after the walk it looks for more until stopped.

    Attributes:
        is_watching: The walk is over.
    """

    def __init__(
        self, library: Library, run: RunRow, config: PersonalTaggerConfig, fingerprint: str
    ) -> None:
        super().__init__(library, run, config, fingerprint)
        self._known: dict[str, KnownFolder] = {}
        self._settling: dict[Path, tuple[_Facts, float]] = {}
        self._taken: dict[Path, _Facts] = {}
        self._round = self._walk()
        self.is_watching = False

    async def run(self, *, is_redo: bool, limit: int | None, stop: asyncio.Event) -> None:
        """Walks, then watches until told to stop or the limit is reached."""
        await super().run(is_redo=is_redo, limit=limit, stop=stop)
        self._known = self._library.folders.known()
        self.is_watching = True
        logger.info("Watching for new and edited files.")
        while not stop.is_set() and (limit is None or self.planned < limit):
            started_s = time.monotonic()
            settled, listings = await asyncio.to_thread(lambda: (self._look(), self._next_files()))
            for listing in listings:
                self._find_edited(listing)
            for path in settled:
                await self._take(path)
            taken_s = time.monotonic() - started_s
            await asyncio.sleep(max(_LOOK_S, _LOOK_SHARE * taken_s))

    def _folder(self, listing: FolderListing, *, is_redo: bool, limit: int | None) -> Iterator[int]:
        """As in every run, but what was changed a moment ago is left to settle."""
        newest_ns = time.time_ns() - int(SETTLE_S * 1e9)
        settled = []
        for entry in listing.entries:
            if isinstance(entry, SkippedPath) or entry.mtime_ns <= newest_ns:
                settled.append(entry)
            else:
                self._let_settle(_path_of(listing, entry), entry)
        return super()._folder(
            replace(listing, entries=tuple(settled)), is_redo=is_redo, limit=limit
        )

    def _let_settle(self, path: Path, entry: ListedFile | DiscoveredImage) -> None:
        facts = _Facts(entry.size_bytes, entry.mtime_ns)
        before = self._settling.get(path)
        if self._taken.get(path) != facts and (before is None or before[0] != facts):
            self._settling[path] = (facts, time.monotonic())

    def _look(self) -> list[Path]:
        """Looks at all folders; the files that have settled since."""
        for listing in self._walk(self._known):
            self._remember(listing)
            for entry in listing.entries:
                if not isinstance(entry, SkippedPath):
                    self._let_settle(_path_of(listing, entry), entry)
        return [path for path in list(self._settling) if self._has_settled(path)]

    def _walk(self, known: Mapping[str, KnownFolder] | None = None) -> Iterator[FolderListing]:
        return list_folders(
            self._config.input_paths,
            is_recursive=self._config.recursive,
            extensions=self._config.image_extensions,
            known=known,
        )

    def _next_files(self) -> list[FolderListing]:
        """The next folders of a round through all of them, whatever their times say."""
        listings: list[FolderListing] = []
        count = 0
        for listing in self._round:
            listings.append(listing)
            count += len(listing.entries)
            if count >= _FILES_A_LOOK:
                return listings
        self._round = self._walk()
        return listings

    def _find_edited(self, listing: FolderListing) -> None:
        """Lets files settle that are not as the library knows them."""
        known = self._library.folders.files(listing.path)
        for entry in listing.entries:
            if isinstance(entry, SkippedPath):
                continue
            path = _path_of(listing, entry)
            facts, before = _Facts(entry.size_bytes, entry.mtime_ns), known.get(path.name)
            if before == _NO_IMAGE:
                self._taken.setdefault(path, facts)
            if before not in {None, facts}:
                self._let_settle(path, entry)

    def _remember(self, listing: FolderListing) -> None:
        """Takes note of a folder's time, and of it in the folder above."""
        path = os.fspath(listing.path)
        is_sure = time.time_ns() - listing.mtime_ns > _UNSURE_NS
        old = self._known.get(path)
        below = old.below if old is not None else ()
        self._known[path] = KnownFolder(listing.mtime_ns if is_sure else None, below)
        parent = os.fspath(listing.path.parent)
        above = self._known.get(parent)
        if above is not None and parent != path and path not in above.below:
            self._known[parent] = replace(above, below=(*above.below, path))

    def _has_settled(self, path: Path) -> bool:
        facts, since_s = self._settling[path]
        if time.monotonic() - since_s < SETTLE_S:
            return False
        try:
            status = path.stat()
        except OSError as error:
            logger.info("%s went away: %s", show_path(path), error)
            del self._settling[path]
            return False
        now = _Facts(status.st_size, status.st_mtime_ns)
        if now != facts:
            self._settling[path] = (now, time.monotonic())
            return False
        del self._settling[path]
        self._taken[path] = facts
        return True

    async def _take(self, path: Path) -> None:
        """Deals with a file that has settled as a run does with one that it comes upon."""
        found = await asyncio.to_thread(inspect_path, path)
        with self._library.transaction():
            if isinstance(found, SkippedPath):
                self._skip(found)
                return
            image = self._library.images.record_found(found)
            if self._is_to_ask(image, is_redo=False):
                self._library.queue.add(self._run.id, [image.id])


def _path_of(listing: FolderListing, entry: ListedFile | DiscoveredImage) -> Path:
    return listing.path / entry.name if isinstance(entry, ListedFile) else entry.path
