"""Undo and redo of acts on one image and on many, through every state of their writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imageworks.errors import UsageError
from imageworks.models import (
    DecisionKind,
    ExistingMetadata,
    ImageState,
    Keyword,
    MetadataTarget,
    Origin,
    Tags,
)
from imageworks.review.session import ReviewSession
from imageworks.review.steps import finish, in_steps
from imageworks.stages import WriteOutcome
from imageworks.store.acts import KEPT_ACTS
from imageworks.store.records import PendingWrite
from tests.support.review_library import ReviewLibrary, five_photos, tags_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

WRITTEN = WriteOutcome(MetadataTarget.FILE, is_changed=True, undo=b"way back")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[ReviewLibrary]:
    library = five_photos(tmp_path / "library")
    yield library
    library.library.close()


@pytest.fixture
def session(made: ReviewLibrary) -> ReviewSession:
    return ReviewSession(made.library, made.config, undo_window_s=0)


def begin_writes(made: ReviewLibrary) -> list[PendingWrite]:
    return made.library.decisions.begin_writes(10)


def write_all(made: ReviewLibrary) -> None:
    for write in begin_writes(made):
        made.library.decisions.record_written(write, WRITTEN)


def put_back(made: ReviewLibrary) -> None:
    """What the engine does with the undos asked for."""
    while (entry := made.library.journal.next_undo()) is not None:
        made.library.journal.record_undone(entry)


def accept_all(session: ReviewSession) -> int:
    return finish(session.many.decide(DecisionKind.ACCEPT, session.image_ids())).count


def test_act_on_many_counts_what_it_changed_and_leaves_the_rest(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.accept(1)

    outcome = finish(session.many.decide(DecisionKind.ACCEPT, session.image_ids()))

    assert (outcome.label, outcome.image_id, outcome.count) == ("Accepted", 2, 3)
    assert made.states()["e.jpg"] is ImageState.DISCOVERED
    assert made.library.decisions.count_intended() == 4


def test_act_on_many_takes_the_files_own_words_and_edits_nothing(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    accept_all(session)

    writes = {write.image_id: write.choice for write in begin_writes(made)}
    assert writes[2].tags.caption == "Minka"
    assert not any(choice.is_caption_edited for choice in writes.values())
    assert not any(choice.removed_keywords for choice in writes.values())


def test_undo_after_all_writes_asks_the_engine_for_each(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    accept_all(session)
    write_all(made)

    outcome = session.undo()

    assert outcome is not None
    assert outcome.count == 4
    assert made.library.journal.count_undos() == 4
    put_back(made)
    assert made.states()["a.jpg"] is ImageState.SUGGESTED


def test_redo_before_the_engine_has_put_it_back_leaves_the_file_as_it_is(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.accept(1)
    write_all(made)
    session.undo()

    outcome = session.redo()

    assert outcome is not None
    assert outcome.count == 1
    assert made.library.journal.count_undos() == 0
    assert made.states()["a.jpg"] is ImageState.WRITTEN
    assert begin_writes(made) == []


def test_redo_after_the_file_was_put_back_writes_the_same_again(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.accept(1, Tags("My boat", (Keyword("boat", origin=Origin.PERSON),), ""))
    write_all(made)
    session.undo()
    put_back(made)

    session.redo()

    (write,) = begin_writes(made)
    assert write.choice.tags.caption == "My boat"
    assert write.choice.is_caption_edited
    made.library.decisions.record_written(write, WRITTEN)
    session.undo()
    assert made.library.journal.count_undos() == 1


def test_redo_while_the_file_is_put_back_says_to_wait(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.accept(1)
    write_all(made)
    session.undo()
    made.library.journal.next_undo()

    with pytest.raises(UsageError, match="being written at this moment"):
        session.redo()
    put_back(made)
    assert session.redo() is not None


def test_undo_of_many_leaves_those_being_written_for_another_undo(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    accept_all(session)
    (write, *_) = made.library.decisions.begin_writes(1)

    first = session.undo()
    made.library.decisions.record_written(write, WRITTEN)
    second = session.undo()

    assert first is not None
    assert (first.count, first.busy) == (3, 1)
    assert second is not None
    assert (second.image_id, second.count, second.busy) == (write.image_id, 1, 0)
    assert made.library.journal.count_undos() == 1
    assert session.undo() is None


def test_undo_takes_back_an_accept_whose_write_failed(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.accept(1)
    (write,) = begin_writes(made)
    made.library.decisions.record_write_failed(write, reason="refused", reason_text="no")

    outcome = session.undo()

    assert outcome is not None
    assert outcome.count == 1
    assert made.states()["a.jpg"] is ImageState.SUGGESTED


def test_undo_leaves_what_another_run_has_decided_since(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.reject(1)
    made.library.decisions.decide(1, made.run.id, DecisionKind.ACCEPT, by="run")

    outcome = session.undo()

    assert outcome is not None
    assert (outcome.count, outcome.kept) == (0, 1)
    assert made.states()["a.jpg"] is ImageState.ACCEPTED


def test_redo_leaves_an_image_that_got_a_new_suggestion(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.reject(1)
    session.undo()
    made.suggest(1, tags_of("Another boat"))

    outcome = session.redo()

    assert outcome is not None
    assert (outcome.count, outcome.kept) == (0, 1)
    assert made.states()["a.jpg"] is ImageState.SUGGESTED


def test_redo_never_takes_away_what_was_typed_after_the_undo(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.accept(1)
    session.undo()
    session.save_draft(1, tags_of("Typed since"))

    outcome = session.redo()

    assert outcome is not None
    assert outcome.kept == 1
    draft = made.library.session.draft(1)
    assert draft is not None
    assert draft.caption == "Typed since"


def test_undo_of_an_edit_of_many_leaves_drafts_that_were_typed_since(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    finish(session.many.add_keyword("coast", [1, 3]))
    session.save_draft(3, tags_of("Typed since"))

    outcome = session.undo()

    assert outcome is not None
    assert (outcome.count, outcome.kept) == (1, 1)
    assert made.library.session.draft(1) is None
    draft = made.library.session.draft(3)
    assert draft is not None
    assert draft.caption == "Typed since"


def test_keyword_of_an_accepted_image_changes_its_decision_before_the_write(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.accept(1)

    finish(session.many.add_keyword("coast", [1]))

    assert [k.text for k in made.written_choice("a.jpg").keywords] == ["boat", "sea", "coast"]
    assert made.library.decisions.count_intended() == 1
    session.undo()
    assert [k.text for k in made.written_choice("a.jpg").keywords] == ["boat", "sea"]
    assert made.library.decisions.count_intended() == 1


def test_removing_a_keyword_finds_it_in_any_case_and_takes_it_out_of_the_file_too(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    outcome = finish(session.many.remove_keyword("FAMILY", [1, 2, 3]))

    assert outcome.count == 1
    session.accept(2)
    (write,) = begin_writes(made)
    assert write.choice.removed_keywords == ("Family",)


def test_edit_that_changes_nothing_is_no_act(made: ReviewLibrary, session: ReviewSession) -> None:
    session.accept(3)
    session.undo()

    outcome = finish(session.many.add_keyword("Boat", [1]))

    assert outcome.count == 0
    assert session.undo() is None
    again = session.redo()
    assert again is not None
    assert again.count == 1


@pytest.mark.parametrize("text", ["", "  ", ",;", "\x1b"])
def test_keyword_without_a_letter_is_refused(session: ReviewSession, text: str) -> None:
    with pytest.raises(UsageError):
        finish(session.many.add_keyword(text, [1]))


def test_images_being_written_are_left_out_and_told(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    accept_all(session)
    made.library.decisions.begin_writes(1)

    outcome = finish(session.many.decide(DecisionKind.REJECT, session.image_ids()))

    assert (outcome.count, outcome.busy) == (3, 1)
    assert made.states()["a.jpg"] is ImageState.ACCEPTED


def test_same_fields_for_all_keep_what_each_file_says(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    given = ExistingMetadata(description="Mine", keywords=("Wales",))
    own = made.add("f.jpg", tags_of("A hill", ["hill"], "A hill."), existing=given)
    tags = Tags("A boat", (Keyword("boat"), Keyword("x", origin=Origin.EXISTING)), "It floats.")

    finish(session.many.decide(DecisionKind.ACCEPT, [1, own], tags=tags))

    other = made.written_choice("f.jpg")
    assert (other.caption, other.description) == ("A boat", "Mine")
    assert [k.text for k in other.keywords] == ["Wales", "boat"]
    writes = {write.image_id: write for write in begin_writes(made)}
    assert writes[own].choice.removed_keywords == ()


def test_old_acts_are_forgotten_when_a_session_ends(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    for _ in range(KEPT_ACTS + 3):
        session.skip(1)
    session.close()

    count = made.library.connection.execute("SELECT count(*) FROM act").fetchone()[0]
    assert count == KEPT_ACTS


def test_long_work_comes_in_steps_of_a_transaction_each(made: ReviewLibrary) -> None:
    ticks = iter(range(1000))
    seen: list[int] = []

    def work(some: Sequence[int]) -> None:
        assert made.library.connection.in_transaction
        seen.extend(some)

    steps = in_steps(made.library, list(range(20)), work, clock=lambda: float(next(ticks)))

    assert list(steps) == [8, 16, 20]
    assert seen == list(range(20))
    assert not made.library.connection.in_transaction


def test_wish_for_another_suggestion_is_shown_until_the_engine_takes_it(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.ask_again(1, "an osprey\x1b[2J")
    session.ask_again(1, "an eagle")

    row = session.row(1)
    assert row is not None
    assert row.is_asked_again
    assert len(made.library.session.take_wishes()) == 1
    row = session.row(1)
    assert row is not None
    assert not row.is_asked_again


@pytest.mark.parametrize("state", [ImageState.QUEUED, ImageState.INFERRING, ImageState.ACCEPTED])
def test_image_on_its_way_is_not_asked_about_again(
    made: ReviewLibrary, session: ReviewSession, state: ImageState
) -> None:
    made.library.images.set_state(1, state)

    with pytest.raises(UsageError, match=state):
        session.ask_again(1)
    assert made.library.session.take_wishes() == []


def test_wish_can_be_withdrawn_before_the_engine_takes_it(made: ReviewLibrary) -> None:
    made.library.session.wish_suggestion(1)

    assert made.library.session.withdraw_suggestion_wish(1)
    assert not made.library.session.withdraw_suggestion_wish(1)
    assert made.library.session.take_wishes() == []
