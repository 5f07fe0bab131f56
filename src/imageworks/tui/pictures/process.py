"""The workstation's end of the picture process: newest wish first, and never a wait for it.

One request is under way at a time, so a wish that is given up was never sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

from imageworks.children import ChildProcess
from imageworks.text import show_path
from imageworks.tui.pictures.messages import PictureReply, PictureRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

_NICE = 5
_TIME_LIMIT_S = 20.0
_PATIENCE_S = 0.7  # with a picture that nobody wants any more; a new process takes a third of it
_ATTEMPTS = 2
_REPLIES_PER_PROCESS = 5000


class PictureProcess:
    """A niced process that draws pictures; started when first needed, again when it died.

    Args:
        deliver: Gets each reply on the event loop.
        time_limit_s: Longest time for one picture.
        patience_s: Longest time for one that is no longer wanted while another is.
    """

    def __init__(
        self,
        deliver: Callable[[PictureRequest, PictureReply], None],
        *,
        time_limit_s: float = _TIME_LIMIT_S,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._deliver = deliver
        self._time_limit_s = time_limit_s
        self._patience_s = patience_s
        self._wanted: list[PictureRequest] = []
        self._is_wanted = asyncio.Event()
        self._running: PictureRequest | None = None
        self._running_since_s = 0.0
        self._child: ChildProcess[PictureRequest, PictureReply] = ChildProcess(
            "imageworks.tui.pictures.worker", nice=_NICE, requests_per_process=_REPLIES_PER_PROCESS
        )
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process's id while there is one."""
        return self._child.pid

    def want(self, requests: Sequence[PictureRequest]) -> None:
        """Replaces what is wanted, most urgent first; starts the process if need be."""
        self._wanted = [request for request in requests if request != self._running]
        self._is_wanted.set()
        if self._task is None:
            self._task = asyncio.create_task(self._serve())
        is_stuck = time.monotonic() - self._running_since_s > self._patience_s
        if self._running is not None and self._running not in requests and requests and is_stuck:
            self._child.interrupt()

    async def aclose(self) -> None:
        """Ends the process, whatever it is doing."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._child.kill()

    async def _serve(self) -> None:
        with contextlib.suppress(OSError):  # the first request will tell
            await self._child.start()
        while True:
            await self._is_wanted.wait()
            if not self._wanted:
                self._is_wanted.clear()
                continue
            request = self._wanted.pop(0)
            self._running, self._running_since_s = request, time.monotonic()
            reply = await self._reply(request)
            self._running = None
            if reply is not None:
                self._deliver(request, reply)

    async def _reply(self, request: PictureRequest) -> PictureReply | None:
        """The reply; an empty one for a picture that cannot be had, None for one given up."""
        for _attempt in range(_ATTEMPTS):
            wanted_before = list(self._wanted)
            try:
                async with asyncio.timeout(self._time_limit_s):
                    return await self._child.ask(request)
            except TimeoutError:
                logger.warning("No picture in time from %s", _name(request))
                await self._child.kill()
                return PictureReply()
            except (EOFError, OSError) as error:
                logger.warning("The picture process ended at %s: %s", _name(request), error)
                await self._child.kill()
                if self._wanted != wanted_before:
                    return None
        return PictureReply()


def _name(request: PictureRequest) -> str:
    wish = request.wish
    path = wish.original or wish.preview or wish.thumbnail
    return "a picture" if path is None else show_path(path)
