"""What servers refuse is found out once and remembered per server, model and version."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.config import PersonalTaggerConfig
from imageworks.infer.chat import ChatEngine
from imageworks.infer.memory import ServerMemory, server_key
from imageworks.infer.payload import Dialect
from imageworks.infer.profiles import ProfileBook
from tests.support.openai_server import OpenAIServer

FULL = Dialect(thinking_off=(("reasoning_effort", "none"),), has_logprobs=True)
KEY = server_key("http://127.0.0.1:9/v1", "m", "0.32")


@given(
    st.builds(
        Dialect,
        thinking_off=st.sampled_from([(), FULL.thinking_off]),
        has_old_limit_name=st.booleans(),
        has_schema=st.booleans(),
        has_sampling=st.booleans(),
        has_stream_options=st.booleans(),
        has_logprobs=st.booleans(),
    )
)
def test_a_dialect_comes_back_as_it_was(tmp_path_factory, dialect):
    path = tmp_path_factory.mktemp("memory") / "new" / "servers.json"

    ServerMemory(path).note(KEY, dialect)

    assert ServerMemory(path).recall(KEY, FULL) == dialect


def test_another_version_model_or_server_is_found_out_anew(tmp_path):
    memory = ServerMemory(tmp_path / "servers.json")
    memory.note(KEY, Dialect(has_schema=False))

    for other in (("http://other/v1", "m", "0.32"), ("http://127.0.0.1:9/v1", "m", "0.33")):
        assert memory.recall(server_key(*other), FULL) == FULL


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"[]", b'{"x"', json.dumps({KEY: {"has_schema": 1}}).encode()]
)
def test_a_damaged_file_is_as_good_as_none(tmp_path, content):
    path = tmp_path / "servers.json"
    path.write_bytes(content)
    memory = ServerMemory(path)

    assert memory.recall(KEY, FULL) == FULL
    memory.note(KEY, Dialect(has_schema=False))
    assert not memory.recall(KEY, FULL).has_schema


def test_a_place_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    memory = ServerMemory(tmp_path / "file" / "servers.json")

    memory.note(KEY, Dialect(has_schema=False))

    assert memory.recall(KEY, FULL) == FULL


def test_the_oldest_servers_are_forgotten(tmp_path):
    memory = ServerMemory(tmp_path / "servers.json")
    for number in range(70):
        memory.note(f"server {number}", Dialect(has_schema=False))

    assert memory.recall("server 0", FULL) == FULL
    assert not memory.recall("server 69", FULL).has_schema


async def test_the_next_run_does_not_ask_for_what_was_refused(tmp_path, picture_request):
    pages = {"/version": '{"version": "0.32"}'}
    with OpenAIServer(has_structured_output=False, texts=pages) as server:
        config = PersonalTaggerConfig(backend="vllm", base_url=(server.base_url,))
        for _ in range(2):
            memory = ServerMemory(tmp_path / "servers.json")
            engine = ChatEngine(config, ProfileBook().get("default"), memory=memory)
            await engine.preflight()
            await engine.infer(picture_request())
            await engine.aclose()

    asked = [chat for chat in server.chats if not chat.is_probe]
    assert [chat.is_structured for chat in asked] == [True, False, False]
