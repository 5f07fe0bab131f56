"""Several model servers as one: who gets the next request, and how many are under way.

A batch's request goes to a server with room, to the one that is expected to answer first; what a
person waits for goes at once, and the batch makes room for it. All runs on one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from imageworks.infer.lane import RESERVED_S, Lane, Permit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

_TICK_S = 0.1
_LOOK_EVERY_S = 0.25
_IDLE_LOOK_EVERY_S = 0.5
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 4.0


class ServerPool:
    """The servers of one engine.

    Args:
        lanes: The servers, best first; at least one.
        clock: Monotonic time in seconds.
    """

    def __init__(
        self, lanes: Sequence[Lane], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.lanes = tuple(lanes)
        self._clock = clock
        self._waiters: deque[asyncio.Future[Permit]] = deque()
        self._is_held = False
        self.on_change: Callable[[], None] = lambda: None

    @property
    def limit(self) -> int:
        """Requests allowed at once, all servers that are there together."""
        return sum(lane.limit for lane in self._usable())

    @property
    def under_way(self) -> int:
        """Requests sent and not ended."""
        return sum(lane.under_way for lane in self.lanes)

    @property
    def waiting(self) -> int:
        """Requests of the batch that wait for a permit."""
        return sum(not waiter.done() for waiter in self._waiters)

    @property
    def is_tail(self) -> bool:
        """Nothing of the batch waits for a permit."""
        return all(waiter.done() for waiter in self._waiters)

    def hold_back(self, *, is_held: bool) -> None:
        """Gives the batch no further permit while held."""
        self._is_held = is_held
        self.nudge()

    async def acquire(self, *, is_interactive: bool = False, avoid: Lane | None = None) -> Permit:
        """A permit for one request; for a person's at once, else when its turn comes.

        Args:
            is_interactive: A person waits for the answer.
            avoid: A server to leave out where there is another.
        """
        if is_interactive:
            return self._issue_for_person(self._best(self._usable(), avoid))
        lane = self._with_room(avoid) if self.is_tail and not self._is_held else None
        if lane is not None:
            return self._issue(lane)
        waiter: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.failed(waiter.result(), "")
            raise

    def acquire_extra(self, avoid: Lane) -> Permit | None:
        """A permit for a second copy of a request that got no answer, beyond the limit if need be.

        None when the person's own ceiling leaves no room.
        """
        lanes = [
            lane for lane in self._usable() if not lane.ceiling or lane.under_way < lane.ceiling
        ]
        return self._issue(self._best(lanes, avoid)) if lanes else None

    def finished(
        self, permit: Permit, *, tokens: int, duration_s: float, is_clean: bool = True
    ) -> None:
        """Gives a permit back after an answer.

        Args:
            permit: The permit.
            tokens: Completion tokens; 0 when unknown.
            duration_s: From sending to the last byte.
            is_clean: The answer's duration is the server's own.
        """
        lane = permit.lane
        lane.controller.finished(permit.ticket, self._clock(), tokens=tokens, is_clean=is_clean)
        lane.succeeded(duration_s)
        self._release(permit)

    def failed(self, permit: Permit, reason: str) -> None:
        """Gives a permit back without an answer; an empty reason says nothing about the server."""
        lane = permit.lane
        was_open = lane.is_open
        is_overload = bool(reason) and lane.judge(reason)
        lane.controller.failed(permit.ticket, self._clock(), reason="busy" if is_overload else "")
        if was_open and not lane.is_open and len(self.lanes) > 1:
            logger.warning("%s does not answer; going on without it.", lane.connection.base_url)
        self._release(permit)

    def nudge(self) -> None:
        """Hands out permits after a limit may have changed."""
        while self._waiters and not self._is_held:
            lane = self._with_room(None)
            if lane is None:
                break
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(self._issue(lane))
        self.on_change()

    # -- watching ----------------------------------------------------------------------

    async def watch(self) -> None:
        """Follows the servers' own word on their load, and notices those that come back."""
        await asyncio.gather(*(self._watch(lane) for lane in self.lanes))

    async def _watch(self, lane: Lane) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            if not lane.is_open:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                if await lane.is_alive():
                    self.reopen(lane)
                continue
            pause_s = _FIRST_PAUSE_S
            if lane.has_load_page is False:
                await asyncio.sleep(_TICK_S)
                continue
            await lane.look()
            self.nudge()
            await self._until_next_look(lane)

    async def _until_next_look(self, lane: Lane) -> None:
        """Waits; not for long while requests are held back and the server's slots are not known.

        Where nothing waits for a permit, there is nothing to decide.
        """
        looked_s = self._clock()
        while True:
            await asyncio.sleep(max(lane.look_every_s, _TICK_S))
            is_settled = lane.guide is not None and lane.guide.slots
            pause_s = _LOOK_EVERY_S if is_settled else 0.0
            if self._clock() - looked_s >= (_IDLE_LOOK_EVERY_S if self.is_tail else pause_s):
                return

    def reopen(self, lane: Lane) -> None:
        """Takes a server into use again."""
        if not lane.is_open:
            logger.info("%s is back", lane.connection.base_url)
            lane.reopen()
            self.nudge()

    # -- handing out -------------------------------------------------------------------

    def _usable(self) -> Sequence[Lane]:
        """Servers that are there; all, where none is: one of them has to be tried."""
        return [lane for lane in self.lanes if lane.is_open] or self.lanes

    def _with_room(self, avoid: Lane | None) -> Lane | None:
        now_s = self._clock()
        lanes = [lane for lane in self._usable() if lane.has_room(now_s)]
        return self._best(lanes, avoid) if lanes else None

    @staticmethod
    def _best(lanes: Sequence[Lane], avoid: Lane | None) -> Lane:
        return min(lanes, key=lambda lane: (lane is avoid, lane.expected_s()))

    def _issue(self, lane: Lane, *, is_interactive: bool = False) -> Permit:
        permit = Permit(lane, lane.controller.started(self._clock()), is_interactive)
        lane.permits.append(permit)
        return permit

    def _issue_for_person(self, lane: Lane) -> Permit:
        now_s = self._clock()
        lane.reserved_until_s = now_s + RESERVED_S
        permit = self._issue(lane, is_interactive=True)
        for other in lane.superfluous(now_s):
            other.preempt()
        return permit

    def _release(self, permit: Permit) -> None:
        permit.lane.permits.remove(permit)
        if permit.is_interactive:
            permit.lane.reserved_until_s = self._clock() + RESERVED_S
        self.nudge()
