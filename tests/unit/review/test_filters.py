"""The filter's grammar: what is typed, what it means, and that nothing else can happen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import UsageError
from imageworks.models import ImageState
from imageworks.review.filters import STATE_WORDS, filter_text, parse_filter
from imageworks.store.criteria import Criterion, FilterKey, ImageQuery
from imageworks.text import clean_text

PIECES = st.sampled_from(
    ["state:", "kw:", "CAP:", "is:", "dir:", "x:", "-", '"', "\\", " ", ":", "*", "ready", "draft"]
)
TYPED = st.lists(PIECES | st.text(max_size=6), max_size=12).map("".join)


def test_every_kind_of_term_is_read() -> None:
    query = parse_filter('State:ready KW:heron -kw:bird cap:"red boat" dir:lisbon is:draft sea')

    assert query.criteria == (
        Criterion(FilterKey.STATE, "suggested"),
        Criterion(FilterKey.KEYWORD, "heron"),
        Criterion(FilterKey.KEYWORD, "bird", is_negated=True),
        Criterion(FilterKey.CAPTION, "red boat"),
        Criterion(FilterKey.FOLDER, "lisbon"),
        Criterion(FilterKey.IS, "draft"),
        Criterion(FilterKey.TEXT, "sea"),
    )


@pytest.mark.parametrize(
    ("text", "value", "is_phrase"),
    [
        ("boat", "boat", False),
        ('"red boat"', "red boat", True),
        ('"kw:heron"', "kw:heron", True),
        (r'"a \"b\" \\c"', 'a "b" \\c', True),
        ('"left open', "left open", True),
        (":x", ":x", True),
    ],
)
def test_words_and_quotes(*, text: str, value: str, is_phrase: bool) -> None:
    (criterion,) = parse_filter(text).criteria

    assert criterion == Criterion(FilterKey.TEXT, value, is_phrase=is_phrase)


def test_minus_turns_quotes_round_too() -> None:
    (criterion,) = parse_filter('-"red boat"').criteria

    assert (criterion.is_negated, criterion.value) == (True, "red boat")


def test_empty_filter_has_no_criteria() -> None:
    assert parse_filter(" \x00 ") == ImageQuery()
    assert filter_text(ImageQuery()) == ""


def test_term_said_twice_counts_once() -> None:
    assert len(parse_filter("kw:heron KW:heron").criteria) == 1


@pytest.mark.parametrize("word", STATE_WORDS)
def test_every_state_has_a_word(word: str) -> None:
    (criterion,) = parse_filter(f"state:{word.upper()}").criteria

    assert ImageState(criterion.value) is STATE_WORDS[word]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("lens:50mm", ["lens:", "state:", "kw:", "cap:", "dir:", "model:", "failed:", "is:"]),
        ("12:30", ["12:", '"a:b"']),
        ("state:done", ["state:done", "ready", "failed"]),
        ("is:red", ["is:red", "changed", "draft"]),
        ("kw:", ["kw:"]),
        ("model:", ["model:"]),
        ("kw:!!", ["kw:"]),
        ("-", ["nothing"]),
        (" ".join(f"w{n}" for n in range(51)), ["51", "50"]),
    ],
)
def test_wrong_filter_says_what_is_known(text: str, names: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse_filter(text)

    assert caught.value.reason == "filter"
    assert all(name in str(caught.value) for name in names)


def test_escape_sequence_in_a_wrong_key_does_not_reach_the_message() -> None:
    with pytest.raises(UsageError) as caught:
        parse_filter("\x1b[31m\u202ekey:x")

    assert "\x1b" not in str(caught.value)
    assert "\u202e" not in str(caught.value)


@given(TYPED)
def test_whatever_is_typed_is_read_or_refused_and_comes_back_the_same(text: str) -> None:
    try:
        query = parse_filter(text)
    except UsageError:
        return

    assert parse_filter(filter_text(query)) == query
    assert all(criterion.value for criterion in query.criteria)


@given(
    key=st.sampled_from([FilterKey.CAPTION, FilterKey.FOLDER, FilterKey.NAME, FilterKey.MODEL]),
    value=st.text().map(lambda text: clean_text(f"a{text}")),
    is_negated=st.booleans(),
)
def test_any_clean_value_can_be_said(*, key: FilterKey, value: str, is_negated: bool) -> None:
    query = ImageQuery((Criterion(key, value, is_negated=is_negated),))

    assert parse_filter(filter_text(query)) == query
