"""What several answers agree on, and how much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imageworks.models import Keyword
from imageworks.suggest.agreement import agreed_by_samples
from imageworks.text import fold


def sample(*texts: str, score: float | None = None) -> tuple[Keyword, ...]:
    return tuple(Keyword(text, score) for text in texts)


def scored(samples: list[tuple[Keyword, ...]], most: int = 15) -> list[tuple[str, float | None]]:
    return [(k.text, k.score) for k in agreed_by_samples(samples, max_keywords=most)]


def test_what_most_answers_name_stays_with_its_share():
    samples = [sample("boat", "sea", "gull"), sample("Boat", "sea"), sample("boat", "harbour")]

    assert scored(samples) == [("boat", 1.0), ("sea", 0.667)]


def test_half_of_the_answers_are_not_most():
    assert scored([sample("boat", "sea"), sample("boat")]) == [("boat", 1.0)]


def test_a_keyword_missed_by_the_first_answer_is_kept_when_the_others_name_it():
    assert scored([sample("boat"), sample("sea"), sample("sea")]) == [("sea", 0.667)]


def test_a_single_answer_is_as_it_is():
    assert scored([sample("boat", score=0.9)]) == [("boat", 0.9)]
    assert scored([]) == []


def test_the_share_replaces_a_token_probability():
    assert scored([sample("boat", score=0.2), sample("boat")]) == [("boat", 1.0)]


def test_the_most_agreed_are_kept_within_the_limit():
    samples = [sample("a b", "c d"), sample("c d"), sample("a b", "c d")]

    assert scored(samples, most=1) == [("c d", 1.0)]


WORDS = st.lists(st.sampled_from(["boat", "Boat", "sea", "straße", "STRASSE"]), max_size=6)


@given(st.lists(WORDS, min_size=2, max_size=7))
def test_scores_are_the_shares_and_above_a_half(texts: list[list[str]]):
    samples = [sample(*words) for words in texts]

    for keyword in agreed_by_samples(samples, max_keywords=9):
        naming = sum(fold(keyword.text) in {fold(word) for word in words} for words in texts)
        assert keyword.score == round(naming / len(texts), 3)
        assert keyword.score > 0.5
