"""Brings one request to a server and its answer back: permits, deadlines, second copies."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imageworks.errors import ImageworksError, TransientBackendError
from imageworks.infer.lane import Permit
from imageworks.infer.transport import ChatExchange

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from imageworks.infer.lane import Lane
    from imageworks.infer.server_pool import ServerPool

    Send = Callable[[Lane], Coroutine[None, None, ChatExchange]]

logger = logging.getLogger(__name__)

# Second copies may be so many of all requests, and a few.
_HEDGED_RATIO = 0.04
_FEW_HEDGES = 2


@dataclass(slots=True, eq=False)
class _Flight:
    permit: Permit
    task: asyncio.Task[ChatExchange]


class Courier:
    """Sends requests through a pool.

    A request whose answer takes far longer than answers take is sent a second time, if possible to
    another server; the first answer counts and the other copy is ended. One that a person's
    request displaced is sent again.

    Args:
        pool: The servers.
        timeout_s: Longest wait for an answer.
        clock: Monotonic time in seconds.
        look_every_s: Longest time without a look at that clock, as the loop counts it.
    """

    def __init__(
        self,
        pool: ServerPool,
        *,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
        look_every_s: float = 0.5,
    ) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self._clock = clock
        self._look_every_s = look_every_s
        self._sent = 0
        self._hedged = 0

    async def deliver(
        self, send: Send, *, is_interactive: bool = False
    ) -> tuple[ChatExchange, Lane]:
        """The exchange, and the server that it was with.

        Args:
            send: Asks a given server once.
            is_interactive: A person waits for the answer.

        Raises:
            ImageworksError: As `send` does; ``timeout`` when the answer took too long.
        """
        while True:
            permit = await self._pool.acquire(is_interactive=is_interactive)
            self._sent += 1
            answered = await self._fly(permit, send)
            if answered is not None:
                return answered

    async def _fly(self, permit: Permit, send: Send) -> tuple[ChatExchange, Lane] | None:
        """The first answer to a request or its copy; None when it was displaced."""
        started_s = self._clock()
        flights = [self._start(permit, send, is_clean=True)]
        is_copied = False
        try:
            while flights:
                done, _ = await asyncio.wait(
                    [flight.task for flight in flights],
                    timeout=self._patience_s(flights, started_s, is_copied=is_copied),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for flight in [flight for flight in flights if flight.task in done]:
                    flights.remove(flight)
                    answered = self._landed(flight, is_last=not flights)
                    if answered is not None:
                        return answered
                if flights and not done:
                    self._check_deadline(flights, started_s)
                    if not is_copied and self._is_copy_due(flights[0], started_s):
                        copy = self._copy(flights[0], send)
                        is_copied = copy is not None
                        flights += [copy] if copy else []
            return None
        finally:
            await _end(flights)

    def _start(self, permit: Permit, send: Send, *, is_clean: bool) -> _Flight:
        def settle(ended: asyncio.Task[ChatExchange]) -> None:
            error = None if ended.cancelled() else ended.exception()
            if ended.cancelled() or error is not None:
                reason = error.reason if isinstance(error, ImageworksError) else ""
                self._pool.failed(permit, reason)
                return
            exchange = ended.result()
            tokens = exchange.response.completion_tokens or 0
            self._pool.finished(
                permit, tokens=tokens, duration_s=exchange.duration_s, is_clean=is_clean
            )

        task = asyncio.create_task(send(permit.lane))
        task.add_done_callback(settle)
        permit.interrupt = task.cancel
        return _Flight(permit, task)

    @staticmethod
    def _landed(flight: _Flight, *, is_last: bool) -> tuple[ChatExchange, Lane] | None:
        """What came of a flight; a failure counts only when no copy is still on its way."""
        if flight.task.cancelled():
            return None
        error = flight.task.exception()
        if error is None:
            return flight.task.result(), flight.permit.lane
        if is_last:
            raise error
        return None

    def _deadline_s(self, flights: list[_Flight]) -> float:
        return max(flight.permit.lane.latency.deadline_s(self._timeout_s) for flight in flights)

    def _patience_s(self, flights: list[_Flight], started_s: float, *, is_copied: bool) -> float:
        """How long to wait before looking at the clock again."""
        waited_s = self._clock() - started_s
        remaining_s = [self._deadline_s(flights) - waited_s]
        hedge_s = None if is_copied else self._hedge_after_s(flights[0])
        if hedge_s is not None:
            remaining_s.append(hedge_s - waited_s)
        return min(max(0.005, min(remaining_s)), self._look_every_s)

    def _hedge_after_s(self, flight: _Flight) -> float | None:
        if self._hedged >= _FEW_HEDGES + _HEDGED_RATIO * self._sent:
            return None
        return flight.permit.lane.latency.hedge_after_s(is_tail=self._pool.is_tail)

    def _is_copy_due(self, flight: _Flight, started_s: float) -> bool:
        hedge_s = self._hedge_after_s(flight)
        return hedge_s is not None and self._clock() - started_s >= hedge_s

    def _copy(self, flight: _Flight, send: Send) -> _Flight | None:
        """The same request once more, at another server where there is one; None without room."""
        lane = flight.permit.lane
        permit = self._pool.acquire_extra(lane)
        if permit is None:
            return None
        self._hedged += 1
        logger.debug("no answer from %s yet: asking again", lane.connection.base_url)
        return self._start(permit, send, is_clean=False)

    def _check_deadline(self, flights: list[_Flight], started_s: float) -> None:
        """Gives up on an answer that takes too long.

        Raises:
            TransientBackendError: Reason ``timeout``.
        """
        waited_s = self._clock() - started_s
        deadline_s = self._deadline_s(flights)
        if waited_s >= deadline_s:
            url = flights[0].permit.lane.connection.base_url
            for flight in flights:
                flight.permit.lane.judge("timeout")
            message = f"{url} did not answer within {deadline_s:.0f} s."
            hint = "raise --timeout, or lower --max-workers."
            raise TransientBackendError(message, hint=hint, reason="timeout")


async def _end(flights: list[_Flight]) -> None:
    """Ends requests whose answers no longer count."""
    for flight in flights:
        flight.task.cancel()
    if flights:
        await asyncio.gather(*(flight.task for flight in flights), return_exceptions=True)
