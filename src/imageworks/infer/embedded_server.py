"""llama.cpp as a child of this process: started, watched, started again, never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import re
import secrets
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imageworks.errors import BackendError
from imageworks.infer.embedded_child import Order
from imageworks.infer.embedded_models import LocalModel
from imageworks.infer.transport import ServerConnection
from imageworks.text import one_line, show_path

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable
    from pathlib import Path

logger = logging.getLogger(__name__)

RUNTIME_HINT = "pip install 'imageworks-personal-tagger[embedded]' adds it."
MOST_DEATHS = 3
"""Ends of the server in a row, without an answer between them, after which it is given up."""

_CHILD_MODULE = "imageworks.infer.embedded_child"
_SHORTEST_LOAD_S = 120.0
_SLOWEST_DISK_BYTES_PER_S = 20_000_000
_HEALTH_TIMEOUT_S = 5.0
_LEAVING_TIME_S = 3.0
_SLOT_TOKENS = 4096
_LEAST_SLOTS = 2
_MOST_SLOTS = 4
_CORES_PER_SLOT = 4
_LAST_BYTES = 8192
_LAST_LINES = 3
_LOG_KEPT_S = 7 * 24 * 3600
_LONGEST_REPLY_BYTES = 65_536
_NO_MEMORY = re.compile(
    r"out of memory|failed to allocate|cannot allocate|alloc.*failed|bad_alloc", re.IGNORECASE
)
# The time and the kind that llama.cpp puts before each line.
_LOG_PREFIX = re.compile(r"^[\d.]+ [A-Z] +")
_SIGILL, _SIGKILL = 4, 9


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """A server to run.

    Attributes:
        model: What it serves; both its files are there.
        slots: Requests worked on at once.
        context_tokens: Of each slot: a picture of 1536 pixels, the prompt and the answer.
        threads: CPU threads.
    """

    model: LocalModel
    slots: int
    context_tokens: int
    threads: int

    @classmethod
    def for_machine(cls, model: LocalModel, *, cores: int | None = None) -> ServerPlan:
        """The plan that suits this machine: one core stays free for the pictures."""
        cores = cores or len(os.sched_getaffinity(0))
        slots = min(max(_LEAST_SLOTS, cores // _CORES_PER_SLOT), _MOST_SLOTS)
        return cls(
            model=model,
            slots=slots,
            context_tokens=min(_SLOT_TOKENS, model.context_tokens or _SLOT_TOKENS),
            threads=max(1, cores - 1),
        )

    @property
    def load_limit_s(self) -> float:
        """Longest time for reading the model from a slow disk, in seconds."""
        return _SHORTEST_LOAD_S + self.model.size_bytes / _SLOWEST_DISK_BYTES_PER_S


def is_runtime_installed() -> bool:
    """Whether the extra ``embedded`` is there."""
    return importlib.util.find_spec("xllamacpp") is not None


class EmbeddedServer:
    """One llama.cpp server on loopback, with a port and a key of its own at every start.

    Args:
        plan: What to run.
        log_folder: Gets the server's log.
        command: Runs the child.
        load_limit_s: Longest wait for the model; None goes by its size.

    Attributes:
        generation: How often it has been started.
        url: Its address with ``/v1``; empty before the first start.
        api_key: Its key.
    """

    def __init__(
        self,
        plan: ServerPlan,
        log_folder: Path,
        *,
        command: tuple[str, ...] = (sys.executable, "-P", "-m", _CHILD_MODULE),
        load_limit_s: float | None = None,
    ) -> None:
        self.plan = plan
        self.generation = 0
        self.url = ""
        self.api_key = ""
        self._command = command
        self._load_limit_s = load_limit_s or plan.load_limit_s
        self._log_path = log_folder / f"embedded-{os.getpid()}.log"
        self._process: Process | None = None
        self._deaths = 0
        self._lock = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is none."""
        return self._process.pid if self._process is not None else None

    async def ensure(self) -> int:
        """Starts the server unless it runs; its generation.

        Raises:
            BackendError: It does not start, or ends again and again.
        """
        async with self._lock:
            if self._process is not None:
                if self._process.returncode is None:
                    return self.generation
                self._note_death(self._process)
            await self._start()
            return self.generation

    def answered(self) -> None:
        """Notes that it works."""
        self._deaths = 0

    async def has_ended(self, generation: int, *, within_s: float = 0.0) -> bool:
        """Whether the server of a generation is gone, or goes within so many seconds."""
        process = self._process
        if process is None or generation != self.generation:
            return True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), within_s)
        return process.returncode is not None

    async def wait_for_end(self, generation: int) -> None:
        """Returns once the server of a generation is gone."""
        process = self._process
        if process is not None and generation == self.generation:
            await process.wait()

    async def stop(self) -> None:
        """Ends the server; safe to call twice."""
        async with self._lock:
            process, self._process = self._process, None
            if process is not None:
                await _end(process)

    def last_words(self) -> str:
        """The last lines of its log, as one."""
        try:
            with self._log_path.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _LAST_BYTES))
                lines = log.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return ""
        spoken = [_LOG_PREFIX.sub("", line).strip() for line in lines]
        return one_line(" / ".join([line for line in spoken if line][-_LAST_LINES:]), limit=600)

    # -- starting ----------------------------------------------------------------------

    def _note_death(self, process: Process) -> None:
        self._deaths += 1
        self._process = None
        logger.warning("The embedded server ended (%s).", _cause(process.returncode))
        if self._deaths >= MOST_DEATHS:
            message = f"The embedded server ended {self._deaths} times without an answer"
            raise self._failure(process, message)

    async def _start(self) -> None:
        if not is_runtime_installed():
            message = "The embedded backend needs llama.cpp, which is not installed."
            raise BackendError(message, hint=RUNTIME_HINT, reason="no-runtime")
        began_s = time.monotonic()
        self.api_key = secrets.token_urlsafe(24)
        process = await self._spawn()
        try:
            reply = await self._await_reply(process)
            await self._check_health(reply)
        except BaseException:
            await _end(process)
            raise
        self._process = process
        self.generation += 1
        took_s = time.monotonic() - began_s
        name = one_line(self.plan.model.name, limit=120)
        logger.info("The embedded server runs %s; it was ready in %.1f s.", name, took_s)

    async def _spawn(self) -> Process:
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        _sweep_logs(self._log_path.parent)
        with self._log_path.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=_LONGEST_REPLY_BYTES,
                start_new_session=True,  # Ctrl-C is for the program, which then ends it in order
            )
        if process.stdin is not None:
            process.stdin.write(self._order().to_line())
        return process

    def _order(self) -> Order:
        plan = self.plan
        return Order(
            model=str(plan.model.model_path),
            projector=str(plan.model.projector_path),
            name=plan.model.name,
            key=self.api_key,
            slots=plan.slots,
            context_tokens=plan.context_tokens,
            threads=plan.threads,
            parent_pid=os.getpid(),
        )

    async def _await_reply(self, process: Process) -> dict[str, Any]:
        """What the child says once the model is loaded."""
        line = b""
        try:
            if process.stdout is not None:
                line = await asyncio.wait_for(process.stdout.readline(), self._load_limit_s)
        except TimeoutError as error:
            name = show_path(self.plan.model.model_path)
            message = f"{name} was not loaded within {self._load_limit_s:.0f} s."
            hint = "choose a smaller model with --embedded-model."
            raise BackendError(message, hint=hint, reason="loading") from error
        if not line:
            await process.wait()
            raise self._failure(process, "The embedded server ended while it started")
        reply = json.loads(line)
        if "url" not in reply:
            await process.wait()
            raise self._failure(process, f"llama.cpp cannot run {show_path(self._model_path)}")
        return dict(reply)

    @property
    def _model_path(self) -> Path:
        return self.plan.model.model_path

    async def _check_health(self, reply: dict[str, Any]) -> None:
        self.url = f"{reply['url']}/v1"
        connection = ServerConnection(self.url, api_key=self.api_key, timeout_s=_HEALTH_TIMEOUT_S)
        try:
            await connection.root_page("/health")
        finally:
            await connection.aclose()

    def _failure(self, process: Process, what: str) -> BackendError:
        """The error for a server that has ended, with what it said last."""
        said = self.last_words()
        is_starved = process.returncode == -_SIGKILL or _NO_MEMORY.search(said) is not None
        message = f"{what} ({_cause(process.returncode)})."
        if said:
            message += f" Its last words: {said}"
        if is_starved:
            hint = "close other programs, or choose a smaller model with --embedded-model."
            return BackendError(message, hint=hint, reason="out-of-memory")
        hint = f"its log is {show_path(self._log_path)}; try another model with --embedded-model."
        return BackendError(message, hint=hint, reason="server-ended")


class EmbeddedServers:
    """The embedded servers of one process: engines for the same model share one.

    Args:
        log_folder: Gets the servers' logs.
        make: Makes a server that is not started.
    """

    def __init__(
        self,
        log_folder: Path,
        *,
        make: Callable[[ServerPlan, Path], EmbeddedServer] = EmbeddedServer,
    ) -> None:
        self._log_folder = log_folder
        self._make = make
        self._shared: dict[tuple[Path, Path | None], tuple[EmbeddedServer, int]] = {}

    def borrow(self, plan: ServerPlan) -> EmbeddedServer:
        """The server for a model; to be given back with `give_back`."""
        key = _key(plan)
        server, users = self._shared.get(key) or (self._make(plan, self._log_folder), 0)
        self._shared[key] = (server, users + 1)
        return server

    async def give_back(self, server: EmbeddedServer) -> None:
        """Ends the server when nobody else uses it."""
        key = _key(server.plan)
        _, users = self._shared[key]
        if users > 1:
            self._shared[key] = (server, users - 1)
            return
        del self._shared[key]
        await server.stop()


def _key(plan: ServerPlan) -> tuple[Path, Path | None]:
    return plan.model.model_path, plan.model.projector_path


async def _end(process: Process) -> None:
    """Lets a child go, then makes it."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), _LEAVING_TIME_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _cause(returncode: int | None) -> str:
    if returncode == -_SIGKILL:
        return "the system ended it, most likely for want of memory"
    if returncode == -_SIGILL:
        return "this processor lacks instructions that it needs"
    if returncode is not None and returncode < 0:
        return f"it crashed, signal {-returncode}"
    return f"exit status {returncode}"


def _sweep_logs(folder: Path) -> None:
    """Removes logs of servers that ended long ago."""
    oldest_s = time.time() - _LOG_KEPT_S
    for path in folder.glob("embedded-*.log"):
        with contextlib.suppress(OSError):  # another program swept it
            if path.stat().st_mtime < oldest_s:
                path.unlink()
