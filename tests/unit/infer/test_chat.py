from __future__ import annotations

import asyncio
import json

import pytest

from imageworks.errors import AnswerError, BackendError, TransientBackendError
from imageworks.models import Stage
from tests.support.openai_server import (
    MODEL,
    OpenAIServer,
    Reply,
    body_fault,
    cut_fault,
    default_tags,
    hang_fault,
    html_fault,
    reset_fault,
    status_fault,
)

THREE_MODELS = {"caption_model": "a", "keyword_model": "b", "description_model": "c"}


# -- what is asked ---------------------------------------------------------------------


async def test_one_model_is_asked_everything_in_one_structured_request(
    make_engine, picture_request, jpeg
):
    with OpenAIServer() as server:
        result = await make_engine(server).infer(picture_request())

    (answer,) = result.answers
    (asked,) = server.chats
    assert answer.stages == tuple(Stage)
    assert json.loads(answer.text) == default_tags(jpeg)
    assert asked.image == jpeg
    assert asked.body["response_format"]["json_schema"]["strict"] is True
    assert list(asked.body["response_format"]["json_schema"]["schema"]["properties"]) == [
        "caption",
        "keywords",
        "description",
    ]
    assert result.notes == ()
    assert not result.has_honest_scores


async def test_answer_says_who_was_asked_what_and_how_long_it_took(make_engine, picture_request):
    with OpenAIServer() as server:
        result = await make_engine(server).infer(picture_request())

    (answer,) = result.answers
    assert answer.model == MODEL
    assert (answer.system, answer.user) == (server.chats[0].system, server.chats[0].user)
    assert (answer.prompt_tokens, answer.completion_tokens) == (258, 40)
    assert answer.attempts == 1
    assert not answer.is_truncated


async def test_sampling_of_the_settings_is_always_sent(make_engine, picture_request):
    with OpenAIServer() as server:
        engine = make_engine(server, temperature=0.4, top_p=0.8, max_new_tokens=300)
        await engine.infer(picture_request())

    body = server.chats[0].body
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.4, 0.8, 300)
    assert body["stream"] is False


@pytest.mark.parametrize(
    ("backend", "field", "value"),
    [
        ("vllm", "chat_template_kwargs", {"enable_thinking": False}),
        ("lmdeploy", "chat_template_kwargs", {"enable_thinking": False}),
        ("llamacpp", "chat_template_kwargs", {"enable_thinking": False}),
        ("ollama", "reasoning_effort", "none"),
        ("openai", "chat_template_kwargs", None),
        ("lmstudio", "reasoning_effort", None),
        ("ollama", "chat_template_kwargs", None),
    ],
)
async def test_thinking_is_switched_off_as_each_backend_spells_it(
    make_engine, picture_request, backend, field, value
):
    with OpenAIServer() as server:
        await make_engine(server, backend=backend).infer(picture_request())

    assert server.chats[0].body.get(field) == value


async def test_different_models_are_asked_one_after_the_other_about_the_same_bytes(
    make_engine, picture_request, jpeg
):
    with OpenAIServer(models="abc") as server:
        result = await make_engine(server, **THREE_MODELS).infer(picture_request())

    tags = default_tags(jpeg)
    assert [asked.model for asked in server.chats] == ["a", "b", "c"]
    assert [asked.image for asked in server.chats] == [jpeg] * 3
    assert not any(asked.is_structured for asked in server.chats)
    assert [answer.stages for answer in result.answers] == [(stage,) for stage in Stage]
    assert [answer.text for answer in result.answers] == [
        tags["caption"],
        ", ".join(tags["keywords"]),
        tags["description"],
    ]
    assert server.most_at_once == 1


async def test_one_field_asked_again_is_one_plain_request(make_engine, picture_request, jpeg):
    with OpenAIServer() as server:
        engine = make_engine(server)
        result = await engine.infer(picture_request(stages=(Stage.KEYWORDS,)))

    (answer,) = result.answers
    assert answer.stages == (Stage.KEYWORDS,)
    assert answer.text == ", ".join(default_tags(jpeg)["keywords"])
    assert not server.chats[0].is_structured


async def test_another_sample_is_another_seed(make_engine, picture_request):
    with OpenAIServer() as server:
        engine = make_engine(server, temperature=0.0)
        for sample in (0, 0, 1):
            await engine.infer(picture_request(sample=sample))

    first, again, other = (asked.body for asked in server.chats)
    assert first == again
    assert other["seed"] != first["seed"]
    assert other["temperature"] > 0


async def test_facts_and_hint_go_into_the_prompt_but_the_path_does_not(
    make_engine, picture_request
):
    request = picture_request(context={"folder": "2024 Lisbon"}, hint="the old tram")
    with OpenAIServer() as server:
        await make_engine(server).infer(request)

    assert "2024 Lisbon" in server.chats[0].user
    assert "the old tram" in server.chats[0].user
    assert b"photo.jpg" not in server.chats[0].raw


# -- servers that take less ------------------------------------------------------------


async def test_server_without_structured_output_is_asked_for_plain_json_from_then_on(
    make_engine, picture_request, jpeg
):
    with OpenAIServer(has_structured_output=False) as server:
        engine = make_engine(server)
        results = [await engine.infer(picture_request()) for _ in range(3)]

    assert [json.loads(result.answers[0].text) for result in results] == [default_tags(jpeg)] * 3
    assert [asked.is_structured for asked in server.chats] == [True, False, False, False]


@pytest.mark.parametrize("field", ["chat_template_kwargs", "seed"])
async def test_refused_switch_is_left_out_from_then_on(make_engine, picture_request, field):
    with OpenAIServer(refused_fields=[field]) as server:
        engine = make_engine(server)
        for _ in range(2):
            await engine.infer(picture_request())

    assert [field in asked.body for asked in server.chats] == [True, False, False]


async def test_server_that_refuses_several_parts_is_asked_without_all_of_them(
    make_engine, picture_request
):
    refused = ["response_format", "chat_template_kwargs", "temperature"]
    with OpenAIServer(refused_fields=refused) as server:
        result = await make_engine(server).infer(picture_request())

    assert result.answers[0].text
    assert not set(refused) & set(server.chats[-1].body)
    assert len(server.chats) == 4


async def test_newer_name_of_the_token_limit_is_used_when_asked_for(make_engine, picture_request):
    fault = status_fault(400, "'max_tokens' is not supported. Use 'max_completion_tokens' instead.")
    with OpenAIServer(faults=[fault]) as server:
        await make_engine(server, max_new_tokens=99).infer(picture_request())

    assert server.chats[1].body["max_completion_tokens"] == 99
    assert "max_tokens" not in server.chats[1].body


async def test_refusal_with_nothing_left_to_leave_out_is_the_pictures_failure(
    make_engine, picture_request
):
    faults = [status_fault(400, "unsupported parameter: frobnicate")]
    with OpenAIServer(faults=faults) as server, pytest.raises(AnswerError, match="frobnicate"):
        await make_engine(server).infer(picture_request())

    assert len(server.chats) == 1


async def test_many_requests_meeting_the_same_refusal_all_get_through(make_engine, picture_request):
    with OpenAIServer(has_structured_output=False) as server:
        engine = make_engine(server)
        server.hold()
        asked = asyncio.gather(*(engine.infer(picture_request()) for _ in range(6)))
        await asyncio.to_thread(server.wait_for_chats, 6)
        server.release()
        results = await asked

    assert all(result.answers[0].text for result in results)
    assert len(server.chats) == 12


async def test_prose_instead_of_json_is_asked_again_stage_by_stage(
    make_engine, picture_request, jpeg
):
    def script(request):
        return "What a lovely pier." if request.stage == "all" else f"the {request.stage}"

    with OpenAIServer(script) as server:
        engine = make_engine(server)
        results = [await engine.infer(picture_request()) for _ in range(4)]

    assert [answer.text for answer in results[-1].answers] == [
        "the caption",
        "the keywords",
        "the description",
    ]
    assert [asked.stage for asked in server.chats].count("all") == 3


async def test_one_prose_answer_does_not_change_how_the_next_picture_is_asked(
    make_engine, picture_request
):
    answers = iter(["prose", "c", "k", "d", '{"caption": "x"}', "prose", "c", "k", "d"])
    with OpenAIServer(lambda request: next(answers)) as server:
        engine = make_engine(server)
        counts = [len((await engine.infer(picture_request())).answers) for _ in range(3)]

    assert counts == [3, 1, 3]
    assert [asked.is_structured for asked in server.chats].count(True) == 3


async def test_server_without_vision_stops_the_run(make_engine, picture_request):
    with OpenAIServer(has_vision=False) as server, pytest.raises(BackendError) as caught:
        await make_engine(server).infer(picture_request())

    assert caught.value.reason == "text-only"


# -- answers that are no good ----------------------------------------------------------


async def test_unusable_answer_is_drawn_again_with_another_seed(make_engine, picture_request):
    answers = iter(["", '{"caption": "x"}'])
    with OpenAIServer(lambda request: next(answers)) as server:
        result = await make_engine(server).infer(picture_request())

    assert result.answers[0].attempts == 2
    assert server.chats[0].body["seed"] != server.chats[1].body["seed"]


async def test_run_of_blanks_is_asked_again_without_the_schema_for_this_picture_only(
    make_engine, picture_request
):
    blanks = Reply("{\t" + " \r" * 300, finish_reason="length")
    answers = iter([blanks, *(Reply(text) for text in ('{"caption": "x"}', '{"caption": "y"}'))])
    with OpenAIServer(lambda request: next(answers)) as server:
        engine = make_engine(server, backend="lmdeploy")
        first = await engine.infer(picture_request())
        await engine.infer(picture_request())

    assert first.answers[0].text == '{"caption": "x"}'
    assert [asked.is_structured for asked in server.chats] == [True, False, True]


async def test_answer_that_stays_empty_is_the_pictures_failure(make_engine, picture_request):
    with (
        OpenAIServer(lambda request: Reply(None)) as server,
        pytest.raises(AnswerError) as caught,
    ):
        await make_engine(server).infer(picture_request())

    assert caught.value.reason == "empty-answer"
    assert len(server.chats) == 2


async def test_model_that_only_thinks_is_named(make_engine, picture_request):
    with (
        OpenAIServer(lambda request: Reply(None, reasoning="Let me see ...")) as server,
        pytest.raises(AnswerError) as caught,
    ):
        await make_engine(server).infer(picture_request())

    assert caught.value.reason == "thinking-only"
    assert len(server.chats) == 1


async def test_cut_answer_is_kept_and_said_to_be_cut(make_engine, picture_request):
    reply = Reply('{"caption": "A pier", "keyw', finish_reason="length", prompt_tokens=None)
    with OpenAIServer(lambda request: reply) as server:
        result = await make_engine(server, max_new_tokens=64).infer(picture_request())

    assert result.answers[0].is_truncated
    assert result.answers[0].prompt_tokens is None
    assert "64 tokens" in result.notes[0]


async def test_picture_too_large_for_the_context_fails_alone_with_what_to_do(
    make_engine, picture_request
):
    fault = status_fault(400, "This model's maximum context length is 8192 tokens.")
    with OpenAIServer(faults=[fault]) as server:
        engine = make_engine(server)
        with pytest.raises(AnswerError) as caught:
            await engine.infer(picture_request())
        result = await engine.infer(picture_request())

    assert caught.value.reason == "context-overflow"
    assert "long_edge_px" in caught.value.hint
    assert result.answers


# -- servers in trouble ----------------------------------------------------------------


async def test_passing_trouble_costs_attempts_not_the_picture(
    make_engine, picture_request, fake_time
):
    faults = [status_fault(429, retry_after="3"), reset_fault(), cut_fault(), html_fault(502)]
    with OpenAIServer(faults=faults) as server:
        result = await make_engine(server).infer(picture_request())

    assert result.answers[0].attempts == 5
    assert fake_time.slept_s[0] == 3.5
    assert len({asked.body["seed"] for asked in server.chats}) == 1


async def test_server_that_goes_on_failing_is_given_up(make_engine, picture_request):
    with (
        OpenAIServer(lambda request: status_fault(500, "engine died")) as server,
        pytest.raises(TransientBackendError) as caught,
    ):
        await make_engine(server).infer(picture_request())

    assert caught.value.reason == "server-error"
    assert len(server.chats) == 5


async def test_absent_server_is_told_at_once(make_engine, picture_request, fake_time, dead_url):
    with pytest.raises(TransientBackendError) as caught:
        await make_engine(dead_url).infer(picture_request())

    assert caught.value.reason == "unreachable"
    assert fake_time.slept_s == []


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"api_key": "wrong"}, "not-authorised"), ({"api_key": "right", "model": "x",
      "caption_model": "x", "keyword_model": "x", "description_model": "x"}, "model-missing")],
)  # fmt: skip
async def test_wrong_key_or_model_stops_the_run(make_engine, picture_request, settings, reason):
    with OpenAIServer(api_key="right") as server, pytest.raises(BackendError) as caught:
        await make_engine(server, **settings).infer(picture_request())

    assert caught.value.reason == reason
    assert not isinstance(caught.value, TransientBackendError)
    assert len(server.requests) == 1


async def test_cancelled_question_closes_its_connection(make_engine, picture_request):
    with OpenAIServer(faults=[hang_fault()]) as server:
        engine = make_engine(server)
        asking = asyncio.create_task(engine.infer(picture_request()))
        await asyncio.to_thread(server.wait_for_chats, 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        result = await engine.infer(picture_request())

    assert result.answers
    assert server.connections_accepted == 2


@pytest.mark.parametrize(
    ("fault", "is_alive"),
    [
        ({}, True),
        ({"loading_times": 1}, False),
        ({"api_key": "other"}, True),
        ({"has_models": False}, True),
    ],
)
async def test_alive_is_whether_the_server_could_answer(make_engine, fault, is_alive):
    with OpenAIServer(**fault) as server:
        assert await make_engine(server).is_alive() is is_alive


async def test_server_that_went_away_is_not_alive_until_it_is_back(make_engine, picture_request):
    server = OpenAIServer()
    with server:
        engine = make_engine(server)
        assert await engine.is_alive()

    assert not await engine.is_alive()

    with server:
        assert await engine.is_alive()
        assert (await engine.infer(picture_request())).answers


async def test_second_address_takes_over_when_the_first_goes_away(make_engine, picture_request):
    with OpenAIServer() as first, OpenAIServer() as second:
        engine = make_engine(first, base_url=(first.base_url, second.base_url))
        await engine.infer(picture_request())
        first.stop()

        assert await engine.is_alive()
        result = await engine.infer(picture_request())

    assert result.base_url == second.base_url
    assert len(second.chats) == 1


async def test_error_inside_a_good_status_is_still_an_error(make_engine, picture_request):
    fault = body_fault('{"error": {"message": "no slot available", "code": 503}}')
    with OpenAIServer(faults=[fault]) as server:
        result = await make_engine(server).infer(picture_request())

    assert result.answers[0].attempts == 2
