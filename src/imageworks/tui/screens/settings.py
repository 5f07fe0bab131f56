"""The settings screen: every setting with its value and source; changes go into the user's file."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.cells import set_cell_size
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static

from imageworks.config import (
    SECRET_SETTINGS,
    PersonalTaggerConfig,
    setting_default,
    setting_specs,
)
from imageworks.config.user_file import UserSettingsFile, text_of_value, value_of_text
from imageworks.errors import UsageError
from imageworks.text import one_line, show_path
from imageworks.tui.actions import Scope
from imageworks.tui.screens.command import CommandScreen
from imageworks.tui.screens.help import HelpScreen
from imageworks.tui.states import can_show_unicode
from imageworks.tui.widgets.fields import FieldArea
from imageworks.tui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult

    from imageworks.config import PersonalTaggerSettings
    from imageworks.tui.actions import KeyTable

SettingsSource = tuple[UserSettingsFile, "Callable[[], PersonalTaggerSettings]"]
"""The user's file, and what reads all sources again."""

_NAME_WIDTH = 21
_VALUE_WIDTH = 34
_PAGE_ROWS = 10
_HIDDEN = "(hidden)"


class SettingField(FieldArea):
    """One line for a setting's value."""

    scope: ClassVar[Scope] = Scope.VALUE

    def __init__(self) -> None:
        super().__init__("setting-value", is_multiline=False)
        self.soft_wrap = False
        self.display = False


class SettingsScreen(CommandScreen):
    """All settings, to read and to change.

    Args:
        keys: The user's keys.
        own: The user's settings file, which takes the changes.
        reload: Reads all sources again.
        take: Puts the settings in force in this session.
    """

    def __init__(
        self,
        keys: KeyTable,
        own: UserSettingsFile,
        reload: Callable[[], PersonalTaggerSettings],
        take: Callable[[PersonalTaggerConfig], None],
    ) -> None:
        super().__init__(keys, [Scope.SETTINGS, Scope.VALUE])
        self._own = own
        self._reload = reload
        self._take = take
        self._names = tuple(setting_specs())
        self._settings = reload()
        self._config = self._settings.resolve()
        self._list = OptionList(id="settings", markup=False)
        self._about = Static(id="setting-about", markup=False)
        self._field = SettingField()
        self._said = Static(id="said", markup=False)
        self._key_bar = KeyBar(keys, Scope.SETTINGS)

    def compose(self) -> ComposeResult:
        """The list, what the setting under the cursor is, its field, keys."""
        yield self._list
        with Vertical(id="setting-box"):
            yield self._about
            yield self._field
        yield self._said
        yield self._key_bar

    def on_mount(self) -> None:
        """Shows the first setting."""
        self._list.add_options([self._row(name) for name in self._names])
        self._list.highlighted = 0
        self.set_focus(self._list)

    def on_option_list_option_highlighted(self) -> None:
        """Tells what the setting under the cursor is."""
        self._show_about()

    def on_option_list_option_selected(self) -> None:
        """A click on a setting edits it."""
        self.do_edit_setting()

    def say(self, text: str, *, is_error: bool = False) -> None:
        """Shows one line to the person, above the keys."""
        self._said.update(one_line(text, limit=400))
        self._said.set_class(is_error, "-error")

    # Moving

    def do_next(self) -> None:
        """Next setting."""
        self._move(1)

    def do_previous(self) -> None:
        """Previous setting."""
        self._move(-1)

    def do_page_down(self) -> None:
        """One page down."""
        self._move(_PAGE_ROWS)

    def do_page_up(self) -> None:
        """One page up."""
        self._move(-_PAGE_ROWS)

    def do_first(self) -> None:
        """First setting."""
        self._list.highlighted = 0

    def do_last(self) -> None:
        """Last setting."""
        self._list.highlighted = len(self._names) - 1

    def _move(self, step: int) -> None:
        position = (self._list.highlighted or 0) + step
        self._list.highlighted = max(0, min(position, len(self._names) - 1))

    # Changing

    def do_edit_setting(self) -> None:
        """Opens the field with the value of now, marked, so that typing takes its place."""
        name = self._current
        if setting_specs()[name].kind == "table":
            message = f"{name} is a table."
            raise UsageError(message, hint=f"edit it in {show_path(self._own.path, limit=60)}.")
        value = "" if name in SECRET_SETTINGS else text_of_value(getattr(self._config, name))
        self._field.load_text(value)
        self._field.select_all()
        self._field.display = True
        self.set_focus(self._field)
        self._key_bar.show_scope(Scope.VALUE)

    def do_next_choice(self) -> None:
        """Takes the next of the accepted words."""
        name = self._current
        spec = setting_specs()[name]
        value = getattr(self._config, name)
        if spec.kind == "bool":
            self._put(name, not value)
        elif spec.kind == "str" and value in spec.choices:
            self._put(name, spec.choices[(spec.choices.index(value) + 1) % len(spec.choices)])
        else:
            self.do_edit_setting()

    def do_save_setting(self) -> None:
        """Keeps what was typed; a value that is not accepted stays in the field."""
        name, text = self._current, self._field.text
        if not text.strip() and setting_default(name) is None:
            self.do_reset_setting()
        else:
            self._put(name, value_of_text(name, text))
        self.leave_text()

    def do_leave_setting(self) -> None:
        """Back to the list; the setting stays as it was."""
        self.leave_text()

    def do_reset_setting(self) -> None:
        """Takes the setting out of the user's file, so that its default counts."""
        self._change(self._current, lambda: self._own.remove(self._current))

    def do_show_review(self) -> None:
        """Back to the review screen."""
        self.dismiss()

    def do_show_settings(self) -> None:
        """This is the settings screen."""

    def do_help(self) -> None:
        """Shows all keys."""
        self.app.push_screen(HelpScreen(self.keys, is_unicode=can_show_unicode()))

    def leave_text(self) -> None:
        """Gives the keys back to the list."""
        # Not `Widget.focus`, which waits its turn while the next keys are already routed.
        self.set_focus(self._list)
        self._field.display = False
        self._key_bar.show_scope(Scope.SETTINGS)

    @property
    def _current(self) -> str:
        return self._names[self._list.highlighted or 0]

    def _put(self, name: str, value: object) -> None:
        self._change(name, lambda: self._own.put(name, value))

    def _change(self, name: str, change: Callable[[], None]) -> None:
        """Changes the user's file; what cannot be brought in force is not kept there either."""
        with self._own.unless_refused():
            change()
            self._bring_in_force(name)

    def _bring_in_force(self, name: str) -> None:
        settings = self._reload()
        config = settings.resolve()
        self._take(config)
        self._settings, self._config = settings, config
        for position, shown in enumerate(self._names):
            self._list.replace_option_prompt_at_index(position, self._row(shown))
        self._show_about()
        source = self._settings.source_of(name)
        is_outranked = source.startswith(("variable", "flag")) or "pyproject" in source
        if is_outranked:
            self.say(f"Kept, but {one_line(source, limit=120)} has the last word on {name}.")
        else:
            self.say(f"{name} is {self._shown(name)}.")

    # Showing

    def _row(self, name: str) -> Content:
        value = self._shown(name)
        source = self._settings.source_of(name)
        where = "" if source == "default" else one_line(source, limit=200)
        return Content.assemble(
            (set_cell_size(name, _NAME_WIDTH), ""),
            (set_cell_size(one_line(value, limit=200), _VALUE_WIDTH), "" if where else "dim"),
            (f" {where}", "dim"),
        )

    def _shown(self, name: str) -> str:
        value = getattr(self._config, name)
        if name in SECRET_SETTINGS:
            return "not set" if value == setting_default(name) else _HIDDEN
        return one_line(text_of_value(value), limit=200) or "-"

    def _show_about(self) -> None:
        name = self._current
        spec = setting_specs()[name]
        default = "" if name in SECRET_SETTINGS else text_of_value(setting_default(name)) or "-"
        lines = [spec.help, f"Accepts {spec.accepts()}. Default: {default or 'not set'}."]
        self._about.update("\n".join(one_line(line, limit=400) for line in lines))
