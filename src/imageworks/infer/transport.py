"""The only door to httpx: one server's connections, with every fault translated once."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import ssl
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import httpx

from imageworks.errors import AnswerError, BackendError, ConfigError, TransientBackendError
from imageworks.infer.failures import failure_of
from imageworks.infer.responses import (
    ChatResponse,
    complaint_in,
    read_chat,
    read_complaint,
    read_json,
)
from imageworks.infer.streaming import StreamReader
from imageworks.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

NO_KEY = "EMPTY"
_CONNECT_TIMEOUT_S = 3.0
_WRITE_TIMEOUT_S = 30.0
_STALL_S = 20.0
_PAGE_TIMEOUT_S = 5.0
# uvicorn and llama.cpp close an idle connection after 5 s: stay well below, or a request meets a
# connection that is just being closed.
_KEEPALIVE_S = 2.0
_MOST_A_CLIENT = 8
_LARGEST_RESPONSE_BYTES = 4 * 1024 * 1024
_LOCAL_NAMES = ("localhost", "host.docker.internal")
_LOCAL_SUFFIXES = (".localhost", ".local", ".lan", ".internal", ".home.arpa")


@dataclass(frozen=True, slots=True)
class ChatExchange:
    """A chat completion.

    Attributes:
        response: What came.
        duration_s: From sending to the last byte.
        ttft_s: From sending to the first text, where it was streamed.
        longest_stall_s: Longest wait between two pieces of text, where it was streamed.
    """

    response: ChatResponse
    duration_s: float
    ttft_s: float | None = None
    longest_stall_s: float | None = None


class ServerConnection:
    """One OpenAI-compatible server.

    Args:
        base_url: The address with its ``/v1``.
        api_key: Sent as a bearer token unless empty or ``EMPTY``; never logged or shown.
        timeout_s: Longest wait for one chat answer, queue included, in seconds.
        clock: Monotonic time in seconds.

    Raises:
        ConfigError: The address or the key cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout_s = timeout_s
        self._clock = clock
        url = _parsed(base_url)
        self.base_url = str(url.copy_with(username=None, password=None)).rstrip("/")
        is_local = is_local_host(url.host)
        # Loading certificates costs 20 ms; over plain HTTP without proxies none are looked at.
        needs_certificates = url.scheme == "https" or not is_local
        verify = needs_certificates and httpx.create_ssl_context(trust_env=not is_local)

        def make_client() -> httpx.AsyncClient:
            return httpx.AsyncClient(
                base_url=url,
                headers=_headers(api_key),
                auth=(url.username, url.password) if url.username else None,
                timeout=httpx.Timeout(
                    connect=_CONNECT_TIMEOUT_S, read=timeout_s, write=_WRITE_TIMEOUT_S, pool=None
                ),
                limits=httpx.Limits(
                    max_connections=None,
                    max_keepalive_connections=None,
                    keepalive_expiry=_KEEPALIVE_S,
                ),
                # A proxy of the environment cannot reach this machine or its neighbours.
                trust_env=not is_local,
                verify=verify,
                follow_redirects=False,
            )

        self._clients = _Clients(make_client)

    async def page(self, path: str, *, timeout_s: float = _PAGE_TIMEOUT_S) -> Any:  # noqa: ANN401  # JSON
        """The JSON at a path below the base address.

        Raises:
            BackendError: No such page, no permission, no server.
        """
        return await self._get(f"{self.base_url}{path}", timeout_s)

    async def root_page(self, path: str, *, timeout_s: float = _PAGE_TIMEOUT_S) -> Any:  # noqa: ANN401  # JSON
        """The JSON at a path of the server itself, beside its ``/v1``.

        Raises:
            BackendError: No such page, no permission, no server.
        """
        return await self._get(f"{self.base_url.removesuffix('/v1')}{path}", timeout_s)

    async def root_text(self, path: str, *, timeout_s: float = _PAGE_TIMEOUT_S) -> str:
        """The text at a path of the server itself, such as its metrics.

        Raises:
            BackendError: No such page, no permission, no server.
        """
        url = f"{self.base_url.removesuffix('/v1')}{path}"
        try:
            content = await self._content("GET", url, min(timeout_s, self._timeout_s))
        except AnswerError as error:  # no picture is involved
            raise BackendError(error.message, hint=error.hint, reason=error.reason) from error
        return content.decode("utf-8", "replace")

    async def chat(self, body: bytes) -> ChatExchange:
        """A chat completion for a body of `payload.chat_body`.

        Raises:
            AnswerError: The server refuses this picture or question.
            TransientBackendError: The server does not answer now.
            BackendError: The server cannot be used.
        """
        url = f"{self.base_url}/chat/completions"
        request_id = secrets.token_hex(4)
        headers = {"Content-Type": "application/json", "X-Request-Id": request_id}
        started_s = self._clock()
        value = await self._json("POST", url, self._timeout_s, body, headers)
        exchange = self._plain_exchange(value, url, started_s)
        logger.debug(
            "request %s: %.3f s, %s tokens, finished by %s",
            request_id,
            exchange.duration_s,
            exchange.response.completion_tokens,
            one_line(exchange.response.finish_reason, limit=20),
        )
        return exchange

    async def stream_chat(self, body: bytes, *, most_tokens: int) -> ChatExchange:
        """A chat completion for a body that asks for a stream; cancelling ends it at the server.

        Args:
            body: Of `payload.chat_body`.
            most_tokens: The limit asked for.

        Raises:
            AnswerError: As `chat`; also when the answer runs away.
            TransientBackendError: As `chat`; also when the stream stalls or ends half-way.
            BackendError: As `chat`.
        """
        url = f"{self.base_url}/chat/completions"
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        started_s = self._clock()
        reader = StreamReader(most_tokens=most_tokens)
        with _translated(url, self._timeout_s), self._clients.borrowed() as client:
            request = client.build_request("POST", url, content=body, headers=headers)
            async with asyncio.timeout(self._timeout_s) as limit:
                response = await client.send(request, stream=True)
                try:
                    if not _is_stream(response):
                        value = _value_of(response, await _limited(response, url), url)
                        return self._plain_exchange(value, url, started_s)
                    latest_s = limit.when()
                    async for data in response.aiter_bytes():
                        reader.feed(data, self._clock() - started_s)
                        limit.reschedule(_sooner(latest_s, _STALL_S))
                        if reader.is_done:
                            break
                finally:
                    await response.aclose()
        exchange = self._plain_exchange(reader.error or reader.value(), url, started_s)
        if not (reader.is_done or exchange.response.finish_reason):
            message = f"{url} ended its answer half-way."
            raise TransientBackendError(message, reason="connection-lost")
        if reader.ttft_s is None:
            return exchange
        return replace(exchange, ttft_s=reader.ttft_s, longest_stall_s=reader.longest_stall_s)

    def _plain_exchange(self, value: Any, url: str, started_s: float) -> ChatExchange:  # noqa: ANN401  # JSON
        complaint = complaint_in(value)
        if complaint is not None:
            raise failure_of(complaint.status or 500, complaint, {}, url=url)
        return ChatExchange(read_chat(value), self._clock() - started_s)

    async def aclose(self) -> None:
        """Closes all connections; safe to call twice."""
        await self._clients.aclose()

    async def _get(self, url: str, timeout_s: float) -> Any:  # noqa: ANN401  # JSON
        try:
            return await self._json("GET", url, min(timeout_s, self._timeout_s))
        except AnswerError as error:  # no picture is involved
            raise BackendError(error.message, hint=error.hint, reason=error.reason) from error

    async def _json(
        self,
        method: str,
        url: str,
        timeout_s: float,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Any:  # noqa: ANN401  # JSON
        return read_json(await self._content(method, url, timeout_s, body, headers), url)

    async def _content(
        self,
        method: str,
        url: str,
        timeout_s: float,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        with _translated(url, timeout_s), self._clients.borrowed() as client:
            request = client.build_request(method, url, content=body, headers=headers)
            # httpx limits each read; a server that trickles would never meet that limit.
            async with asyncio.timeout(timeout_s):
                response = await client.send(request, stream=True)
                try:
                    content = await _limited(response, url)
                finally:
                    await response.aclose()
        return _accepted(response, content, url)


class _Clients:
    """Clients of one server, each with a few requests under way.

    A client's pool looks at all its connections for every request, so that at 64 at once a request
    costs twice what it costs at 8 (measured; facts on scale, section 5.4).

    Args:
        make: Makes one more.
    """

    def __init__(self, make: Callable[[], httpx.AsyncClient]) -> None:
        self._make = make
        self._under_way = {make(): 0}

    @contextmanager
    def borrowed(self) -> Iterator[httpx.AsyncClient]:
        """A client for one request; the first with room, so that its connections stay warm."""
        found = (client for client, count in self._under_way.items() if count < _MOST_A_CLIENT)
        client = next(found, None) or self._make()
        self._under_way[client] = self._under_way.get(client, 0) + 1
        try:
            yield client
        finally:
            self._under_way[client] -= 1

    async def aclose(self) -> None:
        """Closes all connections; safe to call twice."""
        for client in self._under_way:
            await client.aclose()


def is_local_host(host: str) -> bool:
    """Whether a host is this machine or in its private network, as far as its name tells."""
    name = host.strip("[]").lower().rstrip(".")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name in _LOCAL_NAMES or name.endswith(_LOCAL_SUFFIXES) or "." not in name
    return address.is_private or address.is_loopback or address.is_link_local


async def _limited(response: httpx.Response, url: str) -> bytes:
    parts: list[bytes] = []
    size_bytes = 0
    async for part in response.aiter_bytes():
        size_bytes += len(part)
        if size_bytes > _LARGEST_RESPONSE_BYTES:
            message = f"{url} sent more than {_LARGEST_RESPONSE_BYTES // 1024**2} MiB."
            raise AnswerError(message, reason="answer-too-long")
        parts.append(part)
    return b"".join(parts)


def _accepted(response: httpx.Response, content: bytes, url: str) -> bytes:
    """The content of a response that is not an error."""
    if response.status_code >= 300:
        logger.debug("status %d from %s", response.status_code, url)
        said = read_complaint(content)
        raise failure_of(response.status_code, said, response.headers, url=url)
    return content


def _value_of(response: httpx.Response, content: bytes, url: str) -> Any:  # noqa: ANN401  # JSON
    return read_json(_accepted(response, content, url), url)


def _is_stream(response: httpx.Response) -> bool:
    kind = response.headers.get("content-type", "")
    return response.status_code < 300 and kind.startswith("text/event-stream")


def _sooner(latest_s: float | None, wait_s: float) -> float:
    """The loop's time after so many seconds, or the latest one allowed."""
    at_s = asyncio.get_running_loop().time() + wait_s
    return at_s if latest_s is None else min(at_s, latest_s)


@contextmanager
def _translated(url: str, timeout_s: float) -> Iterator[None]:
    """Turns every fault of httpx into one of ours."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
        raise _unreachable(url, error) from error
    except (httpx.TimeoutException, TimeoutError) as error:
        message = f"{url} did not answer within {timeout_s:g} s."
        hint = "raise --timeout, or lower --max-workers."
        raise TransientBackendError(message, hint=hint, reason="timeout") from error
    except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
        message = f"{url} closed the connection: {_said(error)}."
        raise TransientBackendError(message, reason="connection-lost") from error
    except httpx.DecodingError as error:
        message = f"{url} sent a damaged response: {_said(error)}."
        raise TransientBackendError(message, reason="not-json") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        message = f"{url} cannot be asked: {_said(error)}."
        raise BackendError(message, hint="check --base-url.", reason="protocol") from error


def _unreachable(url: str, error: httpx.HTTPError) -> BackendError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            message = f"{url} has no certificate that can be trusted: {_said(error)}."
            return BackendError(message, hint="check --base-url.", reason="tls")
        cause = cause.__cause__ or cause.__context__
    message = f"No server answers at {url}."
    hint = "start the server, or give --base-url, or use --backend builtin."
    return TransientBackendError(message, hint=hint, reason="unreachable")


def _said(error: Exception) -> str:
    return one_line(str(error) or type(error).__name__, limit=200).rstrip(".")


def _parsed(base_url: str) -> httpx.URL:
    hint = "give an address such as http://localhost:24001/v1."
    try:
        url = httpx.URL(base_url.rstrip("/"))
    except httpx.InvalidURL as error:
        message = f"The address {one_line(base_url, limit=200)!r} is not valid: {_said(error)}."
        raise ConfigError(message, hint=hint, reason="bad-url") from error
    if url.scheme not in {"http", "https"} or not _is_host(url.host) or not _is_port(url.port):
        message = f"The address {one_line(base_url, limit=200)!r} is not an HTTP address."
        raise ConfigError(message, hint=hint, reason="bad-url")
    return url


def _is_host(host: str) -> bool:
    try:
        return bool(host.encode("idna"))  # what the resolver will do; labels over 63 bytes fail
    except UnicodeError:
        return False


def _is_port(port: int | None) -> bool:
    return port is None or 0 < port <= 65535


def _headers(api_key: str) -> dict[str, str]:
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": f"imageworks-personal-tagger/{_own_version()}",
    }
    if api_key and api_key != NO_KEY:
        if not (api_key.isascii() and api_key.isprintable()):
            message = "Setting api_key holds characters that no HTTP header can carry."
            raise ConfigError(message, hint="copy the key again.", reason="bad-key")
        headers["Authorization"] = f"Bearer {api_key}"
    return headers


def _own_version() -> str:
    try:
        return version("imageworks-personal-tagger")
    except PackageNotFoundError:
        return "0"
