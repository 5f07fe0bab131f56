"""Marks, acts on many, groups, corrections and rules on the real screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imageworks.models import ImageState
from imageworks.review.rules import RuleBook
from imageworks.store.session import SuggestionWish
from tests.support.burst import burst
from tests.support.review_library import tags_of
from tests.tui.conftest import screen_text

if TYPE_CHECKING:
    from pathlib import Path

    from imageworks.tui.workstation import Workstation
    from tests.support.review_library import ReviewLibrary

WIDE = (120, 36)
SENTENCE = "A bear on a red boat"
LOOK = 0x0F0F_33CC_55AA_6699


def row_of(app: Workstation, name: str) -> str:
    return next(line for line in screen_text(app).splitlines() if name in line)


async def test_marks_are_seen_in_the_list_and_counted_in_the_title(app: Workstation) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "space", "j", "space")

        assert "?●ready" in row_of(app, "a.jpg")
        assert "? ready" in row_of(app, "b.jpg")
        assert "2 marked" in screen_text(app).splitlines()[0]
        await burst(pilot, "k", "space")
        assert "? ready" in row_of(app, "c.jpg")
        await burst(pilot, "U")
        assert "marked" not in screen_text(app).splitlines()[0]


async def test_range_is_marked_from_the_last_mark(app: Workstation) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "j", "space", "j", "V")

        assert app.review.listing.marks.ids() == [2, 3, 4]
        await burst(pilot, "v")
        assert app.review.listing.marks.ids() == [1, 2, 3, 4, 5]
        await burst(pilot, "v")
        assert app.review.listing.marks.ids() == []
        await burst(pilot, "g", "V")
        assert app.review.listing.marks.ids() == [1]


async def test_act_on_many_asks_with_the_count_first(app: Workstation, made: ReviewLibrary) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "v", "A")
        text = screen_text(app)
        assert "Accept 4 images (marked)?" in text
        assert "1 marked image cannot be decided on so" in text
        await burst(pilot, "escape")
        assert ImageState.ACCEPTED not in made.states().values()

        await burst(pilot, "A", "enter")
        assert "Accepted 4 images" in app.review.message
        assert made.states()["e.jpg"] is ImageState.DISCOVERED
        assert not len(app.review.listing.marks)


async def test_without_marks_the_question_says_that_it_is_all_of_the_list(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "/", *"kw:boat", "enter", "H")
        assert "Skip 1 image (listed, yours to decide)?" in screen_text(app)
        await burst(pilot, "enter", "R")
        assert "None of the listed images" in app.review.message

    assert made.states()["a.jpg"] is ImageState.SKIPPED


@pytest.mark.parametrize("key", ["+", "-", "I"])
async def test_burst_behind_a_question_runs_no_command_and_loses_no_letter(
    app: Workstation, made: ReviewLibrary, key: str
) -> None:
    before = made.states()
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "v", key, *SENTENCE)

        assert app.review.ask_prompt.text == SENTENCE
        assert made.states() == before
        await burst(pilot, "escape")
        assert app.screen.focused is app.review.images
        assert not app.review.ask_prompt.display

    assert made.library.session.take_wishes() == []


@pytest.mark.parametrize("key", ["A", "D", "K", "L"])
async def test_letters_behind_a_dialog_decide_nothing(
    app: Workstation, made: ReviewLibrary, key: str
) -> None:
    made.add_look(1, perceptual_hash=LOOK)
    made.add_look(3, perceptual_hash=LOOK)
    before = made.states()
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "v", key)
        if app.screen is not app.review:
            await burst(pilot, *"arsbx")
            assert made.states() == before


async def test_answer_that_is_no_keyword_stays_open_with_its_text(app: Workstation) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "v", "+", *",;", "enter")

        assert app.review.ask_prompt.display
        assert app.review.ask_prompt.text == ",;"
        assert "no keyword" in app.review.message


async def test_question_names_the_count_at_any_size(app: Workstation) -> None:
    async with app.run_test(size=(40, 10)) as pilot:
        await burst(pilot, "v", "+")
        await pilot.pause()

        assert "Add a keyword to 4" in screen_text(app)
        assert app.review.ask_prompt.region.height == 1


async def test_keyword_for_many_needs_marks(app: Workstation) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "+")

        assert "Nothing is marked" in app.review.message
        assert app.screen.focused is app.review.images


async def test_hint_is_asked_for_and_the_row_says_that_it_was(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "I", *"it is an osprey", "enter")

        assert "asked" in row_of(app, "a.jpg")
        assert "the new suggestion is on its way" in screen_text(app)
        await burst(pilot, "j", "i")
        assert "asked" in row_of(app, "b.jpg")

    wishes = [
        SuggestionWish.from_value(value) for _kind, value in made.library.session.take_wishes()
    ]
    assert wishes == [SuggestionWish(1, "it is an osprey"), SuggestionWish(2, "")]


async def test_group_is_seen_in_list_and_title_and_its_dialog_shows_the_differences(
    app: Workstation, made: ReviewLibrary
) -> None:
    for image_id in (1, 3, 5):
        made.add_look(image_id, perceptual_hash=LOOK)
    async with app.run_test(size=WIDE) as pilot:
        assert "×3" in row_of(app, "a.jpg")  # noqa: RUF001  # a multiplication sign
        assert "one of 3 alike" in screen_text(app)
        await burst(pilot, "D")
        await pilot.pause()
        text = screen_text(app)
        assert "3 pictures of one burst or alike" in text
        assert "A green hill" in text
        assert "+hill, -boat, -sea" in text
        assert "no suggestion yet" in text

        await burst(pilot, "e")
        assert made.states()["c.jpg"] is ImageState.ACCEPTED
        assert made.written_choice("c.jpg").caption == "A green hill"
        await burst(pilot, "u", "D", "space")
        assert app.review.listing.marks.ids() == [1, 3, 5]
        assert made.states()["c.jpg"] is ImageState.SUGGESTED


async def test_image_alone_has_no_group(app: Workstation) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "D")

        assert "No other picture is like this one" in app.review.message


async def test_correction_is_offered_in_one_line_and_shown_before_it_is_applied(
    app: Workstation, made: ReviewLibrary
) -> None:
    for number in range(17):
        made.add(f"f{number}.jpg", tags_of("A bird", ["boat", "bird"]))
    async with app.run_test(size=WIDE) as pilot:
        app.review.form.put_keywords(tags_of("", ["dinghy", "sea"]).keywords)
        await burst(pilot, "a")
        assert "17 others hold boat: press K" in app.review.message
        assert app.screen is app.review

        await burst(pilot, "K")
        await pilot.pause()
        text = screen_text(app)
        assert "Put dinghy for boat in 17 images?" in text
        assert "f0.jpg: boat, bird → dinghy, bird" in text
        await burst(pilot, "enter")
        assert "17 images" in app.review.message
        await burst(pilot, "K")
        assert "put nothing right" in app.review.message


async def test_rule_is_shown_before_it_is_written_and_a_no_is_remembered(
    app: Workstation, made: ReviewLibrary, tmp_path: Path
) -> None:
    path = tmp_path / "vocabulary.toml"
    app.review.session.rules = book = RuleBook(path)
    app.review.session.corrections._rules = book
    for image_id in (1, 3, 4):
        made.suggest(image_id, tags_of("A bird", ["osprey"]))
    async with app.run_test(size=WIDE) as pilot:
        for image_id in (1, 3, 4):
            app.review.listing.move_to_id(image_id)
            app.review.show_current()
            app.review.form.put_keywords(tags_of("", ["sea eagle"]).keywords)
            await burst(pilot, "a")
        assert "L makes it a rule" in app.review.message
        assert not path.exists()

        await burst(pilot, "L")
        await pilot.pause()
        text = screen_text(app)
        assert "osprey becomes sea eagle" in text
        assert 'osprey = "sea eagle"' in text
        assert not path.exists()
        await burst(pilot, "enter")
        assert 'osprey = "sea eagle"' in path.read_text()

        path.unlink()
        await burst(pilot, "L", "escape", "L")
        assert app.screen is app.review
        assert "often enough" in app.review.message


async def test_redo_without_an_undo_says_so(app: Workstation) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "ctrl+r")

        assert "nothing to redo" in app.review.message


async def test_undo_of_many_tells_the_count(app: Workstation, made: ReviewLibrary) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "A", "enter", "u")
        assert "Taken back: Accepted 4 images" in app.review.message
        await burst(pilot, "ctrl+r")
        assert "Done again: Accepted 4 images" in app.review.message

    assert list(made.states().values()).count(ImageState.ACCEPTED) == 4
