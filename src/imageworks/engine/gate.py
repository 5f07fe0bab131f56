"""Holds back requests while the backend is away, and lets them go when it is back."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING

from imageworks.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from imageworks.infer.engine import BaseInferenceEngine

logger = logging.getLogger(__name__)

FAILURES_BEFORE_PAUSE = 5
"""Transient failures in a row, from any image, that look like the backend's own trouble."""
# A restarted server is back within seconds: look often at first. Later looks stay so close that a
# server that is back is at work again within ten seconds.
_FIRST_PAUSE_S = 0.5
_BRISK_S = 10.0
_LONGEST_PAUSE_S = 4.0
_SPREAD = 0.25
"""Looks are spread by this share of their distance, so that many clients do not come at once."""


class BackendGate:
    """A circuit breaker for one backend.

    Args:
        patience_s: How long the backend may be away before the run gives up.
        sleep: Waits some seconds.
        draw: A number from 0 to 1.
    """

    def __init__(
        self,
        engine: BaseInferenceEngine,
        *,
        patience_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._draw = draw
        self._engine = engine
        self._patience_s = patience_s
        self._sleep = sleep
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._failures = 0
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether requests may go."""
        return self._is_open.is_set()

    async def wait(self) -> None:
        """Returns when requests may go.

        Raises:
            BackendError: The backend stayed away for longer than the run's patience.
        """
        await self._is_open.wait()
        if self._probing is not None and self._probing.done():
            self._probing.result()

    def succeeded(self) -> None:
        """An answer came."""
        self._failures = 0

    def failed(self, *, is_unreachable: bool) -> None:
        """A request failed in a way that may be the backend's; many in a row close the gate."""
        self._failures += 1
        if self._is_open.is_set() and (is_unreachable or self._failures >= FAILURES_BEFORE_PAUSE):
            logger.warning("The backend does not answer; waiting for it.")
            self._is_open.clear()
            self._probing = asyncio.create_task(self._probe())

    async def aclose(self) -> None:
        """Ends the probing."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        self._is_open.set()

    async def _probe(self) -> None:
        pause_s, waited_s = _FIRST_PAUSE_S, 0.0
        try:
            while waited_s < self._patience_s:
                spread_s = pause_s * (1 - _SPREAD * self._draw())
                await self._sleep(spread_s)
                waited_s += spread_s
                if await self._engine.is_alive():
                    logger.warning("The backend is back after %.0f s.", waited_s)
                    self._failures = 0
                    return
                if waited_s >= _BRISK_S:
                    pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            message = f"The backend {self._engine.base_url} was away for {waited_s:.0f} s."
            hint = "start the server and give the same command again: it goes on from here."
            raise BackendError(message, hint=hint, reason="backend-away")
        finally:
            self._is_open.set()
