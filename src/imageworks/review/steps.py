"""Long work in short steps, so that a screen can draw and take keys in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    from imageworks.store.library import Library

T = TypeVar("T")
Steps: TypeAlias = Generator[int, None, T]
"""Yields how many images are dealt with after each step; what came of it is its return value."""

STEP_S = 0.012
"""A step ends after so many seconds; its commit comes on top."""

_CHUNK = 8


def finish(steps: Steps[T]) -> T:
    """Works through all steps at once; what came of it."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            value: T = stop.value
            return value


def in_steps(
    library: Library,
    image_ids: Sequence[int],
    work: Callable[[Sequence[int]], None],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Steps[None]:
    """Hands images to ``work``, a few at a time; each step is one transaction.

    Steps are not synced to the disk one by one: the caller's last transaction is to be durable,
    which makes those before it so as well (sqlite.org, "Write-Ahead Logging", section 3).
    """
    position = 0
    while position < len(image_ids):
        with library.transaction():
            end_s = clock() + STEP_S
            while position < len(image_ids):
                work(image_ids[position : position + _CHUNK])
                position = min(position + _CHUNK, len(image_ids))
                if clock() >= end_s:
                    break
        yield position
