"""A slow line delivers keys in bursts: they must mean what they would mean typed slowly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual import events

from imageworks.models import ImageState
from tests.support.burst import burst

if TYPE_CHECKING:
    from imageworks.tui.workstation import Workstation
    from tests.support.review_library import ReviewLibrary

SENTENCE = "A bear on a red boat"


@pytest.mark.parametrize("attempt", range(3))
async def test_burst_into_a_field_runs_no_command_and_loses_no_letter(
    app: Workstation, made: ReviewLibrary, attempt: int
) -> None:
    before = made.states()
    async with app.run_test(size=(120, 36)) as pilot:
        await burst(pilot, "e", *SENTENCE)

        assert app.review.form.area("caption").text == f"A red boat{SENTENCE}"
        assert made.states() == before
        assert app.screen is app.review


async def test_field_of_an_image_that_cannot_be_edited_swallows_letters(
    app: Workstation, made: ReviewLibrary
) -> None:
    before = made.states()
    async with app.run_test(size=(120, 36)) as pilot:
        await burst(pilot, "G", "e", *SENTENCE, "q")

        assert app.review.form.bound_id == app.review.listing.ids[4]
        assert app.review.form.area("caption").text == ""
        assert "nothing to edit" in app.review.message
        assert made.states() == before
        assert app.screen is app.review


async def test_keys_that_come_back_when_there_is_no_screen_any_more_are_dropped(
    app: Workstation,
) -> None:
    async with app.run_test():
        pass

    await app.on_event(events.Key("x", "x"))
    await app.on_event(events.Paste("x"))

    assert app.failure is None


async def test_corrections_in_a_burst_come_in_the_order_of_their_keys(app: Workstation) -> None:
    async with app.run_test(size=(120, 36)) as pilot:
        await burst(pilot, "e", "f7", *"teh", "backspace", "backspace", *"he", "left", "x")

        assert app.review.form.area("caption").text == "thxe"


async def test_accept_right_after_typing_takes_every_letter(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=(120, 36)) as pilot:
        await burst(pilot, "e", "f7", *"One", "ctrl+s", "e", "f7", *"Two", "escape", "a")

    assert made.written_choice("a.jpg").caption == "One"
    assert made.written_choice("b.jpg").caption == "Two"
    assert made.states()["c.jpg"] is ImageState.SUGGESTED


async def test_enter_and_tab_go_from_field_to_field_within_a_burst(app: Workstation) -> None:
    async with app.run_test(size=(120, 36)) as pilot:
        keys = ["e", "f7", *"cap", "enter", "f7", *"key", "tab", "f7", *"one", "enter", *"two"]
        await burst(pilot, *keys, "tab", *"!")
        form = app.review.form

        assert form.area("caption").text == "cap!"
        assert [keyword.text for keyword in form.tags().keywords] == ["key"]
        assert form.area("description").text == "one\ntwo"


async def test_commands_in_a_burst_run_in_the_order_of_their_keys(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=(120, 36)) as pilot:
        await burst(pilot, "j", "a", "r", "k", "k", "k", "s", "u")

    states = made.states()
    assert states["a.jpg"] is ImageState.SUGGESTED
    assert states["b.jpg"] is ImageState.ACCEPTED
    assert states["c.jpg"] is ImageState.REJECTED


async def test_keys_behind_the_one_that_opens_a_dialog_go_to_the_dialog(
    app: Workstation, made: ReviewLibrary
) -> None:
    before = made.states()
    async with app.run_test(size=(120, 36)) as pilot:
        await burst(pilot, "?", "a", "r", "s")

        assert app.screen is not app.review
        assert made.states() == before


async def test_pasted_control_sequences_do_not_reach_a_field(app: Workstation) -> None:
    from textual import events  # noqa: PLC0415  # used here only

    async with app.run_test(size=(120, 36)) as pilot:
        await burst(pilot, "e", "f7")
        app.post_message(events.Paste("\x1b]0;owned\x07two\nlines\u202e"))
        await burst(pilot)
        await burst(pilot)

        assert app.review.form.area("caption").text == "]0;owned two lines"
