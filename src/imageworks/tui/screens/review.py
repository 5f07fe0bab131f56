"""The review screen: list, picture and fields; it shows what `ReviewSession` decides."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from textual.containers import Container, Vertical
from textual.widgets import Static

from imageworks.errors import ImageworksError
from imageworks.review.filters import filter_text, parse_filter
from imageworks.store.criteria import ImageQuery
from imageworks.text import show_path
from imageworks.tui.actions import Scope
from imageworks.tui.listing import ImageListing
from imageworks.tui.screens.batch import BatchScreen, batch_lines
from imageworks.tui.screens.command import CommandScreen
from imageworks.tui.screens.help import HelpScreen
from imageworks.tui.screens.metrics import MetricsScreen
from imageworks.tui.screens.review_texts import (
    NOT_ASKED,
    empty_text,
    facts_text,
    no_picture_text,
    notes_text,
    title_text,
)
from imageworks.tui.widgets.fields import FieldArea, ReviewForm
from imageworks.tui.widgets.filter_prompt import FilterPrompt
from imageworks.tui.widgets.image_list import ImageList
from imageworks.tui.widgets.key_bar import KeyBar
from imageworks.tui.widgets.preview import PictureWish, PreviewPane
from imageworks.tui.widgets.status import StatusLines
from imageworks.tui.wording import counts_text, progress_text

if TYPE_CHECKING:
    from pathlib import Path

    from textual.app import ComposeResult
    from textual.timer import Timer

    from imageworks.config import PersonalTaggerConfig
    from imageworks.review.session import ReviewCard, ReviewSession
    from imageworks.store.library import Library
    from imageworks.tui.actions import Action, KeyTable
    from imageworks.tui.engine_watch import EngineWatch
    from imageworks.tui.terminal import Graphics

logger = logging.getLogger(__name__)

POLL_S = 0.15
DRAFT_DELAY_S = 0.3


class ReviewScreen(CommandScreen):
    """Where a person decides, image by image.

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
        self._library = library
        self._session = session
        self._config = config
        self._watch = watch
        self._is_unicode = is_unicode
        self.listing = ImageListing(session, time.monotonic)
        self.images = ImageList(self.listing, is_unicode=is_unicode)
        self.form = ReviewForm()
        self.preview = PreviewPane(graphics=graphics, is_colour=is_colour)
        self._status = StatusLines()
        self._key_bar = KeyBar(keys, Scope.LIST)
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
        yield self._key_bar

    def on_mount(self) -> None:
        """Goes to where the last session stopped, and begins to look for changes."""
        cursor_id, state_filter = self._session.remembered_place()
        self._data_version = self._library.data_version()
        self.listing.query, self.listing.order = self._session.remembered_search()
        self.listing.set_filter(state_filter)
        if not len(self.listing) and self.listing.is_narrowed:
            self.listing.query = ImageQuery()
            self.listing.set_filter(type(state_filter).ALL)
        if cursor_id is not None and cursor_id in self.listing.ids:
            self.listing.move_to_id(cursor_id)
        self._watch.look()
        self._show_current()
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
        self._session.save_draft(image_id, tags)
        self.form.mark_saved(tags)

    def keep_place(self) -> None:
        """Keeps draft, cursor, filter and order, for the end of the session."""
        self.keep_draft()
        self._session.remember_place(self.listing.current_id, self.listing.state_filter)
        self._session.remember_search(self.listing.query, self.listing.order)

    def _go(self, position: int) -> None:
        self.keep_draft()
        self.listing.move_to(position)
        self._show_current()

    def _show_current(self) -> None:
        """Binds the form to the image under the cursor, at once, and shows its picture soon."""
        self.images.follow()
        image_id = self.listing.current_id
        card = None if image_id is None else self._session.card(image_id)
        self.form.bind(card)
        self._show_around(card)

    def _show_around(self, card: ReviewCard | None) -> None:
        row = None if card is None else card.row
        self.form.show_notes(notes_text(card, self.listing, self._config, self.keys))
        self._facts.update(facts_text(row), layout=False)
        self.preview.show(
            None
            if row is None
            else PictureWish(row.thumbnail_path, row.preview_path, no_picture_text(row))
        )
        self._show_title()

    def _show_title(self) -> None:
        self._title.update(title_text(self.listing, self._session.folders), layout=False)
        view = self._watch.view
        self.images.empty_text = empty_text(
            self.listing,
            self._session.folders,
            self.keys,
            is_scanning=view is not None and view.is_alive,
        )

    def _show_status(self) -> None:
        view = self._watch.view
        self._status.show(
            counts=counts_text(self.listing.counts, is_unicode=self._is_unicode),
            progress="" if view is None else progress_text(view),
        )

    # What changes by itself

    def _tick(self) -> None:
        """Takes in what the engine has done."""
        try:
            version = self._library.data_version()
            if version != self._data_version or self.listing.is_stale:
                self._data_version = version
                self._take_in_changes()
            if news := self._watch.look():
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
            self._show_current()
            return
        self._show_title()
        card = self.form.card
        if card is None or self.form.is_dirty:
            return
        # A field that a person is in keeps its text, unless it could not be edited anyway.
        is_free = self.scope is Scope.LIST or not card.can_decide
        if is_free and self.listing.row(self.listing.position) != card.row:
            self._show_current()

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
        self._key_bar.show_scope(self.scope)

    def on_image_list_clicked(self, event: ImageList.Clicked) -> None:
        """Goes to the row that was clicked on."""
        self._go(event.position)

    def _keep_draft_quietly(self) -> None:
        try:
            self.keep_draft()
        except ImageworksError as error:
            logger.warning("A draft cannot be kept: %s", error)
            self.say(str(error), is_error=True)

    # Moving

    def do_next(self) -> None:
        """Next image."""
        self._go(self.listing.position + 1)

    def do_previous(self) -> None:
        """Previous image."""
        self._go(self.listing.position - 1)

    def do_first(self) -> None:
        """First image."""
        self._go(0)

    def do_last(self) -> None:
        """Last image."""
        self._go(len(self.listing) - 1)

    def do_page_down(self) -> None:
        """One page down."""
        self._go(self.listing.position + self.images.page_rows())

    def do_page_up(self) -> None:
        """One page up."""
        self._go(self.listing.position - self.images.page_rows())

    def do_next_undecided(self) -> None:
        """Next image to review."""
        self._go(self._session.next_undecided(self.listing.ids, self.listing.position))

    def do_previous_undecided(self) -> None:
        """Previous image to review."""
        self._go(self._session.previous_undecided(self.listing.ids, self.listing.position))

    def do_filter(self) -> None:
        """Shows the next kind of image."""
        self.keep_draft()
        self.listing.set_filter(self.listing.state_filter.next())
        self._show_current()
        self.say(f"Showing: {self.listing.state_filter.label}")

    def do_sort(self) -> None:
        """Lists in the next order; the cursor stays on its image."""
        self.keep_draft()
        self.listing.set_order(self.listing.order.next())
        self._show_current()
        self.say(f"Sorted: {self.listing.order.label}")

    def do_search(self) -> None:
        """Opens the filter line."""
        self.prompt.open(filter_text(self.listing.query))
        # Not `Widget.focus`, which waits its turn while the next keys are already routed.
        self.set_focus(self.prompt)
        self._key_bar.show_scope(Scope.PROMPT)

    def do_apply_search(self) -> None:
        """Lists what matches; a filter that cannot be read stays open, and the list as it was."""
        query = parse_filter(self.prompt.text)
        self.keep_draft()
        self.listing.set_query(query)
        self.leave_text()
        self._show_current()

    def do_leave_search(self) -> None:
        """Back to the list as it was."""
        self.leave_text()

    # Deciding

    def do_accept(self) -> None:
        """Accepts what the fields say, and goes on."""
        image_id = self._wanted_id()
        if image_id is None:
            return
        tags = self.form.tags()
        self._session.accept(image_id, tags)
        self.form.mark_saved(tags)
        self._go_on("Accepted")

    def do_reject(self) -> None:
        """Rejects the image, and goes on."""
        image_id = self._wanted_id()
        if image_id is not None:
            self.keep_draft()
            self._session.reject(image_id)
            self._go_on("Rejected")

    def do_skip(self) -> None:
        """Skips the image, and goes on."""
        image_id = self._wanted_id()
        if image_id is not None:
            self.keep_draft()
            self._session.skip(image_id)
            self._go_on("Skipped")

    def do_undo(self) -> None:
        """Takes back the last decision, and goes to its image."""
        self.keep_draft()
        image_id = self._session.undo()
        if image_id is None:
            self.say("There is no decision of this session to take back.")
            return
        self.listing.touch()
        self.listing.move_to_id(image_id)
        self._show_current()
        self.say(f"Taken back: {facts_text(self.listing.row(self.listing.position))}")

    def do_accept_next(self) -> None:
        """Accepts what was typed, and goes on in the list."""
        self.do_accept()
        self.leave_text()

    def _wanted_id(self) -> int | None:
        if self.form.bound_id is None:
            self.say("There is no image here.")
        return self.form.bound_id

    def _go_on(self, word: str) -> None:
        """Goes to the next image to review after a decision."""
        card = self.form.card
        name = "" if card is None else show_path(card.row.path.name, limit=60)
        position = self._session.next_undecided(self.listing.ids, self.listing.position)
        self.listing.touch()
        self.listing.move_to(position)
        self._show_current()
        self.say(f"{word}: {name} · {self.keys.key_of('undo')} takes it back")

    # Editing

    def allows(self, action: Action) -> bool:
        """Enter ends a line in fields of one line only."""
        if action.name == "end_line" and isinstance(self.focused, FieldArea):
            return super().allows(action) and not self.focused.is_multiline
        return super().allows(action)

    def leave_text(self) -> None:
        """Gives the keys back to the list; what was typed is kept."""
        # Not `Widget.focus`, which waits its turn while the next keys are already routed.
        self.set_focus(self.images)
        self.prompt.close()
        self._key_bar.show_scope(Scope.LIST)
        self.keep_draft()

    def do_leave_text(self) -> None:
        """Back to the list."""
        self.leave_text()

    def do_edit_caption(self) -> None:
        """Edits the caption."""
        self._edit("caption")

    def do_edit_keywords(self) -> None:
        """Edits the keywords."""
        self._edit("keywords")

    def do_edit_description(self) -> None:
        """Edits the description."""
        self._edit("description")

    def do_next_field(self) -> None:
        """Next field; from the list to the first."""
        self._step_field(1)

    def do_previous_field(self) -> None:
        """Previous field; from the list to the last."""
        self._step_field(-1)

    def do_end_line(self) -> None:
        """Goes from a field of one line to the next."""
        self._step_field(1)

    def do_take_model(self) -> None:
        """Swaps the file's own words and the model's."""
        if not self.form.swap_texts():
            self.say("The fields show the model's text; the file has none of its own.")
            return
        self.keep_draft()

    def _step_field(self, step: int) -> None:
        names = ReviewForm.FIELD_NAMES
        focused = self.focused
        if not isinstance(focused, FieldArea):
            self._edit(names[0] if step > 0 else names[-1])
            return
        self._edit(names[(names.index(str(focused.id)) + step) % len(names)])

    def _edit(self, name: str) -> None:
        """Puts the keys into a field, even one that cannot be changed: letters stay harmless."""
        area = self.form.area(name)
        area.move_cursor(area.document.end)
        self.set_focus(area)
        self._key_bar.show_scope(Scope.TEXT)
        card = self.form.card
        if card is None or not card.can_decide:
            key = self.keys.key_of("leave_text")
            self.say(f"There is nothing to edit here. {key} goes back to the list.")

    # The batch and the other screens

    def do_batch(self) -> None:
        """Asks whether to start a batch."""
        folders = self._batch_folders()
        view = self._watch.view
        if view is not None and view.is_batch_active:
            self.say(f"A batch is under way; {self.keys.key_of('stop_batch')} stops it.")
        elif not folders:
            self.say("Start with: ptag FOLDER")
        else:
            counts = self.listing.counts
            waiting = sum(counts.get(state, 0) for state in NOT_ASKED)
            lines = batch_lines(self._config, folders, waiting=waiting, total=self.listing.total)
            self.app.push_screen(BatchScreen(self.keys, lines, self._start_batch))

    def do_stop_batch(self) -> None:
        """Stops the batch."""
        view = self._watch.client.view()
        if view.batch is None or not view.is_batch_active:
            self.say("No batch is under way.")
            return
        self._watch.client.stop_batch(view.batch)
        self.say("The batch stops after what is under way; the rest can be asked for again.")

    def do_show_review(self) -> None:
        """This is the review screen."""

    def do_show_metrics(self) -> None:
        """Opens the metrics screen."""
        self.app.push_screen(MetricsScreen(self.keys, self._library.runs, self._watch))

    def do_help(self) -> None:
        """Shows all keys."""
        self.app.push_screen(HelpScreen(self.keys, is_unicode=self._is_unicode))

    def _batch_folders(self) -> tuple[Path, ...]:
        """The folders shown; in the whole library, the folder of the image under the cursor."""
        if self._session.folders:
            return self._session.folders
        card = self.form.card
        return () if card is None else (card.row.path.parent,)

    def _start_batch(self) -> None:
        try:
            run = self._watch.client.start_review_batch(self._batch_folders())
        except ImageworksError as error:
            self.say(str(error), is_error=True)
            return
        self._watch.expect(run)
        self.say("")
