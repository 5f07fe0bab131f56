from __future__ import annotations

import asyncio
import io
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imageworks.infer.preflight import is_listed, nearest_model
from imageworks.infer.probe_picture import probe_jpeg
from tests.support.openai_server import (
    MODEL,
    OpenAIServer,
    Reply,
    body_fault,
    html_fault,
    status_fault,
)


def test_probe_picture_is_a_real_jpeg_of_64_by_64_without_metadata():
    with Image.open(io.BytesIO(probe_jpeg())) as picture:
        picture.load()

        assert (picture.format, picture.size, picture.mode) == ("JPEG", (64, 64), "RGB")
        assert not picture.getexif()
        blue = picture.getpixel((4, 4))
    assert isinstance(blue, tuple)
    assert blue[2] > blue[0]


async def test_good_server_passes_three_probes_in_order(make_engine):
    with OpenAIServer() as server:
        results = await make_engine(server).preflight()

    assert [result.name for result in results] == [
        "models",
        "text completion",
        "vision completion",
    ]
    assert all(result.is_ok and result.message and not result.hint for result in results)
    assert [bool(asked.image) for asked in server.chats] == [False, True]
    assert server.chats[1].image == probe_jpeg()
    assert all(asked.is_probe for asked in server.chats)


async def test_each_model_is_probed_once(make_engine):
    with OpenAIServer(models=["a", "b"]) as server:
        engine = make_engine(server, caption_model="a", keyword_model="b", description_model="a")
        results = await engine.preflight()

    assert len(results) == 5
    assert [asked.model for asked in server.chats] == ["a", "b", "a", "b"]


async def test_probe_that_gets_an_empty_answer_is_good_enough(make_engine):
    with OpenAIServer(lambda request: Reply(None, finish_reason="length")) as server:
        results = await make_engine(server).preflight()

    assert results[-1].is_ok


async def test_dead_port_fails_fast_and_says_what_to_try(make_engine, dead_url):
    started_s = time.monotonic()

    (result,) = await make_engine(dead_url, timeout=120.0).preflight()

    assert time.monotonic() - started_s < 5
    assert (result.name, result.is_ok, result.reason) == ("models", False, "unreachable")
    assert dead_url in result.message
    for way_out in ("start the server", "--base-url", "--backend builtin"):
        assert way_out in result.hint


@pytest.mark.parametrize("suffix", ["", "/"])
async def test_forgotten_v1_is_named(make_engine, suffix):
    with OpenAIServer() as server:
        (result,) = await make_engine(server.root_url + suffix).preflight()

    assert result.reason == "wrong-path"
    assert f"--base-url {server.base_url}?" in result.hint


async def test_other_web_server_is_not_taken_for_a_model_server(make_engine):
    with OpenAIServer(has_models=False) as server:
        (result,) = await make_engine(server).preflight()
        (rootless,) = await make_engine(server.root_url).preflight()

    assert result.reason == rootless.reason == "wrong-path"
    assert "did you mean" not in result.hint + rootless.hint


async def test_page_that_is_no_list_is_not_taken_for_one(make_engine):
    server = OpenAIServer()
    server._page = lambda path: body_fault('{"hello": 1}')  # type: ignore[method-assign]
    with server:
        (result,) = await make_engine(server).preflight()

    assert "not a list of models" in result.message


async def test_web_page_in_the_place_of_models_shows_what_answered(make_engine):
    server = OpenAIServer()
    server._page = lambda path: html_fault()  # type: ignore[method-assign]
    with server:
        (result,) = await make_engine(server).preflight()

    assert "a web page" in result.message


async def test_wrong_key_asks_for_the_key_without_showing_it(make_engine):
    with OpenAIServer(api_key="right") as server:
        (result,) = await make_engine(server, api_key="wr0ng").preflight()

    assert result.reason == "not-authorised"
    assert "--api-key" in result.hint
    assert "wr0ng" not in result.message + result.hint


async def test_missing_model_lists_those_served_and_offers_the_nearest(make_engine):
    served = ["gemma3:4b", "Qwen/Qwen2.5-VL-7B-Instruct-AWQ", "evil\x1b[2J"]
    with OpenAIServer(models=served) as server:
        (result,) = await make_engine(server).preflight()

    assert result.reason == "model-missing"
    assert MODEL in result.message
    assert "gemma3:4b, Qwen/Qwen2.5-VL-7B-Instruct-AWQ" in result.message
    assert result.hint == "use --model Qwen/Qwen2.5-VL-7B-Instruct-AWQ"
    assert "\x1b" not in result.message


async def test_only_model_served_is_offered_whatever_its_name(make_engine):
    with OpenAIServer(models=["zzz"]) as server:
        (result,) = await make_engine(server).preflight()

    assert result.hint == "use --model zzz"


async def test_server_without_any_model_says_so(make_engine):
    with OpenAIServer(models=[]) as server:
        (result,) = await make_engine(server).preflight()

    assert "serves no model" in result.message
    assert "load a vision-language model" in result.hint


async def test_long_list_of_models_is_shortened(make_engine):
    with OpenAIServer(models=[f"xx{n}" for n in range(40)]) as server:
        (result,) = await make_engine(server).preflight()

    assert "and 28 more" in result.message


async def test_text_only_model_is_named_with_what_else_is_served(make_engine):
    with OpenAIServer(models=[MODEL, "other-vl"], has_vision=False) as server:
        results = await make_engine(server).preflight()

    assert [result.is_ok for result in results] == [True, True, False]
    assert results[-1].name == "vision completion"
    assert results[-1].reason == "text-only"
    assert "text only" in results[-1].message
    assert "other-vl" in results[-1].hint


async def test_probes_stop_at_the_first_failure(make_engine):
    with OpenAIServer(lambda request: status_fault(400, "no such thing")) as server:
        results = await make_engine(server).preflight()

    assert [result.is_ok for result in results] == [True, False]
    assert len(server.chats) == 1


async def test_loading_server_is_waited_for(make_engine, fake_time):
    with OpenAIServer(loading_times=5) as server:
        results = await make_engine(server, timeout=20.0).preflight()

    assert results[-1].is_ok
    assert fake_time.slept_s == [1.0] * 5
    assert results[0].latency_s == 5.0


async def test_server_that_loads_for_ever_is_given_up_after_the_timeout(make_engine, fake_time):
    with OpenAIServer(loading_times=10_000) as server:
        (result,) = await make_engine(server, timeout=20.0).preflight()

    assert result.reason == "loading"
    assert "still loading after 20 s" in result.message
    assert "--timeout" in result.hint
    assert fake_time.now_s == 20


async def test_preflight_learns_what_the_server_does_not_take(make_engine, picture_request):
    with OpenAIServer(refused_fields=["chat_template_kwargs"]) as server:
        engine = make_engine(server)
        await engine.preflight()
        await engine.infer(picture_request())

    assert len(server.questions) == 1


@pytest.mark.parametrize("owner", ["llamacpp", "vllm"])
async def test_slots_of_llama_cpp_are_used_whatever_the_backend_is_called(make_engine, owner):
    with OpenAIServer(owned_by=owner, total_slots=3) as server:
        engine = make_engine(server, backend="openai")
        await engine.preflight()

    assert engine.suggested_concurrency() == (3 if owner == "llamacpp" else 8)


@pytest.mark.parametrize("slots", [None, 0])
async def test_missing_or_silly_slots_leave_the_guess(make_engine, slots):
    with OpenAIServer(owned_by="llamacpp", total_slots=slots) as server:
        engine = make_engine(server, backend="llamacpp")
        await engine.preflight()

    assert engine.suggested_concurrency() == 4


async def test_first_address_that_passes_is_used(make_engine, picture_request, dead_url):
    with OpenAIServer(models=["x"]) as wrong, OpenAIServer() as right:
        engine = make_engine(right, base_url=(dead_url, wrong.base_url, right.base_url))
        results = await engine.preflight()
        await engine.infer(picture_request())

    assert all(result.is_ok for result in results)
    assert engine.base_url == right.base_url
    assert len(right.questions) == 1


async def test_every_address_is_reported_when_none_passes(make_engine, dead_url):
    with OpenAIServer(models=["x"]) as wrong:
        engine = make_engine(wrong, base_url=(dead_url, wrong.base_url))
        results = await engine.preflight()

    assert [result.reason for result in results] == ["unreachable", "model-missing"]
    assert engine.base_url == dead_url


async def test_cancelled_preflight_stops(make_engine):
    with OpenAIServer() as server:
        server.hold()
        probing = asyncio.create_task(make_engine(server).preflight())
        await asyncio.to_thread(server.wait_for_chats, 1)
        probing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probing
        server.release()


@pytest.mark.parametrize(
    ("model", "listed", "expected"),
    [
        ("qwen2.5vl", ["qwen2.5vl:7b", "llama3:8b"], "qwen2.5vl:7b"),
        ("Qwen2.5-VL-7B-AWQ", ["/models/qwen2.5-vl-7b-q4_k_m.gguf"],
         "/models/qwen2.5-vl-7b-q4_k_m.gguf"),
        ("QWEN", ["Qwen", "qwen"], "Qwen"),
        ("Qwen2.5-VL-7B-AWQ", ["bge-m3", "whisper"], ""),
        ("x", [], ""),
    ],
)  # fmt: skip
def test_nearest_model_is_the_one_meant(model, listed, expected):
    assert nearest_model(model, listed) == expected


def test_ollamas_latest_may_be_left_out():
    assert is_listed("llava", ["llava:latest"])
    assert not is_listed("llava", ["llava:7b"])


@given(model=st.text(), listed=st.lists(st.text(min_size=1)))
def test_nearest_model_is_always_one_of_the_list_or_none(model, listed):
    assert nearest_model(model, listed) in {"", *listed}
