"""One field asked for again: its answer goes into that field, and nothing typed is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from imageworks.errors import UsageError
from imageworks.models import ExistingMetadata, ImageState, Keyword, Origin, Stage, Tags
from imageworks.review.asked_fields import AskedFields
from imageworks.review.session import ReviewSession
from imageworks.store.session import SuggestionWish
from tests.support.review_library import ReviewLibrary, five_photos, tags_of, undone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST = tags_of("A red boat", ["boat", "sea"], "A red boat lies on the beach.")
OTHER = tags_of("A boat at low tide", ["boat", "tide", "beach"], "It lies on the wet sand.")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[ReviewLibrary]:
    library = five_photos(tmp_path / "library")
    yield library
    library.library.close()


@pytest.fixture
def session(made: ReviewLibrary) -> ReviewSession:
    return ReviewSession(made.library, made.config)


def ask(made: ReviewLibrary, session: ReviewSession, stage: Stage, image_id: int = 1) -> None:
    """The person's wish, and the engine that takes it."""
    session.ask_again(image_id, stage=stage)
    made.library.session.take_wishes()
    made.library.images.set_state(image_id, ImageState.INFERRING)


def answer(made: ReviewLibrary, stage: Stage, tags: Tags = OTHER, image_id: int = 1) -> None:
    """The engine's answer: the field as told, the others as the present suggestion has them."""
    row = made.library.images.get(image_id)
    assert row is not None
    assert row.suggestion_id is not None
    present = made.library.suggestions.get(row.suggestion_id)
    assert present is not None
    merged = replace(present.suggestion.tags, **{stage.value: getattr(tags, stage.value)})
    made.suggest(image_id, merged, existing=present.existing, stages=(stage,))


def take_all(session: ReviewSession) -> list[tuple[int, Stage, bool]]:
    return [
        (image_id, stage, session.asked.take(image_id, stage))
        for image_id, stage in session.asked.arrived()
    ]


def fields(session: ReviewSession, image_id: int = 1) -> Tags:
    card = session.card(image_id)
    assert card is not None
    return card.fields


def words(tags: Tags) -> list[str]:
    return [keyword.text for keyword in tags.keywords]


@pytest.mark.parametrize("stage", list(Stage))
def test_only_the_field_that_was_asked_for_changes(
    made: ReviewLibrary, session: ReviewSession, stage: Stage
) -> None:
    ask(made, session, stage)
    assert session.asked.of(1) == {stage}
    assert session.asked.arrived() == []

    answer(made, stage)

    assert take_all(session) == [(1, stage, False)]
    assert fields(session) == replace(FIRST, **{stage.value: getattr(OTHER, stage.value)})
    assert session.asked.of(1) == set()
    assert made.library.session.draft(1) is None
    assert session.asked.arrived() == []


def test_the_wish_names_the_field(made: ReviewLibrary, session: ReviewSession) -> None:
    session.ask_again(1, "at\x07 low tide", stage=Stage.CAPTION)

    ((_, value),) = made.library.session.take_wishes()
    assert SuggestionWish.from_value(value) == SuggestionWish(1, "at low tide", Stage.CAPTION)


def test_what_was_typed_in_other_fields_stays(made: ReviewLibrary, session: ReviewSession) -> None:
    typed = replace(FIRST, description="Mine.", keywords=(*FIRST.keywords, Keyword("harbour")))
    session.save_draft(1, typed)
    ask(made, session, Stage.CAPTION)
    answer(made, Stage.CAPTION)

    assert take_all(session) == [(1, Stage.CAPTION, False)]
    assert fields(session) == replace(typed, caption=OTHER.caption)


def test_what_was_typed_while_the_model_was_asked_stays(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    ask(made, session, Stage.KEYWORDS)
    typed = replace(FIRST, caption="Mine")
    session.save_draft(1, typed)
    assert fields(session) == typed
    answer(made, Stage.KEYWORDS)
    take_all(session)

    assert fields(session) == replace(typed, keywords=OTHER.keywords)


def test_what_was_typed_in_the_very_field_comes_back_with_an_undo(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    ask(made, session, Stage.CAPTION)
    typed = replace(FIRST, caption="Mine", description="Mine, too.")
    session.save_draft(1, typed)
    answer(made, Stage.CAPTION)

    assert take_all(session) == [(1, Stage.CAPTION, True)]
    assert fields(session) == replace(typed, caption=OTHER.caption)

    assert undone(session) == 1
    assert fields(session) == typed
    outcome = session.redo()
    assert outcome is not None
    assert outcome.label == "New caption for"
    assert fields(session) == replace(typed, caption=OTHER.caption)


def test_keywords_keep_what_the_person_added_and_took_out(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    _, sea = FIRST.keywords
    mine = Keyword("harbour", origin=Origin.PERSON)
    session.save_draft(1, replace(FIRST, keywords=(sea, mine)))
    ask(made, session, Stage.KEYWORDS)
    answer(made, Stage.KEYWORDS)

    assert take_all(session) == [(1, Stage.KEYWORDS, True)]
    assert words(fields(session)) == ["tide", "beach", "harbour"]
    assert fields(session).keywords[-1].origin is Origin.PERSON
    undone(session)
    assert words(fields(session)) == ["sea", "harbour"]


def test_the_files_own_keywords_stay_first_and_a_title_gives_way_with_an_undo(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    before = fields(session, 2)
    for stage in (Stage.KEYWORDS, Stage.CAPTION):
        ask(made, session, stage, 2)
        answer(made, stage, image_id=2)
        assert take_all(session) == [(2, stage, stage is Stage.CAPTION)]

    assert words(fields(session, 2)) == ["Family", "Paris, France", "boat", "tide", "beach"]
    assert fields(session, 2).caption == OTHER.caption
    undone(session)
    assert fields(session, 2).caption == before.caption == "Minka"


def test_an_answer_without_the_field_changes_nothing(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    typed = replace(FIRST, caption="Mine", description="Mine, too.")
    session.save_draft(1, typed)
    for stage in Stage:
        ask(made, session, stage)
        answer(made, stage, Tags())
        assert take_all(session) == [(1, stage, False)]

    assert fields(session) == typed


def test_two_fields_are_waited_for_each_by_itself(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.ask_again(1, stage=Stage.CAPTION)
    session.ask_again(1, stage=Stage.KEYWORDS)
    answer(made, Stage.KEYWORDS)

    assert take_all(session) == [(1, Stage.KEYWORDS, False)]
    assert session.asked.of(1) == {Stage.CAPTION}
    answer(made, Stage.CAPTION)
    assert take_all(session) == [(1, Stage.CAPTION, False)]


def test_a_wish_for_all_is_not_waited_for_field_by_field(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.ask_again(1, stage=Stage.CAPTION)
    session.ask_again(1)

    assert session.asked.of(1) == set()


def test_an_image_without_a_suggestion_is_asked_for_all(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.ask_again(5, stage=Stage.CAPTION)

    ((_, value),) = made.library.session.take_wishes()
    assert SuggestionWish.from_value(value).stage is None
    assert session.asked.of(5) == set()


def test_the_next_session_still_waits(made: ReviewLibrary, session: ReviewSession) -> None:
    session.save_draft(1, replace(FIRST, description="Mine."))
    ask(made, session, Stage.CAPTION)
    session.close()
    later = ReviewSession(made.library, made.config)
    answer(made, Stage.CAPTION)

    assert take_all(later) == [(1, Stage.CAPTION, False)]
    assert fields(later) == replace(FIRST, caption=OTHER.caption, description="Mine.")


def test_what_was_asked_in_vain_is_given_up_after_a_moment(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    ticks = iter((0.0, 4.0, 4.5, 9.0, 9.6))
    never = session.asked._proposal_of
    asked = AskedFields(made.library, session.history, never, clock=lambda: next(ticks))
    asked.expect(1, Stage.CAPTION, 1)

    assert asked.arrived() == []
    assert asked.arrived() == []
    made.library.images.set_state(1, ImageState.QUEUED)
    assert asked.arrived() == []
    made.library.images.set_state(1, ImageState.SUGGESTED)
    assert asked.arrived() == []
    assert asked.arrived() == []
    assert asked.of(1) == {Stage.CAPTION}
    assert asked.arrived() == []
    assert asked.of(1) == set()


def test_an_image_that_was_accepted_meanwhile_keeps_what_was_accepted(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.ask_again(1, stage=Stage.CAPTION)
    answer(made, Stage.CAPTION)
    session.accept(1, FIRST)

    assert take_all(session) == [(1, Stage.CAPTION, False)]
    assert fields(session) == FIRST


def test_an_image_that_left_the_library_is_waited_for_no_more(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    session.asked.expect(99, Stage.CAPTION, 1)

    assert session.asked.arrived() == []
    assert session.asked.of(99) == set()


def test_an_image_can_be_edited_while_it_is_asked_about_but_not_decided(
    made: ReviewLibrary, session: ReviewSession
) -> None:
    ask(made, session, Stage.CAPTION)
    card = session.card(1)

    assert card is not None
    assert card.can_edit
    assert not card.can_decide
    with pytest.raises(UsageError, match="inferring"):
        session.accept(1, replace(FIRST, caption="Mine"))


def test_a_rule_of_the_person_holds_for_a_single_field_too(
    made: ReviewLibrary, tmp_path: Path
) -> None:
    path = tmp_path / "vocabulary.toml"
    path.write_text('[aliases]\ntide = "ebb"\n')
    session = ReviewSession(made.library, made.config, vocabulary_path=path)
    ask(made, session, Stage.KEYWORDS)
    answer(made, Stage.KEYWORDS)
    take_all(session)

    assert words(fields(session)) == ["boat", "ebb", "beach"]


def test_a_changed_file_is_merged_as_always(made: ReviewLibrary, session: ReviewSession) -> None:
    ask(made, session, Stage.KEYWORDS)
    existing = ExistingMetadata(keywords=("Holiday",))
    made.suggest(
        1, replace(FIRST, keywords=OTHER.keywords), existing=existing, stages=(Stage.KEYWORDS,)
    )
    take_all(session)

    assert words(fields(session)) == ["Holiday", "boat", "tide", "beach"]
