"""Tells everyone in this process when the library has changed, whoever changed it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from imageworks.errors import StoreError

if TYPE_CHECKING:
    from imageworks.store.library import Library

logger = logging.getLogger(__name__)

PULSE_S = 0.15
"""How late a change is noticed at most; 0.2 s are promised.

A look costs some microseconds, waking for it ten times as much.
"""


class Pulse:
    """The one loop of an engine that looks at the library; all others wait for it.

    It looks, rather than being told, so that it works on every disk and survives whoever dies.
    """

    def __init__(self, library: Library, *, period_s: float = PULSE_S) -> None:
        self._library = library
        self._period_s = period_s
        self._mark: tuple[int, int] | None = None
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(self._period_s)

    def look(self) -> bool:
        """Wakes those who wait when something has changed, here or in another process."""
        try:
            mark = self._library.change_mark()
        except StoreError as error:
            logger.warning("%s", error)
            return False
        if mark == self._mark:
            return False
        self._mark = mark
        self.ring()
        return True

    def ring(self) -> None:
        """Wakes those who wait, for a change that the library does not show."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, at_most_s: float) -> None:
        """Returns at the next change, or when the time is up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._changed.wait()
