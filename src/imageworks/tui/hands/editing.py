"""Into the fields, between them, and out again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imageworks.tui.actions import Scope
from imageworks.tui.hands.base import ReviewHands
from imageworks.tui.widgets.fields import FieldArea, ReviewForm

if TYPE_CHECKING:
    from imageworks.tui.actions import Action


class EditingHands(ReviewHands):
    """Where the keys go while a person types."""

    def allows(self, action: Action) -> bool:
        """Enter ends a line in fields of one line only."""
        if action.name == "end_line" and isinstance(self.focused, FieldArea):
            return super().allows(action) and not self.focused.is_multiline
        return super().allows(action)

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
        self.key_bar.show_scope(Scope.TEXT)
        card = self.form.card
        if card is None or not card.can_decide:
            key = self.keys.key_of("leave_text")
            self.say(f"There is nothing to edit here. {key} goes back to the list.")
