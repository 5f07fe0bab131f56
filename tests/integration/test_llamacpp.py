"""A real llama.cpp with the toy model that tells the truth: probabilities, streams, a restart."""

from __future__ import annotations

import importlib.util
import io
import json
import random
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.service import EngineService
from imageworks.infer.chat import ChatEngine
from imageworks.infer.profiles import ProfileBook
from imageworks.models import Keyword
from imageworks.paths import app_paths
from imageworks.stages import InferenceRequest, InferenceResult
from imageworks.store.library import Library
from imageworks.suggest.builder import build_suggestion
from imageworks.suggest.verification import read_verdicts
from tests.support.toy_world import scene

CHECKOUT = Path(__file__).parents[2]
TOY = CHECKOUT / "tests" / "assets" / "toyvlm"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="xllamacpp is not installed"
)


class LlamaServer:
    """llama.cpp's own server as a process, at a port that stays the same."""

    def __init__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.starts = 0
        self.start()

    def start(self):
        self.starts += 1
        models = (TOY / "toy-qwen2vl.gguf", TOY / "mmproj-toy-qwen2vl.gguf")
        command = (sys.executable, "-m", "tests.support.llama_server", *map(str, models))
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port)],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        line = ""
        while not line.startswith("READY"):
            line = self.process.stdout.readline()
            assert line, "the server ended before it was ready"

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def server():
    running = LlamaServer()
    yield running
    running.stop()


def scenes(count):
    """Rendered scenes as JPEGs, each with the words that are true of it."""
    source = random.Random(7)
    found = []
    for _ in range(count):
        image, truth = scene(source, 280, 196)
        content = io.BytesIO()
        image.save(content, "JPEG", quality=90)
        found.append((content.getvalue(), truth))
    return found


def config_for(server, **changes):
    models = dict.fromkeys(("model", "caption_model", "keyword_model", "description_model"), "toy")
    settings = {"backend": "llamacpp", "base_url": (server.url,), "temperature": 0.0, **models}
    return PersonalTaggerConfig(**{**settings, **changes})


async def test_keywords_carry_the_models_own_probabilities(server):
    engine = ChatEngine(config_for(server), ProfileBook().get("default"))
    probes = await engine.preflight()
    assert probes[-1].is_ok

    right = 0
    for jpeg, truth in scenes(8):
        result = await engine.infer(InferenceRequest(Path("a.jpg"), jpeg))
        tags = build_suggestion(result, max_keywords=15).tags
        assert tags.keywords
        assert all(0 < (keyword.score or 0.0) <= 1 for keyword in tags.keywords)
        assert result.answers[0].ttft_s is not None
        assert result.notes == ()
        right += truth.colour in tags.caption
    await engine.aclose()

    assert right >= 7
    assert engine.limit == 6  # four slots, and two requests that wait


async def test_a_restarted_server_costs_no_image(tmp_path, server):
    (tmp_path / "photos").mkdir()
    for number, (jpeg, _) in enumerate(scenes(40)):
        (tmp_path / "photos" / f"scene-{number:02}.jpg").write_bytes(jpeg)
    library = Library(tmp_path / "library.sqlite3")
    config = config_for(
        server,
        input_paths=(tmp_path / "photos",),
        review_later=True,
        output_jsonl=tmp_path / "results.jsonl",
        summary_path=tmp_path / "summary.md",
        metrics_path=tmp_path / "metrics.json",
    )

    def on_progress(progress):
        if progress.done >= 5 and server.starts == 1:
            server.stop()
            server.start()

    service = EngineService(library, app_paths())
    await service.start()
    run = library.runs.create("batch", config.to_json())
    summary = await service.do_run(run, config, on_progress=on_progress)
    await service.aclose()
    library.close()

    assert server.starts == 2
    assert summary.counts == {"suggested": 40}


async def test_keywords_are_verified_by_a_real_model_out_of_its_cache(server):
    engine = ChatEngine(config_for(server), ProfileBook().get("careful"))
    assert (await engine.preflight())[-1].is_ok
    hostile = ('say "no"', "back\\slash", "Möwe", "a{b}[c]")

    for jpeg, truth in scenes(4):
        request = InferenceRequest(Path("a.jpg"), jpeg)
        first = (await engine.infer(request)).answers[0]
        keywords = build_suggestion(
            InferenceResult((first,)), max_keywords=15
        ).tags.keywords + tuple(map(Keyword, hostile))
        names = tuple(keyword.text for keyword in keywords)
        (told,) = (await engine.infer(replace(request, verify=names))).answers
        found = read_verdicts(keywords, told)

        assert tuple(json.loads(told.text)) == names, truth
        assert not told.is_truncated
        assert found.unanswered == 0
        assert all(0 <= (keyword.score or 0.0) <= 1 for keyword in found.keywords)
        assert None not in {keyword.score for keyword in found.keywords}
    await engine.aclose()


async def test_a_careful_run_against_a_real_server_verifies_every_image(tmp_path, server):
    (tmp_path / "photos").mkdir()
    for number, (jpeg, _) in enumerate(scenes(6)):
        (tmp_path / "photos" / f"scene-{number:02}.jpg").write_bytes(jpeg)
    library = Library(tmp_path / "library.sqlite3")
    config = config_for(
        server,
        prompt_profile="careful",
        input_paths=(tmp_path / "photos",),
        review_later=True,
        output_jsonl=tmp_path / "results.jsonl",
        summary_path=tmp_path / "summary.md",
        metrics_path=tmp_path / "metrics.json",
    )

    service = EngineService(library, app_paths())
    await service.start()
    summary = await service.do_run(library.runs.create("batch", config.to_json()), config)
    await service.aclose()
    library.close()

    assert summary.counts == {"suggested": 6}
    records = [json.loads(line) for line in config.output_jsonl.read_text().splitlines()]
    verified = [record for record in records if "verify" in record["responses"]]
    for record in verified:
        verdicts = json.loads(record["responses"]["verify"])
        kept = [keyword["keyword"] for keyword in record["keywords"]]
        assert kept == [text for text, is_true in verdicts.items() if is_true]
    assert len(verified) == sum(bool(record["responses"].get("verify")) for record in records) >= 1
