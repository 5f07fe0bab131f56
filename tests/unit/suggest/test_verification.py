"""Yes or no to each keyword, out of whatever a model answers."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.models import Keyword, StageAnswer
from imageworks.suggest.verification import read_verdicts, unverified

BOAT, GULL, SEA = Keyword("boat", 0.9), Keyword("gull", 0.8), Keyword("Sea")
ALL = (BOAT, GULL, SEA)


def read(text, keywords=ALL, tokens=()):
    logprobs = tuple((token, math.log(probability)) for token, probability in tokens)
    return read_verdicts(keywords, StageAnswer((), "m", "", "", text, 1.0, token_logprobs=logprobs))


def told(text, keywords=ALL):
    found = read(text, keywords)
    kept = [keyword.text for keyword in found.keywords]
    return kept, [keyword.text for keyword in found.denied], found.unanswered


@pytest.mark.parametrize(
    "text",
    [
        '{"boat": true, "gull": false, "Sea": true}',
        '{"sea":true,"gull":false,"boat":true}',
        '```json\n{"boat": true, "gull": false, "Sea": true}\n```',
        '<think>"gull": true, I think</think>{"boat": true, "gull": false, "Sea": true}',
        '{"keywords": {"boat": "yes", "gull": "No", "Sea": "true"}}',
        'Sure! {\n  "BOAT" : True,\n  "gull" : False,\n  "sea" : True\n}',
        "boat: yes\ngull: no\nsea: yes",
        "1. **boat** - Yes, at the pier\n2. **gull** - No\n3. **sea** – yes",  # noqa: RUF001
        "| boat | yes |\n| gull | no |\n| Sea | yes |",
    ],
)
def test_a_plain_no_takes_a_keyword_out_whatever_the_form(text):
    assert told(text) == (["boat", "Sea"], ["gull"], 0)


@pytest.mark.parametrize(
    ("text", "unanswered"),
    [
        ("", 3),
        ("All of them can be seen.", 3),
        ('["boat", "Sea"]', 3),
        ('{"boat": true, "gull": null, "Sea": 0}', 2),
        ('{"boat": true, "gu\\xll": false, "sea": true}', 1),
        ('{"boat": true, "gull": fal', 2),
        ('{"boat": true, "gull": true, "gull": false, "Sea": true}', 1),
        ('{"boats": false, "seagull": false, "sea": true}', 2),
        ('{"gull": falsehood, "boat": nothing, "sea": truer}', 3),
    ],
)
def test_what_is_not_clearly_answered_stays(text, unanswered):
    assert told(text) == (["boat", "gull", "Sea"], [], unanswered)


def test_keywords_are_found_again_however_json_spells_them():
    keywords = (Keyword('the "Blue" one'), Keyword("back\\slash"), Keyword("Österreich"))
    spelled = [json.dumps(keyword.text) for keyword in keywords]
    assert "\\u00d6" in spelled[2]

    kept, denied, unanswered = told(
        f"{{{spelled[0]}: false, {spelled[1]}: true, {spelled[2]}: false}}", keywords
    )

    assert (kept, denied, unanswered) == (
        ["back\\slash"],
        ['the "Blue" one', "Österreich"],
        0,
    )


def test_a_yes_brings_its_own_probability_and_no_other_number():
    tokens = (
        *(('{"', 0.99), ("boat", 0.97), ('":', 0.9), (" true", 0.75)),
        *((', "gull":', 0.9), (" false", 0.6), (', "Sea": ', 0.9), ("tr", 0.8), ("ue", 0.7)),
        ("}", 0.99),
    )

    found = read("".join(token for token, _ in tokens), tokens=tokens)

    assert [(keyword.text, keyword.score) for keyword in found.keywords] == [
        ("boat", 0.75),
        ("Sea", 0.7),
    ]


@pytest.mark.parametrize(
    "tokens", [(), (("another", 0.5), (" answer", 0.5)), (('{"boat": true}', float("nan")),)]
)
def test_without_probabilities_a_yes_has_none(tokens):
    logprobs = tuple((token, probability) for token, probability in tokens)
    answer = StageAnswer((), "m", "", "", '{"boat": true}', 1.0, token_logprobs=logprobs)

    assert read_verdicts((BOAT,), answer).keywords == (Keyword("boat"),)


def test_what_was_not_answered_has_no_number_of_another_kind():
    assert [keyword.score for keyword in read('{"boat": true}').keywords] == [None] * 3
    assert unverified(ALL) == (Keyword("boat"), Keyword("gull"), Keyword("Sea"))


@given(st.text(), st.lists(st.text(min_size=1), max_size=5, unique=True))
def test_any_answer_to_any_keywords_is_read(text, names):
    keywords = tuple(map(Keyword, names))

    found = read(text, keywords)

    assert sorted(k.text for k in (*found.keywords, *found.denied)) == sorted(names)
    assert 0 <= found.unanswered <= len(found.keywords)


@given(
    st.dictionaries(st.from_regex(r"\w[\w \"\\'.:{}\[\]-]{0,20}\w", fullmatch=True), st.booleans())
)
def test_a_whole_answer_is_read_as_it_was_meant(verdicts):
    by_fold = {name.casefold(): name for name in verdicts}
    verdicts = {name: verdicts[name] for name in by_fold.values()}
    keywords = tuple(map(Keyword, verdicts))

    found = read(json.dumps(verdicts), keywords)

    assert [k.text for k in found.denied] == [n for n, is_yes in verdicts.items() if not is_yes]
    assert found.unanswered == 0
