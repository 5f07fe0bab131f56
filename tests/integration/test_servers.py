"""Bad answers, a person's requests and several servers: a real library, loopback servers."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.asking import Asker
from imageworks.engine.backends import open_engine
from imageworks.engine.gate import BackendGate
from imageworks.engine.service import EngineService
from imageworks.engine.writing import write_settings
from imageworks.errors import AnswerError, TransientBackendError
from imageworks.metadata.process import MetadataProcess
from imageworks.model_loader.metrics import BatchRunMetrics
from imageworks.models import ImageFormat, ImageState, Stage
from imageworks.paths import app_paths
from imageworks.prepare.cache import PreviewCache
from imageworks.prepare.processes import ImageProcesses
from imageworks.store.records import WorkItem
from tests.e2e.conftest import make_photos
from tests.support.openai_server import MODEL, OpenAIServer, Reply, default_tags

APOLOGY = "I'm sorry, but I can't help with identifying the people in this image."
CUT = '{"caption": "A boat", "keywords": ["boat", "se'


def config_for(tmp_path, *servers, **changes):
    config = PersonalTaggerConfig(
        input_paths=(tmp_path / "photos",),
        backend="vllm",
        base_url=tuple(server.base_url for server in servers),
        review_later=True,
        output_jsonl=tmp_path / "results.jsonl",
        summary_path=tmp_path / "summary.md",
        metrics_path=tmp_path / "metrics.json",
        timeout=20,
    )
    return replace(config, **changes)


async def run_once(library, config):
    run = library.runs.create("batch", config.to_json())
    service = EngineService(library, app_paths())
    await service.start()
    try:
        return await service.do_run(run, config), run
    finally:
        await service.aclose()


@asynccontextmanager
async def asker_for(library, config):
    """What a run asks with, without the run."""
    engine, config, budget = await open_engine(config, app_paths())
    images = ImageProcesses(PreviewCache(app_paths().cache_dir / "previews", 10**8), budget)
    metadata = MetadataProcess(write_settings(config), is_dry_run=True)
    gate = BackendGate(engine, patience_s=10)
    metrics = BatchRunMetrics()
    try:
        yield Asker(
            library, config, engine, images=images, metadata=metadata, gate=gate, metrics=metrics
        )
    finally:
        await gate.aclose()
        await engine.aclose()
        await images.aclose()
        await metadata.aclose()


def item_of(library, run, *, hint=""):
    image = library.images.get(1)
    return WorkItem(image.id, run.id, image.path, ImageFormat.JPEG, 0, hint, is_redo=True)


def current(library):
    image = library.images.get(1)
    return library.suggestions.get(image.suggestion_id).suggestion.tags, image.state


@pytest.mark.parametrize(
    "garbage",
    [APOLOGY, "", Reply(CUT, finish_reason="length"), '{"caption": "' + "reflection, " * 120, "{}"],
    ids=["refusal", "empty", "cut", "repetition", "nothing in it"],
)
async def test_an_answer_that_cannot_be_used_is_asked_for_another_way(tmp_path, library, garbage):
    make_photos(tmp_path / "photos", 1)
    answers = iter([garbage])
    with OpenAIServer() as server:
        server.script = lambda asked: next(answers, None) or default_tags(asked.image)
        if garbage == "":
            server.script = lambda asked: next(answers, default_tags(asked.image))
        config = config_for(tmp_path, server, preflight=False)
        summary, _ = await run_once(library, config)

    first, second, *_ = server.chats
    assert summary.counts == {"suggested": 1}
    assert (first.body["seed"], first.user) != (second.body["seed"], second.user)
    tags, _ = current(library)
    assert tags.caption == default_tags(second.image)["caption"]


@pytest.mark.parametrize(("backend", "is_streamed"), [("llamacpp", True), ("vllm", False)])
async def test_first_tokens_and_stalls_of_streams_reach_the_outputs(
    tmp_path, library, backend, is_streamed
):
    make_photos(tmp_path / "photos", 3)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, preflight=False, backend=backend)
        await run_once(library, config)

    metrics = json.loads(config.metrics_path.read_text())["last"]
    lines = [json.loads(line) for line in config.output_jsonl.read_text().splitlines()]
    assert len(lines) == 3
    assert metrics["ttft"]["count"] == metrics["stall"]["count"] == 3 * is_streamed
    for timing in (line["timing"] for line in lines):
        assert {"ttft_s", "stall_s"} <= timing.keys() or not is_streamed
        assert timing.get("stall_s", 0) <= metrics["stall"]["max"] + 1e-6
        assert timing.get("ttft_s", 0) + timing.get("stall_s", 0) <= timing["structured"]


async def test_the_richest_of_bad_answers_is_kept(tmp_path, library):
    make_photos(tmp_path / "photos", 1)
    with OpenAIServer(lambda _: Reply(CUT, finish_reason="length")) as server:
        summary, _ = await run_once(library, config_for(tmp_path, server, preflight=False))

    assert summary.counts == {"suggested": 1}
    tags, _ = current(library)
    assert tags.caption == "A boat"


async def test_a_model_that_always_refuses_fails_the_image_after_plain_questions(tmp_path, library):
    make_photos(tmp_path / "photos", 1)
    with OpenAIServer(lambda _: APOLOGY) as server:
        summary, _ = await run_once(library, config_for(tmp_path, server, preflight=False))

    assert summary.counts == {"failed": 1}
    assert summary.failures == {"refused": 1}
    assert not server.chats[-1].is_structured


async def test_a_person_gets_another_answer_with_a_hint(tmp_path, library):
    make_photos(tmp_path / "photos", 1)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, preflight=False)
        _, run = await run_once(library, config)
        before, _ = current(library)
        server.script = lambda asked: {**default_tags(asked.image), "caption": "Grandma's ferry"}
        async with asker_for(library, config) as asker:
            item = item_of(library, run, hint="the ferry\x00 of\n\u202egrandma")
            suggestion = await asker.ask_now(item)

    asked = server.chats[-1]
    assert asked.body["stream"] is True
    assert "the ferry of grandma" in asked.user
    assert suggestion.tags.caption == "Grandma's ferry" != before.caption
    assert current(library) == (suggestion.tags, ImageState.SUGGESTED)


async def test_one_field_asked_again_leaves_the_others(tmp_path, library):
    make_photos(tmp_path / "photos", 1)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, preflight=False)
        _, run = await run_once(library, config)
        before, _ = current(library)
        server.script = lambda _: "heron, reeds"
        async with asker_for(library, config) as asker:
            await asker.ask_now(item_of(library, run), stages=(Stage.KEYWORDS,))

    after, _ = current(library)
    assert len(server.chats) == 2
    assert [keyword.text for keyword in after.keywords] == ["heron", "reeds"]
    assert (after.caption, after.description) == (before.caption, before.description)


@pytest.mark.parametrize("trouble", ["refusal", "away"])
async def test_a_person_who_gets_no_answer_keeps_what_was_there(tmp_path, library, trouble):
    make_photos(tmp_path / "photos", 1)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, preflight=False)
        _, run = await run_once(library, config)
        before = current(library)
        server.script = lambda _: APOLOGY
        if trouble == "away":
            server.stop()
        async with asker_for(library, config) as asker:
            with pytest.raises((AnswerError, TransientBackendError)):
                await asker.ask_now(item_of(library, run))

    assert current(library) == before


async def test_two_servers_share_a_batch(tmp_path, library):
    make_photos(tmp_path / "photos", 30)
    # Slow enough that the one cannot have answered before the other is needed.
    with OpenAIServer(latency_s=0.1) as first, OpenAIServer(latency_s=0.1) as second:
        summary, _ = await run_once(library, config_for(tmp_path, first, second))

    shares = [len(server.questions) for server in (first, second)]
    assert summary.counts == {"suggested": 30}
    assert sum(shares) == 30
    assert min(shares) >= 3


async def test_a_server_that_dies_costs_no_image_while_another_works(tmp_path, library):
    make_photos(tmp_path / "photos", 16)
    dead = OpenAIServer()
    with dead, OpenAIServer() as other:
        asked = []

        def script(request):
            asked.append(request)
            if len(asked) == 3:
                dead.stop()
            return default_tags(request.image)

        dead.script = script
        config = config_for(tmp_path, dead, other, preflight=False, model=MODEL)
        summary, _ = await run_once(library, config)

    assert summary.counts == {"suggested": 16}
    assert len(other.questions) >= 8
