"""Marks: images that a person has picked for an act on many; they outlive any filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Marks:
    """The marked images of a session, and the one that was marked last."""

    def __init__(self) -> None:
        self._ids: set[int] = set()
        self._last_id: int | None = None

    def __len__(self) -> int:
        """How many images are marked."""
        return len(self._ids)

    def __contains__(self, image_id: int) -> bool:
        """Whether an image is marked."""
        return image_id in self._ids

    @property
    def last_id(self) -> int | None:
        """The image that was marked last, as long as it is."""
        return self._last_id if self._last_id in self._ids else None

    def ids(self) -> list[int]:
        """The marked images, in order of their discovery."""
        return sorted(self._ids)

    def toggle(self, image_id: int) -> bool:
        """Marks an image, or unmarks it; whether it is marked now."""
        self._ids ^= {image_id}
        self._last_id = image_id
        return image_id in self._ids

    def add(self, image_ids: Iterable[int]) -> None:
        """Marks images."""
        self._ids.update(image_ids)

    def add_range(self, image_ids: Sequence[int], start: int, end: int) -> int:
        """Marks all between two places of a list, both included; how many they are."""
        first, last = min(start, end), max(start, end)
        self._ids.update(image_ids[first : last + 1])
        self._last_id = image_ids[end]
        return last - first + 1

    def toggle_all(self, image_ids: Sequence[int]) -> bool:
        """Marks all of these, or unmarks them when all are; whether they are marked now."""
        if self._ids.issuperset(image_ids):
            self._ids.difference_update(image_ids)
            return False
        self._ids.update(image_ids)
        return True

    def clear(self) -> None:
        """Unmarks all."""
        self._ids.clear()
        self._last_id = None
