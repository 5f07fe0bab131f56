from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import AnswerError, BackendError, TransientBackendError
from imageworks.infer.failures import failure_of
from imageworks.infer.responses import (
    ChatResponse,
    complaint_in,
    is_model_list,
    model_ids,
    model_owner,
    read_chat,
    read_complaint,
    read_json,
    usable_text,
)

EXAMPLES = Path(__file__).parents[4] / "shared" / "tools" / "inference" / "examples"
needs_examples = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="no recorded exchanges here")

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "text", "usage", "error", "data", "id", "detail"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


def example(name):
    return json.loads((EXAMPLES / name).read_text("utf-8", "replace"))


def completion(message, **more):
    return {"choices": [{"message": message, "finish_reason": "stop"}], **more}


# -- recorded exchanges ----------------------------------------------------------------


@needs_examples
@pytest.mark.parametrize(
    ("name", "start", "finish", "tokens"),
    [
        ("llamacpp_chat_image.json", " descriK", "length", (258, 24)),
        ("llamacpp_chat_json_schema.json", '{"caption"', "stop", (258, None)),
        ("llamacpp_gbnf_compact.json", '{"caption":"ca b', "stop", (258, 87)),
        ("llamacpp_n2.json", " descriKD", "length", (258, None)),
        ("vllm_json_schema_compact_server.json", '{"caption":"(","keywords"', "stop", (None, None)),
        ("vllm_structured_choice.json", "no", "stop", (None, None)),
    ],
)
def test_recorded_completion_is_read(name, start, finish, tokens):
    response = read_chat(example(name)["body"])

    assert response.text.startswith(start)
    assert response.finish_reason == finish
    assert response.model == "tiny-vlm"
    assert isinstance(response.prompt_tokens, int)
    assert isinstance(response.completion_tokens, int)
    for expected, found in zip(
        tokens, (response.prompt_tokens, response.completion_tokens), strict=True
    ):
        assert expected in {None, found}


@needs_examples
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("vllm_json_schema.json", "whitespace-loop"),
        ("vllm_structured_outputs.json", "whitespace-loop"),
        ("llamacpp_chat_json_schema_truncated.json", "whitespace-loop"),
        ("llamacpp_unknown_model.json", "empty-answer"),
    ],
)
def test_recorded_useless_answer_is_told_apart(name, reason):
    with pytest.raises(AnswerError) as caught:
        usable_text(read_chat(example(name)["body"]), is_structured=True)

    assert caught.value.reason == reason


@needs_examples
@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("llamacpp_err_context_overflow_text.json", AnswerError, "context-overflow"),
        ("vllm_err_context_overflow.json", AnswerError, "context-overflow"),
        ("vllm_err_image_too_many_tokens.json", AnswerError, "context-overflow"),
        ("vllm_err_max_tokens_too_big.json", AnswerError, "context-overflow"),
        ("llamacpp_chat_json_object.json", AnswerError, "bad-sample"),
        ("llamacpp_err_bad_schema.json", AnswerError, "unsupported-field"),
        ("llamacpp_err_bad_schema_ref.json", AnswerError, "unsupported-field"),
        ("vllm_err_bad_schema.json", AnswerError, "unsupported-field"),
        ("llamacpp_err_bad_base64.json", AnswerError, "picture-refused"),
        ("llamacpp_err_not_an_image.json", AnswerError, "picture-refused"),
        ("llamacpp_image_url_as_string.json", AnswerError, "picture-refused"),
        ("vllm_err_bad_base64.json", AnswerError, "picture-refused"),
        ("vllm_err_not_an_image.json", AnswerError, "picture-refused"),
        ("vllm_err_truncated_jpeg.json", AnswerError, "picture-refused"),
        ("vllm_err_two_images.json", AnswerError, "picture-refused"),
        ("llamacpp_err_no_messages.json", AnswerError, "request-refused"),
        ("vllm_err_no_messages.json", AnswerError, "request-refused"),
        ("llamacpp_err_404.json", BackendError, "wrong-path"),
        ("vllm_err_404.json", BackendError, "wrong-path"),
        ("vllm_err_unknown_model.json", BackendError, "model-missing"),
        ("llamacpp_err_http_url_unreachable.json", TransientBackendError, "server-error"),
    ],
)
def test_recorded_error_means_what_it_says(name, kind, reason):
    recorded = example(name)

    said = read_complaint(json.dumps(recorded["body"]).encode())
    error = failure_of(recorded["status"], said, {}, url="http://h/v1/chat/completions")

    assert (type(error), error.reason) == (kind, reason)


@needs_examples
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.name)
def test_every_recorded_exchange_is_read_without_a_crash(path):
    value = json.loads(path.read_text("utf-8", "replace"))
    body = value.get("body", value) if isinstance(value, dict) else value

    read_chat(body)
    complaint_in(body)
    model_ids(body)
    is_error = isinstance(value, dict) and value.get("status", 200) >= 400
    assert bool(read_complaint(json.dumps(body).encode()).message) >= is_error


@needs_examples
@pytest.mark.parametrize(
    ("name", "owner"), [("llamacpp_get_v1_models.json", "llamacpp"), ("vllm_models.json", "vllm")]
)
def test_recorded_model_list_is_read(name, owner):
    body = example(name)["body"]

    assert is_model_list(body)
    assert model_ids(body) == ("tiny-vlm",)
    assert model_owner(body) == owner


# -- malformed completions -------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (completion({"content": "hello"}), "hello"),
        (completion({"content": None}), ""),
        (completion({}), ""),
        (completion({"content": [{"type": "text", "text": "a "}, {"text": "b"}, "c"]}), "a bc"),
        (completion({"content": [{"type": "image_url"}, 3, None]}), ""),
        (completion({"content": {"text": "inner"}}), "inner"),
        (completion({"content": 7}), ""),
        (completion("not an object"), ""),
        ({"choices": [{"text": "old style"}]}, "old style"),
        ({"choices": []}, ""),
        ({"choices": None}, ""),
        ({"choices": ["x", {"message": {"content": "second"}}]}, "second"),
        ({"choices": [{"message": {"content": ""}}, {"message": {"content": "b"}}]}, "b"),
        ({}, ""),
        ([], ""),
        (None, ""),
        ("text", ""),
    ],
)
def test_content_is_found_in_any_shape(value, text):
    assert read_chat(value).text == text


@pytest.mark.parametrize("usage", [None, [], {"prompt_tokens": "9"}, {"prompt_tokens": True}, {}])
def test_missing_usage_is_unknown_not_zero(usage):
    response = read_chat(completion({"content": "x"}, usage=usage))

    assert response.prompt_tokens is None
    assert response.completion_tokens is None


def test_negative_count_is_unknown():
    usage = {"prompt_tokens": -1, "completion_tokens": 0}

    response = read_chat(completion({"content": "x"}, usage=usage))

    assert (response.prompt_tokens, response.completion_tokens) == (None, 0)


def test_lone_surrogates_never_reach_the_store():
    response = read_chat(json.loads('{"choices":[{"message":{"content":"a\\ud800b"}}]}'))

    assert response.text.encode("utf-8") == b"a?b"


@given(value=JSON_VALUES)
def test_any_json_is_read_without_a_crash(value):
    """Whatever is of a wrong type counts as missing."""
    response, complaint = read_chat(value), complaint_in(value)
    ids, owner = model_ids(value), model_owner(value)

    assert response.text.encode("utf-8").decode("utf-8") == response.text
    assert {type(count) for count in (response.prompt_tokens, response.completion_tokens)} <= {
        int,
        type(None),
    }
    assert complaint is None or isinstance(complaint.message, str)
    assert all(ids)
    assert len(set(ids)) == len(ids)
    assert isinstance(owner, str)
    assert is_model_list(value) or not (ids or owner)


# -- usable or not ---------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "  \n", "\t \r"])
def test_blank_answer_is_empty(text):
    with pytest.raises(AnswerError) as caught:
        usable_text(ChatResponse(text), is_structured=False)

    assert caught.value.reason == "empty-answer"


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_thinking_without_an_answer_is_named(field):
    response = read_chat(completion({"content": None, field: "The user wants a caption."}))

    with pytest.raises(AnswerError) as caught:
        usable_text(response, is_structured=True)

    assert caught.value.reason == "thinking-only"
    assert "max-new-tokens" in caught.value.hint


def test_answer_that_was_filed_under_thinking_is_used():
    response = read_chat(completion({"content": "", "reasoning": '{"caption": "A pier"}'}))

    assert usable_text(response, is_structured=True) == '{"caption": "A pier"}'


def test_answer_wins_over_the_thinking_before_it():
    response = read_chat(completion({"content": "A pier", "reasoning": "{hm}"}))

    assert usable_text(response, is_structured=False) == "A pier"


@pytest.mark.parametrize(
    "text", ['{"caption": "A pier"' + " " * 500, '{ "keywords": ["pier', '{"caption":"', '{"a":1}']
)
def test_answer_with_a_value_or_an_end_is_worth_reading(text):
    is_cut = '"A' in text or "pier" in text
    response = ChatResponse(text, finish_reason="length" if is_cut else "stop")

    assert usable_text(response, is_structured=True) == text


@pytest.mark.parametrize("text", ["{\t \r \r", '{"caption"\n\t ', "{" + "\n" * 400])
def test_truncated_blanks_are_a_loop(text):
    with pytest.raises(AnswerError) as caught:
        usable_text(ChatResponse(text, finish_reason="length"), is_structured=True)

    assert caught.value.reason == "whitespace-loop"


def test_blanks_without_an_end_are_a_loop_whatever_the_server_says():
    with pytest.raises(AnswerError) as caught:
        usable_text(ChatResponse("{" + " " * 400, finish_reason="stop"), is_structured=True)

    assert caught.value.reason == "whitespace-loop"


# -- errors in bodies ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message", "kind", "status"),
    [
        (b'{"error":{"message":"no","type":"t","code":404}}', "no", "t", 404),
        (b'{"error":{"message":"no","code":"invalid"}}', "no", "", None),
        (b'{"error":{"message":"no","code":0}}', "no", "", None),
        (b'{"error":"plain\\nwords"}', "plain words", "", None),
        (b'{"error":{"why":1}}', '{"why": 1}', "", None),
        (b'{"object":"error","message":"too long","type":"x","code":400}', "too long", "x", 400),
        (b'{"detail":"Not Found"}', "Not Found", "", None),
        (b'{"detail":[{"loc":["body"]}]}', '[{"loc": ["body"]}]', "", None),
        (b'{"error":null}', "", "", None),
        (b'{"error":""}', "", "", None),
        (b"<html>", "", "", None),
        (b"\xff\xfe", "", "", None),
        (b"[" * 100_000, "", "", None),
        (b"", "", "", None),
    ],
)
def test_complaint_is_found_in_any_envelope(body, message, kind, status):
    said = read_complaint(body)

    assert (said.message, said.kind, said.status) == (message, kind, status)


def test_complaint_is_safe_for_a_terminal():
    said = read_complaint(json.dumps({"error": "\x1b[2J" + "x" * 9000}).encode())

    assert "\x1b" not in said.message
    assert len(said.message) <= 400


def test_detail_beside_an_answer_is_not_a_complaint():
    assert complaint_in(completion({"content": "x"}, detail="fine")) is None


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"<!doctype html><p>hi", "a web page"),
        (b"\xff\xfe\x00{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"", "not JSON"),
        (b'{"choices": [', "not JSON"),
    ],
)
def test_body_that_is_not_json_is_an_error_that_shows_its_start(body, word):
    with pytest.raises(TransientBackendError) as caught:
        read_json(body, "http://h/v1/models")

    assert caught.value.reason == "not-json"
    assert word in caught.value.message
    assert len(caught.value.message) < 400


def test_raw_control_characters_inside_strings_are_read():
    assert read_json(b'{"a": "x\n\x07y"}', "u") == {"a": "x\n\x07y"}


@given(body=st.binary(max_size=200) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_json_or_an_error_of_ours(body):
    try:
        expected = json.loads(body.decode("utf-8", "replace"), strict=False)
    except ValueError:
        with pytest.raises(TransientBackendError) as caught:
            read_json(body, "u")
        assert caught.value.reason == "not-json"
        assert not read_complaint(body).message
    else:
        assert repr(read_json(body, "u")) == repr(expected)  # NaN is not equal to itself


# -- model lists -----------------------------------------------------------------------


def test_aliases_count_as_listed_and_nothing_twice():
    page = {"data": [{"id": "a", "aliases": ["a", "b", 3]}, {"id": "b"}, {"id": 4}, "c", {}]}

    assert model_ids(page) == ("a", "b")


@pytest.mark.parametrize("page", [None, [], {}, {"data": {}}, {"data": None}])
def test_other_pages_are_no_model_list(page):
    assert not is_model_list(page)
    assert model_ids(page) == ()
    assert model_owner(page) == ""


def test_empty_list_has_no_owner():
    assert model_owner({"data": []}) == ""
    assert model_owner({"data": [{"owned_by": 3}]}) == ""


@needs_examples
@pytest.mark.parametrize("name", ["vllm_logprobs.json", "llamacpp_chat_logprobs.json"])
def test_recorded_token_probabilities_are_read(name):
    exchange = json.loads((EXAMPLES / name).read_text())
    body = exchange.get("body", exchange.get("response"))

    response = read_chat(body)

    assert response.token_logprobs
    assert all(logprob <= 0 for _, logprob in response.token_logprobs)


@pytest.mark.parametrize(
    "logprobs",
    [None, [], {"content": None}, {"content": [{"token": "a"}]}, {"content": [{"logprob": -1}]}],
)
def test_probabilities_that_are_incomplete_are_none(logprobs):
    choice = {"message": {"content": "a"}, "logprobs": logprobs}

    assert read_chat({"choices": [choice]}).token_logprobs == ()


def test_an_answer_that_ends_in_repetition_is_not_worth_reading():
    looping = ChatResponse('{"caption": "A boat", "keywords": ["' + "reflection, " * 100)

    with pytest.raises(AnswerError) as caught:
        usable_text(looping, is_structured=True)

    assert caught.value.reason == "repetition"
