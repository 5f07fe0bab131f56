from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.config import PersonalTaggerConfig
from imageworks.models import ExistingMetadata, Keyword, Origin, Tags
from imageworks.review.merge import (
    choice_of,
    current_texts,
    edited_keywords,
    keywords_text,
    merge_keywords,
    proposed_tags,
    typed_keywords,
)
from imageworks.text import KEYWORD_FORBIDDEN, fold

WORDS = st.text(st.characters(codec="utf-8"), max_size=12)
KEYWORDS = st.lists(st.builds(Keyword, WORDS), max_size=6).map(tuple)
EXISTING = ExistingMetadata(
    title="Minka",
    description="Our cat",
    keywords=("Family", "Paris, France"),
    alt_text="alt",
    extended_description="long",
)
SUGGESTED = Tags("A cat", (Keyword("cat", 0.9), Keyword("family")), "A cat sleeps.")


def test_files_own_words_come_before_the_models() -> None:
    proposed = proposed_tags(SUGGESTED, EXISTING, PersonalTaggerConfig())

    assert (proposed.caption, proposed.description) == ("Minka", "Our cat")
    assert [k.text for k in proposed.keywords] == ["Family", "Paris, France", "cat"]
    assert proposed.keywords[0].origin is Origin.EXISTING


def test_empty_file_takes_the_models_words() -> None:
    assert proposed_tags(SUGGESTED, ExistingMetadata(), PersonalTaggerConfig()) == SUGGESTED


def test_overwrite_proposes_the_suggestion_alone() -> None:
    config = PersonalTaggerConfig(overwrite_metadata=True)

    assert proposed_tags(SUGGESTED, EXISTING, config) == SUGGESTED


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("imageworks", ("Minka", "Our cat")),
        ("lightroom", ("Our cat", "long")),
        ({"caption": "dc:description"}, ("Our cat", "")),
        ({"caption": "photoshop:Headline", "description": "dc:title"}, ("", "Minka")),
        ({"description": "Iptc4xmpCore:AltTextAccessibility"}, ("", "alt")),
    ],
)
def test_current_texts_follow_the_mapping(
    fields: str | dict[str, str], expected: tuple[str, str]
) -> None:
    assert current_texts(EXISTING, PersonalTaggerConfig(fields=fields)) == expected


def test_merge_takes_over_a_hierarchy_with_the_files_spelling() -> None:
    merged = merge_keywords(
        [Keyword("Heron", origin=Origin.EXISTING)], [Keyword("heron", path=("animal", "heron"))]
    )

    assert merged == (Keyword("Heron", None, Origin.EXISTING, ("animal", "Heron")),)


@given(KEYWORDS, KEYWORDS)
def test_merge_has_no_doubles_and_loses_nothing(
    first: tuple[Keyword, ...], then: tuple[Keyword, ...]
) -> None:
    keys = [fold(keyword.text) for keyword in merge_keywords(first, then)]

    assert len(keys) == len(set(keys))
    assert set(keys) == {fold(k.text) for k in (*first, *then)} - {""}


def test_known_keywords_keep_score_and_origin_and_others_are_the_persons() -> None:
    edited = edited_keywords(["cat", "Cat", "dog"], [Keyword("cat", 0.9)])

    assert edited == (Keyword("cat", 0.9), Keyword("dog", origin=Origin.PERSON))


def test_new_spelling_of_a_known_keyword_is_the_persons() -> None:
    assert edited_keywords(["CAT"], [Keyword("cat", 0.9)]) == (
        Keyword("CAT", origin=Origin.PERSON),
    )


def test_keyword_of_the_file_with_a_comma_stays_whole() -> None:
    known = (Keyword("Paris, France", origin=Origin.EXISTING), Keyword("cat"))

    typed = typed_keywords("paris, France, cat, new; newer", known)

    assert [k.text for k in typed] == ["Paris, France", "cat", "new", "newer"]
    assert typed[0].origin is Origin.EXISTING


def test_keyword_with_a_comma_can_be_taken_out() -> None:
    known = (Keyword("Paris, France", origin=Origin.EXISTING), Keyword("cat"))

    assert [k.text for k in typed_keywords("cat", known)] == ["cat"]


@given(KEYWORDS)
def test_line_that_was_not_changed_gives_the_same_keywords(keywords: tuple[Keyword, ...]) -> None:
    known = merge_keywords(keywords, ())
    # Two keywords can read as one where the first ends as the other begins; only then they differ.
    if any(separator in k.text for k in known for separator in ",;\n\r\x0b\x0c\u2028\u2029\x85"):
        return

    assert [fold(k.text) for k in typed_keywords(keywords_text(known), known)] == [
        fold(k.text) for k in known
    ]


@given(st.text(max_size=60))
def test_typed_keywords_hold_no_separator_and_no_double(text: str) -> None:
    typed = typed_keywords(text, ())

    assert not any(character in k.text for k in typed for character in KEYWORD_FORBIDDEN)
    assert len({fold(k.text) for k in typed}) == len(typed)
    assert all(k.text.strip() == k.text and k.text for k in typed)


def test_choice_tells_what_a_person_changed_and_took_out() -> None:
    proposed = proposed_tags(SUGGESTED, EXISTING, PersonalTaggerConfig())
    wanted = Tags("A cat", (Keyword("family"),), proposed.description)

    choice = choice_of(wanted, proposed, EXISTING)

    assert choice.is_caption_edited
    assert not choice.is_description_edited
    assert choice.removed_keywords == ("Paris, France",)
