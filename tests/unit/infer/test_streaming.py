"""Streams: put together from any pieces, and cut when they run away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import AnswerError
from imageworks.infer.failures import RESAMPLE_REASONS
from imageworks.infer.responses import read_chat
from imageworks.infer.streaming import LONGEST_BLANK_RUN, RunawayGuard, StreamReader, is_repeating

EXAMPLES = Path(__file__).parents[4] / "shared" / "tools" / "inference" / "examples"
needs_examples = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="no recorded exchanges here")


def event(**delta):
    return f"data: {json.dumps({'choices': [{'delta': delta}]})}\n\n".encode()


def ending(finish="stop"):
    usage = {"prompt_tokens": 9, "completion_tokens": 3}
    last = json.dumps({"model": "m", "choices": [{"delta": {}, "finish_reason": finish}]})
    counts = json.dumps({"choices": [], "usage": usage})
    return f"data: {last}\n\ndata: {counts}\n\ndata: [DONE]\n\n".encode()


def read(*parts, most_tokens=100):
    reader = StreamReader(most_tokens=most_tokens)
    for at_s, part in enumerate(parts):
        reader.feed(part, float(at_s))
    return reader


def test_pieces_become_one_answer_with_its_counts():
    reader = read(
        event(role="assistant", content=None), event(content="A "), event(content="bôat"), ending()
    )

    response = read_chat(reader.value())
    assert (response.text, response.finish_reason, response.model) == ("A bôat", "stop", "m")
    assert (response.prompt_tokens, response.completion_tokens) == (9, 3)
    assert reader.is_done
    assert reader.ttft_s == 1.0


@given(st.text(max_size=60), st.lists(st.integers(1, 400), max_size=12), st.sampled_from("\r\n"))
def test_an_answer_does_not_depend_on_how_the_bytes_arrive(text, cuts, end):
    stream = b": ping\n\n" + event(content=text) + ending()
    if end == "\r":
        stream = stream.replace(b"\n", b"\r\n")
    reader = StreamReader(most_tokens=100)

    start = 0
    for cut in [*sorted(cuts), len(stream)]:
        reader.feed(stream[start:cut], 0.0)
        start = max(start, cut)

    assert read_chat(reader.value()).text == text.encode("utf-8", "replace").decode()
    assert reader.is_done


@given(st.lists(st.binary(max_size=60)))
def test_any_bytes_are_read_without_another_error(parts):
    reader = StreamReader(most_tokens=100)
    try:
        for part in parts:
            reader.feed(part, 0.0)
    except AnswerError as error:
        assert error.reason == "bad-sample"  # noqa: PT017  # most bytes are no stream at all
    assert read_chat(reader.value()).text == ""


@pytest.mark.parametrize(
    "line", [b"{", b"A boat", b'{"choices": [{"del', b"[]", b"\xff", b"[" * 9999]
)
def test_a_piece_that_cannot_be_read_is_not_passed_over(line):
    reader = read(event(content="A "))

    with pytest.raises(AnswerError) as caught:
        reader.feed(b"data: " + line + b"\n\n" + event(content="boat") + ending(), 1.0)

    assert caught.value.reason in RESAMPLE_REASONS


def test_words_after_the_end_and_empty_lines_do_no_harm():
    stream = b"data:\n\ndata: \n\n" + event(content="x") + ending()
    stream = stream.replace(b"data: [DONE]", b"data: bye\n\ndata: [DONE]")

    reader = read(stream)

    assert read_chat(reader.value()).text == "x"
    assert reader.is_done


def test_stalls_are_measured_between_pieces_of_text():
    reader = StreamReader(most_tokens=100)
    for at_s, word in ((0.5, "a"), (0.6, "b"), (3.0, "c"), (3.1, "d")):
        reader.feed(event(content=word), at_s)

    assert reader.ttft_s == 0.5
    assert reader.longest_stall_s == pytest.approx(2.4)


def test_thoughts_are_kept_apart():
    reader = read(event(reasoning="hm"), event(reasoning_content=" hm"), event(content="x"))

    response = read_chat(reader.value())
    assert (response.text, response.reasoning) == ("x", "hm hm")
    assert reader.ttft_s == 2.0


def test_an_error_inside_the_stream_is_told():
    reader = read(event(content="x"), b'data: {"error": {"message": "out of memory"}}\n\n')

    assert reader.error == {"error": {"message": "out of memory"}}


def test_token_probabilities_are_collected():
    piece = {"delta": {"content": "a"}, "logprobs": {"content": [{"token": "a", "logprob": -1.0}]}}
    line = f"data: {json.dumps({'choices': [piece]})}\n\n".encode()

    (choice,) = read(line, line).value()["choices"]

    assert len(choice["logprobs"]["content"]) == 2


@pytest.mark.parametrize(
    ("piece", "reason"),
    [("\r", "whitespace-loop"), ("reflection, ", "repetition"), (None, "answer-too-long")],
)
def test_an_answer_that_runs_away_is_cut(piece, reason):
    reader = StreamReader(most_tokens=100)

    with pytest.raises(AnswerError) as caught:  # noqa: PT012  # some piece is the last straw
        for number in range(1000):
            text = piece or f"word{number * number} "
            reader.feed(event(content=text), 0.0)

    assert caught.value.reason == reason
    assert len(read_chat(reader.value()).text) < 2000


def test_a_line_without_end_is_cut():
    reader = StreamReader(most_tokens=100)

    with pytest.raises(AnswerError):  # noqa: PT012  # some piece is the last straw
        for _ in range(100):
            reader.feed(b"data: " + b"x" * 100_000, 0.0)


def test_blanks_within_bounds_are_no_loop():
    guard = RunawayGuard()

    for _ in range(20):
        guard.feed(" " * LONGEST_BLANK_RUN)
        guard.feed('"word"')
    guard.feed(" " * LONGEST_BLANK_RUN)
    with pytest.raises(AnswerError) as caught:
        guard.feed(" ")

    assert caught.value.reason == "whitespace-loop"


@given(st.text(min_size=1, max_size=60))
def test_a_unit_repeated_often_is_seen_and_its_ends_alone_are_not(unit):
    assert is_repeating("A boat, " + unit * 300)
    assert not is_repeating(unit)


def test_keyword_lists_do_not_repeat():
    words = ", ".join(f"keyword {number}" for number in range(60))

    assert not is_repeating(words)


@needs_examples
@pytest.mark.parametrize("name", ["vllm_stream_usage.sse", "llamacpp_chat_stream_usage.sse"])
def test_recorded_streams_are_read_whole(name):
    reader = read((EXAMPLES / name).read_bytes())

    response = read_chat(reader.value())
    assert reader.is_done
    assert response.text
    assert response.finish_reason in {"stop", "length"}
    assert response.completion_tokens == 8
    assert reader.error is None
