"""What all acts on the review screen share: its parts, and how they follow the cursor."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from textual.containers import Container, Vertical
from textual.widgets import Static

from imageworks.errors import ImageworksError
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
    title_text,
)
from imageworks.tui.widgets.fields import ReviewForm
from imageworks.tui.widgets.filter_prompt import FilterPrompt
from imageworks.tui.widgets.image_list import ImageList
from imageworks.tui.widgets.key_bar import KeyBar
from imageworks.tui.widgets.preview import PictureWish, PreviewPane
from imageworks.tui.widgets.status import StatusLines
from imageworks.tui.wording import counts_text, progress_text

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.timer import Timer

    from imageworks.config import PersonalTaggerConfig
    from imageworks.review.session import ReviewCard, ReviewSession
    from imageworks.store.library import Library
    from imageworks.tui.actions import KeyTable
    from imageworks.tui.engine_watch import EngineWatch
    from imageworks.tui.terminal import Graphics

logger = logging.getLogger(__name__)

POLL_S = 0.15
DRAFT_DELAY_S = 0.3


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
        super().__init__(keys, [Scope.LIST, Scope.TEXT, Scope.PROMPT])
        self.library = library
        self.session = session
        self.config = config
        self.engine = watch
        self.is_unicode = is_unicode
        self.listing = ImageListing(session, time.monotonic)
        self.images = ImageList(self.listing, is_unicode=is_unicode)
        self.form = ReviewForm()
        self.preview = PreviewPane(graphics=graphics, is_colour=is_colour)
        self._status = StatusLines()
        self.key_bar = KeyBar(keys, Scope.LIST)
        self._title = Static(id="title", markup=False)
        self.prompt = FilterPrompt(self._title)
        self._facts = Static(id="facts", markup=False)
        self._data_version = 0
        self._draft_timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """List and card, status and keys."""
        with Container(id="body"):
            with Vertical(id="left"):
                yield self._title
                yield self.prompt
                yield self.images
            with Container(id="card"):
                with Vertical(id="view"):
                    yield self.preview
                    yield self._facts
                yield self.form
        yield self._status
        yield self.key_bar

    def on_mount(self) -> None:
        """Goes to where the last session stopped, and begins to look for changes."""
        cursor_id, state_filter = self.session.remembered_place()
        self._data_version = self.library.data_version()
        self.listing.query, self.listing.order = self.session.remembered_search()
        self.listing.set_filter(state_filter)
        if not len(self.listing) and self.listing.is_narrowed:
            self.listing.query = ImageQuery()
            self.listing.set_filter(type(state_filter).ALL)
        if cursor_id is not None and cursor_id in self.listing.ids:
            self.listing.move_to_id(cursor_id)
        self.engine.look()
        self.show_current()
        self._show_status()
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

    def keep_place(self) -> None:
        """Keeps draft, cursor, filter and order, for the end of the session."""
        self.keep_draft()
        self.session.remember_place(self.listing.current_id, self.listing.state_filter)
        self.session.remember_search(self.listing.query, self.listing.order)

    def go(self, position: int) -> None:
        """Puts the cursor on a row and shows its image."""
        self.keep_draft()
        self.listing.move_to(position)
        self.show_current()

    def wanted_id(self) -> int | None:
        """The image that the fields belong to; without one the person is told so."""
        if self.form.bound_id is None:
            self.say("There is no image here.")
        return self.form.bound_id

    def go_on(self, word: str) -> None:
        """Goes to the next image to review after a decision."""
        card = self.form.card
        name = "" if card is None else show_path(card.row.path.name, limit=60)
        position = self.session.next_undecided(self.listing.ids, self.listing.position)
        self.listing.touch()
        self.listing.move_to(position)
        self.show_current()
        self.say(f"{word}: {name} · {self.keys.key_of('undo')} takes it back")

    def leave_text(self) -> None:
        """Gives the keys back to the list; what was typed is kept."""
        # Not `Widget.focus`, which waits its turn while the next keys are already routed.
        self.set_focus(self.images)
        self.prompt.close()
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
        self.form.show_notes(notes_text(card, self.listing, self.config, self.keys))
        self._facts.update(facts_text(row), layout=False)
        self.preview.show(
            None
            if row is None
            else PictureWish(row.thumbnail_path, row.preview_path, no_picture_text(row))
        )
        self._show_title()

    def _show_title(self) -> None:
        self._title.update(title_text(self.listing, self.session.folders), layout=False)
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
            version = self.library.data_version()
            if version != self._data_version or self.listing.is_stale:
                self._data_version = version
                self._take_in_changes()
            if news := self.engine.look():
                self.say(news)
            self._show_status()
        except ImageworksError as error:
            logger.warning("The library cannot be read: %s", error)
            self.say(str(error), is_error=True)

    def _take_in_changes(self) -> None:
        self.listing.refresh()
        self.images.follow()
        if self.form.bound_id != self.listing.current_id:
            self.keep_draft()
            self.show_current()
            return
        self._show_title()
        card = self.form.card
        if card is None or self.form.is_dirty:
            return
        # A field that a person is in keeps its text, unless it could not be edited anyway.
        is_free = self.scope is Scope.LIST or not card.can_decide
        if is_free and self.listing.row(self.listing.position) != card.row:
            self.show_current()

    def on_review_form_edited(self) -> None:
        """Keeps what is typed, a moment after the last key."""
        if self._draft_timer is not None:
            self._draft_timer.stop()
        self._draft_timer = self.set_timer(DRAFT_DELAY_S, self._keep_draft_quietly)

    def on_descendant_blur(self) -> None:
        """Keeps what was typed when a field is left by mouse; the filter line closes."""
        if self.focused is not self.prompt:
            self.prompt.close()
        self._keep_draft_quietly()

    def on_descendant_focus(self) -> None:
        """Shows the keys that work now."""
        self.key_bar.show_scope(self.scope)

    def on_image_list_clicked(self, event: ImageList.Clicked) -> None:
        """Goes to the row that was clicked on."""
        self.go(event.position)

    def _keep_draft_quietly(self) -> None:
        try:
            self.keep_draft()
        except ImageworksError as error:
            logger.warning("A draft cannot be kept: %s", error)
            self.say(str(error), is_error=True)
