from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest

from imageworks.config import PersonalTaggerConfig
from imageworks.errors import AnswerError, BackendError, ConfigError, TransientBackendError
from imageworks.infer.chat import ChatEngine
from imageworks.infer.profiles import ProfileBook
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
    sse_fault,
    stall_fault,
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


# -- what the engine says of itself ----------------------------------------------------


def engine_for(profile="default", **settings):
    return ChatEngine(PersonalTaggerConfig(**settings), ProfileBook().get(profile))


def test_engine_names_backend_models_and_address():
    engine = engine_for(backend="vllm", base_url=("http://me:secret@box:8000/v1/",))

    assert engine.describe() == f"vllm {MODEL} at http://box:8000/v1"
    assert engine.models() == {"caption": MODEL, "keywords": MODEL, "description": MODEL}
    assert (engine.backend, engine.base_url) == ("vllm", "http://box:8000/v1")


@pytest.mark.parametrize(
    "settings",
    [
        {"caption_model": "x"},
        {"description_model": "x"},
        {"profile": "alt_text"},
        {"max_keywords": 3},
        {"max_new_tokens": 100},
        {"temperature": 0.3},
        {"top_p": 0.5},
        {"language": "de"},
        {"context": ("folder",)},
    ],
)
def test_fingerprint_changes_with_all_that_changes_an_answer(settings):
    assert engine_for(**settings).fingerprint() != engine_for().fingerprint()


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": ("http://other/v1",)},
        {"timeout": 9.0},
        {"max_workers": 3},
        {"api_key": "k"},
        {"dry_run": True},
        {"context": ("place", "camera", "date", "folder", "existing")},
    ],
)
def test_fingerprint_stays_with_what_changes_no_answer(settings):
    assert engine_for(**settings).fingerprint() == engine_for().fingerprint()


@pytest.mark.parametrize(
    ("backend", "max_workers", "expected"),
    [
        ("ollama", 0, 1),
        ("lmstudio", 0, 4),
        ("llamacpp", 0, 4),
        ("vllm", 0, 8),
        ("lmdeploy", 0, 8),
        ("openai", 0, 8),
        ("vllm", 3, 3),
        ("ollama", 16, 1),
    ],
)
def test_concurrency_starts_at_what_is_known_of_the_server(backend, max_workers, expected):
    engine = engine_for(backend=backend, max_workers=max_workers)

    assert engine.suggested_concurrency() == expected


def test_engine_with_a_wrong_address_is_refused_before_any_work():
    with pytest.raises(ConfigError):
        engine_for(base_url=("http://localhost:99999999/v1",))


def test_default_policy_never_waits_longer_than_the_timeout():
    engine = engine_for(timeout=7.0)

    assert engine._policy.total_s == 7.0
    assert dataclasses.replace(engine._policy).most_retries == 4


async def test_error_inside_a_good_status_is_still_an_error(make_engine, picture_request):
    fault = body_fault('{"error": {"message": "no slot available", "code": 503}}')
    with OpenAIServer(faults=[fault]) as server:
        result = await make_engine(server).infer(picture_request())

    assert result.answers[0].attempts == 2


# -- streams ---------------------------------------------------------------------------


async def test_what_a_person_waits_for_is_streamed_and_the_same(make_engine, picture_request, jpeg):
    with OpenAIServer() as server:
        result = await make_engine(server).infer(picture_request(is_interactive=True))

    (answer,) = result.answers
    (asked,) = server.chats
    assert json.loads(answer.text) == default_tags(jpeg)
    assert asked.body["stream"] is True
    assert asked.body["stream_options"] == {"include_usage": True}
    assert (answer.prompt_tokens, answer.completion_tokens) == (258, 40)
    assert answer.ttft_s is not None
    assert 0 <= answer.ttft_s <= answer.duration_s
    assert answer.longest_stall_s is not None
    assert 0 <= answer.longest_stall_s <= answer.duration_s - answer.ttft_s


async def test_what_is_not_streamed_has_no_stall(make_engine, picture_request):
    with OpenAIServer() as server:
        result = await make_engine(server).infer(picture_request())

    assert (result.answers[0].ttft_s, result.answers[0].longest_stall_s) == (None, None)


async def test_a_damaged_piece_of_a_stream_is_asked_for_again(make_engine, picture_request, jpeg):
    pieces = [json.dumps({"choices": [{"delta": {"content": text}}]}) for text in ("A", " boat")]
    last = json.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    damaged = sse_fault(pieces[0], pieces[1][:-9], last, "[DONE]")
    with OpenAIServer(faults=[damaged]) as server:
        result = await make_engine(server).infer(picture_request(is_interactive=True))

    (answer,) = result.answers
    assert json.loads(answer.text) == default_tags(jpeg)
    assert answer.attempts == 2


@pytest.mark.parametrize(("backend", "is_streamed"), [("llamacpp", True), ("vllm", False)])
async def test_a_batch_is_streamed_where_only_that_frees_a_slot(
    make_engine, picture_request, backend, is_streamed
):
    with OpenAIServer() as server:
        await make_engine(server, backend=backend).infer(picture_request())

    assert server.chats[0].body["stream"] is is_streamed


async def test_cancelling_closes_the_stream(make_engine, picture_request):
    begun = json.dumps({"choices": [{"delta": {"content": '{"caption": "A'}}]})
    with OpenAIServer(faults=[stall_fault(begun)]) as server:
        task = asyncio.create_task(make_engine(server).infer(picture_request(is_interactive=True)))
        await asyncio.to_thread(server.wait_for_chats, 1)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(server.wait_for_clients_gone, 1)

    assert task.cancelled()


@pytest.mark.parametrize("piece", ["\r", "very, "])
async def test_a_stream_that_runs_away_is_cut_and_asked_for_another_way(
    make_engine, picture_request, jpeg, piece
):
    runaway = json.dumps({"choices": [{"delta": {"content": piece * 70}}]})
    with OpenAIServer(faults=[stall_fault(runaway)]) as server:
        result = await make_engine(server).infer(picture_request(is_interactive=True))

    (answer,) = result.answers
    assert json.loads(answer.text) == default_tags(jpeg)
    assert answer.attempts == 2
    assert server.chats[1].body["seed"] != server.chats[0].body["seed"]


async def test_a_stream_that_ends_half_way_is_asked_for_again(make_engine, picture_request):
    half = sse_fault(json.dumps({"choices": [{"delta": {"content": "A boat"}}]}))
    with OpenAIServer(faults=[half]) as server:
        result = await make_engine(server).infer(picture_request(is_interactive=True))

    assert result.answers[0].attempts == 2


async def test_an_error_inside_a_stream_is_the_servers_error(make_engine, picture_request):
    broken = sse_fault(json.dumps({"error": {"message": "context length exceeded", "code": 400}}))
    with OpenAIServer(faults=[broken]) as server, pytest.raises(AnswerError) as caught:
        await make_engine(server).infer(picture_request(is_interactive=True))

    assert caught.value.reason == "context-overflow"


async def test_a_server_that_does_not_stream_is_read_all_the_same(make_engine, picture_request):
    whole = json.dumps({"choices": [{"message": {"content": '{"caption": "A boat"}'}}]})
    with OpenAIServer(faults=[body_fault(whole)]) as server:
        result = await make_engine(server).infer(picture_request(is_interactive=True))

    assert result.answers[0].text == '{"caption": "A boat"}'


async def test_an_error_status_of_a_stream_is_told_like_any_other(make_engine, picture_request):
    refusal = status_fault(401, "no")
    with OpenAIServer(faults=[refusal]) as server, pytest.raises(BackendError) as caught:
        await make_engine(server).infer(picture_request(is_interactive=True))

    assert caught.value.reason == "not-authorised"


async def test_stream_options_are_left_out_where_they_are_refused(make_engine, picture_request):
    with OpenAIServer(refused_fields=["stream_options"]) as server:
        engine = make_engine(server)
        for _ in range(2):
            await engine.infer(picture_request(is_interactive=True))

    assert [("stream_options" in asked.body) for asked in server.chats] == [True, False, False]


async def test_an_answer_in_endless_repetition_is_asked_for_once_more(make_engine, picture_request):
    with OpenAIServer(faults=[]) as server:
        answers = iter(['{"caption": "A boat", "keywords": ["' + "reflection, " * 100, None])
        server.script = lambda asked: next(answers) or default_tags(asked.image)
        result = await make_engine(server).infer(picture_request())

    assert result.answers[0].attempts == 2


async def test_the_second_unusable_answer_is_followed_by_plain_questions(
    make_engine, picture_request
):
    with OpenAIServer() as server:
        engine = make_engine(server)
        for unusable in (0, 1, 2):
            await engine.infer(picture_request(unusable=unusable))

    structured = [asked.is_structured for asked in server.chats]
    assert structured == [True, True, False, False, False]
    assert len({asked.body["seed"] for asked in server.chats[:3]}) == 3


# -- answers full of blanks ------------------------------------------------------------


def blanks_under_a_schema(asked):
    if asked.is_structured:
        return Reply('{"caption":' + "\r" * 500, finish_reason="length")
    return default_tags(asked.image)


async def test_blanks_without_end_are_cured_by_a_pattern_and_from_then_on_avoided(
    make_engine, picture_request
):
    with OpenAIServer(blanks_under_a_schema) as server:
        engine = make_engine(server, backend="vllm")
        first = await engine.infer(picture_request())
        second = await engine.infer(picture_request())

    looped, cured, later = server.chats
    assert "response_format" in looped.body
    assert cured.body["structured_outputs"]["regex"].startswith('\\{"caption"')
    assert "response_format" not in cured.body
    assert "structured_outputs" in later.body
    assert first.answers[0].attempts == 2
    assert second.answers[0].attempts == 1


async def test_a_server_that_takes_no_pattern_is_asked_without_one(make_engine, picture_request):
    with OpenAIServer(blanks_under_a_schema, refused_fields=("structured_outputs",)) as server:
        engine = make_engine(server, backend="vllm")
        with pytest.raises(AnswerError):
            await engine.infer(picture_request())
        result = await engine.infer(picture_request(unusable=2))

    assert [set(chat.body) & {"structured_outputs", "response_format"} for chat in server.chats][
        :3
    ] == [{"response_format"}, {"structured_outputs"}, {"response_format"}]
    assert len(result.answers) == 3
