from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.infer.profiles import ProfileBook
from imageworks.infer.prompts import (
    CONTEXT_INTRODUCTION,
    PromptWriter,
    context_block,
    fill,
    keyword_range,
    language_name,
)
from imageworks.models import Stage
from imageworks.stages import InferenceRequest


def request_with(**changes):
    return InferenceRequest(path=Path("a.jpg"), jpeg=b"", **changes)


@pytest.fixture(params=ProfileBook().names())
def writer(request):
    return PromptWriter(ProfileBook().get(request.param), "en", 15)


def every_prompt(writer, request):
    return [*(writer.for_stage(stage, request) for stage in Stage), writer.for_all(request)]


def test_nothing_is_left_to_fill_in(writer):
    for prompt in every_prompt(writer, request_with()):
        for text in (prompt.system, prompt.user):
            assert "{language}" not in text
            assert not set("{}") & set(
                text.replace('{"caption":"...","keywords":["...","..."],', "").replace(
                    '"description":"..."}', ""
                )
            )
            assert text == text.strip()


def test_facts_and_hint_are_absent_without_any(writer):
    for prompt in every_prompt(writer, request_with()):
        assert "Facts from the file" not in prompt.user
        assert "photographer says" not in prompt.user
        assert "\n\n" not in prompt.user


def test_facts_stand_under_a_warning(writer):
    request = request_with(context={"folder": "2024 Lisbon", "place": "", "camera": "X100V"})

    for prompt in every_prompt(writer, request):
        block = f"{CONTEXT_INTRODUCTION}\n- folder: 2024 Lisbon\n- camera: X100V"
        assert block in prompt.user
        assert "place" not in prompt.user.partition(CONTEXT_INTRODUCTION)[2]


def test_hint_of_the_person_is_passed_on(writer):
    for prompt in every_prompt(writer, request_with(hint="grandmother's\x1b garden\n")):
        assert prompt.user.endswith(
            "The photographer says about this picture: grandmother's garden"
        )


def test_language_and_limits_are_filled_in():
    writer = PromptWriter(ProfileBook().get("default"), "de-AT", 4)

    prompt = writer.for_stage(Stage.KEYWORDS, request_with())

    assert "in German" in prompt.system
    assert "at most 4 keywords" in prompt.user
    assert "never more than 4" in prompt.user


def test_schema_orders_caption_keywords_description_and_bounds_them():
    schema = PromptWriter(ProfileBook().get("default"), "en", 7).answer_schema()

    assert (
        list(schema["properties"]) == schema["required"] == ["caption", "keywords", "description"]
    )
    assert schema["properties"]["keywords"]["maxItems"] == 7
    assert schema["properties"]["keywords"]["items"] == {"type": "string", "maxLength": 64}
    assert schema["properties"]["caption"]["maxLength"] <= 250
    assert schema["properties"]["description"]["maxLength"] <= 2000
    assert schema["additionalProperties"] is False
    json.dumps(schema)


@pytest.mark.parametrize(
    ("most", "asked"),
    [(1, "at most 1"), (6, "at most 6"), (8, "6 to 8"), (15, "6 to 12"), (40, "6 to 40")],
)
def test_keywords_asked_for_never_exceed_the_setting_nor_demand_many(most, asked):
    assert keyword_range(most) == asked


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("en", "English"),
        ("pt-BR", "Brazilian Portuguese"),
        ("pt_br", "Brazilian Portuguese"),
        ("DE-ch", "German"),
        ("tlh", "the language with the tag tlh"),
        ("", "the language with the tag "),
        ("x\x1b[2J", "the language with the tag x\\x1b[2J"),
    ],
)
def test_language_tags_have_names(tag, name):
    assert language_name(tag) == name


@given(value=st.text())
def test_braces_in_values_are_not_filled_again(value):
    filled = fill("a {hint} b {context}", {"hint": value, "context": "THE FACTS"})

    assert filled.count("THE FACTS") == 1 + value.count("THE FACTS")


def test_unknown_braces_stay():
    assert fill('{"caption": "{x}"} {hint}', {"hint": "h"}) == '{"caption": "{x}"} h'


@given(
    facts=st.dictionaries(
        st.text(max_size=40), st.text(max_size=500) | st.just("a\x1b[2J\r\n- b\u2028c"), max_size=5
    )
)
def test_hostile_facts_stay_one_line_each(facts):
    block = context_block(facts)

    lines = block.split("\n")
    assert len(lines) <= 1 + len(facts)
    assert all(line.startswith("- ") and len(line) < 400 for line in lines[1:])
    assert block.splitlines() == [line for line in lines if line]
    assert "\x1b" not in block


@given(
    texts=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=2, max_size=2),
    keywords=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=15),
)
def test_the_pattern_of_an_answer_takes_compact_json_and_no_other(texts, keywords):
    pattern = PromptWriter(ProfileBook().get("default"), "en", 15).answer_pattern()
    fields = {"caption": texts[0], "keywords": keywords, "description": texts[1]}
    has_rare_escapes = any(ord(c) < 32 and c not in "\n\t" for t in (*texts, *keywords) for c in t)
    found = [
        re.fullmatch(pattern, json.dumps(fields, ensure_ascii=False, separators=(",", ":"))),
        re.fullmatch(pattern, json.dumps(fields, ensure_ascii=False)),
    ]

    assert all(found) is not has_rare_escapes
    assert not re.fullmatch(pattern, json.dumps(fields, ensure_ascii=False, indent=1))
    assert not re.fullmatch(pattern, json.dumps({**fields, "keywords": []}))
    assert not re.fullmatch(pattern, json.dumps({**fields, "keywords": ["a"] * 16}))
