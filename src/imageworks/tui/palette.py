"""The command palette: every action by its name, with its key."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from textual.command import DiscoveryHit, Hit, Provider

from imageworks.tui.actions import TYPING_SCOPES, shown_key
from imageworks.tui.screens.command import CommandScreen

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from textual.command import Hits

    from imageworks.tui.actions import Action

# Of no use by name: they only make sense with the hands on the keys.
_LEFT_OUT = frozenset({"palette", "end_line", "apply_search", "leave_search", "quit_now"})


class ActionProvider(Provider):
    """The actions of the screen that the palette was opened on."""

    async def discover(self) -> Hits:
        """All of them, before anything is typed."""
        for action in self._actions():
            yield DiscoveryHit(_title(action), self._run(action), help=action.help)

    async def search(self, query: str) -> Hits:
        """Those whose name or help matches."""
        matcher = self.matcher(query)
        for action in self._actions():
            title = _title(action)
            score = max(matcher.match(title), matcher.match(action.help))
            if score > 0:
                yield Hit(score, matcher.highlight(title), self._run(action), help=action.help)

    def _actions(self) -> list[Action]:
        screen = self.screen
        if not isinstance(screen, CommandScreen):
            return []
        within = screen.keys.within(screen.scopes - TYPING_SCOPES)
        return [action for action in within if action.name not in _LEFT_OUT]

    def _run(self, action: Action) -> Callable[[], Coroutine[Any, Any, None]]:
        screen = self.screen
        assert isinstance(screen, CommandScreen)  # noqa: S101  # `_actions` lists none otherwise
        return partial(screen.run_from_palette, action)


def _title(action: Action) -> str:
    return f"{action.name.replace('_', ' ')} ({shown_key(action.keys[0])})"
