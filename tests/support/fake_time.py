"""Time for tests that wait for nothing: sleeping moves the clock and is written down."""

from __future__ import annotations

import asyncio


class FakeTime:
    """A clock in seconds that only its own `sleep` moves.

    Attributes:
        now_s: What the clock says.
        slept_s: Every wait asked for, in order.
    """

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept_s: list[float] = []

    def clock(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)
