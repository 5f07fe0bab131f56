"""Keeps the number of requests under way at what the server's speed asks for."""

from __future__ import annotations

import time
from asyncio import Event
from typing import TYPE_CHECKING

from imageworks.errors import ImageworksError
from imageworks.infer.concurrency import ConcurrencyController
from imageworks.infer.engine import BaseInferenceEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from imageworks.infer.engine import ProbeResult
    from imageworks.models import InferenceRequest, InferenceResult


class Limiter:
    """A semaphore whose number of permits may change; permits that are out stay out.

    Args:
        permits: How many may be out at once, at least 1.
    """

    def __init__(self, permits: int) -> None:
        self._permits = permits
        self._out = 0
        self._changed = Event()

    @property
    def out(self) -> int:
        """Permits that are out."""
        return self._out

    def resize(self, permits: int) -> None:
        """Changes the number; fewer takes effect as permits come back."""
        self._permits = permits
        self._changed.set()

    async def acquire(self) -> None:
        """Returns with a permit, which is given back by `release`."""
        while self._out >= self._permits:
            self._changed.clear()
            await self._changed.wait()
        self._out += 1

    def release(self) -> None:
        """Gives a permit back."""
        self._out -= 1
        self._changed.set()


class MeasuredEngine(BaseInferenceEngine):
    """An engine as it is, whose answers teach a controller how many to ask for at once.

    A built-in engine runs on this machine's processors, whose number is known: it is not explored.

    Args:
        engine: Answers; closed by whoever made it.
        max_workers: Most requests at once; 0 leaves it to the controller.
        on_change: Called on the loop when the limit may have changed.
        clock: Monotonic time in seconds.
    """

    def __init__(
        self,
        engine: BaseInferenceEngine,
        *,
        max_workers: int,
        on_change: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._on_change = on_change
        self._clock = clock
        self.backend = engine.backend
        self.base_url = engine.base_url
        hint = engine.suggested_concurrency()
        ceiling = max_workers if max_workers > 0 or engine.base_url else hint
        self._controller = ConcurrencyController(hint, ceiling=ceiling)

    @property
    def limit(self) -> int:
        """Requests allowed at once."""
        return self._controller.limit

    @property
    def under_way(self) -> int:
        """Requests sent and not ended."""
        return self._controller.under_way

    def describe(self) -> str:
        """What the engine calls itself."""
        return self._engine.describe()

    def models(self) -> Mapping[str, str]:
        """The model of each stage."""
        return self._engine.models()

    def fingerprint(self) -> str:
        """Digest of all that changes an answer."""
        return self._engine.fingerprint()

    def suggested_concurrency(self) -> int:
        """What the engine suggests itself."""
        return self._engine.suggested_concurrency()

    async def preflight(self) -> tuple[ProbeResult, ...]:
        """The engine's probes; what they told about the server is where the controller starts."""
        probes = await self._engine.preflight()
        self._restart()
        return probes

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """The engine's answers, measured.

        Raises:
            ImageworksError: As the engine does.
        """
        if self._engine.base_url != self.base_url:
            self._restart()
        ticket = self._controller.started(self._clock())
        reason, result = "", None
        try:
            result = await self._engine.infer(request)
        except ImageworksError as error:
            reason = error.reason
            raise
        finally:
            now_s = self._clock()
            if result is None:
                self._controller.failed(ticket, now_s, reason=reason)
            else:
                answers = result.answers
                self._controller.finished(
                    ticket,
                    now_s,
                    tokens=sum(answer.completion_tokens or 0 for answer in answers),
                    is_clean=all(answer.attempts == 1 for answer in answers),
                )
            self._on_change()
        return result

    async def is_alive(self) -> bool:
        """Whether the backend answers at all."""
        return await self._engine.is_alive()

    async def aclose(self) -> None:
        """Closes the engine."""
        await self._engine.aclose()

    def _restart(self) -> None:
        """Learns anew at the server that is used now."""
        self.base_url = self._engine.base_url
        self._controller.restart(self._engine.suggested_concurrency())
        self._on_change()
