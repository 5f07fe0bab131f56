"""What a person waits for is streamed; answers that run away are asked for another way."""

from __future__ import annotations

import asyncio
import json

import pytest

from imageworks.errors import AnswerError, BackendError
from tests.support.openai_server import (
    OpenAIServer,
    Reply,
    body_fault,
    default_tags,
    sse_fault,
    stall_fault,
    status_fault,
)


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
