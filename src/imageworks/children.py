"""Processes that answer one request at a time over a pipe: the parent's end and the child's.

As one request is under way at a time, it is always known which one killed a child, and ending a
hung child disturbs no other. `concurrent.futures` can do neither, and cannot start a process inside
a running Textual app (textual#3593).
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import struct
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

LENGTH = struct.Struct("<I")
"""Before each message: how many bytes of pickle follow."""

_PACKAGE_ROOT = Path(__file__).parents[1]
_READ_AHEAD_BYTES = 1 << 20
_CLOSE_TIMEOUT_S = 2.0
_LAST_WORDS_S = 1.0

Request = TypeVar("Request")
Reply = TypeVar("Reply")


def encode(message: object) -> bytes:
    """A message as it goes over the pipe."""
    body = pickle.dumps(message)
    return LENGTH.pack(len(body)) + body


# -- the parent's end ------------------------------------------------------------------------------


class ChildProcess(Generic[Request, Reply]):
    """One child that runs `serve`; started when first needed, and again whenever it is gone.

    Args:
        module: What the child runs.
        nice: Added to its niceness.
        requests_per_process: After so many it is replaced: whatever libraries leak ends with it.
    """

    def __init__(self, module: str, *, nice: int, requests_per_process: int) -> None:
        self._module = module
        self._nice = nice
        self._requests_per_process = requests_per_process
        self._process: Process | None = None
        self._answered = 0

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is no child."""
        return self._process.pid if self._process else None

    async def start(self) -> Process:
        """The child, a new one where there is none.

        Raises:
            OSError: It cannot be started.
        """
        if self._process is None:
            self._process = await spawn(self._module, str(self._nice))
            self._answered = 0
        return self._process

    async def ask(self, request: Request) -> Reply:
        """The child's answer; after any error or cancellation the child is to be killed.

        Raises:
            EOFError: It died before it answered.
            ConnectionError: It was dead already.
            OSError: It cannot be started.
        """
        if self._answered >= self._requests_per_process:
            await self.close()
        process = await self.start()
        if process.stdin is None or process.stdout is None:
            raise EOFError
        process.stdin.write(encode(request))
        await process.stdin.drain()
        (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
        body = await process.stdout.readexactly(length)
        self._answered += 1
        reply: Reply = pickle.loads(body)  # noqa: S301  # from our own child
        return reply

    async def close(self) -> None:
        """Lets an idle child end by itself, or makes it."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await _ended(self._process)
        await self.kill()

    def interrupt(self) -> None:
        """Ends the child at once, if there is one: an `ask` under way raises EOFError."""
        if self._process is not None and not _is_gone(self._process):
            self._process.kill()

    async def kill(self) -> int | None:
        """Ends the child at once; the next request starts another.

        Returns:
            Its exit status, negative for a signal; None where there was no child, or one that the
            system does not let go of.
        """
        process, self._process = self._process, None
        if process is None:
            return None
        if process.stdin is not None:
            process.stdin.close()
        if _is_gone(process):
            await _ended(process)
        if process.returncode is None:
            process.kill()
            await _ended(process)
        return process.returncode


def command_for(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this program; it wants `own_environment`.

    The working directory may be a folder of photographs with anything in it: ``-P`` keeps Python
    from taking modules from there.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def own_environment() -> dict[str, str]:
    """This process's variables, and where the program's modules are."""
    path = os.pathsep.join(filter(None, (str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


async def spawn(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> Process:
    """A module of this program as a process with a pipe either way.

    Args:
        module: What it runs.
        arguments: Its command line.
        environment: Variables to set beside this process's own.

    Raises:
        OSError: It cannot be started.
    """
    import asyncio  # noqa: PLC0415  # slow to load, and a child has no use for it

    return await asyncio.create_subprocess_exec(
        *command_for(module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        # A Ctrl-C in the terminal is the parent's to handle. Not a session of its own, as which it
        # would rank beside the parent whatever its niceness: sched(7), "The autogroup feature".
        process_group=0,
        env={**own_environment(), **(environment or {})},
        limit=_READ_AHEAD_BYTES,
    )


def _is_gone(process: Process) -> bool:
    """Whether it has ended or is just ending; to kill it then would lose its status."""
    has_closed = process.stdout is not None and process.stdout.at_eof()
    return has_closed or process.returncode is not None


async def _ended(process: Process) -> None:
    """Waits for a process's end, but not for ever: a disk can hold on to a killed one."""
    import asyncio  # noqa: PLC0415  # see `spawn`

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            # Not `wait`: it does not return while there is output that nobody reads.
            await process.communicate()


# -- the child's end -------------------------------------------------------------------------------


def serve(answer: Callable[[Any], object], *, oom_score: int) -> None:
    """A child's whole life: answers requests in turn until their stream ends.

    The stream also ends when the parent is killed, and so does the child, even while it answers.

    Args:
        answer: Turns a request into its reply; both can be pickled.
        oom_score: How readily the system is to end it when memory is short, to 1000 (proc(5)).
    """
    requests, replies = stand_by(oom_score)
    with contextlib.suppress(BrokenPipeError):
        for request in read_requests(requests):
            replies.write(encode(answer(request)))
            replies.flush()


def stand_by(oom_score: int) -> tuple[BinaryIO, BinaryIO]:
    """Makes this process a child of low rank; its niceness is the first argument.

    Returns:
        Where requests come from and where replies go.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    os.nice(int(sys.argv[1]))
    with contextlib.suppress(OSError):  # it is to go before the engine or the screen
        Path("/proc/self/oom_score_adj").write_text(str(oom_score), encoding="ascii")
    return take_pipes()


def take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes under new numbers; what libraries print to 0, 1 and 2 now leads nowhere."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    return requests, replies


def read_requests(stream: BinaryIO) -> Iterator[Any]:
    """The requests in turn. Soon after their stream has ended, so does this process."""
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    # A thread of its own notices the end of the stream while an answer is being worked out.
    threading.Thread(target=_receive, args=(stream, waiting), daemon=True).start()
    return iter(waiting.get, None)


def _receive(stream: BinaryIO, waiting: queue.SimpleQueue[Any]) -> None:
    try:
        while head := stream.read(LENGTH.size):
            body = stream.read(*LENGTH.unpack(head))
            waiting.put(pickle.loads(body))  # noqa: S301  # from the parent process
    finally:
        waiting.put(None)
        time.sleep(_LAST_WORDS_S)
        os._exit(1)  # still at work, and nobody waits for it any more
