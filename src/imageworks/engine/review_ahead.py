"""Has a run ask first about what a person looks at, far enough ahead that nobody waits."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from imageworks.engine.ahead import Shelf, Shelved
from imageworks.engine.attention import current_attention, review_depth
from imageworks.engine.limiter import Limiter
from imageworks.models import Priority
from imageworks.store.pace import review_pace_s

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from imageworks.engine.asking import ReadyImage
    from imageworks.engine.hold import Hold
    from imageworks.store.library import Library
    from imageworks.store.records import WorkItem

LEAST_AHEAD = 3
"""Images that are prepared and asked about ahead of a person at least."""

_LOOK_S = 0.1
_PACE_EVERY_S = 10.0
_OLD_SHARE = 0.8


class ReviewAhead:
    """The part of a run that follows a person's eyes.

    Args:
        library: The library.
        run_id: The run.
        shelf: Takes the images that are prepared.
        stop: Set when the run ends.
        changed: Returns after some seconds, or sooner when the library has changed.
    """

    def __init__(
        self,
        library: Library,
        run_id: int,
        shelf: Shelf,
        *,
        stop: asyncio.Event,
        changed: Callable[[float], Awaitable[None]],
    ) -> None:
        self._library = library
        self._run_id = run_id
        self._shelf = shelf
        self._stop = stop
        self._changed = changed
        self._permits = Limiter(LEAST_AHEAD)
        self._attention: tuple[int, ...] = ()
        self._depth = 0
        self._is_wanted = asyncio.Event()
        self._request_s: float | None = None

    def note_request(self, taken_s: float) -> None:
        """Takes note of how long an image's asking took."""
        before_s = taken_s if self._request_s is None else self._request_s
        self._request_s = _OLD_SHARE * before_s + (1 - _OLD_SHARE) * taken_s

    async def attend(self) -> None:
        """Follows the person's eyes, and how far ahead of them to be, until the run ends."""
        decision_s, paced_until_s = None, float("-inf")
        while not self._stop.is_set():
            seen = current_attention(self._library)
            if time.monotonic() >= paced_until_s:
                decision_s = review_pace_s(self._library)
                paced_until_s = time.monotonic() + _PACE_EVERY_S
            depth = review_depth(request_s=self._request_s, decision_s=decision_s)
            if (seen, depth) != (self._attention, self._depth):
                self._attention, self._depth = seen, depth
                self._shelf.attend(seen)
                self._permits.resize(depth)
                if self._library.queue.attend(self._run_id, seen, depth):
                    self._is_wanted.set()
            await self._changed(_LOOK_S)

    async def prepare(
        self, hold: Hold, prepare: Callable[[WorkItem], Awaitable[ReadyImage | None]]
    ) -> None:
        """Prepares what a person looks at, beside all that is prepared for the batch.

        Args:
            hold: Keeps it waiting.
            prepare: Prepares one image; None when that already decided its fate.
        """
        while not self._stop.is_set():
            await self._is_wanted.wait()
            await self._permits.acquire()
            await hold.wait()
            claimed = self._library.queue.claim(
                self._run_id, 1, least_priority=Priority.REVIEW_AHEAD
            )
            if not claimed:
                self._is_wanted.clear()
            ready = await prepare(claimed[0]) if claimed else None
            if ready is None:
                self._permits.release()
            else:
                self._shelf.put(Shelved(ready, self._permits))
