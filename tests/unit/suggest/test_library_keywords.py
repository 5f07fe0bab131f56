"""Keywords of similar photographs: only what they agree on, and never in place of another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.models import Keyword, Origin, Suggestion, Tags
from imageworks.suggest.library_keywords import (
    LEAST_COSINE,
    NEIGHBOURS_LOOKED_AT,
    SimilarPhoto,
    agreed_keywords,
    with_library_keywords,
)
from imageworks.text import fold


def like(*keywords: str, cosine: float = 0.8) -> SimilarPhoto:
    return SimilarPhoto(cosine, keywords)


def test_what_all_neighbours_have_is_agreed_in_the_nearest_ones_words():
    similar = [like("Heron", "river", cosine=0.7), like("heron", "reed", cosine=0.9)]

    assert agreed_keywords(similar) == ("heron",)


def test_one_neighbour_alone_proposes_nothing():
    assert agreed_keywords([like("heron")]) == ()


def test_a_keyword_twice_on_one_photograph_is_one_vote():
    assert agreed_keywords([like("heron", "HERON")]) == ()


@pytest.mark.parametrize(("without", "expected"), [(1, ("heron",)), (2, ())])
def test_two_thirds_of_the_neighbours_must_agree(without: int, expected: tuple[str, ...]):
    similar = [like("heron"), like("heron"), *(like("river") for _ in range(without))]

    found = agreed_keywords(similar)

    assert ("heron" in found) == bool(expected)


def test_photographs_less_alike_neither_agree_nor_disagree():
    far = [like("river", cosine=LEAST_COSINE - 0.01) for _ in range(5)]

    assert agreed_keywords([like("heron"), like("heron"), *far]) == ("heron",)


def test_only_the_nearest_are_looked_at():
    near = [like("heron", cosine=0.9) for _ in range(NEIGHBOURS_LOOKED_AT)]
    far = [like("river", cosine=0.5) for _ in range(40)]

    assert agreed_keywords(far + near) == ("heron",)


def test_more_votes_come_first_and_then_the_nearest_ones_order():
    similar = [
        like("river", "heron", "water", cosine=0.9),
        like("water", "heron", "river", cosine=0.8),
        like("water", cosine=0.7),
    ]

    assert agreed_keywords(similar) == ("water", "river", "heron")


def test_agreed_keywords_follow_the_models_own_without_a_score():
    own = (Keyword("bird", 0.4),)
    similar = [like("BIRD", "heron"), like("bird", "heron")]

    found = with_library_keywords(
        Suggestion(Tags("c", own, "d"), ("note",)), similar, max_keywords=15
    )

    assert found.tags == Tags("c", (*own, Keyword("heron", origin=Origin.LIBRARY)), "d")
    assert found.notes == ("note",)


@pytest.mark.parametrize(("most", "expected"), [(1, ["bird"]), (2, ["bird", "heron"])])
def test_the_limit_of_keywords_holds(most: int, expected: list[str]):
    suggestion = Suggestion(Tags(keywords=(Keyword("bird"),)))

    found = with_library_keywords(
        suggestion, [like("heron", "reed"), like("heron", "reed")], max_keywords=most
    )

    assert [keyword.text for keyword in found.tags.keywords] == expected


WORDS = st.lists(st.sampled_from(["a b", "A b", "straße", "STRASSE", "x", "y"]), max_size=5)


@given(st.lists(st.tuples(st.floats(-1, 1), WORDS), max_size=12))
def test_every_agreed_keyword_is_on_two_similar_photographs_and_named_once(
    photos: list[tuple[float, list[str]]],
):
    similar = [SimilarPhoto(cosine, tuple(words)) for cosine, words in photos]

    agreed = agreed_keywords(similar)

    assert len({fold(text) for text in agreed}) == len(agreed)
    near = [{fold(word) for word in p.keywords} for p in similar if p.cosine >= LEAST_COSINE]
    assert all(sum(fold(text) in words for words in near) >= 2 for text in agreed)
