"""Image processes: decoding beside the event loop, where a crash or a hang costs one picture."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

from imageworks.children import ChildProcess
from imageworks.errors import DecodeError
from imageworks.prepare.messages import Request
from imageworks.text import show_path

if TYPE_CHECKING:
    from pathlib import Path

    from imageworks.models import ImageFormat
    from imageworks.prepare.budget import PixelBudget
    from imageworks.prepare.cache import PreviewCache
    from imageworks.stages import PreparedImage

    ImageProcess = ChildProcess[Request, PreparedImage | DecodeError]

logger = logging.getLogger(__name__)

_REQUESTS_PER_PROCESS = 1000
_ATTEMPTS = 2


class ImageProcesses:
    """A few niced processes that prepare pictures; started when first needed.

    Args:
        cache: Where previews go; shared by all processes.
        budget: How large previews are.
        workers: How many processes; None: one for each core this process may use.
        time_limit_s: Longest time for one picture.
        nice: Added to the processes' niceness, so that screen and requests come first.
    """

    def __init__(
        self,
        cache: PreviewCache,
        budget: PixelBudget,
        *,
        workers: int | None = None,
        time_limit_s: float = 60,
        nice: int = 10,
    ) -> None:
        self._cache = cache
        self._budget = budget
        self._time_limit_s = time_limit_s
        count = len(os.sched_getaffinity(0)) if workers is None else max(1, workers)
        self._workers: list[ImageProcess] = [
            ChildProcess(
                "imageworks.prepare.worker", nice=nice, requests_per_process=_REQUESTS_PER_PROCESS
            )
            for _ in range(count)
        ]
        # Last in, first out: with little to do, few processes are started.
        self._idle: asyncio.LifoQueue[ImageProcess] = asyncio.LifoQueue()
        for worker in self._workers:
            self._idle.put_nowait(worker)
        self._running: set[asyncio.Task[PreparedImage]] = set()
        self._is_closed = False

    @property
    def count(self) -> int:
        """How many pictures can be prepared at once."""
        return len(self._workers)

    async def prepare(self, path: Path, format: ImageFormat) -> PreparedImage:  # noqa: A002  # as in DiscoveredImage
        """See `prepare_image`. Cancelling leaves the decode running: its preview is cached.

        Raises:
            DecodeError: Also with ``decoder-crash`` when the picture killed its process twice, and
                ``decode-timeout`` when it took too long.
            RuntimeError: It is closed.
        """
        worker = await self._idle.get()
        if self._is_closed:
            self._idle.put_nowait(worker)
            message = "the image processes are closed"
            raise RuntimeError(message)
        request = Request(path, format, self._cache, self._budget)
        task = asyncio.create_task(self._run(worker, request))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(_forget_error)
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Ends all processes, whatever they are doing."""
        self._is_closed = True
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await asyncio.gather(*(worker.close() for worker in self._workers))

    async def _run(self, worker: ImageProcess, request: Request) -> PreparedImage:
        try:
            return await self._attempt(worker, request)
        finally:
            self._idle.put_nowait(worker)

    async def _attempt(self, worker: ImageProcess, request: Request) -> PreparedImage:
        name = show_path(request.path)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with asyncio.timeout(self._time_limit_s):
                    result = await worker.ask(request)
            except TimeoutError:
                await worker.kill()
                message = f"{name} was not decoded within {self._time_limit_s:g} s."
                hint = "open it in an image editor and save it anew."
                raise DecodeError(message, hint=hint, reason="decode-timeout") from None
            except asyncio.CancelledError:
                await worker.kill()
                raise
            except (EOFError, ConnectionError):
                status = await worker.kill()
                logger.warning("%s ended its decoder (%s), attempt %d", name, status, attempt)
                continue
            if isinstance(result, DecodeError):
                raise result
            return result
        message = f"{name} crashes the image decoder."
        hint = "open it in an image editor and save it anew, or restore it from a backup."
        raise DecodeError(message, hint=hint, reason="decoder-crash")


def _forget_error(task: asyncio.Task[PreparedImage]) -> None:
    """Marks an error as seen: when the caller was cancelled, nobody else will look at it."""
    if not task.cancelled():
        task.exception()
