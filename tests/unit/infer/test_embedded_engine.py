"""The embedded engine: the chat engine on a server that it keeps alive."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from imageworks.config import PersonalTaggerConfig
from imageworks.errors import AnswerError, BackendError, UsageError
from imageworks.infer import embedded_server
from imageworks.infer.embedded import EmbeddedEngine
from imageworks.infer.embedded_server import EmbeddedServer, EmbeddedServers
from imageworks.infer.factory import create_engine
from imageworks.infer.profiles import ProfileBook
from tests.support.gguf_files import write_model, write_projector

CHECKOUT = Path(__file__).parents[3]
PROFILE = ProfileBook().get("default")


@pytest.fixture(autouse=True)
def _at_checkout(monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    monkeypatch.setattr(embedded_server, "is_runtime_installed", lambda: True)


@pytest.fixture
def config(tmp_path):
    """Settings as `with_embedded_model` fills them in."""
    return PersonalTaggerConfig(
        backend="embedded",
        embedded_model=write_model(tmp_path / "m.gguf", "Some VLM"),
        embedded_mmproj=write_projector(tmp_path / "mmproj.gguf"),
        timeout=20.0,
        model="Some VLM",
        caption_model="Some VLM",
        keyword_model="Some VLM",
        description_model="Some VLM",
    )


@pytest.fixture
async def make_engine(tmp_path, config):
    """Makes engines whose server is the stand-in; closes them."""
    engines = []

    def make(*words, servers=None, **changes):
        def child(plan, logs):
            command = (sys.executable, "-m", "tests.support.embedded_child")
            once = str(tmp_path / "once")
            return EmbeddedServer(plan, logs, command=(*command, once, *words))

        servers = servers or EmbeddedServers(tmp_path / "logs", make=child)
        engine = EmbeddedEngine(config, PROFILE, servers)
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        await engine.aclose()


async def kill_server(engine):
    generation = engine._server.generation
    os.kill(engine._server.pid, signal.SIGKILL)
    await engine._server.wait_for_end(generation)


async def test_preflight_starts_the_server_and_probes_it(make_engine):
    engine = make_engine()

    probes = await engine.preflight()

    assert [probe.name for probe in probes] == [
        *("embedded server", "models", "text completion", "vision completion")
    ]
    assert all(probe.is_ok for probe in probes)
    assert "Some VLM" in probes[0].message
    assert engine.base_url.startswith("http://127.0.0.1:")


async def test_answers_are_told_as_the_embedded_engines(make_engine, picture_request):
    engine = make_engine()

    result = await engine.infer(picture_request())

    assert result.answers[0].model == "Some VLM"
    assert result.base_url == engine.base_url
    assert engine.backend == "embedded"
    assert engine.describe() == "embedded Some VLM"
    assert dict(engine.models()) == dict.fromkeys(
        ("caption", "keywords", "description"), "Some VLM"
    )
    assert await engine.is_alive()
    assert engine.under_way == 0


async def test_preflight_tells_why_the_server_does_not_start(make_engine, monkeypatch):
    monkeypatch.setattr(embedded_server, "is_runtime_installed", lambda: False)
    engine = make_engine()

    (probe,) = await engine.preflight()

    assert not probe.is_ok
    assert probe.reason == "no-runtime"
    assert not await engine.is_alive()


async def test_killed_server_costs_no_picture(make_engine, picture_request, jpeg):
    engine = make_engine()
    await engine.preflight()
    pictures = [jpeg + b"ONCE", *(jpeg + bytes([number]) for number in range(7))]

    results = await asyncio.gather(
        *(engine.infer(picture_request(jpeg=picture)) for picture in pictures)
    )

    assert len(results) == 8
    assert engine._server.generation == 2


async def test_picture_that_brings_the_server_down_fails_alone(make_engine, picture_request, jpeg):
    engine = make_engine()
    await engine.preflight()
    pictures = [jpeg + bytes([number]) for number in range(4)]
    pictures.insert(1, jpeg + b"POISON")

    results = await asyncio.gather(
        *(engine.infer(picture_request(jpeg=picture)) for picture in pictures),
        return_exceptions=True,
    )

    failed = [result for result in results if isinstance(result, BaseException)]
    assert failed == [results[1]]
    assert isinstance(failed[0], AnswerError)
    assert failed[0].reason == "server-crash"


async def test_server_that_no_picture_survives_ends_the_run(make_engine, picture_request, jpeg):
    engine = make_engine("always")
    await engine.preflight()
    requests = [picture_request(jpeg=jpeg + bytes([number])) for number in range(3)]

    results = await asyncio.gather(
        *(engine.infer(request) for request in requests), return_exceptions=True
    )

    fatal = [r for r in results if isinstance(r, BackendError)]
    assert fatal
    assert "without an answer" in fatal[0].message


async def test_trouble_of_a_live_server_is_told_as_it_is(make_engine, picture_request, jpeg):
    engine = make_engine()

    with pytest.raises(BackendError) as caught:
        await engine.infer(picture_request(jpeg=jpeg + b"REFUSE"))

    assert caught.value.reason == "not-authorised"
    assert engine._server.generation == 1


async def test_trouble_after_a_restart_is_told_as_it_is(make_engine, picture_request, jpeg):
    engine = make_engine()

    with pytest.raises(BackendError) as caught:
        await engine.infer(picture_request(jpeg=jpeg + b"ONCE REFUSE"))

    assert caught.value.reason == "not-authorised"
    assert engine._server.generation == 2


async def test_idle_server_that_ends_is_started_again(make_engine):
    engine = make_engine()
    await engine.preflight()
    is_restarted = asyncio.Event()
    engine.follow(lambda: is_restarted.set() if engine._generation == 2 else None)
    watching = asyncio.create_task(engine.watch())
    await asyncio.sleep(0)

    await kill_server(engine)
    await asyncio.wait_for(is_restarted.wait(), 20)

    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert await engine.is_alive()
    assert engine._server.generation == 2


async def test_engine_that_shares_a_server_follows_its_restart(
    make_engine, picture_request, tmp_path
):
    first = make_engine()
    second = make_engine(servers=first._servers)
    await first.infer(picture_request())
    await second.infer(picture_request())
    assert first.base_url == second.base_url

    await kill_server(first)
    await first.infer(picture_request())
    await second.infer(picture_request())

    assert first.base_url == second.base_url
    assert first._server.generation == 2


async def test_concurrency_is_the_servers_slots_within_the_persons_ceiling(
    make_engine, config, tmp_path
):
    assert make_engine().limit == 2
    object.__setattr__(config, "max_workers", 1)
    assert make_engine().suggested_concurrency() == 1


async def test_fingerprint_knows_the_models_form(make_engine, config, tmp_path):
    same = make_engine().fingerprint(), make_engine().fingerprint()
    write_model(tmp_path / "m.gguf", "Some VLM", {"general.file_type": 7})

    assert same[0] == same[1]
    assert make_engine().fingerprint() != same[0]


async def test_closed_engine_starts_nothing(make_engine, picture_request):
    engine = make_engine()
    await engine.aclose()
    await engine.aclose()

    with pytest.raises(BackendError):
        await engine.infer(picture_request())

    assert engine._server.pid is None


async def test_factory_makes_it_once_the_model_is_chosen(config, tmp_path):
    servers = EmbeddedServers(tmp_path)

    engine = create_engine(config, PROFILE, pixels=lambda jpeg, side: [], servers=servers)

    assert isinstance(engine, EmbeddedEngine)
    await engine.aclose()
    with pytest.raises(UsageError):
        EmbeddedEngine(PersonalTaggerConfig(backend="embedded"), PROFILE, servers)
