"""What every widget that takes typed text shares, so that no letter is ever a command."""

from __future__ import annotations

from typing import ClassVar

from imageworks.tui.actions import Scope


class TypingField:
    """A widget that letters are meant for while the keys go to it; named before the widget's class.

    Not a widget itself: Textual looks for component styles along the first base that is one.
    """

    scope: ClassVar[Scope] = Scope.TEXT
    """Where the keys go while they go here."""


def scope_of(widget: object) -> Scope | None:
    """Where the keys go while they go to a widget; None where it takes no text."""
    return widget.scope if isinstance(widget, TypingField) else None


def is_letter(character: str | None) -> bool:
    """Whether a key types something: it is no command then, even where nothing can be changed."""
    return character is not None and character.isprintable()
