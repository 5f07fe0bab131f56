"""Libraries too large to wait for: a page at once, the rest in a thread, the place kept."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from imageworks.errors import StoreError
from imageworks.review.filters import parse_filter
from imageworks.review.session import ReviewSession, StateFilter
from imageworks.store.criteria import SortOrder
from imageworks.tui import listing as listing_module
from imageworks.tui.listing import PAGE_ROWS, ImageListing
from tests.scenarios.drivers import workstation
from tests.support.burst import burst
from tests.support.review_library import ReviewLibrary, tags_of
from tests.tui.conftest import screen_text

if TYPE_CHECKING:
    from pathlib import Path


COUNT = 2000


@pytest.fixture
def made(empty: ReviewLibrary, monkeypatch: pytest.MonkeyPatch) -> ReviewLibrary:
    """More images than the list waits for."""
    monkeypatch.setattr(listing_module, "LARGE", COUNT // 2)
    with empty.library.transaction() as connection:
        connection.execute("INSERT INTO folder(id, path) VALUES (1, ?)", (bytes(empty.photos),))
        connection.executemany(
            "INSERT INTO image(folder_id, name, format, size, mtime_ns, inode, state_at)"
            " VALUES (1, ?, 'jpeg', 1, 1, 1, 1)",
            ((b"%06d.jpg" % number,) for number in range(COUNT)),
        )
        empty.library.folders.count_new(connection, 1, COUNT)
    return empty


def listing_of(made: ReviewLibrary) -> ImageListing:
    return ImageListing(ReviewSession(made.library, made.config), made.clock)


def wait(listing: ImageListing) -> None:
    """What the screen's ticks do, without the time between them."""
    while listing.is_loading:
        listing.refresh()
        if listing._load is not None:
            listing._load.result()


def test_first_page_is_there_at_once_and_the_rest_follows(made: ReviewLibrary) -> None:
    listing = listing_of(made)

    listing.start(None)
    first = list(listing.ids)
    assert listing.is_loading
    wait(listing)

    assert 0 < len(first) < COUNT
    assert list(listing.ids) == list(range(1, COUNT + 1))
    assert listing.current_id == 1


def test_place_of_the_last_session_is_there_before_the_list_is(made: ReviewLibrary) -> None:
    listing = listing_of(made)

    listing.start(1500)
    assert listing.current_id == 1500
    assert listing.position == PAGE_ROWS
    row = listing.row(listing.position)
    assert row is not None
    assert row.path.name == "001499.jpg"
    wait(listing)

    assert (listing.current_id, listing.position) == (1500, 1499)


def test_filter_and_order_come_from_the_thread_and_keep_the_place(made: ReviewLibrary) -> None:
    made.suggest(700, tags_of("A boat", ["boat"]))
    made.suggest(900, tags_of("A boat", ["boat"]))
    listing = listing_of(made)
    listing.start(800)
    wait(listing)

    listing.set_query(parse_filter("kw:boat"))
    assert len(listing) == COUNT
    wait(listing)
    assert (list(listing.ids), listing.current_id) == ([700, 900], 900)

    listing.set_order(SortOrder.NEWEST)
    listing.set_filter(StateFilter.FAILED)
    wait(listing)
    assert len(listing) == 0


def test_newer_wish_replaces_the_one_under_way(made: ReviewLibrary) -> None:
    listing = listing_of(made)
    listing.start(None)
    wait(listing)

    listing.set_query(parse_filter("name:0000"))
    listing.set_query(parse_filter("name:00001"))
    wait(listing)

    names = [listing.row(position).path.name for position in range(len(listing))]
    assert names == ["000001.jpg", *(f"0000{number}.jpg" for number in range(10, 20))]


def test_library_that_cannot_be_read_is_a_store_error_and_the_list_stays(
    made: ReviewLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = listing_of(made)
    listing.start(None)
    wait(listing)

    def refuse(*_arguments: object, **_named: object) -> sqlite3.Connection:
        message = "database is locked"
        raise sqlite3.OperationalError(message)

    monkeypatch.setattr("imageworks.store.id_load.sqlite3.connect", refuse)
    listing.reload()
    listing._load._thread.join()
    with pytest.raises(StoreError, match="locked"):
        listing.refresh()

    assert len(listing) == COUNT
    assert not listing.is_loading


async def test_screen_is_of_use_while_the_list_is_made(made: ReviewLibrary, tmp_path: Path) -> None:
    app = workstation(made, tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        assert "000000.jpg" in screen_text(app)
        while app.review.listing.is_loading:
            await pilot.pause(0.02)
        await burst(pilot, "G")
        assert f"{COUNT:,} of {COUNT:,}" in screen_text(app)
        assert "001999.jpg" in screen_text(app)
        await burst(pilot, "q")

    app = workstation(made, tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        assert "001999.jpg" in screen_text(app)
        while app.review.listing.is_loading:
            await pilot.pause(0.02)
        assert f"{COUNT:,} of {COUNT:,}" in screen_text(app)


async def test_narrowed_list_says_that_it_is_looking(made: ReviewLibrary, tmp_path: Path) -> None:
    made.library.session.remember("review.query", "name:000019")
    app = workstation(made, tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        assert "Looking through 2,000 images" in screen_text(app)
        while app.review.listing.is_loading:
            await pilot.pause(0.02)
        await pilot.pause()
        assert "1 of 1" in screen_text(app)


async def test_pairs_found_while_the_screen_is_open_become_one_card(
    empty: ReviewLibrary, tmp_path: Path
) -> None:
    empty.add("i.jpg", tags_of("A boat", ["boat"]))
    app = workstation(empty, tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        with empty.library.transaction() as connection:
            connection.execute(
                "INSERT INTO image(folder_id, name, format, size, mtime_ns, inode, state_at)"
                " VALUES (1, ?, 'raw', 1, 1, 1, 1)",
                (b"i.nef",),
            )
            empty.library.folders.count_new(connection, 1, 1)
        app.review.listing.touch()
        await pilot.pause(0.5)

        text = screen_text(app)
        assert "+raw" in text
        assert "i.nef" not in text
        assert "1 of 1" in text
