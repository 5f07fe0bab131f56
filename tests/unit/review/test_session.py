from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imageworks.errors import UsageError
from imageworks.models import ExistingMetadata, ImageState
from imageworks.review.session import ReviewSession, StateFilter, remembered_folders
from tests.support.review_library import ReviewLibrary, five_photos, tags_of, undone

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def made(tmp_path: Path) -> Iterator[ReviewLibrary]:
    library = five_photos(tmp_path / "library")
    yield library
    library.library.close()


@pytest.fixture
def session(made: ReviewLibrary) -> ReviewSession:
    return ReviewSession(made.library, made.config)


def test_accept_waits_for_the_undo_window_before_the_write(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.accept(1)

    assert made.library.decisions.begin_writes(10) == []
    made.clock.now_s += 4.1
    assert [write.image_id for write in made.library.decisions.begin_writes(10)] == [1]


def test_leaving_hastens_the_writes(made: ReviewLibrary, session: ReviewSession) -> None:
    session.accept(1)

    session.close()

    assert [write.image_id for write in made.library.decisions.begin_writes(10)] == [1]


def test_rejected_and_skipped_images_are_never_written(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.reject(1)
    session.skip(2)
    session.close()

    assert made.library.decisions.begin_writes(10) == []


def test_accept_without_an_edit_does_not_count_as_one(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.accept(2)

    row = made.library.images.get(2)
    assert row is not None
    assert row.decision_id is not None
    choice = made.library.decisions.choice(row.decision_id)
    assert choice.tags.caption == "Minka"
    assert not choice.is_caption_edited
    assert choice.removed_keywords == ()


def test_title_that_only_needs_cleaning_is_not_the_persons_edit(made: ReviewLibrary) -> None:
    image_id = made.add(
        "f.jpg", tags_of("A cat"), existing=ExistingMetadata(title="Minka \u202e at home")
    )
    session = ReviewSession(made.library, made.config)

    session.accept(image_id)

    row = made.library.images.get(image_id)
    assert row is not None
    assert row.decision_id is not None
    assert not made.library.decisions.choice(row.decision_id).is_caption_edited


@pytest.mark.parametrize("decide", ["accept", "reject", "skip"])
def test_image_without_a_suggestion_cannot_be_decided(session: ReviewSession, decide: str) -> None:
    with pytest.raises(UsageError, match="discovered"):
        getattr(session, decide)(5)


def test_image_that_is_gone_cannot_be_decided(session: ReviewSession) -> None:
    with pytest.raises(UsageError, match="gone"):
        session.accept(99)


def test_undo_after_the_write_has_begun_is_refused(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.accept(1)
    made.clock.now_s += 5
    made.library.decisions.begin_writes(10)

    with pytest.raises(UsageError, match="being written"):
        session.undo()
    assert made.states()["a.jpg"] is ImageState.ACCEPTED


def test_undo_of_a_reject_gives_back_the_draft(session: ReviewSession) -> None:
    draft = tags_of("typed", ["boat", "sea"], "A red boat lies on the beach.")
    session.save_draft(1, draft)
    session.reject(1)

    assert undone(session) == 1

    card = session.card(1)
    assert card is not None
    assert card.is_draft
    assert card.fields == draft


def test_undo_of_an_unedited_accept_leaves_no_draft(session: ReviewSession) -> None:
    session.accept(1)
    session.undo()

    card = session.card(1)
    assert card is not None
    assert not card.is_draft


def test_nothing_to_undo_in_a_new_session(session: ReviewSession) -> None:
    assert session.undo() is None


def test_accepted_image_shows_what_was_accepted(session: ReviewSession) -> None:
    session.accept(1, tags_of("Mine"))

    card = session.card(1)
    assert card is not None
    assert card.fields.caption == "Mine"
    assert card.can_decide


def test_draft_that_equals_the_proposal_is_none(session: ReviewSession) -> None:
    card = session.card(1)
    assert card is not None
    session.save_draft(1, tags_of("other"))
    session.save_draft(1, card.proposed)

    again = session.card(1)
    assert again is not None
    assert not again.is_draft


def test_draft_of_an_undecidable_image_is_not_kept(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.save_draft(5, tags_of("lost"))

    assert made.library.session.draft(5) is None


def test_card_names_model_profile_and_notes(made: ReviewLibrary) -> None:
    image_id = made.add("f.jpg", tags_of("A cat"), notes=("the answer was cut off",))
    card = ReviewSession(made.library, made.config).card(image_id)

    assert card is not None
    assert card.made_by == "Tiny-VL · default"
    assert card.notes == ("the answer was cut off",)


def test_failed_image_says_why(made: ReviewLibrary, session: ReviewSession) -> None:
    made.library.images.set_state(
        5, ImageState.FAILED, reason="decode", reason_text="The picture is cut off."
    )

    card = session.card(5)
    assert card is not None
    assert card.notes == ("The picture is cut off.",)
    assert not card.can_decide


def test_next_undecided_goes_round_the_end(session: ReviewSession) -> None:
    ids = session.image_ids()
    session.accept(2)

    assert session.next_undecided(ids, 0) == 2
    assert session.next_undecided(ids, 3) == 0
    assert session.previous_undecided(ids, 2) == 0
    assert session.previous_undecided(ids, 0) == 3


def test_next_undecided_without_any_is_the_next_image(session: ReviewSession) -> None:
    for image_id in (1, 2, 3, 4):
        session.reject(image_id)
    ids = session.image_ids()

    assert session.next_undecided(ids, 1) == 2
    assert session.next_undecided(ids, 4) == 4
    assert session.previous_undecided(ids, 3) == 3
    assert session.next_undecided([], 0) == 0


def test_next_undecided_far_away_is_found(tmp_path: Path) -> None:
    made = ReviewLibrary(tmp_path)
    for number in range(450):
        made.add(f"{number:04}.jpg", tags_of("x") if number in {0, 430} else None)
    session = ReviewSession(made.library, made.config)
    ids = session.image_ids()

    assert session.next_undecided(ids, 0) == 430
    assert session.previous_undecided(ids, 430) == 0
    session.reject(ids[430])
    assert session.next_undecided(ids, 0) == 1
    made.library.close()


def test_filters_go_round_and_pick_their_states(session: ReviewSession) -> None:
    session.accept(1)
    seen = {}
    state_filter = StateFilter.ALL
    for _ in StateFilter:
        seen[state_filter.label] = session.image_ids(state_filter)
        state_filter = state_filter.next()

    assert state_filter is StateFilter.ALL
    assert seen == {
        "all": [1, 2, 3, 4, 5],
        "to review": [2, 3, 4],
        "waiting": [5],
        "decided": [1],
        "failed": [],
    }
    assert session.counts() == {
        ImageState.ACCEPTED: 1,
        ImageState.SUGGESTED: 3,
        ImageState.DISCOVERED: 1,
    }


def test_place_and_folders_are_remembered(made: ReviewLibrary) -> None:
    odd = Path("/photos/K\udce4se")  # a name that is not UTF-8
    session = ReviewSession(made.library, made.config, folders=[made.photos, odd])
    assert session.remembered_place() == (None, StateFilter.ALL)

    session.remember_place(3, StateFilter.FAILED)

    assert session.remembered_place() == (3, StateFilter.FAILED)
    assert remembered_folders(made.library) == (made.photos, odd)


def test_first_session_remembers_no_folders(made: ReviewLibrary) -> None:
    assert remembered_folders(made.library) == ()
