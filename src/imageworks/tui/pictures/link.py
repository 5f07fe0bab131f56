"""The line to the terminal: how fast it is, and how much may be sent at once.

A key's echo waits for all that was sent before it. What this process has written may lie in the
buffers of the system, of sshd and of the network, so the only honest measure is the terminal's own
answer to a question sent behind the output: it is asked for its cursor's position (DSR 6, ECMA-48).
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_QUESTION = "\x1b[6n"
_DELAY_S = 0.04
"""How long a burst may hold up what is sent after it."""
_MIN_BURST_BYTES = 2_000
_MAX_BURST_BYTES = 64_000
_FIRST_RATE_BYTES_PER_S = 150_000.0
_UNANSWERED_RATE_BYTES_PER_S = 250_000.0
_MEASURED_BYTES = 1_000
_LEAST_TIME_S = 0.0005
_LEAST_SHARE = 0.25
_FIRST_QUESTIONS = 3
_POLL_S = 0.004
_PATIENCE_S = 5.0
_FIRST_ANSWERS_S = 4.0
_CERTAIN_SAMPLES = 2


class Link:
    """Paces what is sent to the terminal, and learns from it how fast the line is.

    Args:
        write: Sends text to the terminal, after all that was sent before.
        is_blocked: Whether this process still has something that the system would not take.
        clock: Seconds.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        is_blocked: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._is_blocked = is_blocked
        self._clock = clock
        self._rate_bytes_per_s = _FIRST_RATE_BYTES_PER_S
        self._samples = 0
        self._asked_at_s: list[float] = []
        self._answer = asyncio.Event()
        self._shortest_s = float("inf")
        self._answers = 0

    @property
    def rate_bytes_per_s(self) -> float:
        """How much the line takes; a guess until something was measured."""
        return self._rate_bytes_per_s

    @property
    def burst_bytes(self) -> int:
        """How much to send at once."""
        wanted = int(self._rate_bytes_per_s * _DELAY_S)
        return max(_MIN_BURST_BYTES, min(_MAX_BURST_BYTES, wanted))

    def is_slow_for(self, size_bytes: int, limit_s: float = 1.0) -> bool:
        """Whether so much is known to take longer than that."""
        if self._samples < _CERTAIN_SAMPLES:
            return False
        return size_bytes / self._rate_bytes_per_s > limit_s

    @property
    def is_answering(self) -> bool:
        """Whether the terminal answers, and how long that takes without anything sent is known."""
        return self._answers >= _FIRST_QUESTIONS

    async def known(self) -> None:
        """Waits for the first answers, for a while: a large picture had better not be a guess."""
        deadline_s = self._clock() + _FIRST_ANSWERS_S
        while not self.is_answering and self._clock() < deadline_s:  # noqa: ASYNC110  # as below
            await asyncio.sleep(_POLL_S)

    def ask(self) -> None:
        """Asks the terminal to tell when it has got this far."""
        self._asked_at_s.append(self._clock())
        self._answer.clear()
        self._write(_QUESTION)

    def answered(self) -> None:
        """Takes the terminal's answer."""
        if not self._asked_at_s:
            return
        self._shortest_s = min(self._shortest_s, self._clock() - self._asked_at_s.pop(0))
        self._answers += 1
        if self._answers < _FIRST_QUESTIONS:
            self.ask()  # the first answer came behind all that a screen begins with
        elif not self._asked_at_s:
            self._answer.set()

    async def send(self, text: str) -> None:
        """Sends text and waits until it has arrived."""
        started_s = self._clock()
        self._write(text)
        await self.arrived(len(text.encode()), started_s)

    async def arrived(self, size_bytes: int, started_s: float) -> None:
        """Waits until what was sent since then has arrived, and learns from it.

        Where the terminal has never answered, as long as a line of middling speed would take.
        """
        deadline_s = self._clock() + _PATIENCE_S
        while self._is_blocked() and self._clock() < deadline_s:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(_POLL_S)
        if not self.is_answering:
            await asyncio.sleep(size_bytes / _UNANSWERED_RATE_BYTES_PER_S)
            return
        self.ask()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._answer.wait()
        except TimeoutError:
            self._asked_at_s.clear()
        self._learn(size_bytes, self._clock() - started_s)

    def _learn(self, size_bytes: int, taken_s: float) -> None:
        if size_bytes < _MEASURED_BYTES:
            return
        # Some of it is the way there and back; how much exactly is never certain.
        busy_s = max(taken_s - self._shortest_s, taken_s * _LEAST_SHARE, _LEAST_TIME_S)
        sample = size_bytes / busy_s
        self._samples += 1
        # What the line took in the blink of an eye may just have been less than was thought.
        sample = min(sample, 3 * self._rate_bytes_per_s)
        is_first = self._samples == 1
        self._rate_bytes_per_s = sample if is_first else (self._rate_bytes_per_s + sample) / 2
