"""The filter line and the order of the list, by keys as a slow line delivers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imageworks.models import ImageState
from imageworks.review.filters import STATE_WORDS, parse_filter
from imageworks.store.criteria import FilterKey, SortOrder
from imageworks.tui.actions import KeyTable, Scope
from imageworks.tui.screens.help import _FILTER_TERMS, help_content
from imageworks.tui.states import STATE_SIGNS
from tests.scenarios.drivers import workstation
from tests.support.burst import burst
from tests.tui.conftest import screen_text

if TYPE_CHECKING:
    from pathlib import Path

    from imageworks.tui.workstation import Workstation
    from tests.support.review_library import ReviewLibrary

COMMANDS = "kw:heron abrsqunxo"
"""A filter that holds the letters of every dangerous command."""


def listed(app: Workstation) -> list[int]:
    return list(app.review.listing.ids)


def order(app: Workstation) -> SortOrder:
    return app.review.listing.order


@pytest.mark.parametrize("attempt", range(12))
async def test_filter_typed_in_one_burst_runs_no_command_and_loses_no_letter(
    app: Workstation, made: ReviewLibrary, attempt: int
) -> None:
    before = made.states()
    async with app.run_test(size=[(120, 36), (80, 24), (40, 10)][attempt % 3]) as pilot:
        await burst(pilot, "/", *COMMANDS)

        assert app.review.prompt.text == COMMANDS
        assert app.review.scope is Scope.PROMPT
        assert made.states() == before
        assert listed(app) == [1, 2, 3, 4, 5]
        assert app.screen is app.review


@pytest.mark.parametrize("size", [(120, 36), (80, 24), (40, 10)])
async def test_filter_and_what_follows_it_in_one_burst(
    app: Workstation, made: ReviewLibrary, size: tuple[int, int]
) -> None:
    async with app.run_test(size=size) as pilot:
        await burst(pilot, "/", *"kw:hill", "enter", "a")

        assert listed(app) == [3]
        assert "1 of 1 · all · kw:hill" in screen_text(app)
        assert made.states()["c.jpg"] is ImageState.ACCEPTED
        assert not app.review.prompt.display


async def test_escape_leaves_the_list_as_it_was(app: Workstation) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await burst(pilot, "j", "/", *"kw:hill", "escape", "j")

        assert listed(app) == [1, 2, 3, 4, 5]
        assert app.review.listing.current_id == 3
        assert app.review.scope is Scope.LIST
        assert "3 of 5" in screen_text(app)


async def test_wrong_filter_is_told_and_stays_to_be_mended(app: Workstation) -> None:
    async with app.run_test(size=(120, 36)) as pilot:
        await burst(pilot, "/", *"kw:hill", "enter", "/", *"lens:50", "enter", "a")

        assert listed(app) == [3]
        assert "no lens:" in app.review.message
        assert "kw:" in app.review.message
        assert app.review.prompt.text == "lens:50a"
        await burst(pilot, "escape", "/")
        assert app.review.prompt.text == "kw:hill"


async def test_typing_takes_the_place_of_the_filter_and_an_empty_one_shows_all(
    app: Workstation,
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await burst(pilot, "/", *"hill", "enter", "/", *"door", "enter")
        assert listed(app) == [4]
        await burst(pilot, "/", "end", *" -kw:door", "enter")
        assert listed(app) == []
        assert "No image matches door -kw:door." in screen_text(app)
        await burst(pilot, "/", "backspace", "enter")
        assert listed(app) == [1, 2, 3, 4, 5]


async def test_state_filter_and_typed_filter_hold_together(app: Workstation) -> None:
    async with app.run_test(size=(120, 36)) as pilot:
        await burst(pilot, "/", *"-boat", "enter", "f")

        assert listed(app) == [2, 3, 4]
        assert "to review · -boat" in screen_text(app)


async def test_order_goes_round_and_stands_in_the_title(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=(120, 36)) as pilot:
        await burst(pilot, *"jooo")
        assert order(app) is SortOrder.OLDEST
        assert "oldest first" in screen_text(app)
        assert app.review.listing.current_id == 2
        await burst(pilot, *"ooooo")
        assert order(app) is SortOrder.FOUND
        assert made.states()["b.jpg"] is ImageState.SUGGESTED


async def test_what_is_typed_in_a_field_is_kept_when_the_list_changes(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=(120, 36)) as pilot:
        await burst(pilot, "e", "f7", *"Mine", "escape", "/", *"door", "enter")

    draft = made.library.session.draft(1)
    assert draft is not None
    assert draft.caption == "Mine"


async def test_leaving_the_line_by_tab_or_mouse_closes_it(app: Workstation) -> None:
    async with app.run_test(size=(120, 36)) as pilot:
        await burst(pilot, "/", *"door")
        await pilot.click("#images", offset=(5, 1))
        await pilot.pause()

        assert app.review.scope is Scope.LIST
        assert not app.review.prompt.display
        await burst(pilot, "/", *"door", "tab")
        await pilot.pause()
        assert not app.review.prompt.display
        assert listed(app) == [1, 2, 3, 4, 5]


async def test_remembered_filter_that_finds_nothing_gives_way(
    made: ReviewLibrary, tmp_path: Path
) -> None:
    app = workstation(made, tmp_path)
    app.review.session.remember_search(parse_filter("zebra"), SortOrder.NAME)
    async with app.run_test(size=(80, 24)):
        assert listed(app) == [1, 2, 3, 4, 5]
        assert order(app) is SortOrder.NAME


async def test_remembered_filter_of_another_version_is_left_out(
    made: ReviewLibrary, tmp_path: Path
) -> None:
    made.library.session.remember("review.query", "lens:50")
    made.library.session.remember("review.order", "BY_LENS")
    app = workstation(made, tmp_path)
    async with app.run_test(size=(80, 24)):
        assert listed(app) == [1, 2, 3, 4, 5]


async def test_palette_opened_in_the_line_runs_list_commands(app: Workstation) -> None:
    async with app.run_test(size=(120, 36)) as pilot:
        await burst(pilot, "/", *"door")
        await app.review.run_from_palette(app.review.keys.of("sort"))

        assert order(app) is SortOrder.NAME
        assert app.review.scope is Scope.LIST
        assert not app.review.prompt.display


def test_help_shows_every_key_of_the_filter_in_terms_that_can_be_typed() -> None:
    shown = [term for term, _ in _FILTER_TERMS]

    keys = {criterion.key for term in shown for criterion in parse_filter(term).criteria}
    assert keys == set(FilterKey)
    text = help_content(KeyTable(), is_unicode=True).plain
    assert all(term in text for term in shown)


def test_every_word_of_the_list_is_a_word_of_the_filter() -> None:
    for state, sign in STATE_SIGNS.items():
        assert STATE_WORDS[sign.word] is state
