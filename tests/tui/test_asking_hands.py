"""One field asked for again, from the key to the answer in its field."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from imageworks.models import ImageState, Stage
from imageworks.store.session import SuggestionWish
from tests.scenarios.drivers import workstation
from tests.support.burst import burst
from tests.support.review_library import tags_of
from tests.tui.conftest import screen_text
from tests.tui.test_review_screen import WIDE, engine_of, until

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from imageworks.tui.workstation import Workstation
    from tests.support.review_library import ReviewLibrary

FIRST = tags_of("A red boat", ["boat", "sea"], "A red boat lies on the beach.")
OTHER = tags_of("A boat at low tide", ["boat", "tide"], "It lies on the wet sand.")
KEYS = {Stage.CAPTION: "e", Stage.KEYWORDS: "t", Stage.DESCRIPTION: "d"}


def wishes(made: ReviewLibrary) -> list[SuggestionWish]:
    return [SuggestionWish.from_value(value) for _, value in made.library.session.take_wishes()]


def taken(made: ReviewLibrary) -> list[SuggestionWish]:
    """The wishes, which an engine has taken up."""
    found = wishes(made)
    for wish in found:
        made.library.images.set_state(wish.image_id, ImageState.INFERRING)
    return found


def answer(made: ReviewLibrary, *stages: Stage) -> None:
    new = replace(FIRST, **{stage.value: getattr(OTHER, stage.value) for stage in stages})
    made.suggest(1, new, stages=stages)


async def arrived(app: Workstation, pilot: Pilot[int]) -> None:
    await until(pilot, lambda: not app.review.session.asked.of(1))
    await pilot.pause()


@pytest.mark.parametrize("stage", list(Stage))
async def test_the_field_in_focus_is_asked_for_alone(
    app: Workstation, made: ReviewLibrary, stage: Stage
) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, KEYS[stage], "ctrl+g")
        assert taken(made) == [SuggestionWish(1, "", stage)]
        assert engine_of(app).starts == 1
        assert app.focused is app.review.form.field(stage.value)
        assert f"Asked for another {stage}" in app.review.message
        await pilot.pause()
        waiting = [line for line in screen_text(app).splitlines() if "asked again …" in line]
        assert len(waiting) == 1
        assert stage.value.capitalize() in waiting[0]

        answer(made, stage)
        await arrived(app, pilot)

        new = replace(FIRST, **{stage.value: getattr(OTHER, stage.value)})
        assert app.review.form.tags() == new
        assert f"The new {stage} is there" in app.review.message
        assert "asked again …" not in screen_text(app)
        await burst(pilot, "escape", "a")

    assert made.written_choice("a.jpg") == new


@pytest.mark.parametrize(
    ("typed", "stage"),
    [("c", Stage.CAPTION), ("Keyw", Stage.KEYWORDS), ("description", Stage.DESCRIPTION)],
)
async def test_in_the_list_the_person_names_the_field(
    app: Workstation, made: ReviewLibrary, typed: str, stage: Stage
) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "ctrl+g")
        assert "Which field again" in screen_text(app)
        await burst(pilot, *typed, "enter")

        assert wishes(made) == [SuggestionWish(1, "", stage)]
        assert app.focused is app.review.images


async def test_a_word_that_names_no_field_asks_for_nothing(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "ctrl+g", "z", "enter")
        assert "none of the fields" in app.review.message
        await burst(pilot, "backspace", "enter")
        assert "none of the fields" in app.review.message
        await burst(pilot, "escape")

        assert wishes(made) == []


async def test_what_is_typed_in_another_field_while_waiting_is_untouched(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "e", "ctrl+g", "tab")
        taken(made)
        await burst(pilot, *"harb")
        answer(made, Stage.CAPTION)
        await arrived(app, pilot)
        await burst(pilot, *"our", "enter", "tab", *" Mine. ")
        form = app.review.form

        assert form.area("caption").text == OTHER.caption
        assert [chip.text for chip in form.tags().keywords] == ["boat", "sea", "harbour"]
        assert form.area("description").text == f"{FIRST.description} Mine. "
        await burst(pilot, "escape")
        assert made.library.session.draft(1) == form.tags()


async def test_what_was_typed_in_the_very_field_comes_back_in_it(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "e", "ctrl+g", "f7", *"Mine")
        taken(made)
        answer(made, Stage.CAPTION)
        await arrived(app, pilot)
        form = app.review.form
        assert form.area("caption").text == OTHER.caption
        assert "u brings back what was there" in app.review.message

        await burst(pilot, "ctrl+z")
        assert form.area("caption").text == "Mine"
        await burst(pilot, "ctrl+y", "escape", "u")
        assert form.tags() == replace(FIRST, caption="Mine")


async def test_keywords_typed_meanwhile_come_back_in_their_field(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "t", "ctrl+g", *"quay")
        taken(made)
        answer(made, Stage.KEYWORDS)
        await arrived(app, pilot)
        form = app.review.form

        assert [keyword.text for keyword in form.tags().keywords] == ["boat", "tide", "quay"]
        await burst(pilot, "ctrl+z")
        assert [keyword.text for keyword in form.tags().keywords] == ["boat", "sea", "quay"]


async def test_an_answer_for_another_image_changes_that_image_only(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "d", "end", *"!", "tab", "ctrl+g", "escape", "j")
        taken(made)
        shown = app.review.form.tags()
        answer(made, Stage.CAPTION)
        await arrived(app, pilot)

        assert app.review.form.tags() == shown
        assert "The new caption is there: a.jpg" in app.review.message
        await burst(pilot, "k")
        assert app.review.form.tags() == replace(
            FIRST, caption=OTHER.caption, description=f"{FIRST.description}!"
        )


async def test_without_an_image_nothing_is_asked(empty: ReviewLibrary, tmp_path) -> None:
    app = workstation(empty, tmp_path)
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "ctrl+g")

        assert app.review.message == "There is no image here."
        assert not app.review.ask_prompt.display


async def test_an_image_that_is_under_way_says_so(app: Workstation, made: ReviewLibrary) -> None:
    made.library.images.set_state(1, ImageState.QUEUED)
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "e", "ctrl+g")

        assert "queued" in app.review.message
        assert wishes(made) == []
