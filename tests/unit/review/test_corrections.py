"""What a person puts right, and where else it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.models import ExistingMetadata, Keyword, Origin, Tags
from imageworks.review.corrections import ALIAS_AFTER, BAN_AFTER, corrections_between
from imageworks.review.merge import typed_keywords
from imageworks.review.session import ReviewSession
from imageworks.review.steps import finish
from imageworks.store.corrections import Correction, CorrectionKind
from tests.support.review_library import ReviewLibrary, tags_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEYWORD, REMOVED, CAPTION = CorrectionKind.KEYWORD, CorrectionKind.REMOVED, CorrectionKind.CAPTION
EAGLE = Correction(KEYWORD, "osprey", "sea eagle")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[ReviewLibrary]:
    library = ReviewLibrary(tmp_path / "library")
    for number in range(8):
        library.add(f"{number}.jpg", tags_of("An osprey over a lake", ["osprey", "lake"]))
    yield library
    library.library.close()


@pytest.fixture
def session(made: ReviewLibrary, tmp_path: Path) -> ReviewSession:
    return ReviewSession(made.library, made.config, vocabulary_path=tmp_path / "vocabulary.toml")


def accept(session: ReviewSession, image_id: int, keywords: str, caption: str = "") -> None:
    card = session.card(image_id)
    assert card is not None
    typed = typed_keywords(keywords, card.fields.keywords)
    session.accept(image_id, Tags(caption or card.fields.caption, typed, ""))


def texts(session: ReviewSession, image_id: int) -> list[str]:
    card = session.card(image_id)
    assert card is not None
    return [k.text for k in card.fields.keywords]


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("osprey, lake", "sea eagle, lake", [EAGLE]),
        ("osprey, lake", "lake, sea eagle", [EAGLE]),
        ("osprey, lake", "Osprey, lake", []),
        ("osprey, lake", "lake", [Correction(REMOVED, "osprey")]),
        ("osprey, lake", "osprey, lake, tree", []),
        (
            "osprey, lake, sky",
            "sea eagle, lake, clouds",
            [EAGLE, Correction(KEYWORD, "sky", "clouds")],
        ),
        (
            "osprey, lake, sky",
            "x, y",
            [Correction(REMOVED, w) for w in ("osprey", "lake", "sky")],
        ),
    ],
)
def test_keywords_put_right(before: str, after: str, found: list[Correction]) -> None:
    proposed = Tags("", tuple(Keyword(text) for text in before.split(", ")))
    accepted = Tags("", typed_keywords(after, proposed.keywords))

    assert corrections_between(proposed, accepted) == found


def test_keyword_that_the_file_has_is_the_persons_own_and_no_correction() -> None:
    proposed = Tags("", (Keyword("osprey", origin=Origin.EXISTING), Keyword("lake")))

    assert corrections_between(proposed, tags_of("", ["lake"])) == []


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("An osprey over a lake", "An eagle over a lake", ("osprey", "eagle")),
        ("An osprey over a lake", "A sea eagle over a lake", ("an osprey", "a sea eagle")),
        ("The osprey flies low", "The sea eagle flies low", ("osprey", "sea eagle")),
        ("Osprey over a lake", "Eagle over a lake", ("osprey", "eagle")),
        ("NASA rocket at dawn", "ESA rocket at dawn", ("NASA", "ESA")),
        ("An osprey over a lake", "An osprey over a lake at dusk", None),
        ("An osprey over a lake.", "An osprey over a lake!", None),
        ("Osprey", "Eagle", None),
        ("a b c d", "w x y z", None),
        ("", "An eagle", None),
    ],
)
def test_words_of_a_caption_put_right(
    before: str, after: str, found: tuple[str, str] | None
) -> None:
    corrections = corrections_between(tags_of(before), tags_of(after))

    shown = [(c.wrong, c.better) for c in corrections]
    assert shown in ([], [found]) if found is None else shown == [found]


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_two_captions_compare(before: str, after: str) -> None:
    for correction in corrections_between(tags_of(before), tags_of(after)):
        assert correction.wrong != correction.better


def test_others_that_hold_the_same_are_offered_and_changed_as_one_act(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.save_draft(3, tags_of("Mine", ["lake"]))
    session.reject(4)
    accept(session, 1, "sea eagle, lake")

    offer = session.corrections.offer()
    assert offer is not None
    assert offer.image_ids == (2, 5, 6, 7, 8)
    outcome = finish(session.corrections.apply(offer.correction, offer.image_ids))

    assert outcome.count == 5
    assert texts(session, 2) == ["sea eagle", "lake"]
    assert texts(session, 3) == ["lake"]
    session.undo()
    assert texts(session, 2) == ["osprey", "lake"]
    assert session.row(1) is not None


def test_word_of_a_caption_is_put_right_in_the_others_but_not_in_a_files_own(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    own = ExistingMetadata(title="My osprey, 2019")
    kept = made.add("own.jpg", tags_of("An osprey", ["bird"]), existing=own)
    upper = made.add("upper.jpg", tags_of("Osprey in flight; ospreys nest here", ["bird"]))
    accept(session, 1, "osprey, lake", "An eagle over a lake")

    offer = session.corrections.offer()
    assert offer is not None
    assert offer.correction == Correction(CAPTION, "osprey", "eagle")
    assert kept not in offer.image_ids
    finish(session.corrections.apply(offer.correction, (*offer.image_ids, kept)))

    card = session.card(upper)
    assert card is not None
    assert card.fields.caption == "Eagle in flight; ospreys nest here"
    card = session.card(kept)
    assert card is not None
    assert card.fields.caption == "My osprey, 2019"


def test_keyword_that_a_file_has_itself_stays(made: ReviewLibrary, session: ReviewSession) -> None:
    own = ExistingMetadata(keywords=("osprey",))
    kept = made.add("own.jpg", tags_of("A lake", ["lake"]), existing=own)
    accept(session, 1, "sea eagle, lake")

    offer = session.corrections.offer()

    assert offer is not None
    assert kept not in offer.image_ids


def test_nothing_is_offered_without_a_correction_or_without_others(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.accept(1)
    assert session.corrections.offer() is None
    for image_id in range(2, 9):
        session.reject(image_id)
    session.undo()
    accept(session, 8, "sea eagle, lake")
    assert session.corrections.offer() is None


def test_alias_is_offered_once_the_same_was_done_often_enough(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    for image_id in range(1, ALIAS_AFTER):
        accept(session, image_id, "sea eagle, lake")
        assert session.corrections.rule_offer() is None
    accept(session, ALIAS_AFTER, "sea eagle, lake")

    offer = session.corrections.rule_offer()
    assert offer is not None
    assert (offer.rule.wrong, offer.rule.better, offer.count) == ("osprey", "sea eagle", 3)
    session.rules.add(offer.rule)
    assert session.corrections.rule_offer() is None
    assert texts(session, 5) == ["sea eagle", "lake"]
    assert offer.rule.text == "osprey becomes sea eagle"


def test_ban_is_offered_for_what_was_often_taken_out(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    for image_id in range(1, BAN_AFTER + 1):
        assert session.corrections.rule_offer() is None
        accept(session, image_id, "osprey")

    offer = session.corrections.rule_offer()
    assert offer is not None
    assert offer.rule.text == "lake is never suggested"
    made.library.corrections.decline(offer.correction)
    assert session.corrections.rule_offer() is None


def test_correction_taken_back_does_not_count(made: ReviewLibrary, session: ReviewSession) -> None:
    for image_id in (1, 2, 3):
        accept(session, image_id, "sea eagle, lake")
    session.undo()

    assert made.library.corrections.count(EAGLE) == 2
    assert session.corrections.rule_offer() is None


def test_without_a_vocabulary_file_no_rule_is_offered(made: ReviewLibrary) -> None:
    session = ReviewSession(made.library, made.config)
    for image_id in (1, 2, 3):
        accept(session, image_id, "sea eagle, lake")

    assert session.corrections.rule_offer() is None
