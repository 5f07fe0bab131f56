"""The Textual app: holds the screens together, leaves them in order, and draws nothing itself."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import events
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.binding import Binding, BindingsMap
from textual.css.query import NoMatches

from imageworks.errors import ImageworksError, UsageError
from imageworks.text import one_line, show_path
from imageworks.tui.actions import key_table
from imageworks.tui.engine_watch import EngineWatch
from imageworks.tui.palette import ActionProvider
from imageworks.tui.screens.command import CommandScreen
from imageworks.tui.screens.review import ReviewScreen
from imageworks.tui.screens.too_small import TooSmallScreen, is_too_small
from imageworks.tui.states import can_show_unicode
from imageworks.tui.terminal import Graphics, Renderer
from imageworks.tui.theme import PLAIN, ThemeWatch, load_theme

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.command import Provider
    from textual.dom import DOMNode
    from textual.screen import Screen
    from textual.theme import Theme

    from imageworks.config import PersonalTaggerConfig
    from imageworks.engine.client import EngineClient
    from imageworks.review.session import ReviewSession
    from imageworks.store.library import Library
    from imageworks.tui.screens.settings import SettingsSource
    from imageworks.tui.widgets.preview import PreviewPane

logger = logging.getLogger(__name__)

_THEME_LOOK_S = 1.0
# Python's own 5 ms is how long a frame or a key's answer would lie about before it is written.
_TURN_S = 0.0005
_DIALOG_STYLES = Path(__file__).with_name("dialogs.tcss")
_SIGNALS = (signal.SIGHUP, signal.SIGTERM)


class Workstation(App[int]):
    """The review workstation.

    Args:
        library: The library under review.
        session: The rules over it.
        config: Theme, keys, and what would be asked.
        client: The way to the engine.
        log_path: Named when something goes wrong.
        themes_dir: The user's own themes.
        graphics: The terminal's own graphics, or None.
        settings: Where settings are kept; None where they cannot be changed.
        on_shown: Called once the first frame is there.

    Raises:
        ConfigError: The theme or the keymap is wrong.
    """

    CSS_PATH = "workstation.tcss"
    TITLE = "Personal Tagger"
    COMMANDS: ClassVar[set[type[Provider]]] = {ActionProvider}  # type: ignore[assignment]  # a lazy form is accepted as well
    HORIZONTAL_BREAKPOINTS = [(0, "-slim"), (60, "-narrow"), (100, "-wide")]  # noqa: RUF012  # Textual's own type
    VERTICAL_BREAKPOINTS = [(0, "-short"), (20, "-tall")]  # noqa: RUF012

    def __init__(  # noqa: PLR0913  # all by name; what one session is made of
        self,
        *,
        library: Library,
        session: ReviewSession,
        config: PersonalTaggerConfig,
        client: EngineClient,
        log_path: Path,
        themes_dir: Path,
        graphics: Graphics | None = None,
        settings: SettingsSource | None = None,
        on_shown: Callable[[], None] | None = None,
    ) -> None:
        self._keys = key_table(config.keymap)
        theme = load_theme(_theme_name(config), themes_dir)
        self._themes_dir = themes_dir
        self._theme_watch = ThemeWatch(theme.name, themes_dir)
        # Told here, not later: Textual picks its filters of colours while it is being made.
        super().__init__(ansi_color=theme.ansi or None)
        self.animation_level = "none"
        # Without Textual's own ctrl+q and ctrl+p: those do not wait for what was typed before.
        self._bindings = BindingsMap([Binding("ctrl+c", "help_quit", show=False, system=True)])
        self.register_theme(theme)
        self.theme = theme.name
        self.stylesheet.set_variables(self.get_css_variables())
        self._log_path = log_path
        self._settings = settings
        self._on_shown = on_shown
        self._is_shown = False
        self._usual_turn_s = sys.getswitchinterval()
        typed_ahead = "" if graphics is None else graphics.typed_ahead
        parsed = XTermParser().feed(typed_ahead)
        self._early: list[events.Event] | None = [
            event for event in parsed if isinstance(event, events.Event)
        ]
        self.review = ReviewScreen(
            self._keys,
            library=library,
            session=session,
            config=config,
            watch=EngineWatch(client, time.monotonic),
            graphics=_drawable(graphics),
            is_colour=not theme.ansi,
            is_unicode=can_show_unicode(),
        )
        self.failure: Exception | None = None

    def get_default_screen(self) -> Screen[None]:
        """The review screen is the first and stays below all others."""
        return self.review

    async def on_event(self, event: events.Event) -> None:
        """Holds back what is typed before there is a screen to type into.

        Once there is none any more, what a field had no use for may still be on its way back here.
        """
        is_typed = isinstance(event, (events.Key, events.Paste))
        if is_typed and self._early is not None:
            self._early.append(event)
        elif not is_typed or self.screen_stack:
            await super().on_event(event)

    async def on_ready(self) -> None:
        """Does what was typed until now, in its order, and first what the probe came upon.

        Before that, what the first frame did not need.
        """
        self._is_shown = True
        sys.setswitchinterval(self._usual_turn_s)
        self.stylesheet.read(_DIALOG_STYLES)
        await self.review.mount_prompts()
        early, self._early = self._early or [], None
        for event in early:
            await super().on_event(event)
        if self._on_shown is not None:
            self._on_shown()

    def on_cursor_position(self) -> None:
        """The terminal has got as far as it was asked to tell."""
        self.review.preview.link.answered()

    def on_preview_pane_slowed(self, event: PreviewPane.Slowed) -> None:
        """Says why photographs look different from now on."""
        logger.info("Photographs are drawn as %s from now on.", event.renderer.value)
        if isinstance(self.screen, CommandScreen):
            self.screen.say(event.text)

    def on_load(self) -> None:
        """Lets the thread that writes the first frame have its turn while more is drawn."""
        sys.setswitchinterval(_TURN_S)

    def on_mount(self) -> None:
        """Listens to the signals that a lost connection and a shutdown send."""
        loop = asyncio.get_running_loop()
        try:
            for number in _SIGNALS:
                loop.add_signal_handler(number, self.leave, 128 + number)
        except (RuntimeError, ValueError):
            logger.debug("Not in the main thread: signals keep their meaning.")

        self.set_interval(_THEME_LOOK_S, self._follow_theme_file)

    def take_settings(self, config: PersonalTaggerConfig) -> None:
        """Puts changed settings in force for what is done from now on.

        Raises:
            ConfigError: The theme or the keymap is wrong; everything is as it was.
        """
        key_table(config.keymap)
        self._show_theme(load_theme(_theme_name(config), self._themes_dir))
        self._theme_watch = ThemeWatch(self.theme, self._themes_dir)
        self.review.take_settings(config.with_absolute_paths(Path.cwd()))

    def action_show_settings(self) -> None:
        """Opens the settings screen.

        Raises:
            UsageError: Settings cannot be changed here.
        """
        from imageworks.tui.screens.settings import SettingsScreen  # noqa: PLC0415  # seldom seen

        if self._settings is None:
            message = "Settings cannot be changed here."
            raise UsageError(message, hint="start ptag by itself.")
        own, reload = self._settings
        self.push_screen(SettingsScreen(self._keys, own, reload, self.take_settings))

    def _follow_theme_file(self) -> None:
        """Shows what was changed in the theme's file, or what is wrong with it."""
        try:
            if (theme := self._theme_watch.changed()) is not None:
                self._show_theme(theme)
        except ImageworksError as error:
            if isinstance(self.screen, CommandScreen):
                self.screen.say(str(error), is_error=True)

    def refresh_css(self, animate: bool = True) -> None:  # noqa: FBT001, FBT002  # Textual's signature
        """Draws by the changed style sheet; not before there is a screen, which has it already.

        Textual reads the whole sheet a second time for the theme that an app begins with.
        """
        if self._is_shown:
            super().refresh_css(animate)

    def update_styles(self, node: DOMNode, animate: bool = True) -> None:  # noqa: FBT001, FBT002  # Textual's signature
        """Gives styles to what has changed; not to the whole screen before it is shown.

        Textual styles each widget as it is mounted, and all of them again for the first frame.
        """
        if self._is_shown or node is not self.review:
            super().update_styles(node, animate)

    def _show_theme(self, theme: Theme) -> None:
        """Draws in another theme, or in the same one with other colours."""
        self.register_theme(theme)
        if theme.name == self.theme:
            self.refresh_css(animate=False)
        else:
            self.theme = theme.name

    def on_unmount(self) -> None:
        """Gives the signals their meaning back, and threads their usual turns."""
        sys.setswitchinterval(self._usual_turn_s)
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    def on_resize(self, event: events.Resize) -> None:
        """Covers the screen where a key could decide on what cannot be seen."""
        is_covered = isinstance(self.screen, TooSmallScreen)
        if is_too_small(event.size) and not is_covered:
            self.push_screen(TooSmallScreen(self._keys))
        elif is_covered and not is_too_small(event.size):
            self.pop_screen()

    def leave(self, status: int) -> None:
        """Keeps what was typed and where the person was, and ends the app with a status."""
        self._keep_place()
        self.exit(status, return_code=status)

    async def action_quit(self) -> None:
        """Leaves in order."""
        self.leave(0)

    def action_help_quit(self) -> None:
        """Ctrl+C copies and interrupts nothing; whoever presses it wants to leave."""
        if isinstance(self.screen, CommandScreen):
            self.screen.say(f"Press {self._keys.key_of('quit_now')} to leave.")

    def action_command_palette(self) -> None:
        """Opens the palette, except over a dialog."""
        if isinstance(self.screen, CommandScreen) and not self.screen.is_modal:
            super().action_command_palette()

    def _fatal_error(self) -> None:
        """Ends the app after an error that nobody caught.

        In place of Textual's own, which prints every local variable of every frame: the settings
        with their API key would be among them.
        """
        error = self.failure = self._exception
        self._keep_place()
        logger.critical("The workstation stopped.", exc_info=error)
        text = (
            f"The workstation stopped: {one_line(str(error))}\n"
            f"What was decided is kept. Details: {show_path(self._log_path)}"
        )
        self._exit_renderables.append(Text(text))
        self._close_messages_no_wait()

    def _keep_place(self) -> None:
        try:
            self.review.keep_place()
        except (ImageworksError, NoMatches) as error:
            logger.warning("Where the person was is not kept: %s", error)


def _theme_name(config: PersonalTaggerConfig) -> str:
    return PLAIN if "NO_COLOR" in os.environ else config.theme


def _drawable(graphics: Graphics | None) -> Graphics | None:
    """The way to draw, with letters in place of blocks that the terminal would not show."""
    if can_show_unicode() or (graphics is not None and graphics.renderer is not Renderer.HALF):
        return graphics
    return replace(graphics or Graphics(Renderer.ASCII), renderer=Renderer.ASCII)
