"""The footer: the keys that work here, most needed first, as many as fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from imageworks.tui.actions import shown_key

if TYPE_CHECKING:
    from imageworks.tui.actions import KeyTable, Scope

MAX_KEYS = 8


class KeyBar(Widget):
    """One line of keys and what they do; it follows the scope."""

    def __init__(
        self, keys: KeyTable, scope: Scope, *, without: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(id="keys")
        self._without = without
        self._keys = keys
        self._scope = scope

    def show_scope(self, scope: Scope) -> None:
        """Shows the keys of another scope."""
        if scope is not self._scope:
            self._scope = scope
            self.refresh()

    def render(self) -> Content:
        """The line."""
        parts: list[tuple[str, str] | str] = []
        used = 0
        actions = self._keys.footer(self._scope)
        for action in [action for action in actions if action.name not in self._without][:MAX_KEYS]:
            key = shown_key(action.keys[0])
            width = cell_len(f" {key} {action.label} ")
            if used + width > self.size.width:
                break
            used += width
            parts += [(f" {key}", "bold"), f" {action.label} "]
        return Content.assemble(*parts)
