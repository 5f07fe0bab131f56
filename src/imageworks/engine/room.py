"""Full disks and locked libraries: asking waits until there is room, and nothing is lost."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from typing import TYPE_CHECKING, TypeVar

from imageworks.errors import StoreError
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

    from imageworks.engine.hold import Hold
    from imageworks.store.library import Library

logger = logging.getLogger(__name__)

PASSING_REASONS = frozenset({"disk-full", "locked"})
"""Reasons of a `StoreError` that end by themselves or by a person's making room."""

_Result = TypeVar("_Result")

_ROOM = "room"
_LEAST_FREE_BYTES = 48_000_000
_ENOUGH_FREE_BYTES = 96_000_000
_LOOK_S = 2.0
_FIRST_PROBE_S = 1.0
_LONGEST_PROBE_S = 30.0


def free_bytes(folder: Path) -> int | None:
    """Bytes free for this user on the disk of a folder or its nearest parent; None if unknown."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except FileNotFoundError:
            continue
        except OSError as error:
            logger.debug("The free space of %s is not known: %s", show_path(place), error)
            return None
    return None


class RoomGuard:
    """Holds questions back before a disk is full, so that the answers under way can be kept.

    Args:
        hold: Held while there is too little room.
        free: Tells the free bytes of a folder's disk.
    """

    def __init__(self, hold: Hold, *, free: Callable[[Path], int | None] = free_bytes) -> None:
        self._hold = hold
        self._free = free
        self._folders: dict[Path, str] = {}
        self._is_short = False

    def watch(self, folders: Iterable[tuple[Path, str]]) -> None:
        """Watches these folders, each with a word for what is in it, beside those before."""
        self._folders.update(folders)
        self.look()

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_S)

    def look(self) -> None:
        """Holds, or lifts the hold once there is clearly enough room again."""
        wanted = _ENOUGH_FREE_BYTES if self._is_short else _LEAST_FREE_BYTES
        for folder, word in self._folders.items():
            free = self._free(folder)
            if free is not None and free < wanted:
                self._is_short = True
                text = f"the disk of {word} is full ({show_path(folder)}); waiting for room"
                if self._hold.put(_ROOM, text):
                    logger.warning("Asking is held: %s.", text)
                return
        self._is_short = False
        if self._hold.lift(_ROOM):
            logger.warning("There is room again; asking goes on.")


async def through_full_disks(
    library: Library,
    work: Callable[[], Awaitable[_Result]],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> _Result:
    """What ``work`` returns; begun anew, after a wait, whenever a full disk or a lock ended it.

    Args:
        library: Has to be writable before work goes on.
        work: Can be begun again at any point.
        sleep: Waits some seconds.

    Raises:
        StoreError: Library or output cannot be written, for a reason that does not pass.
    """
    pause_s = _FIRST_PROBE_S
    while True:
        begun_s = time.monotonic()
        try:
            return await work()
        except StoreError as error:
            if error.reason not in PASSING_REASONS:
                raise
            logger.warning("%s All waits for it.", error)
        if time.monotonic() - begun_s > _LONGEST_PROBE_S:
            pause_s = _FIRST_PROBE_S
        await sleep(pause_s)  # an output may be what has no room
        pause_s = min(2 * pause_s, _LONGEST_PROBE_S)
        await until_writable(library, sleep=sleep)


async def until_writable(
    library: Library, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Returns once the library can be written, trying less and less often.

    Raises:
        StoreError: It cannot, for a reason that does not pass.
    """
    pause_s = _FIRST_PROBE_S
    while True:
        try:
            library.session.remember("engine.probe", str(library.now_ms()))
        except StoreError as error:
            if error.reason not in PASSING_REASONS:
                raise
            logger.warning("%s Trying again in %.0f s.", error.message, pause_s)
            await sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PROBE_S)
        else:
            return
