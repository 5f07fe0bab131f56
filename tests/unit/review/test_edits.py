from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.models import Keyword, Origin, Tags
from imageworks.review.edits import TagsEdit, adopted, edit_between, repeated, with_added
from imageworks.review.quick import QuickKeywords, with_slot
from imageworks.text import fold
from tests.support.review_library import ReviewLibrary

BOAT, SEA = Keyword("boat", 0.9), Keyword("sea", origin=Origin.EXISTING)
MINE = Keyword("regatta", origin=Origin.PERSON)


def texts(keywords) -> list[str]:
    return [keyword.text for keyword in keywords]


def test_edit_is_what_came_and_what_went() -> None:
    edit = edit_between(Tags("A", (BOAT, SEA), "d"), Tags("B", (SEA, MINE), "d"))

    assert edit == TagsEdit(added=(MINE,), removed=(BOAT,), caption="B")
    assert not edit.is_empty


def test_another_order_is_nothing_to_repeat() -> None:
    assert edit_between(Tags("A", (BOAT, SEA)), Tags("A", (SEA, BOAT))).is_empty


def test_repeat_does_the_same_to_other_fields() -> None:
    edit = TagsEdit(added=(MINE,), removed=(Keyword("BOAT"),), caption="B", description="")
    other = Tags("old", (Keyword("hill"), BOAT), "old too")

    assert repeated(edit, other, ()) == Tags("B", (Keyword("hill"), MINE), "")
    assert repeated(TagsEdit(), other, ()) == other


def test_keywords_of_another_image_are_the_persons_here() -> None:
    path = ("animal", "heron")
    heron = Keyword("heron", 0.9, Origin.EXISTING, path)
    own = Keyword("heron", 0.3)
    tree = Keyword("tree", origin=Origin.VOCABULARY)

    assert adopted([heron, tree, heron]) == (Keyword("heron", None, Origin.PERSON, path), tree)
    assert adopted([heron], [own]) == (own,)
    assert adopted([Keyword("Paris, France", origin=Origin.EXISTING), Keyword("")]) == ()


def test_merge_adds_only_what_is_missing() -> None:
    assert texts(with_added([BOAT], [Keyword("Boat"), MINE])) == ["boat", "regatta"]


def test_slot_goes_on_and_off() -> None:
    on = with_slot((BOAT,), (MINE, SEA), ())
    assert texts(on) == ["boat", "regatta", "sea"]

    assert with_slot(on, (MINE, SEA), ()) == (BOAT,)
    assert texts(with_slot((BOAT, MINE), (MINE, SEA), ())) == ["boat", "regatta", "sea"]


@pytest.mark.parametrize("number", [1, 9])
def test_slots_are_kept(tmp_path, number: int) -> None:
    made = ReviewLibrary(tmp_path)
    quick = QuickKeywords(made.library)
    assert quick.slot(number) == ()

    kept = quick.fill(number, [SEA, MINE])
    assert texts(kept) == ["sea", "regatta"]
    assert {keyword.origin for keyword in kept} == {Origin.PERSON}
    assert QuickKeywords(made.library).slot(number) == kept
    quick.fill(number, ())
    assert quick.slot(number) == ()
    made.library.close()


WORDS = st.lists(st.sampled_from("abcdefgh").map(Keyword), unique_by=lambda k: k.text).map(tuple)


@given(WORDS, WORDS, WORDS)
def test_repeated_edit_leads_to_what_it_led_to_before(before, after, other) -> None:
    edit = edit_between(Tags("", before), Tags("", after))

    assert {fold(k.text) for k in repeated(edit, Tags("", before), ()).keywords} == {
        fold(k.text) for k in after
    }
    result = texts(repeated(edit, Tags("", other), ()).keywords)
    assert set(texts(edit.added)) <= set(result)
    assert not set(texts(edit.removed)) & set(result)
