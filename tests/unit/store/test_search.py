"""Finding images: each criterion on a library as the engine and a person leave it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imageworks.models import DecisionKind, ExistingMetadata, ImageState, Keyword, Tags
from imageworks.store.criteria import Criterion, FilterKey, ImageQuery, SortOrder
from imageworks.store.records import Choice
from tests.support.review_library import ReviewLibrary, five_photos, tags_of

if TYPE_CHECKING:
    from collections.abc import Iterator

A, B, C, D, E = range(1, 6)
SYNTAX = ['"', "*", "AND", "NOT", "boat", "(", ":", "NEAR", "^", "'", " ", "\0", "%"]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[ReviewLibrary]:
    library = five_photos(tmp_path / "Lissabon Süd")
    yield library
    library.library.connection.execute("INSERT INTO fts(fts) VALUES('integrity-check')")
    library.library.close()


def one(key: FilterKey, value: str, **more: bool) -> ImageQuery:
    return ImageQuery((Criterion(key, value, **more),))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (ImageQuery(), [A, B, C, D, E]),
        (one(FilterKey.KEYWORD, "boat"), [A]),
        (one(FilterKey.KEYWORD, "BOAT"), [A]),
        (one(FilterKey.KEYWORD, "boat", is_negated=True), [B, C, D, E]),
        (one(FilterKey.KEYWORD, "boa"), []),
        (one(FilterKey.KEYWORD, "boa*"), [A]),
        (one(FilterKey.KEYWORD, "boat sea"), []),
        (one(FilterKey.KEYWORD, "paris, france"), [B]),
        (one(FilterKey.KEYWORD, "Paris"), []),
        (one(FilterKey.CAPTION, "red boat"), [A]),
        (one(FilterKey.CAPTION, "boat red"), []),
        (one(FilterKey.CAPTION, "beach"), []),
        (one(FilterKey.TEXT, "beach"), [A]),
        (one(FilterKey.TEXT, "bea"), [A]),
        (one(FilterKey.TEXT, "be"), []),
        (one(FilterKey.TEXT, "bea", is_phrase=True), []),
        (one(FilterKey.TEXT, "family"), [B]),
        (one(FilterKey.STATE, "discovered"), [E]),
        (one(FilterKey.STATE, "discovered", is_negated=True), [A, B, C, D]),
        (one(FilterKey.FOLDER, "lissabon SÜD"), [A, B, C, D, E]),
        (one(FilterKey.FOLDER, "porto"), []),
        (one(FilterKey.NAME, "C.JP"), [C]),
        (one(FilterKey.MODEL, "tiny-vl"), [A, B, C, D]),
        (one(FilterKey.MODEL, "caption"), []),
        (one(FilterKey.MODEL, "tiny", is_negated=True), [E]),
        (one(FilterKey.IS, "draft"), []),
        (
            ImageQuery(
                (Criterion(FilterKey.STATE, "discovered"), Criterion(FilterKey.STATE, "suggested"))
            ),
            [A, B, C, D, E],
        ),
        (
            ImageQuery((Criterion(FilterKey.TEXT, "door"), Criterion(FilterKey.TEXT, "boat"))),
            [],
        ),
    ],
)
def test_criterion_finds_its_images(
    made: ReviewLibrary, query: ImageQuery, found: list[int]
) -> None:
    assert made.library.search.ids(query) == found


def test_accents_and_case_do_not_matter_in_words(made: ReviewLibrary) -> None:
    image_id = made.add("f.jpg", tags_of("Ein CAFÉ", ["Äpfel"]))

    assert made.library.search.ids(one(FilterKey.CAPTION, "cafe")) == [image_id]
    assert made.library.search.ids(one(FilterKey.KEYWORD, "äpfel")) == [image_id]


def test_accepted_words_take_the_place_of_the_suggested(made: ReviewLibrary) -> None:
    decisions = made.library.decisions
    choice = Choice(tags_of("A sea eagle", ["eagle", "sea"]))
    decision_id = decisions.decide(A, made.run.id, DecisionKind.ACCEPT, by="person", choice=choice)

    assert made.library.search.ids(one(FilterKey.KEYWORD, "eagle")) == [A]
    assert made.library.search.ids(one(FilterKey.KEYWORD, "boat")) == []
    assert made.library.search.ids(one(FilterKey.CAPTION, "sea eagle")) == [A]
    decisions.undo(decision_id, made.run.id)
    assert made.library.search.ids(one(FilterKey.KEYWORD, "eagle")) == []
    assert made.library.search.ids(one(FilterKey.KEYWORD, "boat")) == [A]


def test_rejected_image_is_found_by_what_was_suggested(made: ReviewLibrary) -> None:
    made.library.decisions.decide(A, made.run.id, DecisionKind.REJECT, by="person")

    assert made.library.search.ids(one(FilterKey.KEYWORD, "boat")) == [A]


def test_new_suggestion_takes_the_place_of_the_old(made: ReviewLibrary) -> None:
    made.suggest(A, tags_of("A pier", ["pier"]))

    assert made.library.search.ids(one(FilterKey.TEXT, "boat")) == []
    assert made.library.search.ids(one(FilterKey.KEYWORD, "pier")) == [A]


def test_changed_means_that_an_accept_would_add_keywords(made: ReviewLibrary) -> None:
    made.suggest(
        A, tags_of("x", ["Boat", "sea"]), existing=ExistingMetadata(keywords=("boat", "Sea", "x"))
    )
    changed = one(FilterKey.IS, "changed")
    assert made.library.search.ids(changed) == [B, C, D]
    row = made.library.images.get(B)
    assert row is not None
    assert row.suggestion_id is not None

    known = ExistingMetadata(keywords=("cat", "sofa", "hand-made"))
    made.library.suggestions.record_existing(row.suggestion_id, known)

    assert made.library.search.ids(changed) == [C, D]
    assert made.library.search.ids(one(FilterKey.KEYWORD, "hand-made")) == [B]
    assert made.library.search.ids(one(FilterKey.KEYWORD, "family")) == []


def test_failed_and_draft(made: ReviewLibrary) -> None:
    made.library.images.set_state(E, ImageState.FAILED, reason="timeout", reason_text="Too slow.")
    made.library.session.save_draft(B, tags_of("mine"))

    assert made.library.search.ids(one(FilterKey.FAILED, "Timeout")) == [E]
    assert made.library.search.ids(one(FilterKey.FAILED, "decode")) == []
    assert made.library.search.ids(one(FilterKey.FAILED, "timeout", is_negated=True)) == [
        A,
        B,
        C,
        D,
    ]
    assert made.library.search.ids(one(FilterKey.IS, "draft")) == [B]


def test_states_and_folders_limit_what_is_found(made: ReviewLibrary) -> None:
    ids = made.library.search.ids
    query = one(FilterKey.TEXT, "grey")

    assert ids(query, states=[ImageState.SUGGESTED], folders=[made.photos]) == [B]
    assert ids(query, states=[ImageState.FAILED]) == []
    assert ids(query, folders=[Path("/elsewhere")]) == []
    assert ids(folders=[made.photos / "c.jpg"]) == [C]


def test_name_that_is_not_utf8_breaks_nothing(made: ReviewLibrary) -> None:
    odd = made.add(os.fsdecode(b"Fr\xfchling.jpg"))

    assert made.library.search.ids(one(FilterKey.NAME, "hling")) == [odd]
    assert made.library.search.ids(order=SortOrder.NAME)[-1] == odd


def test_orders(made: ReviewLibrary) -> None:
    for image_id, day in ((A, 3), (C, 1), (D, 2)):
        taken_ms = int(datetime(2024, 5, day, tzinfo=UTC).timestamp() * 1000)
        made.library.connection.execute("UPDATE image SET taken=? WHERE id=?", (taken_ms, image_id))
    made.suggest(A, Tags("a", (Keyword("x", 0.9), Keyword("y", 0.5))))
    made.suggest(C, Tags("c", (Keyword("x", 0.2), Keyword("y"))))
    made.library.images.set_state(B, ImageState.REJECTED)
    made.library.connection.execute("UPDATE image SET name=? WHERE id=?", (b"AB.jpg", D))

    ordered = {order: made.library.search.ids(order=order) for order in SortOrder}

    assert ordered == {
        SortOrder.FOUND: [A, B, C, D, E],
        SortOrder.NAME: [A, D, B, C, E],
        SortOrder.NEWEST: [A, D, C, B, E],
        SortOrder.OLDEST: [C, D, A, B, E],
        SortOrder.STATE: [E, A, C, D, B],
        SortOrder.UNSURE: [C, A, B, D, E],
        SortOrder.SURE: [A, C, B, D, E],
        SortOrder.DISAGREEMENT: [B, A, C, D, E],
    }


def test_orders_go_round() -> None:
    seen, order = [], SortOrder.FOUND
    for _ in SortOrder:
        seen.append(order.label)
        order = order.next()

    assert order is SortOrder.FOUND
    assert len(set(seen)) == len(SortOrder)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.sampled_from([key for key in FilterKey if key not in {FilterKey.IS, FilterKey.STATE}]),
    value=st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
    | st.lists(st.sampled_from(SYNTAX), min_size=1).map("".join),
    is_phrase=st.booleans(),
)
def test_typed_text_is_never_syntax(
    made: ReviewLibrary, *, key: FilterKey, value: str, is_phrase: bool
) -> None:
    found = made.library.search.ids(one(key, value, is_phrase=is_phrase))
    others = made.library.search.ids(one(key, value, is_phrase=is_phrase, is_negated=True))

    assert sorted(found + others) == [A, B, C, D, E]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("東京都の夜景", "都の夜"),
        ("東京都の夜景", "夜"),
        ("赤い鳥居とカメラ", "カメ"),
        ("서울타워의 야경", "타워"),
        ("A 鳥居 at dawn", "居 at"),
    ],
)
def test_middle_part_of_a_script_without_spaces_is_found(
    made: ReviewLibrary, words: str, part: str
) -> None:
    image_id = made.add("cjk.jpg", tags_of(words, [words]))
    made.add("other.jpg", tags_of("東の都 夜と景", ["景色"]))

    for key in (FilterKey.TEXT, FilterKey.CAPTION):
        query = ImageQuery((Criterion(key, part, is_phrase=True),))
        assert made.library.search.ids(query)[:1] == [image_id], key


def test_keyword_of_ideographs_is_found_whole_or_by_its_start(made: ReviewLibrary) -> None:
    image_id = made.add("cjk.jpg", tags_of("", ["夜景写真"]))

    def found(value: str) -> list[int]:
        return made.library.search.ids(ImageQuery((Criterion(FilterKey.KEYWORD, value),)))

    assert found("夜景写真") == [image_id]
    assert found("夜景*") == [image_id]
    assert found("夜景") == found("写真") == []


def test_most_at_odds_with_the_file_come_first(made: ReviewLibrary) -> None:
    own = ExistingMetadata(title="Minka", description="Mine", keywords=("cat", "sofa"))
    agrees = made.add("agrees.jpg", tags_of("Minka", ["Cat"], "mine"), existing=own)
    silent = made.add("silent.jpg", tags_of("A cat", ["cat"], "A cat."))
    caption = made.add("caption.jpg", tags_of("A cat", ["cat"], "Mine"), existing=own)
    both = made.add("both.jpg", tags_of("A cat", ["cat", "dog"], "A cat."), existing=own)
    every = made.add("every.jpg", tags_of("A cat", ["dog"], "A cat."), existing=own)

    listed = made.library.search.ids(order=SortOrder.DISAGREEMENT)

    wanted = [every, both, caption, *sorted((agrees, silent))]
    assert [i for i in listed if i in wanted] == wanted


def test_order_by_disagreement_follows_what_the_file_says_by_now(made: ReviewLibrary) -> None:
    first = made.add("first.jpg", tags_of("A cat", ["cat"]))
    second = made.add("second.jpg", tags_of("A dog", ["dog"]))
    row = made.library.images.get(second)
    assert row is not None
    assert row.suggestion_id is not None

    made.library.suggestions.record_existing(row.suggestion_id, ExistingMetadata(title="Rex"))

    listed = made.library.search.ids(order=SortOrder.DISAGREEMENT)
    assert listed.index(second) < listed.index(first)
