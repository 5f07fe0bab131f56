import io
import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import BackendError, ConfigError, ImageworksError, MetadataError
from imageworks.metadata.wire import (
    Opening,
    decode_reply,
    encode_reply,
    encode_request,
    read_request,
)
from imageworks.models import ExistingMetadata, MetadataTarget
from imageworks.stages import WriteOutcome
from tests.unit.metadata.pictures import config, request

TEXT = st.text(max_size=20)
EXISTING = st.builds(
    ExistingMetadata,
    title=TEXT,
    description=TEXT,
    keywords=st.lists(TEXT, max_size=3).map(tuple),
    hierarchical_keywords=st.lists(TEXT, max_size=3).map(tuple),
    alt_text=TEXT,
    extended_description=TEXT,
    place=TEXT,
    identity=TEXT,
    source=TEXT,
)
OUTCOME = st.builds(
    WriteOutcome,
    target=st.sampled_from(MetadataTarget),
    is_changed=st.booleans(),
    notes=st.lists(TEXT, max_size=3).map(tuple),
    before=EXISTING,
    target_path=st.none() | st.just(Path("/a/\udce9 b.jpg")),
    identity_before=TEXT,
    identity_after=TEXT,
    undo=st.binary(max_size=40),
)


@given(EXISTING | OUTCOME)
def test_any_reply_comes_out_as_it_went_in(reply):
    frame = encode_reply(reply)

    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    assert decode_reply(frame[4:]) == reply


@pytest.mark.parametrize("kind", [MetadataError, ConfigError, BackendError, ImageworksError])
def test_an_error_crosses_with_message_hint_and_reason(kind):
    frame = encode_reply(kind("what", hint="why", reason="word"))

    with pytest.raises(kind) as caught:
        decode_reply(frame[4:])

    error = caught.value
    assert type(error) is kind
    assert (error.message, error.hint, error.reason) == ("what", "why", "word")


def test_no_other_class_can_be_named_in_an_error():
    body = json.dumps({"error": "annotations", "message": "m", "hint": "", "reason": "r"})

    with pytest.raises(MetadataError) as caught:
        decode_reply(body.encode())

    assert caught.value.reason == "r"


@given(st.binary(max_size=40) | st.sampled_from([b"[]", b"1", b"{}", b'{"WriteOutcome": {}}']))
def test_an_answer_without_sense_is_a_crash_and_never_runs(body):
    with pytest.raises(MetadataError) as caught:
        decode_reply(body)

    assert caught.value.reason == "metadata-crash"


def test_a_pickle_in_a_reply_is_not_opened():
    with pytest.raises(MetadataError):
        decode_reply(pickle.dumps({"error": "x"}))


def test_requests_cross_whole_and_a_cut_one_is_the_end():
    sent = [request("/a/b.jpg"), Path("/a/\udce9.jpg")]
    stream = io.BytesIO(b"".join(encode_request(r) for r in sent))

    assert [read_request(stream), read_request(stream)] == sent
    assert read_request(stream) is None
    assert read_request(io.BytesIO(encode_request(sent[0])[:-1])) is None


def test_the_api_key_never_crosses():
    frame = encode_request(Opening(config(api_key="sk-secret"), is_dry_run=False))

    assert b"sk-secret" not in frame
    opening = read_request(io.BytesIO(frame))
    assert isinstance(opening, Opening)
    assert opening.config.api_key == "EMPTY"
