"""What all screens share: keys from the one table of actions, run one after the other."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any

from textual.binding import Binding, BindingsMap
from textual.screen import ModalScreen, Screen

from imageworks.errors import ImageworksError
from imageworks.tui.actions import TYPING_SCOPES, Scope
from imageworks.tui.widgets.typing_field import scope_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from textual.widget import Widget

    from imageworks.tui.actions import Action, KeyTable

logger = logging.getLogger(__name__)

_SETTLE_S = 2.0


def bindings_for(actions: Iterable[Action]) -> BindingsMap:
    """Textual's bindings for some actions.

    All have priority: the app then runs them in the order in which keys arrive, and a burst of
    keys over a slow line means what it would mean typed slowly (textual `App.on_event`).
    """
    return BindingsMap(
        Binding(key, f"command('{action.name}')", action.label, show=False, priority=True)
        for action in actions
        for key in action.keys
    )


class CommandScreen(Screen[None]):
    """A screen whose keys come from the table; an action ``x`` is its method ``do_x``.

    Args:
        keys: The user's keys.
        scopes: The scopes that this screen can be in.
    """

    def __init__(self, keys: KeyTable, scopes: Iterable[Scope]) -> None:
        super().__init__()
        self.keys = keys
        self.scopes = frozenset(scopes)
        own = bindings_for(keys.within(self.scopes))
        self._bindings = BindingsMap.merge([own, self._bindings])

    def take_breakpoints(self) -> None:
        """Takes the classes of the terminal's width and height before the first layout.

        Textual sets them after it, and the first frame would be drawn twice.
        """
        app = self.app
        for size, breakpoints in (
            (app.size.width, app.HORIZONTAL_BREAKPOINTS or []),
            (app.size.height, app.VERTICAL_BREAKPOINTS or []),
        ):
            reached = [name for least, name in breakpoints if size >= least]
            self.add_class(*reached[-1:], update=False)

    @property
    def scope(self) -> Scope:
        """Where the keys go now."""
        typing_scope = scope_of(self.focused)
        if typing_scope is not None and typing_scope in self.scopes:
            return typing_scope
        return next(iter(self.scopes - TYPING_SCOPES))

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Shows one line to the person."""
        if text:
            self.app.notify(text, severity="error" if is_error else "information", markup=False)

    def allows(self, action: Action) -> bool:
        """Whether an action works where the keys go now."""
        return self.scope in action.scopes

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Textual's gate: a key whose action does not work here is left to others."""
        if action != "command":
            return super().check_action(action, parameters)
        return self.allows(self.keys.of(str(parameters[0])))

    async def action_command(self, name: str) -> None:
        """Runs one action of the table, after all that was typed before it has arrived."""
        await self.settle()
        self.say("")
        try:
            action = self.keys.of(name)
            method = getattr(self, action.method)
            outcome: Any = method(action.slot) if action.slot else method()
            if inspect.isawaitable(outcome):
                await outcome
        except ImageworksError as error:
            logger.info("%s: %s", name, error)
            self.say(str(error), is_error=True)

    async def run_from_palette(self, action: Action) -> None:
        """Runs an action from the palette, wherever the keys went before it was opened."""
        if not self.allows(action) and self.scope in TYPING_SCOPES:
            self.leave_text()
        if self.allows(action):
            await self.action_command(action.name)

    def paint_now(self, widget: Widget) -> None:
        """Draws what has changed on a widget at once.

        Textual would first let every widget have its turn, and then draw all that has changed in
        one frame: the answer to a key waits for what it has nothing to do with.
        """
        self._dirty_widgets.add(widget)
        self._on_timer_update()
        # Else the widget would ask for an empty frame, and what comes next would wait for another.
        widget._repaint_required = False  # noqa: SLF001  # as its own turn would

    def leave_text(self) -> None:
        """Takes the keys away from the fields."""
        self.set_focus(None)

    async def settle(self) -> None:
        """Waits until the focused field has taken in the keys that were routed to it."""
        field = self.focused
        if field is None or scope_of(field) is None:
            return
        has_settled = asyncio.Event()
        if not field.call_later(has_settled.set):
            return
        try:
            async with asyncio.timeout(_SETTLE_S):
                await has_settled.wait()
        except TimeoutError:
            logger.warning("The field %s takes its time.", field.id)

    def do_palette(self) -> None:
        """Opens the command palette."""
        self.app.action_command_palette()

    async def do_quit(self) -> None:
        """Leaves the program; the app keeps what was typed."""
        await self.app.action_quit()

    async def do_quit_now(self) -> None:
        """Leaves the program while typing or in a dialog."""
        await self.do_quit()


class Dialog(CommandScreen, ModalScreen[None]):
    """A screen over another one; keys do not reach what is below."""

    def __init__(self, keys: KeyTable, *scopes: Scope) -> None:
        super().__init__(keys, scopes or [Scope.DIALOG])

    def do_confirm(self) -> Awaitable[None] | None:
        """Closes; a dialog that asks something overrides it."""
        self.do_close()
        return None

    def do_close(self) -> None:
        """Closes the dialog."""
        self.dismiss()
