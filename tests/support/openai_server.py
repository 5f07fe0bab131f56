"""An OpenAI-compatible server on loopback that has no model in it: for every test of the project.

In a test::

    with OpenAIServer() as server:                      # its own thread and event loop
        config = PersonalTaggerConfig(base_url=(server.base_url,), model=MODEL, ...)
        ...
        assert server.chats[0].image == jpeg

Answers come from ``script``, a function from `AskedRequest` to one of

* a ``str``: the raw content of the answer;
* a ``dict``: the same as compact JSON;
* a `Reply`: content with its finish reason, usage, reasoning …;
* a `Fault`: something going wrong.

``server.faults`` holds faults for the next chat requests, one each, before the script is asked.
``server.hold()`` makes chat requests wait, ``server.release()`` lets them go, and
``server.wait_for_chats(n)`` blocks until n have arrived: no test needs to sleep.

As a process of its own, for end-to-end tests::

    python -m tests.support.openai_server --port 0 --latency-ms 20 --log asked.jsonl

prints ``READY http://127.0.0.1:PORT/v1`` and writes one JSON line per picture asked about.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import struct
import sys
import threading
from collections import deque
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from tests.support.openai_answers import (
    MODEL,
    AskedRequest,
    Fault,
    Reply,
    Script,
    body_fault,
    completion,
    cut_fault,
    default_script,
    default_tags,
    error_body,
    garbage_fault,
    hang_fault,
    html_fault,
    reset_fault,
    response_head,
    sse_fault,
    stall_fault,
    status_fault,
    stream_fault,
    understood,
    words_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "MODEL",
    "AskedRequest",
    "Fault",
    "OpenAIServer",
    "Reply",
    "Script",
    "body_fault",
    "cut_fault",
    "default_script",
    "default_tags",
    "garbage_fault",
    "hang_fault",
    "html_fault",
    "reset_fault",
    "sse_fault",
    "stall_fault",
    "status_fault",
    "stream_fault",
    "words_of",
]


class OpenAIServer:
    """The server, in a thread of its own; use as a context manager.

    Args:
        script: What to answer; see the module.
        models: Ids that ``/v1/models`` lists; asking for another is a 404 unless ``is_any_model``.
        faults: For the first chat requests, one each.
        api_key: When set, every request must carry it.
        loading_times: So many requests get a 503 "Loading model" first.
        has_structured_output: False refuses ``response_format`` with a 400.
        has_vision: False refuses pictures as a text-only model does.
        has_models: False answers 404 to ``/v1/models``.
        is_any_model: Takes any model name and echoes it, as llama.cpp does.
        owned_by: Who owns the listed models: how servers tell what they are.
        total_slots: Served by ``/props`` as llama.cpp does; None: 404.
        refused_fields: Top-level fields of the request that get a 400 naming them.
        latency_s: Waited before each chat answer; for the process, tests use `hold`.
        log: Takes one JSON line for each picture asked about.
    """

    def __init__(  # noqa: PLR0913  # one knob a trouble
        self,
        script: Script = default_script,
        *,
        models: Iterable[str] = (MODEL,),
        faults: Iterable[Fault] = (),
        api_key: str = "",
        loading_times: int = 0,
        has_structured_output: bool = True,
        has_vision: bool = True,
        has_models: bool = True,
        is_any_model: bool = False,
        owned_by: str = "vllm",
        total_slots: int | None = None,
        refused_fields: Iterable[str] = (),
        texts: Mapping[str, str] | None = None,
        latency_s: float = 0.0,
        port: int = 0,
        log: TextIO | None = None,
    ) -> None:
        self.script = script
        self.models = list(models)
        self.faults: deque[Fault] = deque(faults)
        self.api_key = api_key
        self.loading_times = loading_times
        self.has_structured_output = has_structured_output
        self.has_vision = has_vision
        self.has_models = has_models
        self.is_any_model = is_any_model
        self.owned_by = owned_by
        self.total_slots = total_slots
        self.refused_fields = tuple(refused_fields)
        self.texts = dict(texts or {})
        self.clients_gone = 0
        self.latency_s = latency_s
        self.requests: list[AskedRequest] = []
        self.most_at_once = 0
        self.connections_accepted = 0
        self.port = port
        self._log = log
        self._arrived = threading.Condition()
        self._at_once = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._released = asyncio.Event()
        self._released.set()
        self._hung = asyncio.Event()
        self._listening = threading.Event()
        self._sessions: set[asyncio.Task[None]] = set()

    @property
    def root_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.root_url}/v1"

    @property
    def chats(self) -> list[AskedRequest]:
        """The chat requests so far, probes included."""
        return [request for request in self.requests if request.is_chat]

    @property
    def questions(self) -> list[AskedRequest]:
        """The chat requests so far, without those of preflight."""
        return [request for request in self.chats if not request.is_probe]

    # -- life --------------------------------------------------------------------------

    def __enter__(self) -> OpenAIServer:
        self._listening.clear()
        self._stopping = asyncio.Event()
        self._hung = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="openai-server", daemon=True)
        self._thread.start()
        if not self._listening.wait(10):
            message = "the test server did not start"
            raise RuntimeError(message)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Closes the port and every connection; entering again reuses the port. Safe twice."""
        thread, self._thread = self._thread, None
        if thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            thread.join(10)

    def _run(self) -> None:
        asyncio.run(self.serve())

    async def serve(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serves until stopped; for a process of its own."""
        self._loop = asyncio.get_running_loop()
        listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = listener.sockets[0].getsockname()[1]
        self._listening.set()
        on_ready()
        await self._stopping.wait()
        listener.close()
        for session in tuple(self._sessions):
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        await listener.wait_closed()

    # -- control from the test ---------------------------------------------------------

    def hold(self) -> None:
        """Chat requests from now on wait for `release`."""
        self._call(self._released.clear)

    def release(self) -> None:
        """Lets all waiting chat requests go, and those to come."""
        self._call(self._released.set)

    def release_hung(self) -> None:
        """Ends the requests that a `hang_fault` keeps waiting; their connections close."""
        self._call(self._hung.set)

    def wait_for_chats(self, count: int, timeout_s: float = 10.0) -> None:
        """Blocks until so many chat requests have arrived.

        In an async test: ``await asyncio.to_thread(server.wait_for_chats, 3)``.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.chats) >= count, timeout_s):
                message = f"only {len(self.chats)} of {count} chat requests arrived"
                raise TimeoutError(message)

    def _call(self, action: Callable[[], None]) -> None:
        if self._loop is None or self._thread is None:
            action()
            return
        done = threading.Event()

        def act() -> None:
            action()
            done.set()

        self._loop.call_soon_threadsafe(act)
        done.wait(10)

    # -- HTTP --------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = asyncio.current_task()
        assert session is not None
        self._sessions.add(session)
        self.connections_accepted += 1
        try:
            while await self._one_exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._sessions.discard(session)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _one_exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        request_line, *header_lines = head.decode("latin-1").split("\r\n")
        method, path, _ = request_line.split(" ", 2)
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in header_lines if line)
        }
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        request = understood(method, path, headers, raw, len(self.requests))
        with self._arrived:
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._arrived.notify_all()
        try:
            answer = await self._answer(request)
        finally:
            self._at_once -= 1
        if isinstance(answer, Fault) and answer.kind == "stall":
            return await self._stall(reader, writer, answer)
        return await self._send(writer, answer, request)

    async def _stall(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Fault
    ) -> bool:
        """Sends the beginning of an answer, and notes when the client goes."""
        writer.write(response_head(answer, 10**6) + answer.body)
        await writer.drain()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        with self._arrived:
            self.clients_gone += 1
            self._arrived.notify_all()
        return False

    def wait_for_clients_gone(self, count: int, timeout_s: float = 10.0) -> None:
        """Blocks until so many clients left a stalled answer.

        Raises:
            TimeoutError: They did not.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: self.clients_gone >= count, timeout_s):
                message = f"{self.clients_gone} of {count} clients went"
                raise TimeoutError(message)

    async def _send(
        self, writer: asyncio.StreamWriter, answer: Fault | dict[str, Any], request: AskedRequest
    ) -> bool:
        if isinstance(answer, dict):
            self._note(request, HTTPStatus.OK)
            answer = Fault("body", body=json.dumps(answer).encode())
        else:
            self._note(request, answer.status)
        if answer.kind == "hang":
            await self._hung.wait()
            return False
        if answer.kind == "reset":
            connection = writer.get_extra_info("socket")
            # Linger 0 makes close() send RST (socket(7), SO_LINGER).
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        body = answer.body
        if answer.kind == "status":
            body = error_body(answer.status, answer.message)
        writer.write(response_head(answer, len(body)) + body)
        await writer.drain()
        return answer.kind != "cut"

    def _note(self, request: AskedRequest, status: int) -> None:
        if self._log is not None and request.image:
            line = {
                "sha256": request.image_sha256,
                "model": request.model,
                "stage": request.stage,
                "probe": request.is_probe,
                "status": int(status),
            }
            self._log.write(json.dumps(line) + "\n")
            self._log.flush()

    # -- answers -----------------------------------------------------------------------

    async def _answer(self, request: AskedRequest) -> Fault | dict[str, Any]:
        if self.api_key and request.headers.get("authorization") != f"Bearer {self.api_key}":
            return status_fault(401, "Invalid API Key")
        if self.loading_times > 0:
            self.loading_times -= 1
            return status_fault(503, "Loading model")
        if request.is_chat and request.path.startswith("/v1/"):
            return await self._chat(request)
        return self._page(request.path)

    def _page(self, path: str) -> Fault | dict[str, Any]:
        if path == "/v1/models" and self.has_models:
            listed = [{"id": m, "object": "model", "owned_by": self.owned_by} for m in self.models]
            return {"object": "list", "data": listed}
        if path == "/health":
            return {"status": "ok"}
        if path == "/props" and self.total_slots is not None:
            return {"total_slots": self.total_slots}
        if path in self.texts:
            return body_fault(self.texts[path])
        return body_fault('{"detail":"Not Found"}', 404)

    async def _chat(self, request: AskedRequest) -> Fault | dict[str, Any]:
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        await self._released.wait()
        if self.faults:
            return self.faults.popleft()
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        answer = self.script(request)
        if isinstance(answer, Fault):
            return answer
        if isinstance(answer, dict):
            answer = json.dumps(answer, separators=(",", ":"), ensure_ascii=False)
        reply = Reply(answer) if isinstance(answer, str) else answer
        answered = completion(reply, request.model)
        return stream_fault(answered) if request.body.get("stream") else answered

    def _refusal(self, request: AskedRequest) -> Fault | None:
        if not self.is_any_model and request.model not in self.models:
            return status_fault(404, f"The model `{request.model}` does not exist.")
        if request.image and not self.has_vision:
            return status_fault(400, f"{request.model} is not a multimodal model")
        if request.is_structured and not self.has_structured_output:
            return status_fault(400, "response_format is not supported by this server")
        for name in self.refused_fields:
            if name in request.body:
                return status_fault(400, f"Unrecognized request argument supplied: {name}")
        return None


def main(arguments: list[str] | None = None) -> None:
    """Serves until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description="OpenAI-compatible test server without a model")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--model", action="append", help="served model, repeatable")
    parser.add_argument("--log", type=Path, help="one JSON line per picture asked about")
    options = parser.parse_args(arguments)

    async def serve() -> None:
        with contextlib.ExitStack() as stack:
            log = (
                stack.enter_context(options.log.open("a", encoding="utf-8"))
                if options.log
                else None
            )
            server = OpenAIServer(
                models=options.model or (MODEL,),
                port=options.port,
                latency_s=options.latency_ms / 1000,
                log=log,
            )
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, server._stopping.set)

            def announce() -> None:
                sys.stdout.write(f"READY {server.base_url}\n")
                sys.stdout.flush()

            await server.serve(announce)

    asyncio.run(serve())


if __name__ == "__main__":
    main()
