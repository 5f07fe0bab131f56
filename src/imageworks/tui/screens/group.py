"""The dialog of a burst or of near-duplicates: how they differ, and what to do with all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from imageworks.models import ImageState
from imageworks.text import fold, one_line, show_path
from imageworks.tui.actions import Scope
from imageworks.tui.screens.command import Dialog
from imageworks.tui.states import STATE_SIGNS
from imageworks.tui.widgets.key_bar import KeyBar
from imageworks.tui.wording import count_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from textual.app import ComposeResult

    from imageworks.models import Tags
    from imageworks.review.session import ReviewCard
    from imageworks.tui.actions import KeyTable

_INDENT = "| "
"""Textual takes spaces away from the start of a line."""


class GroupScreen(Dialog):
    """Shows a group against the image that the person has before them.

    Args:
        keys: The user's keys.
        cards: All of the group, in order of capture.
        current_id: The one before the person.
        accept_same: Accepts all with the current one's fields.
        accept_each: Accepts each with its own fields.
        mark: Marks them all.
    """

    def __init__(  # all by name; what can be done with a group
        self,
        keys: KeyTable,
        cards: Sequence[ReviewCard],
        current_id: int,
        *,
        accept_same: Callable[[], Awaitable[None]],
        accept_each: Callable[[], Awaitable[None]],
        mark: Callable[[], None],
    ) -> None:
        super().__init__(keys, Scope.GROUP)
        self._cards = cards
        self._current_id = current_id
        self._accept_same = accept_same
        self._accept_each = accept_each
        self._mark = mark

    def compose(self) -> ComposeResult:
        """The differences and the keys."""
        with Vertical(classes="dialog-box"):
            count = count_text(len(self._cards), "picture")
            yield Static(f"{count} of one burst or alike", classes="label", markup=False)
            with VerticalScroll(classes="dialog-list"):
                text = "\n".join(group_lines(self._cards, self._current_id))
                yield Static(text, classes="dialog-lines", markup=False)
            yield KeyBar(self.keys, Scope.GROUP)

    async def do_accept_same(self) -> None:
        """Accepts all of them with the current one's fields."""
        self.do_close()
        await self._accept_same()

    async def do_accept_each(self) -> None:
        """Accepts each of them with its own fields."""
        self.do_close()
        await self._accept_each()

    def do_mark_group(self) -> None:
        """Marks all of them, for any other act on many."""
        self.do_close()
        self._mark()


def group_lines(cards: Sequence[ReviewCard], current_id: int) -> list[str]:
    """What a group's images say, each against the current one."""
    current = next(card for card in cards if card.row.id == current_id)
    lines = [
        *_title_lines(current, "this one"),
        f"{_INDENT}{_shown(current.fields.caption) or '(no caption)'}",
        f"{_INDENT}{_shown(', '.join(k.text for k in current.fields.keywords)) or '(no keywords)'}",
    ]
    for card in cards:
        if card is not current:
            lines += [*_title_lines(card), *_difference_lines(card, current.fields)]
    return lines


def _title_lines(card: ReviewCard, note: str = "") -> list[str]:
    row = card.row
    parts = [show_path(row.path.name, limit=60), STATE_SIGNS[row.state].word, note]
    if row.taken_at is not None:
        parts.insert(1, f"{row.taken_at:%H:%M:%S}")
    return [" · ".join(part for part in parts if part)]


def _difference_lines(card: ReviewCard, wanted: Tags) -> list[str]:
    if card.row.suggestion_id is None:
        return [f"{_INDENT}no suggestion yet: it stays as it is"]
    if card.row.state in {ImageState.ACCEPTED, ImageState.WRITTEN}:
        return [f"{_INDENT}decided already: it stays as it is"]
    lines = []
    if card.fields.caption != wanted.caption:
        lines.append(f"{_INDENT}{_shown(card.fields.caption) or '(no caption)'}")
    own = {fold(k.text): k.text for k in card.fields.keywords}
    others = {fold(k.text): k.text for k in wanted.keywords}
    only_here = [text for key, text in own.items() if key not in others]
    only_there = [text for key, text in others.items() if key not in own]
    signs = [*(f"+{text}" for text in only_here), *(f"-{text}" for text in only_there)]
    if signs:
        lines.append(f"{_INDENT}{_shown(', '.join(signs))}")
    return lines or [f"{_INDENT}the same words"]


def _shown(text: str) -> str:
    return one_line(text, limit=200)
