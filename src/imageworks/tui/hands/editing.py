"""Into the fields, between them, and out again."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from imageworks.errors import UsageError
from imageworks.tui.actions import Scope
from imageworks.tui.hands.hands import Hands
from imageworks.tui.widgets.fields import FieldArea, ReviewForm
from imageworks.tui.widgets.keyword_editor import KeywordEditor

if TYPE_CHECKING:
    from collections.abc import Callable

    from imageworks.tui.actions import Action

_KEYWORD_ACTIONS = frozenset({"toggle_keyword", "keyword_earlier", "keyword_later"})


class EditingHands(Hands):
    """Where the keys go while a person types."""

    def allows(self, action: Action) -> bool:
        """Enter ends a line in fields of one line only; chips move where there are chips."""
        if action.name == "end_line" and isinstance(self.focused, FieldArea):
            return super().allows(action) and not self.focused.is_multiline
        if action.name in _KEYWORD_ACTIONS and not isinstance(self.focused, KeywordEditor):
            return False
        return super().allows(action)

    def do_leave_text(self) -> None:
        """Back to the list."""
        self.form.keywords.settle_text()
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
        """Ends the keyword that is being typed; from a field of one line, goes to the next."""
        if not (isinstance(self.focused, KeywordEditor) and self.focused.end_keyword()):
            self._step_field(1)

    def do_toggle_keyword(self) -> None:
        """Takes the keyword under the cursor out, or puts it back."""
        if not self.form.keywords.read_only:
            self.form.keywords.toggle()

    def do_keyword_earlier(self) -> None:
        """Moves the keyword one place forward."""
        self._shift_keyword(-1)

    def do_keyword_later(self) -> None:
        """Moves the keyword one place back."""
        self._shift_keyword(1)

    def do_take_model(self) -> None:
        """Swaps the file's own words and the model's."""
        if not self.form.swap_texts():
            self.say("The fields show the model's text; the file has none of its own.")
            return
        self.keep_draft()

    def do_edit_long(self) -> None:
        """Edits the description in the person's own editor."""
        self._edit_outside("description")

    def do_edit_outside(self) -> None:
        """Edits the field that the keys go to in the person's own editor."""
        self._edit_outside(str(self.focused.id) if self.focused is not None else "description")

    def _edit_outside(self, name: str) -> None:
        from imageworks.tui.external_editor import (  # noqa: PLC0415  # seldom wanted
            edit_text,
            editor_command,
        )

        card = self.form.card
        if card is None or not card.can_edit:
            self.say("There is nothing to edit here.")
            return
        self.keep_draft()
        field = self.form.field(name)
        is_list = isinstance(field, KeywordEditor)
        before = field.as_lines() if isinstance(field, KeywordEditor) else field.text
        is_multiline = is_list or (isinstance(field, FieldArea) and field.is_multiline)
        command = editor_command(os.environ)
        after = self._lend_terminal(partial(edit_text, before, command, is_multiline=is_multiline))
        if after != before:
            field.put(after)
            self.keep_draft()
        self.say(f"The {name} is as your editor left it.")

    def _lend_terminal(self, edit: Callable[[], str]) -> str:
        """What the person makes of a text while the screen is away.

        Raises:
            UsageError: The editor failed, or the terminal cannot be lent.
        """
        problem: UsageError | None = None
        text = ""
        try:
            with self.app.suspend():
                # An error that left the block would leave the screen away (textual `App.suspend`).
                try:
                    text = edit()
                except UsageError as error:
                    problem = error
        except SuspendNotSupported as error:
            message = "This terminal cannot be lent to an editor."
            raise UsageError(message, reason="editor") from error
        if problem is not None:
            raise problem
        return text

    def _shift_keyword(self, step: int) -> None:
        if not self.form.keywords.read_only:
            self.form.keywords.shift(step)

    def _step_field(self, step: int) -> None:
        names = ReviewForm.FIELD_NAMES
        focused = self.focused
        if not isinstance(focused, (FieldArea, KeywordEditor)):
            self._edit(names[0] if step > 0 else names[-1])
            return
        self._edit(names[(names.index(str(focused.id)) + step) % len(names)])

    def _edit(self, name: str) -> None:
        """Puts the keys into a field, even one that cannot be changed: letters stay harmless."""
        self.form.keywords.settle_text()
        field = self.form.field(name)
        if isinstance(field, FieldArea):
            field.move_cursor(field.document.end)
        else:
            field.change(field.line.moved_to(len(field.line.chips)))
        self.set_focus(field)
        self.key_bar.show_scope(Scope.TEXT)
        card = self.form.card
        if card is None or not card.can_edit:
            key = self.keys.key_of("leave_text")
            self.say(f"There is nothing to edit here. {key} goes back to the list.")
