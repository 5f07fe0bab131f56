"""How many requests to keep under way at a server that tells how many it runs and how many wait.

As long as nothing waits there, another request is worked on at once; when something waits, those
that run are the server's slots. So the right number is read off, not searched for.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imageworks.infer.server_load import ServerLoad

MOST_TOLD_REQUESTS = 128
"""Ceiling when the settings name none and the server tells its queue."""

# A few requests wait in the server so that no slot waits for the client.
_FEWEST_WAITING = 2
_SLOTS_PER_WAITING = 8
_LOOKS = 3
# Requests that the server does not count yet are still on their way to it.
_ARRIVED_RATIO = 0.75
_SHRINK = 0.75
_HELD_LOOKS = 8


class QueueGuide:
    """The limit for one server; see the module.

    Args:
        hint: Where to start.
        ceiling: Most requests ever; 0 takes `MOST_TOLD_REQUESTS`.
    """

    def __init__(self, hint: int, *, ceiling: int = 0) -> None:
        self._ceiling = ceiling if ceiling > 0 else MOST_TOLD_REQUESTS
        self._limit = max(1, min(hint, self._ceiling))
        self._waiting: deque[int] = deque(maxlen=_LOOKS)
        self._slots = 0
        self._held = 0

    @property
    def limit(self) -> int:
        """Requests allowed at once, from 1 to the ceiling."""
        return self._limit

    @property
    def slots(self) -> int:
        """Requests that the server works on at once for this client; 0 until it was full."""
        return self._slots

    def told(self, load: ServerLoad, under_way: int) -> None:
        """Notes what the server says while so many of our requests are under way."""
        present = load.running + load.waiting
        self._waiting.append(load.waiting)
        if load.waiting:
            self._see_full(load, share=min(1.0, under_way / present))
        elif self._held:
            self._held -= 1
        elif under_way >= self._limit and present >= _ARRIVED_RATIO * under_way:
            step = margin_for(self._slots) if self._slots else self._limit
            self._limit = min(self._limit + step, self._ceiling)

    def overloaded(self) -> None:
        """Notes that the server refuses requests for their number.

        What waits there may be too much; where nothing waits, what runs is.
        """
        is_queueing = 0 < self._slots < self._limit
        self._limit = self._slots if is_queueing else max(1, int(self._limit * _SHRINK))
        self._held = _HELD_LOOKS

    def _see_full(self, load: ServerLoad, *, share: float) -> None:
        least = min(self._waiting) if len(self._waiting) == _LOOKS else 0
        if not least:
            return  # what waits now and not before may have come this instant
        self._slots = max(1, round(load.running * share))
        wanted = self._slots + margin_for(self._slots)
        if least > margin_for(self._slots):
            self._limit = min(self._limit, wanted)
        elif load.waiting < _FEWEST_WAITING and not self._held:
            self._limit = min(self._limit + 1, max(self._limit, wanted), self._ceiling)


def margin_for(slots: int) -> int:
    """Requests to have waiting in a server with so many slots."""
    return max(_FEWEST_WAITING, math.ceil(slots / _SLOTS_PER_WAITING))
