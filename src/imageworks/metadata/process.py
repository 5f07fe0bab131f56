"""The one child process that owns pyexiv2, seen from the program's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.children import spawn
from imageworks.errors import MetadataError
from imageworks.metadata.explain import Explanation
from imageworks.metadata.fields import field_mapping
from imageworks.metadata.replace import sweep_leftovers
from imageworks.metadata.wire import (
    BEGUN,
    HEADER_BYTES,
    MAX_FRAME_BYTES,
    Explain,
    Go,
    Intent,
    Opening,
    body_size_bytes,
    decode_reply,
    encode_request,
)
from imageworks.models import ExistingMetadata
from imageworks.stages import WriteOutcome, WriteRequest
from imageworks.text import show_path

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable

    from imageworks.config import PersonalTaggerConfig
    from imageworks.metadata.wire import Reply

logger = logging.getLogger(__name__)

_LEAVING_TIME_S = 5.0
# Large files follow one another: memory that was given back to the system would be taken again, and
# every page of it anew, which costs more than proving what stands there (mallopt(3), glibc).
_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(128 * 1024 * 1024),
}
_MAX_STARTS = 2
"""The child may have ended since the last request; one that ends at once twice never starts."""


class MetadataProcess:
    """Reads and writes metadata in a process of its own, one request at a time.

    A file that crashes it or keeps it too long fails alone; the next request gets a new process. A
    caller that stops waiting does not stop a write: it is finished before the next request.

    Args:
        config: How to merge and where to write.
        is_dry_run: Work everything out, write nothing.
        time_limit_s: Longest time for one file, in seconds.

    Raises:
        ConfigError: Setting ``fields`` makes no sense.
    """

    def __init__(
        self,
        config: PersonalTaggerConfig,
        *,
        is_dry_run: bool = False,
        time_limit_s: float = 60.0,
    ) -> None:
        field_mapping(config.fields)
        self._opening = Opening(config, is_dry_run)
        self._time_limit_s = time_limit_s
        self._lock = asyncio.Lock()
        self._child: Process | None = None
        self._running: set[asyncio.Task[Reply]] = set()
        self._deaths = 0
        self._recycled = 0

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is no child."""
        return None if self._child is None else self._child.pid

    @property
    def deaths(self) -> int:
        """How many children crashed, were killed, or had to be killed at the time limit."""
        return self._deaths

    @property
    def recycled(self) -> int:
        """How many children left by themselves because a file had changed the state of Exiv2."""
        return self._recycled

    async def read(self, path: Path) -> ExistingMetadata:
        """What the file and its sidecars say now; see `MetadataWriter.read`."""
        reply = await self._request(path, path)
        if not isinstance(reply, ExistingMetadata):
            raise _crashed(path)
        return reply

    async def write(
        self, request: WriteRequest, announce: Callable[[WriteOutcome], None] = lambda _intent: None
    ) -> WriteOutcome:
        """Writes the accepted fields; see `MetadataWriter.write`.

        Args:
            request: What was accepted.
            announce: Told, in this process, what is about to be written; the file is touched only
                after it has returned. An error that it raises leaves the file as it is.

        Raises:
            MetadataError: Also ``metadata-crash`` and ``metadata-timeout``: the file is whole,
                either as it was or as accepted; ask again to know.
        """
        reply = await self._request(request, request.path, announce)
        if not isinstance(reply, WriteOutcome):
            raise _crashed(request.path)
        return reply

    async def explain(self, path: Path) -> Explanation:
        """What is in a file and where a write would go; see `MetadataWriter.explain`."""
        reply = await self._request(Explain(path), path)
        if not isinstance(reply, Explanation):
            raise _crashed(path)
        return reply

    async def aclose(self) -> None:
        """Lets a request under way finish, then ends the child."""
        async with self._lock:
            child, self._child = self._child, None
            if child is not None:
                await _dismiss(child)

    async def _request(
        self,
        request: Path | Explain | WriteRequest,
        path: Path,
        announce: Callable[[WriteOutcome], None] = lambda _intent: None,
    ) -> Reply:
        task = asyncio.create_task(self._exchange(request, path, announce))
        self._running.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[Reply]) -> None:
        """Keeps asyncio from reporting the error of a request that nobody waits for any more."""
        self._running.discard(task)
        if not task.cancelled():
            task.exception()

    async def _exchange(
        self,
        request: Path | Explain | WriteRequest,
        path: Path,
        announce: Callable[[WriteOutcome], None],
    ) -> Reply:
        async with self._lock:
            try:
                async with asyncio.timeout(self._time_limit_s):
                    reply = await self._answer(encode_request(request))
                    while isinstance(reply, Intent):
                        reply = await self._let_go(reply, announce)
                    return reply
            except TimeoutError as error:
                await self._abandon(path)
                message = f"{show_path(path)}: its metadata took longer than "
                message += f"{self._time_limit_s:g} s."
                hint = "the file may be damaged; try it alone."
                raise MetadataError(message, hint=hint, reason="metadata-timeout") from error
            except (OSError, EOFError) as error:
                await self._abandon(path)
                raise _crashed(path) from error
            except asyncio.CancelledError:
                await self._abandon(path)
                raise

    async def _let_go(self, intent: Intent, announce: Callable[[WriteOutcome], None]) -> Reply:
        """Has an intended write journalled, then lets the child do it."""
        child = await self._ready_child()
        try:
            announce(intent.outcome)
        except BaseException:
            # The child waits for a word that will not come; without it, it writes nothing.
            self._child = None
            await _dismiss(child)
            raise
        stdin = _pipes(child)[0]
        stdin.write(encode_request(Go()))
        await stdin.drain()
        return decode_reply(await _read_reply(child))

    async def _answer(self, frame: bytes) -> Reply:
        """The reply to one request; asked again where the child had ended before it began."""
        for _ in range(_MAX_STARTS):
            child = await self._ready_child()
            if await _has_begun(child, frame):
                return decode_reply(await _read_reply(child))
            await child.wait()
            self._forget_ended()
        message = "the metadata process does not start"
        raise EOFError(message)

    async def _ready_child(self) -> Process:
        """The child, a new one where the last has ended."""
        self._forget_ended()
        if self._child is not None:
            return self._child
        self._child = await spawn("imageworks.metadata.worker", environment=_ENVIRONMENT)
        _pipes(self._child)[0].write(encode_request(self._opening))
        return self._child

    def _forget_ended(self) -> None:
        """Counts a child that has ended since the last request."""
        if self._child is not None and self._child.returncode is not None:
            if self._child.returncode == 0:
                self._recycled += 1
            else:
                self._deaths += 1
            self._child = None

    async def _abandon(self, path: Path) -> None:
        """Kills the child and removes what it may have left beside the file."""
        child, self._child = self._child, None
        if child is not None:
            self._deaths += 1
            await _end(child)
        removed = await asyncio.to_thread(_sweep_beside, path)
        logger.warning("metadata process ended; %d leftovers removed", len(removed))


def _sweep_beside(path: Path) -> list[Path]:
    return sweep_leftovers(Path(os.path.realpath(path)).parent)


async def _has_begun(child: Process, frame: bytes) -> bool:
    """Hands a request over; False where the child has ended, as it does after an unclean file."""
    stdin, stdout = _pipes(child)
    try:
        stdin.write(frame)
        await stdin.drain()
    except ConnectionError:
        return False
    return await stdout.read(len(BEGUN)) == BEGUN


async def _read_reply(child: Process) -> bytes:
    _, stdout = _pipes(child)
    size_bytes = body_size_bytes(await stdout.readexactly(HEADER_BYTES))
    if size_bytes > MAX_FRAME_BYTES:
        message = "the metadata process sent a frame that is too large"
        raise EOFError(message)
    return await stdout.readexactly(size_bytes)


def _pipes(child: Process) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
    if child.stdin is None or child.stdout is None:
        message = "the metadata process has no pipes"
        raise EOFError(message)
    return child.stdin, child.stdout


async def _end(child: Process) -> None:
    """Kills a child; one that has gone already is waited for, as `kill` would reap it unnoticed."""
    if _pipes(child)[1].at_eof():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVING_TIME_S):
                await child.wait()
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def _dismiss(child: Process) -> None:
    _pipes(child)[0].close()
    try:
        async with asyncio.timeout(_LEAVING_TIME_S):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()


def _crashed(path: Path) -> MetadataError:
    message = f"{show_path(path)}: reading or writing its metadata crashed."
    hint = "the file may be damaged; it was left whole."
    return MetadataError(message, hint=hint, reason="metadata-crash")
