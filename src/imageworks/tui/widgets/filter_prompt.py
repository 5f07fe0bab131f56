"""The line in which a person types a filter; it takes the title's place while it is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from imageworks.tui.actions import Scope
from imageworks.tui.widgets.fields import FieldArea

if TYPE_CHECKING:
    from textual.widgets import Static


class FilterPrompt(FieldArea):
    """One line for a filter.

    Args:
        title: What it stands in for while it is open.
    """

    scope: ClassVar[Scope] = Scope.PROMPT

    def __init__(self, title: Static) -> None:
        super().__init__("search", is_multiline=False)
        self._title = title
        self.soft_wrap = False
        self.placeholder = 'state:ready kw:heron -kw:bird cap:"red boat" is:changed'
        self.display = False

    def open(self, text: str) -> None:
        """Shows the line with the filter of now, marked, so that typing takes its place."""
        self.load_text(text)
        self.select_all()
        self._title.display = False
        self.display = True

    def close(self) -> None:
        """Gives the title its place back; the keys must go elsewhere by then."""
        self.display = False
        self._title.display = True
