"""Why no new question may go just now: each reason is put and lifted on its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Hold:
    """Keeps those who ask for leave waiting while any reason stands."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}
        self._free = asyncio.Event()
        self._free.set()
        self._on_change: Callable[[], None] = lambda: None

    @property
    def text(self) -> str:
        """All reasons in words; empty while nothing is held."""
        return "; ".join(self._reasons.values())

    @property
    def is_held(self) -> bool:
        """Whether any reason stands."""
        return bool(self._reasons)

    def put(self, name: str, text: str) -> bool:
        """Holds for a reason; False when it stood already."""
        is_new = name not in self._reasons
        self._reasons[name] = text
        self._free.clear()
        self._on_change()
        return is_new

    def lift(self, name: str) -> bool:
        """Takes a reason away; False when it did not stand."""
        was_there = self._reasons.pop(name, None) is not None
        if not self._reasons:
            self._free.set()
        self._on_change()
        return was_there

    def follow(self, on_change: Callable[[], None]) -> None:
        """Has a function called at every put and lift, in place of the one before."""
        self._on_change = on_change

    async def wait(self) -> None:
        """Returns once no reason stands."""
        while self._reasons:
            await self._free.wait()
