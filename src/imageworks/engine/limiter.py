"""A semaphore whose number may change while it is in use."""

from __future__ import annotations

from asyncio import Event


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
