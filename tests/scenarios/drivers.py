"""Two ways to tell the same story: the rules alone, and keys on the real screen."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from imageworks.models import DecisionKind, Tags
from imageworks.review.filters import parse_filter
from imageworks.review.merge import typed_keywords
from imageworks.review.session import ReviewSession
from imageworks.review.steps import finish
from imageworks.tui.listing import ImageListing
from imageworks.tui.workstation import Workstation
from tests.support.burst import burst
from tests.support.review_library import undone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from textual.pilot import Pilot

    from tests.support.review_library import ReviewLibrary

FIELD_KEYS = {"caption": "e", "keywords": "t", "description": "d"}


class Driver(Protocol):
    """What a person can do, and what they can see."""

    made: ReviewLibrary

    async def accept(self) -> None: ...
    async def reject(self) -> None: ...
    async def skip(self) -> None: ...
    async def undo(self) -> None: ...
    async def redo(self) -> None: ...
    async def mark(self) -> None: ...
    async def mark_all(self) -> None: ...
    async def accept_many(self) -> None: ...
    async def reject_many(self) -> None: ...
    async def add_to_many(self, keyword: str) -> None: ...
    async def fix_others(self) -> None: ...
    async def accept_group(self) -> None: ...
    async def ask_again(self, hint: str) -> None: ...
    async def next(self) -> None: ...
    async def next_undecided(self) -> None: ...
    async def change_filter(self) -> None: ...
    async def search(self, text: str) -> None: ...
    async def change_order(self) -> None: ...
    async def take_model(self) -> None: ...
    async def write(self, field: str, text: str) -> None: ...
    async def leave_and_return(self) -> None: ...
    def current(self) -> str: ...
    def listed(self) -> list[str]: ...
    def fields(self) -> Tags: ...


class HeadlessDriver:
    """The session and the listing, without a screen."""

    def __init__(self, made: ReviewLibrary) -> None:
        self.made = made
        self._fields = Tags()
        self._open()

    async def accept(self) -> None:
        self._session.accept(self._id(), self._fields)
        self._go_on()

    async def reject(self) -> None:
        self._keep_draft()
        self._session.reject(self._id())
        self._go_on()

    async def skip(self) -> None:
        self._keep_draft()
        self._session.skip(self._id())
        self._go_on()

    async def undo(self) -> None:
        self._keep_draft()
        image_id = undone(self._session)
        if image_id is not None:
            self._listing.reload()
            self._listing.move_to_id(image_id)
            self._load()

    async def redo(self) -> None:
        self._keep_draft()
        outcome = self._session.redo()
        if outcome is not None and outcome.image_id is not None:
            self._listing.reload()
            self._listing.move_to_id(outcome.image_id)
            self._load()

    async def mark(self) -> None:
        self._listing.marks.toggle(self._id())
        await self.next()

    async def mark_all(self) -> None:
        self._listing.marks.toggle_all(self._listing.ids)

    async def accept_many(self) -> None:
        self._decide_many(DecisionKind.ACCEPT)

    async def reject_many(self) -> None:
        self._decide_many(DecisionKind.REJECT)

    async def add_to_many(self, keyword: str) -> None:
        self._keep_draft()
        finish(self._session.many.add_keyword(keyword, self._listing.marks.ids()))
        self._load()

    async def fix_others(self) -> None:
        self._keep_draft()
        offer = self._session.corrections.offer()
        assert offer is not None
        finish(self._session.corrections.apply(offer.correction, offer.image_ids))
        self._load()

    async def accept_group(self) -> None:
        members = self._session.group(self._id())
        finish(self._session.many.decide(DecisionKind.ACCEPT, members, tags=self._fields))
        self._go_on()

    async def ask_again(self, hint: str) -> None:
        self._keep_draft()
        self._session.ask_again(self._id(), hint)

    def _decide_many(self, kind: DecisionKind) -> None:
        self._keep_draft()
        marked = self._listing.marks.ids()
        listing = self._listing
        image_ids = marked or self._session.to_review(listing.state_filter, listing.query)
        finish(self._session.many.decide(kind, image_ids))
        listing.marks.clear()
        listing.reload()
        self._load()

    async def next(self) -> None:
        self._keep_draft()
        self._listing.move_to(self._listing.position + 1)
        self._load()

    async def next_undecided(self) -> None:
        self._keep_draft()
        self._listing.move_to(
            self._session.next_undecided(self._listing.ids, self._listing.position)
        )
        self._load()

    async def change_filter(self) -> None:
        self._keep_draft()
        self._listing.set_filter(self._listing.state_filter.next())
        self._load()

    async def search(self, text: str) -> None:
        query = parse_filter(text)
        self._keep_draft()
        self._listing.set_query(query)
        self._load()

    async def change_order(self) -> None:
        self._keep_draft()
        self._listing.set_order(self._listing.order.next())
        self._load()

    async def take_model(self) -> None:
        card = self._session.card(self._id())
        assert card is not None
        self._fields = replace(
            self._fields,
            caption=card.suggested.caption,
            description=card.suggested.description,
        )

    async def write(self, field: str, text: str) -> None:
        match field:
            case "keywords":
                typed = typed_keywords(text, self._fields.keywords)
                self._fields = replace(self._fields, keywords=typed)
            case "caption":
                self._fields = replace(self._fields, caption=text)
            case _:
                self._fields = replace(self._fields, description=text)

    async def leave_and_return(self) -> None:
        self._keep_draft()
        self._session.remember_place(self._listing.current_id, self._listing.state_filter)
        self._session.remember_search(self._listing.query, self._listing.order)
        self._session.close()
        self._open()

    def current(self) -> str:
        row = self._listing.row(self._listing.position)
        assert row is not None
        return row.path.name

    def listed(self) -> list[str]:
        rows = (self._listing.row(position) for position in range(len(self._listing)))
        return [row.path.name for row in rows if row is not None]

    def fields(self) -> Tags:
        return self._fields

    def _open(self) -> None:
        self._session = ReviewSession(self.made.library, self.made.config)
        self._listing = ImageListing(self._session, time.monotonic)
        cursor_id, state_filter = self._session.remembered_place()
        self._listing.query, self._listing.order = self._session.remembered_search()
        self._listing.set_filter(state_filter)
        if cursor_id is not None:
            self._listing.move_to_id(cursor_id)
        self._load()

    def _load(self) -> None:
        card = self._session.card(self._id())
        assert card is not None
        self._fields = card.fields

    def _go_on(self) -> None:
        position = self._session.next_undecided(self._listing.ids, self._listing.position)
        self._listing.move_to(position)
        self._listing.reload()
        self._load()

    def _keep_draft(self) -> None:
        self._session.save_draft(self._id(), self._fields)

    def _id(self) -> int:
        assert self._listing.current_id is not None
        return self._listing.current_id


class ScreenDriver:
    """Keys on the app, under Textual's pilot."""

    def __init__(self, made: ReviewLibrary, size: tuple[int, int]) -> None:
        self.made = made
        self._size = size
        self._stack = contextlib.AsyncExitStack()
        self.app: Workstation
        self._pilot: Pilot[int]

    async def open(self) -> ScreenDriver:
        self._stack = contextlib.AsyncExitStack()
        self.app = workstation(self.made, self.made.folder)
        self._pilot = await self._stack.enter_async_context(self.app.run_test(size=self._size))
        await self._pilot.pause()
        return self

    async def aclose(self) -> None:
        await self._stack.aclose()

    async def accept(self) -> None:
        await self._press("a")

    async def reject(self) -> None:
        await self._press("r")

    async def skip(self) -> None:
        await self._press("s")

    async def undo(self) -> None:
        await self._press("u")

    async def redo(self) -> None:
        await self._press("ctrl+r")

    async def mark(self) -> None:
        await self._press("space")

    async def mark_all(self) -> None:
        await self._press("v")

    async def accept_many(self) -> None:
        await self._press("A", "enter")

    async def reject_many(self) -> None:
        await self._press("R", "enter")

    async def add_to_many(self, keyword: str) -> None:
        await self._press("+", *keyword, "enter")

    async def fix_others(self) -> None:
        await self._press("K", "enter")

    async def accept_group(self) -> None:
        await self._press("D", "enter")

    async def ask_again(self, hint: str) -> None:
        await self._press("I", *hint, "enter")

    async def next(self) -> None:
        await self._press("j")

    async def next_undecided(self) -> None:
        await self._press("n")

    async def change_filter(self) -> None:
        await self._press("f")

    async def search(self, text: str) -> None:
        await self._press("/", *text, "enter")

    async def change_order(self) -> None:
        await self._press("o")

    async def take_model(self) -> None:
        await self._press("x")

    async def write(self, field: str, text: str) -> None:
        await self._press(FIELD_KEYS[field], "f7", *text, "escape")

    async def leave_and_return(self) -> None:
        await burst(self._pilot, "q")
        await self.aclose()
        self.app.review.session.close()
        await self.open()

    def current(self) -> str:
        listing = self.app.review.listing
        row = listing.row(listing.position)
        assert row is not None
        return row.path.name

    def listed(self) -> list[str]:
        listing = self.app.review.listing
        listing.refresh()
        rows = (listing.row(position) for position in range(len(listing)))
        return [row.path.name for row in rows if row is not None]

    def fields(self) -> Tags:
        return self.app.review.form.tags()

    async def _press(self, *keys: str) -> None:
        await burst(self._pilot, *keys)


def workstation(made: ReviewLibrary, folder: Path, **config: object) -> Workstation:
    """The app over a library, with an engine that starts no process."""
    settings = replace(made.config, **config)  # type: ignore[arg-type]  # settings by name
    return Workstation(
        library=made.library,
        session=ReviewSession(made.library, settings),
        config=settings,
        client=made.engine(),
        log_path=folder / "screen.log",
        themes_dir=folder / "themes",
    )


@contextlib.asynccontextmanager
async def screen_driver(made: ReviewLibrary, size: tuple[int, int]) -> AsyncIterator[ScreenDriver]:
    driver = await ScreenDriver(made, size).open()
    try:
        yield driver
    finally:
        await driver.aclose()
