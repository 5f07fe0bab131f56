from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from imageworks.models import ImageState
from imageworks.review.filters import parse_filter
from imageworks.review.session import ReviewSession, StateFilter
from imageworks.store.criteria import SortOrder
from imageworks.tui.listing import PAGE_ROWS, ImageListing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imageworks.store.records import ImageRow
    from tests.support.review_library import ReviewLibrary


class Seconds:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.step_s = 0.0

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def session(made: ReviewLibrary) -> ReviewSession:
    return ReviewSession(made.library, made.config)


@pytest.fixture
def listing(session: ReviewSession, seconds: Seconds) -> ImageListing:
    made = ImageListing(session, seconds)
    made.reload()
    return made


def test_cursor_stays_within_the_list(listing: ImageListing) -> None:
    listing.move_to(99)
    assert listing.position == 4
    listing.move_to(-3)
    assert listing.position == 0


def test_empty_list_has_no_current_image(empty: ReviewLibrary, seconds: Seconds) -> None:
    listing = ImageListing(ReviewSession(empty.library, empty.config), seconds)
    listing.reload()
    listing.move_to(1)

    assert listing.current_id is None
    assert (len(listing), listing.total, listing.position) == (0, 0, 0)


def test_image_under_the_cursor_stays_listed_when_it_leaves_the_filter(
    listing: ImageListing, session: ReviewSession
) -> None:
    listing.set_filter(StateFilter.TO_REVIEW)
    listing.move_to(1)
    session.reject(2)

    listing.refresh()

    assert list(listing.ids) == [1, 2, 3, 4]
    assert listing.current_id == 2
    listing.move_to(2)
    listing.reload()
    assert list(listing.ids) == [1, 3, 4]
    assert listing.current_id == 3


def test_filter_change_goes_to_the_image_or_the_one_after_it(listing: ImageListing) -> None:
    listing.move_to(4)
    listing.set_filter(StateFilter.TO_REVIEW)
    assert listing.current_id == 4
    listing.set_filter(StateFilter.FAILED)
    assert listing.current_id is None


def test_image_that_left_the_library_is_no_row_and_not_kept(
    listing: ImageListing, made: ReviewLibrary
) -> None:
    listing.move_to(2)
    made.library.connection.execute("DELETE FROM suggestion WHERE image_id=3")
    made.library.connection.execute("DELETE FROM image WHERE id=3")
    listing.touch()
    assert listing.row(2) is None

    listing.refresh()

    assert list(listing.ids) == [1, 2, 4, 5]
    assert listing.current_id == 4


def test_new_images_appear_and_the_cursor_keeps_its_image(
    listing: ImageListing, made: ReviewLibrary
) -> None:
    listing.move_to(3)
    made.add("f.jpg")

    listing.refresh()

    assert list(listing.ids) == [1, 2, 3, 4, 5, 6]
    assert listing.current_id == 4


def test_change_of_a_state_is_seen_without_asking_for_all_ids(
    listing: ImageListing, session: ReviewSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert listing.row(0) is not None
    session.reject(1)
    monkeypatch.setattr(session, "image_ids", lambda *_: pytest.fail("asked for all ids"))

    listing.refresh()

    row = listing.row(0)
    assert row is not None
    assert row.state is ImageState.REJECTED
    assert listing.counts[ImageState.REJECTED] == 1


def test_one_look_at_the_image_under_the_cursor_asks_for_no_other(
    listing: ImageListing, session: ReviewSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing.move_to(1)
    assert listing.row(1) is not None
    session.reject(1)
    session.reject(2)
    ask = Mock(wraps=session.rows)
    monkeypatch.setattr(session, "rows", ask)

    listing.look_at_current()

    states = [row.state for row in (listing.row(0), listing.row(1)) if row is not None]
    assert states == [ImageState.SUGGESTED, ImageState.REJECTED]
    ask.assert_called_once_with([2])


def test_slow_library_is_not_asked_for_all_ids_again_at_once(
    listing: ImageListing, made: ReviewLibrary, seconds: Seconds
) -> None:
    seconds.step_s = 1.0  # asking takes a second
    listing.reload()
    made.add("f.jpg")
    seconds.step_s = 0.0

    listing.refresh()
    assert len(listing) == 5
    assert listing.is_stale
    seconds.now_s += 11
    listing.refresh()
    assert len(listing) == 6
    assert not listing.is_stale


def test_move_to_an_image_outside_the_filter_lists_it(listing: ImageListing) -> None:
    listing.set_filter(StateFilter.FAILED)
    listing.move_to_id(3)

    assert list(listing.ids) == [3]
    row = listing.row(0)
    assert row is not None
    assert row.path.name == "c.jpg"


def test_rows_come_page_by_page_and_few_pages_are_kept(
    empty: ReviewLibrary, seconds: Seconds, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(PAGE_ROWS * 3):
        empty.add(f"{number:04}.jpg")
    session = ReviewSession(empty.library, empty.config)
    listing = ImageListing(session, seconds)
    listing.reload()
    asked: list[int] = []
    rows = session.rows

    def count(ids: Sequence[int]) -> list[ImageRow]:
        asked.append(len(ids))
        return rows(ids)

    monkeypatch.setattr(session, "rows", count)
    monkeypatch.setattr("imageworks.tui.listing._MAX_PAGES", 2)

    for position in (0, 1, PAGE_ROWS, PAGE_ROWS * 2, PAGE_ROWS + 1, 0):
        assert listing.row(position) is not None

    assert asked == [PAGE_ROWS] * 4


def test_query_goes_to_the_image_or_the_next_that_meets_it(listing: ImageListing) -> None:
    listing.move_to(1)
    listing.set_query(parse_filter("hill"))
    assert (list(listing.ids), listing.current_id) == ([3], 3)
    listing.set_query(parse_filter(""))
    assert listing.current_id == 3


def test_query_in_another_order_goes_on_from_the_cursor(listing: ImageListing) -> None:
    listing.set_order(SortOrder.STATE)
    assert list(listing.ids) == [5, 1, 2, 3, 4]
    listing.move_to(2)

    listing.set_query(parse_filter("state:new kw:hill"))
    assert list(listing.ids) == []
    listing.set_query(parse_filter(""))
    assert listing.position == 0
    listing.move_to(2)
    listing.set_query(parse_filter("-kw:cat"))
    assert (list(listing.ids), listing.current_id) == ([5, 1, 3, 4], 3)
    listing.move_to(3)
    listing.set_query(parse_filter("boat"))
    assert listing.current_id == 1


def test_order_keeps_the_image_under_the_cursor(listing: ImageListing) -> None:
    listing.move_to(4)
    listing.set_order(SortOrder.STATE)

    assert (listing.position, listing.current_id) == (0, 5)


def test_image_that_leaves_another_order_keeps_its_place_until_the_cursor_leaves_it(
    listing: ImageListing, session: ReviewSession
) -> None:
    listing.set_order(SortOrder.NAME)
    listing.set_query(parse_filter("state:ready"))
    listing.move_to(1)
    session.reject(2)

    listing.refresh()

    assert list(listing.ids) == [1, 2, 3, 4]
    assert listing.current_id == 2


def test_order_by_state_is_brought_up_to_date(
    listing: ImageListing, session: ReviewSession
) -> None:
    listing.set_order(SortOrder.STATE)
    session.reject(1)

    listing.refresh()

    assert list(listing.ids) == [5, 2, 3, 4, 1]
