from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from base64 import b64encode
from pathlib import Path

import pytest

from imageworks.config import PersonalTaggerConfig
from imageworks.errors import UsageError
from imageworks.infer.chat import ChatEngine
from imageworks.infer.factory import choose_backend, create_engine
from imageworks.infer.profiles import ProfileBook
from tests.support.openai_server import MODEL, OpenAIServer, html_fault

CHECKOUT = Path(__file__).parents[3]


def no_pixels(jpeg, side_px):
    return []


def auto(**settings):
    return PersonalTaggerConfig(backend="auto", **settings)


# -- engines ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "backend", ["lmdeploy", "vllm", "ollama", "llamacpp", "lmstudio", "openai"]
)
async def test_server_backends_get_the_chat_engine(backend):
    config = PersonalTaggerConfig(backend=backend)

    engine = create_engine(config, ProfileBook().get("default"), pixels=no_pixels)

    assert isinstance(engine, ChatEngine)
    assert engine.backend == backend
    await engine.aclose()


async def test_builtin_backend_gets_the_classifier():
    pytest.importorskip("imageworks.infer.builtin")
    config = PersonalTaggerConfig(backend="builtin")

    engine = create_engine(config, ProfileBook().get("default"), pixels=no_pixels)

    assert (engine.backend, engine.base_url) == ("builtin", "")
    await engine.aclose()


def test_auto_has_to_be_chosen_first():
    with pytest.raises(UsageError):
        create_engine(auto(), ProfileBook().get("default"), pixels=no_pixels)


def test_chat_engine_loads_neither_pillow_nor_numpy_nor_onnxruntime():
    code = (
        "import sys, imageworks.infer.factory\n"
        "print([m for m in ('PIL', 'numpy', 'onnxruntime', 'textual') if m in sys.modules])"
    )
    environment = {"PYTHONPATH": str(CHECKOUT / "src")}

    done = subprocess.run(  # our own code
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


# -- auto ------------------------------------------------------------------------------


async def test_named_backend_is_left_as_it_is():
    config = PersonalTaggerConfig(backend="vllm")

    chosen, message = await choose_backend(config, candidates=())

    assert chosen is config
    assert "vllm" in message


async def test_without_any_server_the_builtin_classifier_is_chosen(dead_url):
    chosen, message = await choose_backend(auto(), candidates=[("vllm", dead_url)])

    assert chosen.backend == "builtin"
    assert "no model server answers" in message


async def test_server_that_serves_the_configured_model_is_chosen(dead_url):
    with OpenAIServer() as server:
        candidates = [("lmdeploy", dead_url), ("lmdeploy", server.base_url)]
        chosen, message = await choose_backend(auto(), candidates=candidates)

    assert (chosen.backend, chosen.base_url) == ("vllm", (server.base_url,))
    assert chosen.model == MODEL
    assert server.base_url in message
    assert MODEL in message


@pytest.mark.parametrize(
    ("owner", "backend"),
    [("llamacpp", "llamacpp"), ("library", "ollama"), ("someone", "lmstudio")],
)
async def test_server_is_known_by_what_it_says_of_itself(owner, backend):
    with OpenAIServer(owned_by=owner) as server:
        chosen, _ = await choose_backend(auto(), candidates=[("lmstudio", server.base_url)])

    assert chosen.backend == backend


async def test_best_candidate_wins_when_several_answer():
    with OpenAIServer() as first, OpenAIServer() as second:
        candidates = [("vllm", first.base_url), ("ollama", second.base_url)]
        chosen, _ = await choose_backend(auto(), candidates=candidates)

    assert chosen.base_url == (first.base_url,)


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        (["llama3:8b", "qwen2.5vl:7b", "llava:13b"], "qwen2.5vl:7b"),
        (["nomic-embed-text", "gemma3:4b"], "gemma3:4b"),
        (["/models/only-one.gguf"], "/models/only-one.gguf"),
    ],
)
async def test_default_model_gives_way_to_a_served_one_that_sees(served, expected):
    with OpenAIServer(models=served) as server:
        chosen, message = await choose_backend(auto(), candidates=[("ollama", server.base_url)])

    assert set(chosen.models().values()) == {chosen.model} == {expected}
    assert expected in message


async def test_server_without_a_model_that_sees_is_passed_over():
    with OpenAIServer(models=["llama3:8b", "nomic-embed-text"]) as server:
        chosen, message = await choose_backend(auto(), candidates=[("ollama", server.base_url)])

    assert chosen.backend == "builtin"
    assert server.base_url in message


async def test_model_that_the_person_chose_is_never_replaced():
    config = auto(
        model="mine", caption_model="mine", keyword_model="mine", description_model="mine"
    )
    with OpenAIServer(models=["qwen2.5vl:7b"]) as server:
        chosen, _ = await choose_backend(config, candidates=[("ollama", server.base_url)])

    assert chosen.backend == "builtin"


async def test_address_of_the_person_comes_before_the_usual_ports():
    with OpenAIServer() as usual, OpenAIServer(owned_by="me") as own:
        config = auto(base_url=(own.base_url,))
        chosen, _ = await choose_backend(config, candidates=[("vllm", usual.base_url)])

    assert (chosen.backend, chosen.base_url) == ("openai", (own.base_url,))


async def test_key_is_shown_only_to_the_server_it_was_given_for():
    with OpenAIServer() as usual, OpenAIServer(api_key="s3cret") as own:
        config = auto(base_url=(own.base_url,), api_key="s3cret")
        chosen, _ = await choose_backend(config, candidates=[("vllm", usual.base_url)])

    assert chosen.base_url == (own.base_url,)
    assert "authorization" not in usual.requests[0].headers


async def test_other_web_server_on_a_usual_port_is_not_chosen():
    server = OpenAIServer()
    server._page = lambda path: html_fault()  # type: ignore[method-assign]
    with server, OpenAIServer() as listless:
        listless._page = lambda path: {"data": 3}  # type: ignore[method-assign]
        candidates = [("llamacpp", server.base_url), ("vllm", listless.base_url)]
        chosen, _ = await choose_backend(auto(), candidates=candidates)

    assert chosen.backend == "builtin"


# -- the test server as a process ------------------------------------------------------


def ask(base_url, jpeg):
    parts = [
        {"type": "image_url", "image_url": {
            "url": "data:image/jpeg;base64," + b64encode(jpeg).decode()}},
        {"type": "text", "text": "JSON"},
    ]  # fmt: skip
    body = {"model": MODEL, "messages": [{"role": "user", "content": parts}]}
    request = urllib.request.Request(  # noqa: S310  # loopback
        f"{base_url}/chat/completions", json.dumps(body).encode()
    )
    with urllib.request.urlopen(request) as response:  # noqa: S310  # loopback
        return json.load(response)["choices"][0]["message"]["content"]


def test_server_process_answers_by_the_picture_logs_it_and_ends_on_sigterm(tmp_path, jpeg):
    log = tmp_path / "asked.jsonl"
    command = [sys.executable, "-m", "tests.support.openai_server", "--log", str(log)]
    with subprocess.Popen(  # our own code
        [*command, "--latency-ms", "1"], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        word, base_url = process.stdout.readline().split()
        answers = [ask(base_url, jpeg), ask(base_url, jpeg + b"\0"), ask(base_url, jpeg)]
        process.send_signal(signal.SIGTERM)

    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    assert word == "READY"
    assert process.returncode == 0
    assert answers[0] == answers[2] != answers[1]
    assert lines[0] == lines[2] != lines[1]
    assert len(lines[0]["sha256"]) == 64
