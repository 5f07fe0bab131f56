from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import AnswerError, BackendError, ImageworksError, TransientBackendError
from imageworks.infer.failures import failure_of, retry_after_s
from imageworks.infer.responses import ServerComplaint

URL = "http://h/v1/chat/completions"


def failure(status, message="", headers=None):
    return failure_of(status, ServerComplaint(message), headers or {}, url=URL)


@pytest.mark.parametrize(
    ("status", "message", "kind", "reason"),
    [
        (301, "", BackendError, "redirect"),
        (400, "something odd", AnswerError, "request-refused"),
        (400, "Qwen is not a multimodal model", BackendError, "text-only"),
        (400, "Unrecognized request argument supplied: x", AnswerError, "unsupported-field"),
        (401, "", BackendError, "not-authorised"),
        (403, "", BackendError, "not-authorised"),
        (404, "model 'x' not found", BackendError, "model-missing"),
        (404, "", BackendError, "wrong-path"),
        (405, "", BackendError, "wrong-path"),
        (408, "", TransientBackendError, "gateway"),
        (413, "", AnswerError, "too-large"),
        (418, "", AnswerError, "request-refused"),
        (422, "response_format: extra inputs", AnswerError, "unsupported-field"),
        (429, "", TransientBackendError, "rate-limited"),
        (499, "", TransientBackendError, "gateway"),
        (500, "", TransientBackendError, "server-error"),
        (500, "engine died", TransientBackendError, "server-error"),
        (500, "does not match the expected peg-native format", AnswerError, "bad-sample"),
        (500, "image input is not supported - you may need the mmproj", BackendError, "text-only"),
        (500, "exceeds the available context size", AnswerError, "context-overflow"),
        (500, "failed to decode image", AnswerError, "picture-refused"),
        (501, "grammar", AnswerError, "unsupported-field"),
        (502, "", TransientBackendError, "gateway"),
        (503, "server busy", TransientBackendError, "busy"),
        (503, "Loading model", TransientBackendError, "loading"),
        (504, "", TransientBackendError, "gateway"),
        (529, "", TransientBackendError, "busy"),
    ],
)
def test_status_and_words_tell_whom_it_concerns(status, message, kind, reason):
    error = failure(status, message)

    assert (type(error), error.reason) == (kind, reason)
    assert message in error.message


@given(status=st.integers(300, 999), message=st.text(max_size=80))
def test_every_refusal_becomes_an_error_of_ours(status, message):
    error = failure(status, message)

    assert isinstance(error, ImageworksError)
    assert error.reason
    assert error.message


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "--api-key"), (404, "/v1"), (301, "final address")]
)
def test_errors_of_the_whole_run_say_what_to_try(status, hint):
    assert hint in failure(status).hint


def test_redirect_names_its_target_safely():
    error = failure(302, headers={"location": "https://other/\x1b[2J"})

    assert "https://other/" in error.message
    assert "\x1b" not in error.message


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        (" 0.5 ", 0.5),
        ("0", 0.0),
        ("", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e9", None),
        ("9" * 400, None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_read_in_seconds(value, seconds):
    assert retry_after_s({"retry-after": value}) == seconds


def test_wish_of_the_server_is_kept_with_the_error():
    error = failure(429, headers={"retry-after": "7"})

    assert isinstance(error, TransientBackendError)
    assert error.retry_after_s == 7.0
