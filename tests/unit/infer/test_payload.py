from __future__ import annotations

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.infer.payload import Dialect, Sampling, chat_body, encode_picture
from imageworks.infer.prompts import Prompt

SAMPLING = Sampling(max_tokens=512, temperature=0.2, top_p=0.9, seed=7)
OPTIONS = {"max_tokens": 512, "temperature": 0.2, "top_p": 0.9, "seed": 7, "stream": False}
SCHEMA = {"type": "object", "properties": {"caption": {"type": "string"}}}


def messages(system, user, jpeg):
    url = "data:image/jpeg;base64," + b64encode(jpeg).decode()
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": user}]
    told = [{"role": "system", "content": system}] if system else []
    return [*told, {"role": "user", "content": parts if jpeg else user}]


@given(
    model=st.text(),
    system=st.text(),
    user=st.text(),
    jpeg=st.binary(max_size=200),
    schema=st.none() | st.just(SCHEMA),
)
def test_body_is_what_a_json_encoder_would_write(model, system, user, jpeg, schema):
    body = chat_body(
        model, Prompt(system, user), encode_picture(jpeg), SAMPLING, Dialect(), schema=schema
    )

    expected = {"model": model, "messages": messages(system, user, jpeg), **OPTIONS}
    if schema is not None:
        wrapped = {"name": "photo", "strict": True, "schema": schema}
        expected["response_format"] = {"type": "json_schema", "json_schema": wrapped}
    assert json.loads(body) == expected


def test_picture_comes_before_the_text():
    body = chat_body("m", Prompt("s", "the question"), encode_picture(b"jpeg"), SAMPLING, Dialect())

    assert body.index(b"image_url") < body.index(b"the question")


def test_picture_never_goes_through_a_json_encoder(monkeypatch):
    encoded = []
    dumps = json.dumps

    def noting(value, **how):
        encoded.append(value)
        return dumps(value, **how)

    monkeypatch.setattr(json, "dumps", noting)
    picture = encode_picture(b"\xff\xd8" * 5000)

    body = chat_body("m", Prompt("s", "u"), picture, SAMPLING, Dialect(), schema=SCHEMA)

    assert picture in body
    assert encoded
    assert picture.decode() not in repr(encoded)


def test_dialect_says_which_fields_are_sent():
    dialect = Dialect(
        thinking_off=(("chat_template_kwargs", {"enable_thinking": False}),),
        has_old_limit_name=False,
        has_schema=False,
        has_sampling=False,
    )

    body = json.loads(chat_body("m", Prompt("", "u"), b"", SAMPLING, dialect, schema=SCHEMA))

    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "u"}],
        "max_completion_tokens": 512,
        "stream": False,
        "chat_template_kwargs": {"enable_thinking": False},
    }


@pytest.mark.parametrize(
    ("complaint", "changed"),
    [
        ("response_format is not supported", {"has_schema": False}),
        ("Grammar error: Invalid type: bogus", {"has_schema": False}),
        ("JSON schema error at #/properties/a", {"has_schema": False}),
        ("chat_template is not supported for Mistral tokenizers", {"thinking_off": ()}),
        ('"llava" does not support thinking', {"thinking_off": ()}),
        ("Use 'max_completion_tokens' instead.", {"has_old_limit_name": False}),
        ("'temperature' does not support 0.2 with this model", {"has_sampling": False}),
        ("Unrecognized request argument supplied: seed", {"has_sampling": False}),
    ],
)
def test_complaint_takes_away_only_what_it_is_about(complaint, changed):
    full = Dialect(thinking_off=(("reasoning_effort", "none"),))

    simpler = full.without(complaint)

    assert simpler is not None
    assert {
        name: getattr(simpler, name)
        for name in ("thinking_off", "has_old_limit_name", "has_schema", "has_sampling")
        if getattr(simpler, name) != getattr(full, name)
    } == changed
    assert simpler.without(complaint) is None


def test_complaint_about_something_else_takes_nothing_away():
    assert Dialect().without("Failed to load image") is None


def test_first_try_is_always_the_same():
    assert SAMPLING.for_try(0, 0) == SAMPLING


@given(tries=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), unique=True))
def test_every_other_try_has_a_seed_of_its_own(tries):
    seeds = {SAMPLING.for_try(sample, resample).seed for sample, resample in tries}

    assert len(seeds) == len(tries)


@pytest.mark.parametrize("tries", [(1, 0), (0, 1), (2, 1)])
def test_another_answer_is_not_drawn_at_temperature_zero(tries):
    cold = Sampling(max_tokens=512, temperature=0.0, top_p=0.9)

    assert cold.for_try(*tries).temperature >= 0.4


def test_high_temperature_of_the_person_is_kept():
    assert Sampling(512, 1.5, 0.9).for_try(1, 0).temperature == 1.5
