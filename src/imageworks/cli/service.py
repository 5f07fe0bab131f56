"""Lets an engine do what waits in the library: the one alive, else one in this process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from imageworks.cli.app import Context
    from imageworks.store.library import Library

_POLL_S = 0.05


async def until_done(library: Library, context: Context, is_done: Callable[[], bool]) -> None:
    """Returns when the writes or undos that ``is_done`` asks about have ended.

    Raises:
        StoreError: The library cannot be written, for a reason that does not pass.
    """
    from imageworks.engine.room import through_full_disks  # noqa: PLC0415  # the engine's weight

    await through_full_disks(library, lambda: _until_done(library, context, is_done))


async def _until_done(library: Library, context: Context, is_done: Callable[[], bool]) -> None:
    from imageworks.engine.lease import engine_lock  # noqa: PLC0415  # the engine's weight
    from imageworks.engine.service import EngineService  # noqa: PLC0415

    lock = engine_lock(library.path)
    service = None
    try:
        while not is_done():
            if service is None and lock.acquire():
                service = EngineService(library, context.paths)
                await service.start()
            elif service is not None:
                service.check()
            await asyncio.sleep(_POLL_S)
    finally:
        if service is not None:
            try:
                await service.aclose()
            finally:
                lock.release()
