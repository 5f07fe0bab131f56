"""Prepared images that wait to be asked about, in the order in which a person will see them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imageworks.engine.asking import ReadyImage
from imageworks.engine.limiter import Limiter

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Shelved:
    """A prepared image, and the permit under which it was prepared."""

    ready: ReadyImage
    permit: Limiter


class Shelf:
    """Prepared images that wait to be asked about: what a person looks at first, else the oldest.

    It is as long as the permits allow that its images hold.
    """

    def __init__(self) -> None:
        self._items: dict[int, Shelved] = {}
        self._ranks: dict[int, int] = {}
        self._awaited: int | None = None
        self._changed = asyncio.Event()

    def put(self, item: Shelved) -> None:
        """Adds an image."""
        self._items[item.ready.item.image_id] = item
        self._wake()

    def attend(self, image_ids: Sequence[int]) -> None:
        """Takes note of what a person looks at, the image under the cursor first."""
        self._ranks = {image_id: rank for rank, image_id in enumerate(image_ids)}
        self._awaited = image_ids[0] if image_ids else None
        self._wake()

    def is_awaited(self, image_id: int) -> bool:
        """Whether a person has the cursor on an image."""
        return image_id == self._awaited

    async def take(self) -> Shelved:
        """The next image, once there is one."""
        while not self._items:
            await self._changed.wait()
        last = len(self._ranks)
        # min() keeps the first of equals, and a dict its order: the oldest.
        return self._items.pop(min(self._items, key=lambda i: self._ranks.get(i, last)))

    async def take_awaited(self) -> Shelved:
        """The image under the cursor, once it is here."""
        while self._awaited not in self._items:
            await self._changed.wait()
        return self._items.pop(self._awaited)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
