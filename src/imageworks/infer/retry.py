"""Asks again where asking again may help: few times, not for long, never all at once."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from imageworks.errors import AnswerError, TransientBackendError
from imageworks.infer.failures import RESAMPLE_REASONS

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long to ask again.

    Attributes:
        total_s: No try starts later than this after the first one, in seconds.
        most_retries: Most retries of the same request.
        most_resamples: Most requests for another sample after an unusable answer.
        first_delay_s: Longest wait before the first delayed retry; it doubles each time.
        longest_delay_s: Longest single wait, a server's ``Retry-After`` included.
        sleep: Waits so many seconds.
        clock: Monotonic time in seconds.
        draw: A number from 0 to 1.
    """

    total_s: float
    most_retries: int = 4
    most_resamples: int = 1
    first_delay_s: float = 0.5
    longest_delay_s: float = 20.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    draw: Callable[[], float] = random.random

    async def run(self, ask: Callable[[int], Awaitable[Answer]]) -> tuple[Answer, int]:
        """The first usable answer, and how many tries it took.

        Args:
            ask: Asks once; gets the number of unusable answers so far, to draw another sample.

        Raises:
            ImageworksError: What the last try raised.
        """
        started_s = self.clock()
        seen: Counter[str] = Counter()
        resamples = 0
        while True:
            try:
                answer = await ask(resamples)
            except AnswerError as error:
                is_late = self.clock() - started_s > self.total_s
                if (
                    error.reason not in RESAMPLE_REASONS
                    or resamples >= self.most_resamples
                    or is_late
                ):
                    raise
                resamples += 1
                logger.debug("another sample after %s", error.reason)
            except TransientBackendError as error:
                seen[error.reason] += 1
                delay_s = self._delay_s(error, seen)
                if delay_s is None or self.clock() - started_s + delay_s > self.total_s:
                    raise
                logger.debug("retry %d after %s in %.2f s", seen.total(), error.reason, delay_s)
                if delay_s:
                    await self.sleep(delay_s)
            else:
                return answer, 1 + resamples + seen.total()

    def _delay_s(self, error: TransientBackendError, seen: Counter[str]) -> float | None:
        """Seconds to wait before the next try, or None to give up."""
        is_first = seen[error.reason] == 1
        if seen.total() > self.most_retries:
            return None
        if error.reason == "timeout":
            # Given up on for taking longer than answers do; the full time is checked by `run`.
            return 0.0 if is_first else None
        if error.reason == "unreachable":
            # The endpoint is away: whoever owns it waits for it, not every picture by itself.
            return 0.0 if is_first else None
        if error.reason == "connection-lost" and is_first:
            # As a rule the server closed an idle connection just when it was used again.
            return 0.0
        if error.retry_after_s is not None:
            jitter_s = self.first_delay_s * self.draw()
            return min(error.retry_after_s + jitter_s, self.longest_delay_s)
        longest_s = min(self.first_delay_s * 2.0 ** (seen.total() - 1), self.longest_delay_s)
        return longest_s * (0.5 + 0.5 * self.draw())
