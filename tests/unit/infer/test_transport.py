from __future__ import annotations

import asyncio
import contextlib
import gzip
import inspect
import json
import logging
import ssl

import httpx
import pytest

from imageworks.errors import (
    AnswerError,
    BackendError,
    ConfigError,
    ImageworksError,
    TransientBackendError,
)
from imageworks.infer.payload import Dialect, Sampling, chat_body, encode_picture
from imageworks.infer.prompts import Prompt
from imageworks.infer.transport import ServerConnection, _translated, is_local_host
from tests.support.openai_server import (
    MODEL,
    Fault,
    OpenAIServer,
    body_fault,
    cut_fault,
    garbage_fault,
    hang_fault,
    html_fault,
    reset_fault,
    status_fault,
)


@pytest.fixture
async def connect():
    made = []

    def make(url, **settings):
        connection = ServerConnection(url, **{"api_key": "EMPTY", "timeout_s": 20.0, **settings})
        made.append(connection)
        return connection

    yield make
    for connection in made:
        await connection.aclose()


@pytest.fixture
def body(jpeg):
    picture = encode_picture(jpeg)
    return chat_body(MODEL, Prompt("s", "JSON"), picture, Sampling(64, 0.2, 0.9), Dialect())


async def test_chat_sends_the_body_as_it_is_and_reads_the_answer(connect, body, jpeg):
    with OpenAIServer() as server:
        exchange = await connect(server.base_url).chat(body)

    assert "caption" in exchange.response.text
    assert exchange.duration_s > 0
    assert server.chats[0].raw == body
    assert server.chats[0].image == jpeg
    assert server.chats[0].headers["content-type"] == "application/json"
    assert server.chats[0].headers["user-agent"].startswith("imageworks-personal-tagger/")


async def test_connections_are_used_again(connect, body):
    with OpenAIServer() as server:
        connection = connect(server.base_url)
        for _ in range(5):
            await connection.chat(body)

    assert server.connections_accepted == 1


@pytest.mark.parametrize(
    ("key", "sent"), [("s3cret", "Bearer s3cret"), ("EMPTY", None), ("", None)]
)
async def test_only_a_real_key_is_sent(connect, body, key, sent):
    with OpenAIServer() as server:
        await connect(server.base_url, api_key=key).chat(body)

    assert server.chats[0].headers.get("authorization") == sent


async def test_credentials_in_the_address_are_used_but_never_shown(connect, body):
    with OpenAIServer(faults=[status_fault(400, "no")]) as server:
        connection = connect(server.base_url.replace("//", "//user:pass@"))
        with pytest.raises(AnswerError) as caught:
            await connection.chat(body)

    assert server.chats[0].headers["authorization"].startswith("Basic ")
    assert connection.base_url == server.base_url
    assert "pass" not in str(caught.value)


async def test_neither_key_nor_picture_is_logged(connect, body, caplog):
    with caplog.at_level(logging.DEBUG, "imageworks"), OpenAIServer(api_key="s3cret") as server:
        await connect(server.base_url, api_key="s3cret").chat(body)
        with pytest.raises(BackendError):
            await connect(server.base_url, api_key="wr0ng").chat(body)

    assert "request" in caplog.text
    assert "s3cret" not in caplog.text
    assert "wr0ng" not in caplog.text
    assert "/9j/" not in caplog.text


@pytest.mark.parametrize("key", ["a\nb", "schlüssel", "\x00"])
def test_key_that_no_header_can_carry_is_refused_without_showing_it(key):
    with pytest.raises(ConfigError) as caught:
        ServerConnection("http://localhost/v1", api_key=key, timeout_s=1)

    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:99999999/v1",
        "ftp://h/v1",
        "localhost:8000/v1",
        "http:///v1",
        "",
        "http://a..b/v1",
        f"http://{'a' * 64}.example/v1",
        "http://[::1/v1",
    ],
)
def test_address_that_cannot_be_one_is_refused(url):
    with pytest.raises(ConfigError) as caught:
        ServerConnection(url, api_key="", timeout_s=1)

    assert "http://localhost:24001/v1" in caught.value.hint


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        (status_fault(429, retry_after="2"), TransientBackendError, "rate-limited"),
        (status_fault(500, "boom"), TransientBackendError, "server-error"),
        (status_fault(503, "Loading model"), TransientBackendError, "loading"),
        (html_fault(), TransientBackendError, "not-json"),
        (html_fault(502), TransientBackendError, "gateway"),
        (garbage_fault(), TransientBackendError, "not-json"),
        (body_fault('{"choices": [{"mess'), TransientBackendError, "not-json"),
        (reset_fault(), TransientBackendError, "connection-lost"),
        (cut_fault(), TransientBackendError, "connection-lost"),
        (body_fault('{"error":{"message":"engine died"}}'), TransientBackendError, "server-error"),
        (body_fault('{"error":{"message":"model x not found","code":404}}'), BackendError,
         "model-missing"),
        (body_fault('{"object":"error","message":"the prompt is too long","code":400}'),
         AnswerError, "context-overflow"),
        (status_fault(401), BackendError, "not-authorised"),
        (Fault("body", status=307, headers={"Location": "http://x/"}), BackendError, "redirect"),
        (Fault("body", body=b"not gzip", headers={"Content-Encoding": "gzip"}),
         TransientBackendError, "not-json"),
    ],
    ids=lambda value: getattr(value, "kind", None),
)  # fmt: skip
async def test_every_fault_has_its_error(connect, body, fault, kind, reason):
    with OpenAIServer(faults=[fault]) as server, pytest.raises(ImageworksError) as caught:
        await connect(server.base_url).chat(body)

    assert (type(caught.value), caught.value.reason) == (kind, reason)
    assert server.base_url in caught.value.message or kind is AnswerError


async def test_retry_after_reaches_the_error(connect, body):
    with (
        OpenAIServer(faults=[status_fault(429, retry_after="2")]) as server,
        pytest.raises(TransientBackendError) as caught,
    ):
        await connect(server.base_url).chat(body)

    assert caught.value.retry_after_s == 2.0


async def test_server_that_never_answers_is_a_timeout(connect, body):
    with (
        OpenAIServer(faults=[hang_fault()]) as server,
        pytest.raises(TransientBackendError) as caught,
    ):
        await connect(server.base_url, timeout_s=0.1).chat(body)

    assert caught.value.reason == "timeout"
    assert "0.1 s" in caught.value.message


async def test_server_that_trickles_is_a_timeout_too(connect, body):
    is_over = asyncio.Event()

    async def trickle(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not is_over.is_set():
            writer.write(b" ")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(is_over.wait(), 0.01)
        writer.close()

    listener = await asyncio.start_server(trickle, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener:
        with pytest.raises(TransientBackendError) as caught:
            await connect(f"http://127.0.0.1:{port}/v1", timeout_s=0.2).chat(body)
        is_over.set()
        await asyncio.sleep(0)

    assert caught.value.reason == "timeout"


async def test_nobody_listening_is_unreachable(connect, body, dead_url):
    with pytest.raises(TransientBackendError) as caught:
        await connect(dead_url).chat(body)

    assert caught.value.reason == "unreachable"
    assert "--backend builtin" in caught.value.hint


async def test_endless_answer_is_cut_off(connect, body):
    huge = json.dumps({"choices": [{"message": {"content": "x" * 5_000_000}}]})
    with (
        OpenAIServer(faults=[body_fault(huge)]) as server,
        pytest.raises(AnswerError) as caught,
    ):
        await connect(server.base_url).chat(body)

    assert caught.value.reason == "answer-too-long"


async def test_decompression_bomb_is_cut_off(connect, body):
    bomb = gzip.compress(b" " * 50_000_000)
    fault = Fault("body", body=bomb, headers={"Content-Encoding": "gzip"})
    with OpenAIServer(faults=[fault]) as server, pytest.raises(AnswerError) as caught:
        await connect(server.base_url).chat(body)

    assert caught.value.reason == "answer-too-long"


async def test_connection_after_a_fault_works_again(connect, body):
    faults = [cut_fault(), garbage_fault(), status_fault(500), reset_fault()]
    with OpenAIServer(faults=faults) as server:
        connection = connect(server.base_url)
        for _ in range(4):
            with pytest.raises(TransientBackendError):
                await connection.chat(body)

        exchange = await connection.chat(body)

    assert exchange.response.text


async def test_page_refused_is_the_backends_error_not_a_pictures(connect):
    with OpenAIServer() as server, pytest.raises(BackendError) as caught:
        await connect(server.base_url).page("/nothing")

    assert caught.value.reason == "wrong-path"


async def test_odd_refusal_of_a_page_is_the_backends_error(connect):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener:
        with pytest.raises(BackendError) as caught:
            await connect(f"http://127.0.0.1:{port}/v1").page("/models")

    assert caught.value.reason == "request-refused"


async def test_root_page_stands_beside_v1(connect):
    with OpenAIServer(total_slots=4) as server:
        page = await connect(server.base_url + "/").root_page("/props")

    assert page == {"total_slots": 4}
    assert server.requests[0].path == "/props"


async def test_proxy_of_the_environment_is_not_asked_for_this_machine(
    connect, body, monkeypatch, dead_url
):
    monkeypatch.setenv("HTTP_PROXY", dead_url)
    with OpenAIServer() as server:
        exchange = await connect(server.base_url).chat(body)

    assert exchange.response.text


async def test_proxy_of_the_environment_is_asked_for_other_hosts(connect, body, monkeypatch):
    with OpenAIServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.root_url)
        with pytest.raises(BackendError):
            await connect("http://models.example.com/v1").chat(body)

    assert proxy.requests[0].path == "http://models.example.com/v1/chat/completions"


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "::1", "[::1]", "10.0.0.7", "192.168.1.2", "gpu-box", "nas.local",
     "Localhost.", "fe80::1", "host.docker.internal"],
)  # fmt: skip
def test_this_machine_and_its_neighbours_are_local(host):
    assert is_local_host(host)


@pytest.mark.parametrize("host", ["api.example.com", "8.8.8.8", "2001:4860:4860::8888"])
def test_hosts_of_the_internet_are_not_local(host):
    assert not is_local_host(host)


def every_httpx_error():
    for _, kind in inspect.getmembers(httpx, inspect.isclass):
        if issubclass(kind, (httpx.HTTPError, httpx.InvalidURL)):
            yield kind


@pytest.mark.parametrize("kind", list(every_httpx_error()))
def test_no_error_of_httpx_leaks(kind):
    error = (
        httpx.HTTPStatusError("m", request=None, response=None)  # type: ignore[arg-type]
        if kind is httpx.HTTPStatusError
        else kind("m")
    )

    with pytest.raises(BackendError) as caught, _translated("http://h/v1", 1):
        raise error

    assert caught.value.__cause__ is error
    assert caught.value.reason


def test_untrusted_certificate_is_not_mistaken_for_an_absent_server():
    error = httpx.ConnectError("certificate verify failed")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed")

    with pytest.raises(BackendError) as caught, _translated("https://h/v1", 1):
        raise error

    assert caught.value.reason == "tls"


async def test_closing_twice_is_fine(connect, dead_url):
    connection = connect(dead_url)

    await connection.aclose()
    await connection.aclose()

    assert all(client.is_closed for client in connection._clients._under_way)


async def test_many_requests_at_once_share_clients_of_a_few_connections_each():
    with OpenAIServer() as server:
        server.hold()
        connection = ServerConnection(server.base_url, api_key="EMPTY", timeout_s=10)
        body = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
        server.is_any_model = True
        asked = [asyncio.create_task(connection.chat(body)) for _ in range(20)]
        await asyncio.to_thread(server.wait_for_chats, 20)
        counts = list(connection._clients._under_way.values())
        server.release()
        await asyncio.gather(*asked)
        connections = server.connections_accepted
        await connection.chat(body)
        again = server.connections_accepted
        await connection.aclose()

    assert counts == [8, 8, 4]
    assert set(connection._clients._under_way.values()) == {0}
    assert again == connections == 20
