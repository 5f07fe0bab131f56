"""The quick keywords: nine slots, filled from the image under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from imageworks.review.quick import SLOTS
from imageworks.text import one_line
from imageworks.tui.actions import Scope
from imageworks.tui.screens.command import Dialog
from imageworks.tui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from textual.app import ComposeResult

    from imageworks.models import Keyword
    from imageworks.review.quick import QuickKeywords
    from imageworks.tui.actions import KeyTable


class QuickKeywordsScreen(Dialog):
    """Chooses, fills and clears a slot.

    Args:
        keys: The user's keys.
        quick: The slots.
        keywords: What the image has; a slot is filled with all of it or with one.
        use: Puts a slot on the image.
    """

    def __init__(
        self,
        keys: KeyTable,
        quick: QuickKeywords,
        keywords: tuple[Keyword, ...],
        *,
        use: Callable[[int], None],
    ) -> None:
        super().__init__(keys, Scope.QUICK)
        self._quick = quick
        self._fillings = [keywords, *((keyword,) for keyword in keywords)]
        self._filling = 0
        self._number = SLOTS[0]
        self._use = use
        self._text = Static(id="quick-slots", markup=False)

    def compose(self) -> ComposeResult:
        """The slots and the keys."""
        with Vertical(id="quick-box"):
            yield Static("Quick keywords", classes="label", markup=False)
            yield self._text
            yield KeyBar(self.keys, Scope.QUICK)

    def on_mount(self) -> None:
        """Shows the slots."""
        self._show()

    def do_slot_next(self) -> None:
        """The next slot."""
        self._go(1)

    def do_slot_previous(self) -> None:
        """The slot before."""
        self._go(-1)

    def do_filling_next(self) -> None:
        """Another of the image's keywords to fill a slot with."""
        self._filling = (self._filling + 1) % len(self._fillings)
        self._show()

    def do_filling_previous(self) -> None:
        """The one before."""
        self._filling = (self._filling - 1) % len(self._fillings)
        self._show()

    def do_fill_slot(self) -> None:
        """Fills the slot with the image's keywords, or the one chosen."""
        self._quick.fill(self._number, self._fillings[self._filling])
        self._show()

    def do_clear_slot(self) -> None:
        """Empties the slot."""
        self._quick.fill(self._number, ())
        self._show()

    def do_use_slot(self, slot: int = 0) -> None:
        """Puts a slot's keywords on the image, those of the cursor unless told, and closes."""
        self.dismiss()
        self._use(slot or self._number)

    def _go(self, step: int) -> None:
        self._number = (self._number - 1 + step) % len(SLOTS) + 1
        self._show()

    def _show(self) -> None:
        parts: list[tuple[str, str] | str] = []
        for number in SLOTS:
            mark = ">" if number == self._number else " "
            line = f"{mark} {number}  {_named(self._quick.slot(number)) or '(empty)'}\n"
            parts.append((line, "bold") if number == self._number else line)
        filling = self._fillings[self._filling]
        which = "all: " if self._filling == 0 and len(filling) > 1 else ""
        parts.append(f"\nFills with {which}{_named(filling) or 'nothing: the image has none'}")
        self._text.update(Content.assemble(*parts))


def _named(keywords: Iterable[Keyword]) -> str:
    return one_line(", ".join(one_line(keyword.text, limit=40) for keyword in keywords), limit=120)
