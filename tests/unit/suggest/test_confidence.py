"""The probability of each keyword, out of those of its tokens."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.models import Keyword, Stage, StageAnswer
from imageworks.stages import InferenceResult
from imageworks.suggest.builder import build_suggestion
from imageworks.suggest.confidence import with_probabilities

TOKENS = (
    *(('{"caption": "A boat", ', 0.2), ('"keywords":', 0.9), (' ["', 0.9)),
    *(("bo", 0.8), ("at", 0.5), ('", "', 0.9), ("sea", 0.95), ('", "Old', 0.3), (" town", 0.7)),
    *(('"], "description": "A boat lies at sea."', 0.1), ("}", 1.0)),
)


def answer_of(tokens, *, text=None, stages=tuple(Stage)):
    spelled = "".join(token for token, _ in tokens)
    logprobs = tuple((token, math.log(probability)) for token, probability in tokens)
    return StageAnswer(
        stages, "m", "", "", spelled if text is None else text, 1.0, token_logprobs=logprobs
    )


def scores(answer, *texts):
    found = with_probabilities([Keyword(text) for text in texts], answer)
    assert [keyword.text for keyword in found] == list(texts)
    return [keyword.score for keyword in found]


def test_a_keyword_is_as_sure_as_its_least_likely_token():
    assert scores(answer_of(TOKENS), "boat", "sea", "old town") == [0.5, 0.95, 0.3]


def test_a_word_that_is_not_in_the_answer_has_no_score():
    assert scores(answer_of(TOKENS), "ship", "se") == [None, None]


def test_a_plain_list_is_read_from_its_start():
    answer = answer_of((("boat", 0.6), (", ", 1.0), ("sea", 0.4)), stages=(Stage.KEYWORDS,))

    assert scores(answer, "boat", "sea") == [0.6, 0.4]


@pytest.mark.parametrize(
    "answer",
    [None, answer_of(()), answer_of(TOKENS, text="something else")],
    ids=["no answer", "no probabilities", "other tokens"],
)
def test_no_number_is_shown_where_there_is_no_honest_one(answer):
    assert scores(answer, "boat") == [None]


def test_a_score_of_the_engine_itself_stays():
    (kept,) = with_probabilities([Keyword("boat", 0.99)], answer_of(TOKENS))

    assert kept.score == 0.99


def test_the_suggestion_carries_the_scores():
    suggestion = build_suggestion(InferenceResult((answer_of(TOKENS),)), max_keywords=5)

    assert {k.text: k.score for k in suggestion.tags.keywords} == {
        "boat": 0.5,
        "sea": 0.95,
        "Old town": 0.3,
    }


@given(
    st.lists(st.tuples(st.text(max_size=5), st.floats(max_value=1.0)), max_size=20),
    st.text(min_size=1, max_size=6),
)
def test_any_probabilities_give_a_score_from_0_to_1_or_none(tokens, word):
    text = "".join(token for token, _ in tokens)
    answer = StageAnswer(tuple(Stage), "m", "", "", text, 1.0, token_logprobs=tuple(tokens))

    (score,) = scores(answer, word)

    assert score is None or 0 <= score <= 1
