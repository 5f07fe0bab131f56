"""Runs with the profile `careful`: keywords are confirmed in one more call, counted by itself."""

from __future__ import annotations

import asyncio
import json

import pytest

from imageworks.engine import control
from imageworks.engine.careful import NOT_VERIFIED
from imageworks.models import ImageState
from tests.e2e.conftest import make_photos
from tests.support.engine_runs import config_for, run_once, until
from tests.support.openai_server import (
    MODEL,
    OpenAIServer,
    Reply,
    default_script,
    default_tags,
    status_fault,
)


def careful(tmp_path, server, **changes):
    settings = {"preflight": False, "review_later": True, "prompt_profile": "careful", **changes}
    return config_for(tmp_path, server, **settings)


def verifying(answer):
    """A script that has its own answer to the verification and the usual ones before."""
    return lambda asked: answer(asked) if asked.stage == "verify" else default_script(asked)


def denying(asked):
    """Every second keyword is denied."""
    return {text: number % 2 == 0 for number, text in enumerate(asked.keywords_to_verify)}


def the_suggestion(library):
    (image_id,) = library.images.ids()
    return library.suggestions.get(library.images.get(image_id).suggestion_id)


async def test_only_what_is_confirmed_is_suggested_and_the_call_counts_as_a_stage(
    tmp_path, library
):
    make_photos(tmp_path / "photos", 3)
    with OpenAIServer(verifying(denying)) as server:
        config = careful(tmp_path, server)
        await run_once(library, config)
        stages = [asked.stage for asked in server.questions]
        of_one = [asked for asked in server.questions if asked.image == server.questions[0].image]

    assert sorted(stages) == ["all"] * 3 + ["keywords"] * 6 + ["verify"] * 3
    assert [asked.stage for asked in of_one] == ["all", "keywords", "keywords", "verify"]
    metrics = json.loads(config.metrics_path.read_text())["last"]
    assert metrics["stages"]["verify"]["count"] == 3
    assert metrics["stages"]["keywords"]["count"] == 3
    assert metrics["completion_tokens"] == 12 * 40
    for line in config.output_jsonl.read_text().splitlines():
        record = json.loads(line)
        verdicts = json.loads(record["responses"]["verify"])
        assert [k["keyword"] for k in record["keywords"]] == [
            text for text, is_true in verdicts.items() if is_true
        ]
        assert all(k["score"] is None for k in record["keywords"])
        assert "true or false" in record["prompts"]["verify"]["user"]
        assert record["timing"]["verify"] > 0
    kinds = library.connection.execute("SELECT stages, count(*) FROM request GROUP BY 1").fetchall()
    assert dict(map(tuple, kinds))["verify"] == 3


@pytest.mark.parametrize("profile", ["default", "detail", "alt_text"])
async def test_other_profiles_verify_nothing(tmp_path, library, profile):
    make_photos(tmp_path / "photos", 1)
    with OpenAIServer() as server:
        await run_once(library, careful(tmp_path, server, prompt_profile=profile))

    assert [asked.stage for asked in server.questions] == ["all"]


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: "I see a bridge.",
        lambda _: "",
        lambda _: Reply("", reasoning="Let me think about each of them"),
        lambda _: status_fault(400, "I do not like this"),
        lambda _: status_fault(500, "CUDA error"),
    ],
)
async def test_an_unusable_verification_fails_no_image(tmp_path, library, answer):
    make_photos(tmp_path / "photos", 1)
    with OpenAIServer(verifying(answer)) as server:
        summary, _ = await run_once(library, careful(tmp_path, server, timeout=2))
        image = server.questions[0].image

    stored = the_suggestion(library)
    assert summary.counts == {"suggested": 1}
    texts = [keyword.text for keyword in stored.suggestion.tags.keywords]
    assert texts == default_tags(image)["keywords"]
    assert NOT_VERIFIED in stored.suggestion.notes


def spelled(asked):
    """Verdicts with the probability of each token."""
    tokens = [("{", 0.0)]
    for number, text in enumerate(asked.keywords_to_verify):
        tokens += [(f"{', ' if number else ''}{json.dumps(text)}: ", -0.01), ("true", -0.5)]
    tokens.append(("}", 0.0))
    content = [{"token": token, "logprob": logprob} for token, logprob in tokens]
    message = {"role": "assistant", "content": "".join(token for token, _ in tokens)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return Reply(extra={"choices": [{**choice, "logprobs": {"content": content}}]})


@pytest.mark.parametrize("backend", ["vllm", "ollama"])
async def test_the_probability_of_the_yes_is_the_confidence_where_the_server_tells_it(
    tmp_path, library, backend
):
    make_photos(tmp_path / "photos", 1)
    script = verifying(spelled if backend == "vllm" else denying)
    with OpenAIServer(script, owned_by=backend) as server:
        await run_once(library, careful(tmp_path, server, backend=backend))
        asked = server.questions[-1]

    scores = {keyword.score for keyword in the_suggestion(library).suggestion.tags.keywords}
    assert scores == ({0.6065} if backend == "vllm" else {None})
    assert ("logprobs" in asked.body) is (backend == "vllm")


async def test_a_verification_waits_while_the_engine_is_paused(tmp_path, library):
    make_photos(tmp_path / "photos", 1)
    with OpenAIServer() as server:
        config = careful(tmp_path, server, max_workers=1)
        server.hold()
        work = asyncio.create_task(run_once(library, config))
        await asyncio.to_thread(server.wait_for_chats, 1)
        control.pause(library)
        await until(lambda: library.runs.current_batch().totals.get("message"))
        server.release()
        await until(lambda: library.runs.current_batch().worked_s)
        asked = [chat.stage for chat in server.questions]
        control.resume(library)
        await asyncio.wait_for(work, 30)

    assert asked == ["all"]
    assert [chat.stage for chat in server.questions] == ["all", "keywords", "keywords", "verify"]


async def test_a_server_that_goes_away_at_the_verification_costs_no_image(tmp_path, library):
    make_photos(tmp_path / "photos", 1)
    server = OpenAIServer(models=(MODEL,))
    went = asyncio.Event()
    loop = asyncio.get_running_loop()

    def answer(asked):
        if not went.is_set():
            loop.call_soon_threadsafe(went.set)
            return status_fault(503, "restarting")
        return dict.fromkeys(asked.keywords_to_verify, True)

    server.script = verifying(answer)
    with server:
        summary, _ = await run_once(library, careful(tmp_path, server))

    assert summary.counts == {"suggested": 1}
    assert library.images.counts() == {ImageState.SUGGESTED: 1}
    assert the_suggestion(library).suggestion.notes == ()
