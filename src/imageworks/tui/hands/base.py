"""What all acts on the review screen share: its parts, and how they follow the cursor."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, TypeVar

from textual.containers import Container, Vertical

from imageworks.engine.attention import MOST_LOOKED_AT
from imageworks.errors import ImageworksError
from imageworks.models import ImageState
from imageworks.store.criteria import ImageQuery
from imageworks.text import show_path
from imageworks.tui.actions import Scope
from imageworks.tui.listing import ImageListing
from imageworks.tui.screens.command import CommandScreen
from imageworks.tui.screens.review_texts import (
    empty_text,
    facts_text,
    no_picture_text,
    notes_text,
    outcome_text,
    title_text,
)
from imageworks.tui.widgets.ask_prompt import AskPrompt
from imageworks.tui.widgets.fields import ReviewForm
from imageworks.tui.widgets.filter_prompt import FilterPrompt
from imageworks.tui.widgets.image_list import ImageList
from imageworks.tui.widgets.key_bar import KeyBar
from imageworks.tui.widgets.line import Line
from imageworks.tui.widgets.preview import PictureWish, PreviewPane
from imageworks.tui.widgets.status import StatusLines
from imageworks.tui.wording import count_text, counts_text, progress_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.app import ComposeResult
    from textual.timer import Timer

    from imageworks.config import PersonalTaggerConfig
    from imageworks.review.acts import ActOutcome
    from imageworks.review.session import ReviewCard, ReviewSession
    from imageworks.review.steps import Steps
    from imageworks.store.library import Library
    from imageworks.store.records import ImageRow
    from imageworks.tui.actions import KeyTable
    from imageworks.tui.engine_watch import EngineWatch
    from imageworks.tui.terminal import Graphics

logger = logging.getLogger(__name__)

T = TypeVar("T")

POLL_S = 0.15
_CHANGES_S = 0.5
"""A list that changes all the time is taken in anew at most this often."""
DRAFT_DELAY_S = 0.3
PROGRESS_S = 0.25
REST_S = 0.3
# For the thread that writes. With `sleep(0)` it often comes too late for its turn, and the row of
# the cursor reaches the terminal only behind all that is drawn next.
_WRITE_S = 0.0002
_DECIDED = (ImageState.ACCEPTED, ImageState.REJECTED, ImageState.SKIPPED)


class ReviewHands(CommandScreen):
    """The review screen without its acts, which the other modules of this folder add.

    Args:
        keys: The user's keys.
        library: Only to notice that another process has changed it.
        session: The rules.
        config: Says what would be asked.
        watch: How the engine fares.
        graphics: The terminal's own graphics, or None.
        is_colour: Whether the picture may have colours.
        is_unicode: Whether the terminal shows more than ASCII.
    """

    AUTO_FOCUS = "#images"

    def __init__(  # noqa: PLR0913  # all by name; the screen's whole world
        self,
        keys: KeyTable,
        *,
        library: Library,
        session: ReviewSession,
        config: PersonalTaggerConfig,
        watch: EngineWatch,
        graphics: Graphics | None,
        is_colour: bool,
        is_unicode: bool,
    ) -> None:
        super().__init__(keys, [Scope.LIST, Scope.TEXT, Scope.PROMPT, Scope.ASK])
        self.library = library
        self.session = session
        self.config = config
        self.engine = watch
        self.is_unicode = is_unicode
        self.listing = ImageListing(session, time.monotonic)
        self.images = ImageList(self.listing, is_unicode=is_unicode)
        self.form = ReviewForm(config)
        self.preview = PreviewPane(graphics=graphics, is_colour=is_colour)
        self._status = StatusLines()
        self.key_bar = KeyBar(keys, Scope.LIST)
        self._title = Line("title")
        self.prompt = FilterPrompt(self._title)
        self.ask_prompt = AskPrompt(self._title)
        self._facts = Line("facts")
        self._data_version = 0
        self._is_behind = False
        self._taken_in_s = float("-inf")
        self._seen: tuple[int, ...] = ()
        self._seen_at_s = 0.0
        self._told: tuple[int, ...] = ()
        self._draft_timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """List and card, status and keys."""
        self.take_breakpoints()
        with Container(id="body"):
            with Vertical(id="left"):
                yield self._title
                yield self.images
            with Container(id="card"):
                with Vertical(id="view"):
                    yield self.preview
                    yield self._facts
                yield self.form
        yield self._status
        yield self.key_bar

    async def mount_prompts(self) -> None:
        """Adds the lines that stay hidden until they are asked for; not for the first frame."""
        prompts = (self.prompt, self.ask_prompt.question, self.ask_prompt)
        await self.query_one("#left").mount(*prompts, after=self._title)

    def on_mount(self) -> None:
        """Goes to where the last session stopped, and begins to look for changes."""
        cursor_id, state_filter = self.session.remembered_place()
        self._data_version = self.library.data_version()
        self.listing.query, self.listing.order = self.session.remembered_search()
        self.listing.state_filter = state_filter
        self.listing.start(cursor_id)
        if not len(self.listing) and self.listing.is_narrowed and not self.listing.is_loading:
            self.listing.query = ImageQuery()
            self.listing.state_filter = type(state_filter).ALL
            self.listing.start(cursor_id)
        self.show_current()
        self._show_status()
        if self.engine.client.unseen_batch() is not None:
            key = self.keys.key_of("show_summary")
            self.say(f"A batch has ended since you were here: {key} tells how it went.")
        self.call_after_refresh(self._begin_to_watch)

    def _begin_to_watch(self) -> None:
        """Looks for changes from now on; the first frame does not wait for that."""
        self._tick()
        self.set_interval(POLL_S, self._tick)

    # What the person sees

    @property
    def message(self) -> str:
        """What the status line says."""
        return self._status.message

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Shows one line to the person, above the keys."""
        self._status.say(text, is_error=is_error)

    def keep_draft(self) -> None:
        """Makes durable what was typed.

        Raises:
            StoreError: The library cannot be written; the fields keep the text.
        """
        if self._draft_timer is not None:
            self._draft_timer.stop()
            self._draft_timer = None
        image_id = self.form.bound_id
        if image_id is None or not self.form.is_dirty:
            return
        tags = self.form.tags()
        self.session.save_draft(image_id, tags)
        self.form.mark_saved(tags)

    def take_settings(self, config: PersonalTaggerConfig) -> None:
        """Decides and asks by other settings from now on."""
        self.keep_draft()
        self.config = config
        self.session.use_config(config)
        self.engine.client.use_config(config)
        self.show_current()

    def keep_place(self) -> None:
        """Keeps draft, cursor, filter and order, for the end of the session."""
        self.keep_draft()
        self.session.remember_place(self.listing.current_id, self.listing.state_filter)
        self.session.remember_search(self.listing.query, self.listing.order)

    async def go(self, position: int) -> None:
        """Puts the cursor on a row and shows its image; the row is on its way before the image."""
        self.keep_draft()
        self.listing.move_to(position)
        self.images.follow()
        self.paint_now(self.images)
        await asyncio.sleep(_WRITE_S)
        self.show_current()

    def wanted_id(self) -> int | None:
        """The image that the fields belong to; without one the person is told so."""
        if self.form.bound_id is None:
            self.say("There is no image here.")
        return self.form.bound_id

    def go_on(self, word: str, *, more: str = "") -> None:
        """Goes to the next image to review after a decision; ``more`` is said with it."""
        card = self.form.card
        name = "" if card is None else show_path(card.row.path.name, limit=60)
        position = self.session.next_undecided(self.listing.ids, self.listing.position)
        self.listing.touch()
        self.listing.move_to(position)
        self.show_current()
        said = f"{word}: {name} · {self.keys.key_of('undo')} takes it back"
        self.say(f"{said} · {more}" if more else said)

    async def work_through(self, steps: Steps[T]) -> T:
        """Does long work in steps; the screen is drawn in between, and keys wait their turn.

        Returns:
            What came of it.
        """
        last_said_s = time.monotonic()
        while True:
            try:
                count = next(steps)
            except StopIteration as stop:
                outcome: T = stop.value
                return outcome
            if time.monotonic() - last_said_s > PROGRESS_S:
                last_said_s = time.monotonic()
                self.say(f"{count_text(count, 'image')} so far …")
            await asyncio.sleep(0)

    async def act_on_many(self, steps: Steps[ActOutcome]) -> None:
        """Does an act on many images, shows what it left, and says what came of it."""
        outcome = await self.work_through(steps)
        self.listing.touch()
        row = self.listing.row(self.listing.position) if len(self.listing) else None
        if row is not None and row.state in _DECIDED:
            self.listing.move_to(
                self.session.next_undecided(self.listing.ids, self.listing.position)
            )
        self.show_current()
        self.say(f"{outcome_text(outcome)} · {self.keys.key_of('undo')} takes it back")

    async def attempt(self, work: Callable[[], Awaitable[None]]) -> None:
        """Does what a dialog was asked for; what goes wrong is said here, below the dialog."""
        try:
            await work()
        except ImageworksError as error:
            logger.info("%s", error)
            self.say(str(error), is_error=True)

    def ask(self, question: str, on_answer: Callable[[str], Awaitable[None]]) -> None:
        """Asks for one line of text; it stays open when the answer cannot be used."""
        self.ask_prompt.open(question, on_answer)
        # Not `Widget.focus`, which waits its turn while the next keys are already routed.
        self.set_focus(self.ask_prompt)
        self.key_bar.show_scope(Scope.ASK)

    async def do_give_answer(self) -> None:
        """Takes the answer."""
        await self.ask_prompt.answer()
        self.leave_text()

    def do_leave_ask(self) -> None:
        """Back to the list, nothing done."""
        self.leave_text()

    def leave_text(self) -> None:
        """Gives the keys back to the list; what was typed is kept."""
        # Not `Widget.focus`, which waits its turn while the next keys are already routed.
        self.set_focus(self.images)
        self.prompt.close()
        self.ask_prompt.close()
        self.key_bar.show_scope(Scope.LIST)
        self.keep_draft()

    def show_current(self) -> None:
        """Binds the form to the image under the cursor, at once, and shows its picture soon."""
        self.images.follow()
        image_id = self.listing.current_id
        card = None if image_id is None else self.session.card(image_id)
        self.form.bind(card)
        self._show_around(card)

    def _show_around(self, card: ReviewCard | None) -> None:
        row = None if card is None else card.row
        self.form.show_waiting(self.session.asked.of(self.form.bound_id))
        self.form.show_notes(notes_text(card, self.listing, self.config, self.keys))
        self._facts.put(facts_text(row))
        self.preview.show(None if row is None else _picture_of(row), self._upcoming_pictures())
        self.show_title()

    def _upcoming_pictures(self) -> list[PictureWish]:
        """The pictures of the next rows, which a person most often looks at next."""
        first = self.listing.position + 1
        rows = [self.listing.row(at) for at in range(first, min(first + 3, len(self.listing)))]
        return [_picture_of(row) for row in rows if row is not None]

    def show_title(self) -> None:
        """Brings the line above the list up to date."""
        self._title.put(title_text(self.listing, self.session.folders))
        view = self.engine.view
        self.images.empty_text = empty_text(
            self.listing,
            self.session.folders,
            self.keys,
            is_scanning=view is not None and view.is_alive,
        )

    def _show_status(self) -> None:
        view = self.engine.view
        self._status.show(
            counts=counts_text(self.listing.counts, is_unicode=self.is_unicode),
            progress="" if view is None else progress_text(view),
        )

    # What changes by itself

    def _tick(self) -> None:
        """Takes in what the engine has done."""
        try:
            self._take_answers()
            version = self.library.data_version()
            is_changed = version != self._data_version
            self._data_version = version
            self._is_behind |= is_changed
            is_due = time.monotonic() - self._taken_in_s >= _CHANGES_S
            if is_due and (self._is_behind or self.listing.is_stale or self.listing.is_loading):
                self.listing.pair_new()
                self._take_in_changes()
            elif is_changed:
                self.listing.look_at_current()
                self._show_if_changed()
            self._tell_attention()
            if news := self.engine.look():
                self.say(news)
            self._show_status()
        except ImageworksError as error:
            logger.warning("The library cannot be read: %s", error)
            self.say(str(error), is_error=True)

    def _take_answers(self) -> None:
        """Puts the answers to single fields where they belong, and shows which are awaited."""
        for image_id, stage in self.session.asked.arrived():
            self.keep_draft()
            is_act = self.session.asked.take(image_id, stage)
            card = self.session.card(image_id)
            if card is not None and image_id == self.form.bound_id:
                self.form.take_answer(card, stage.value)
                self.listing.touch()
                self._show_around(card)
            undo = f" · {self.keys.key_of('undo')} brings back what was there" if is_act else ""
            name = "" if card is None else show_path(card.row.path.name, limit=60)
            self.say(f"The new {stage} is there: {name}{undo}")
        self.form.show_waiting(self.session.asked.of(self.form.bound_id))

    def _tell_attention(self) -> None:
        """Lets the engine ask first about what the person sees now and next.

        Not about what is only passed by: it is a write, which may have to wait for the engine's.
        """
        start = self.listing.position
        seen = tuple(self.listing.ids[start : start + MOST_LOOKED_AT])
        now_s = time.monotonic()
        if seen != self._seen:
            self._seen, self._seen_at_s = seen, now_s
        if seen != self._told and now_s - self._seen_at_s >= REST_S:
            self._told = seen
            self.engine.client.look_at(seen)

    def _take_in_changes(self) -> None:
        self._is_behind, self._taken_in_s = False, time.monotonic()
        self.listing.refresh()
        self.images.follow()
        if self.form.bound_id != self.listing.current_id:
            self.keep_draft()
            self.show_current()
            return
        self.show_title()
        self._show_if_changed()

    def _show_if_changed(self) -> None:
        """Shows the image under the cursor anew, where another process has changed it."""
        card = self.form.card
        if card is None or card.row.id != self.listing.current_id or self.form.is_dirty:
            return
        # A field that a person is in keeps its text, unless it could not be edited anyway.
        is_free = self.scope is Scope.LIST or not card.can_edit
        if is_free and self.listing.row(self.listing.position) != card.row:
            self.show_current()

    def on_review_form_edited(self) -> None:
        """Keeps what is typed, a moment after the last key."""
        if self._draft_timer is not None:
            self._draft_timer.stop()
        self._draft_timer = self.set_timer(DRAFT_DELAY_S, self._keep_draft_quietly)

    def on_descendant_blur(self) -> None:
        """Keeps what was typed when a field is left by mouse; the filter line closes."""
        if self.prompt.display and self.focused is not self.prompt:
            self.prompt.close()
        if self.focused is not self.ask_prompt:
            self.ask_prompt.close()
        self._keep_draft_quietly()

    def on_descendant_focus(self) -> None:
        """Shows the keys that work now."""
        self.key_bar.show_scope(self.scope)

    async def on_image_list_clicked(self, event: ImageList.Clicked) -> None:
        """Goes to the row that was clicked on."""
        await self.go(event.position)

    def _keep_draft_quietly(self) -> None:
        try:
            self.keep_draft()
        except ImageworksError as error:
            logger.warning("A draft cannot be kept: %s", error)
            self.say(str(error), is_error=True)


def _picture_of(row: ImageRow) -> PictureWish:
    return PictureWish(
        row.thumbnail_path, row.preview_path, no_picture_text(row), original=row.path
    )
