"""Image processes: decoding beside the event loop, where a crash or a hang costs one picture.

Each process has its own pipe and one picture at a time, so it is always known which picture killed
it, and killing a hung one disturbs no other. `concurrent.futures` can do neither, and cannot start
a process inside a running Textual app (textual#3593).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.errors import DecodeError
from imageworks.prepare.messages import LENGTH, Request, encode
from imageworks.text import show_path

if TYPE_CHECKING:
    from imageworks.models import ImageFormat, PreparedImage
    from imageworks.prepare.budget import PixelBudget
    from imageworks.prepare.cache import PreviewCache

logger = logging.getLogger(__name__)

_PACKAGE_ROOT = Path(__file__).parents[2]
_REQUESTS_PER_PROCESS = 1000
_CLOSE_TIMEOUT_S = 2.0
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
        self._workers = [_ImageProcess(nice) for _ in range(count)]
        # Last in, first out: with little to do, few processes are started.
        self._idle: asyncio.LifoQueue[_ImageProcess] = asyncio.LifoQueue()
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

    async def _run(self, worker: _ImageProcess, request: Request) -> PreparedImage:
        try:
            return await self._attempt(worker, request)
        finally:
            self._idle.put_nowait(worker)

    async def _attempt(self, worker: _ImageProcess, request: Request) -> PreparedImage:
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


class _ImageProcess:
    """One process, started again whenever it is gone."""

    def __init__(self, nice: int) -> None:
        self._nice = nice
        self._process: asyncio.subprocess.Process | None = None
        self._answered = 0

    @property
    def pid(self) -> int | None:
        """The process's id while it lives."""
        return self._process.pid if self._process else None

    async def ask(self, request: Request) -> PreparedImage | DecodeError:
        """The process's answer.

        Raises:
            EOFError: It died before it answered.
            ConnectionError: It was dead already.
        """
        if self._answered >= _REQUESTS_PER_PROCESS:  # whatever decoders leak ends with it
            await self.close()
        if self._process is None:
            self._process = await _start(self._nice)
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise EOFError
        stdin.write(encode(request))
        await stdin.drain()
        (length,) = LENGTH.unpack(await stdout.readexactly(LENGTH.size))
        body = await stdout.readexactly(length)
        self._answered += 1
        result: PreparedImage | DecodeError = pickle.loads(body)  # noqa: S301  # from our own child
        return result

    async def close(self) -> None:
        """Lets an idle process end by itself, or makes it."""
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._process.wait()
        await self.kill()

    async def kill(self) -> int | None:
        """Ends the process at once; the next request starts another.

        Returns:
            Its exit status, negative for a signal.
        """
        process, self._process, self._answered = self._process, None, 0
        if process is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        return await process.wait()


async def _start(nice: int) -> asyncio.subprocess.Process:
    path = os.pathsep.join(filter(None, (str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH"))))
    return await asyncio.create_subprocess_exec(
        # -P: the working directory may be a folder of photographs with anything in it.
        *(sys.executable, "-P", "-m", "imageworks.prepare.worker", str(nice)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C in the terminal is the parent's to handle
        env={**os.environ, "PYTHONPATH": path},
    )
