"""Everything a key can do, as one table; bindings, footer, help and palette are made from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from imageworks.errors import ConfigError
from imageworks.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Scope(Enum):
    """Where the keys go: what a key means depends on it and on nothing else."""

    LIST = "In the list"
    TEXT = "While typing"
    PROMPT = "In the filter line"
    METRICS = "On the metrics screen"
    SETTINGS = "On the settings screen"
    BATCH = "In the batch dialog"
    VALUE = "While typing a setting"
    DIALOG = "In a dialog"
    GROUP = "In the dialog of a group"
    QUICK = "In the quick keywords"
    ASK = "While answering a question"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a key does.

    Attributes:
        name: Its name in the user's ``keymap``, and ``do_<name>`` on the screen that does it.
        keys: Default keys, as Textual names them; a single character stands for itself.
        label: One or two words for the footer.
        help: One line for help and palette.
        scopes: Where its keys work. A printable key never works while typing.
        slot: Which of several alike it is, from 1; told to their one method. 0: it stands alone.
    """

    name: str
    keys: tuple[str, ...]
    label: str
    help: str
    scopes: frozenset[Scope]
    slot: int = 0

    @property
    def method(self) -> str:
        """The name of the method that does it: one for all slots."""
        return f"do_{self.name.removesuffix(f'_{self.slot}') if self.slot else self.name}"


_LIST = frozenset({Scope.LIST})
_TEXT = frozenset({Scope.TEXT})
_PROMPT = frozenset({Scope.PROMPT})
_METRICS = frozenset({Scope.METRICS})
_SETTINGS = frozenset({Scope.SETTINGS})
_BATCH = frozenset({Scope.BATCH})
_VALUE = frozenset({Scope.VALUE})
_DIALOG = frozenset({Scope.DIALOG})
_GROUP = frozenset({Scope.GROUP})
_QUICK = frozenset({Scope.QUICK})
_DIALOGS = _DIALOG | _GROUP | _QUICK | _BATCH
_ASK = frozenset({Scope.ASK})
_SCREENS = _LIST | _METRICS
_ROWS = _LIST | _SETTINGS | _BATCH
_ALL_SCREENS = _SCREENS | _SETTINGS
_ANYWHERE = frozenset(Scope)

TYPING_SCOPES = _TEXT | _PROMPT | _VALUE | _ASK
"""Where keys that type a character do so."""

_ALT_DIGITS = "¡™£¢∞§¶•ª"
"""What Textual makes of alt and 1 to 9 on terminals that send escape and the digit, which most do
(textual `_ansi_sequences.py`)."""

ACTIONS: tuple[Action, ...] = (
    Action("accept", ("a",), "accept", "accept what the fields say, and go on", _LIST),
    Action("reject", ("r",), "reject", "reject: the file stays as it is, and go on", _LIST),
    Action("skip", ("s",), "skip", "leave this image for another day, and go on", _LIST),
    Action("undo", ("u",), "undo", "take back the last act, even after its write", _LIST),
    Action("redo", ("ctrl+r",), "redo", "do again what was undone last", _LIST),
    Action("edit_caption", ("e", "enter"), "edit", "edit the caption", _LIST),
    Action("edit_keywords", ("t",), "keywords", "edit the keywords", _LIST),
    Action("edit_description", ("d",), "description", "edit the description", _LIST),
    Action(
        "take_model",
        ("x",),
        "model's text",
        "take the model's words instead of the file's, and back",
        _LIST,
    ),
    Action("next", ("j", "down"), "next", "next image", _ROWS),
    Action("previous", ("k", "up"), "previous", "previous image", _ROWS),
    Action("next_undecided", ("n",), "next to review", "next image to review", _LIST),
    Action("previous_undecided", ("N",), "previous to review", "previous image to review", _LIST),
    Action("page_down", ("pagedown", "ctrl+d"), "page down", "one page down", _ROWS),
    Action("page_up", ("pageup", "ctrl+u"), "page up", "one page up", _ROWS),
    Action("first", ("g", "home"), "first", "first image", _ROWS),
    Action("last", ("G", "end"), "last", "last image", _ROWS),
    Action("filter", ("f",), "filter", "show another kind of image: all, to review, …", _LIST),
    Action("search", ("/",), "find", "show only what matches, such as kw:heron", _LIST),
    Action("sort", ("o",), "sort", "list in another order: by name, newest first, …", _LIST),
    Action("mark", ("space",), "mark", "mark this image, or unmark it, and go on", _LIST),
    Action("mark_range", ("V",), "mark range", "mark all from the last mark to here", _LIST),
    Action("mark_all", ("v",), "mark all", "mark all that are listed, or unmark them", _LIST),
    Action("clear_marks", ("U",), "unmark", "unmark everything", _LIST),
    Action("accept_many", ("A",), "accept marked", "accept all marked, else all listed", _LIST),
    Action("reject_many", ("R",), "reject marked", "reject all marked, else all listed", _LIST),
    Action("skip_many", ("H",), "skip marked", "hold all marked, else all listed, back", _LIST),
    Action("add_to_many", ("+",), "add keyword", "add a keyword to all marked", _LIST),
    Action("take_from_many", ("-",), "take keyword", "take a keyword out of all marked", _LIST),
    Action("group", ("D",), "alike", "decide on a burst or near-duplicates as one", _LIST),
    Action("fix_others", ("K",), "fix others", "put the same right in other images", _LIST),
    Action("make_rule", ("L",), "make a rule", "keep a repeated correction as a rule", _LIST),
    Action("regenerate", ("i",), "ask again", "ask for another suggestion, ahead of all", _LIST),
    Action(
        "regenerate_with_hint",
        ("I",),
        "ask with hint",
        "tell the model something and ask again",
        _LIST,
    ),
    Action(
        "ask_field",
        ("ctrl+g",),
        "ask for field",
        "ask for this field alone, or for one you name",
        _LIST | _TEXT,
    ),
    Action("batch", ("b",), "batch", "ask the model about these folders", _LIST),
    Action("stop_batch", ("B",), "stop batch", "stop the batch; again: at once", _SCREENS),
    Action("show_summary", ("M",), "summary", "how the last batch went", _SCREENS),
    Action("pause_batch", ("p",), "pause", "ask nothing for a while, or go on", _SCREENS),
    Action("repeat_edit", (".",), "repeat", "do the last image's edit to this one, too", _LIST),
    Action("copy_keywords", ("y",), "copy keywords", "copy this image's keywords", _LIST),
    Action("paste_keywords", ("P",), "paste keywords", "add the copied keywords", _LIST),
    Action(
        "replace_keywords",
        ("Y",),
        "replace keywords",
        "put the copied keywords in the place of this image's",
        _LIST,
    ),
    Action("quick_keywords", ("'",), "quick keywords", "fill and use the nine slots", _LIST),
    *(
        Action(
            f"quick_{number}",
            (f"alt+{number}", character),
            f"quick {number}",
            f"put quick keywords {number} on it, or take them out",
            _LIST,
            number,
        )
        for number, character in enumerate(_ALT_DIGITS, 1)
    ),
    Action("zoom_in", ("z",), "closer", "look twice as close at the picture", _LIST),
    Action("zoom_out", ("Z",), "less close", "look half as close", _LIST),
    Action("zoom_reset", ("0",), "whole", "the whole picture", _LIST),
    Action("pan_left", ("shift+left",), "left", "look further to the left", _LIST),
    Action("pan_right", ("shift+right",), "right", "look further to the right", _LIST),
    Action("pan_up", ("shift+up",), "up", "look further up", _LIST),
    Action("pan_down", ("shift+down",), "down", "look further down", _LIST),
    Action("show_changes", ("w",), "what changes", "what an accept changes in the file", _LIST),
    Action("edit_long", ("E",), "own editor", "edit the description in $EDITOR", _LIST),
    Action("edit_outside", ("ctrl+e",), "own editor", "edit this field in $EDITOR", _TEXT),
    Action("accept_next", ("ctrl+s",), "accept, next", "accept with this text, and go on", _TEXT),
    Action("leave_text", ("escape",), "list", "back to the list; the text is kept", _TEXT),
    Action("next_field", ("tab",), "next field", "next field", _LIST | _TEXT),
    Action("previous_field", ("shift+tab",), "previous field", "previous field", _LIST | _TEXT),
    Action("end_line", ("enter",), "", "ends a keyword, or the caption: next field", _TEXT),
    Action(
        "toggle_keyword",
        ("ctrl+t",),
        "take out",
        "take a keyword out or put it back; space does, too",
        _TEXT,
    ),
    Action("keyword_earlier", ("alt+left", "shift+left"), "earlier", "move it forward", _TEXT),
    Action("keyword_later", ("alt+right", "shift+right"), "later", "move it back", _TEXT),
    Action("apply_search", ("enter",), "show", "show what matches; all when empty", _PROMPT),
    Action("leave_search", ("escape",), "list", "back to the list as it was", _PROMPT),
    Action("give_answer", ("enter",), "do it", "take what was typed", _ASK),
    Action("leave_ask", ("escape",), "list", "back to the list, nothing is done", _ASK),
    Action("accept_same", ("enter",), "this text for all", "accept all with this text", _GROUP),
    Action("accept_each", ("e",), "each its own", "accept each with its own text", _GROUP),
    Action("mark_group", ("space",), "mark them", "mark all of the group", _GROUP),
    Action("use_slot", ("enter",), "use", "put this slot's keywords on the image", _QUICK),
    *(
        Action(
            f"use_slot_{number}", (f"{number}",), f"{number}", f"use slot {number}", _QUICK, number
        )
        for number in range(1, 10)
    ),
    Action("fill_slot", ("f",), "fill", "keep the image's keywords in this slot", _QUICK),
    Action("clear_slot", ("x", "delete"), "clear", "empty this slot", _QUICK),
    Action("slot_next", ("down", "j"), "next slot", "next slot", _QUICK),
    Action("slot_previous", ("up", "k"), "previous slot", "previous slot", _QUICK),
    Action("filling_next", ("right", "l"), "fill with", "fill with one, or all", _QUICK),
    Action("filling_previous", ("left", "h"), "fill with", "the keyword before", _QUICK),
    Action("show_review", ("1", "escape"), "review", "the review screen", _ALL_SCREENS),
    Action("show_metrics", ("3", "m"), "metrics", "the metrics screen", _SCREENS),
    Action("show_settings", ("S", "f2"), "settings", "the settings screen", _LIST | _SETTINGS),
    Action("edit_setting", ("enter", "e"), "change", "change this setting", _SETTINGS),
    Action(
        "next_choice",
        ("space",),
        "next choice",
        "take the next accepted word",
        _SETTINGS | _BATCH,
    ),
    Action("edit_entry", ("e",), "change", "change this entry", _BATCH),
    Action("start_batch", ("enter",), "start", "start the batch", _BATCH),
    Action("reset_setting", ("delete", "x"), "default", "back to the default", _SETTINGS),
    Action("save_setting", ("enter",), "keep", "keep this value", _VALUE),
    Action("leave_setting", ("escape",), "back", "leave the setting as it was", _VALUE),
    Action("help", ("?", "f1"), "help", "all keys", _ALL_SCREENS),
    Action("palette", ("ctrl+p",), "commands", "find a command by its name", _ANYWHERE - _DIALOGS),
    Action("confirm", ("enter",), "yes", "say yes", _DIALOG),
    Action("close", ("escape", "q"), "close", "close without doing anything", _DIALOGS),
    Action("quit", ("q", "ctrl+q"), "quit", "leave; nothing is lost", _ALL_SCREENS),
    Action("quit_now", ("ctrl+q",), "quit", "leave; nothing is lost", TYPING_SCOPES | _DIALOGS),
)
"""In the order in which help lists them."""

_FOOTERS = {
    Scope.LIST: ("accept", "reject", "skip", "undo", "edit_caption", "batch", "help", "quit"),
    Scope.TEXT: ("accept_next", "leave_text", "next_field", "palette", "quit_now"),
    Scope.PROMPT: ("apply_search", "leave_search", "palette", "quit_now"),
    Scope.METRICS: ("show_review", "pause_batch", "stop_batch", "help", "quit"),
    Scope.SETTINGS: (
        *("edit_setting", "next_choice", "reset_setting", "show_review", "help", "quit"),
    ),
    Scope.BATCH: ("start_batch", "next_choice", "edit_entry", "close"),
    Scope.VALUE: ("save_setting", "leave_setting", "quit_now"),
    Scope.DIALOG: ("confirm", "close"),
    Scope.GROUP: ("accept_same", "accept_each", "mark_group", "close"),
    Scope.QUICK: ("use_slot", "fill_slot", "filling_next", "clear_slot", "close"),
    Scope.ASK: ("give_answer", "leave_ask", "palette", "quit_now"),
}
"""The footer's actions, most needed first: the end gives way where the line is short."""

_NAMED_KEYS = frozenset(
    {
        *("up", "down", "left", "right", "home", "end", "pageup", "pagedown", "insert", "delete"),
        *("backspace", "enter", "escape", "tab", "space"),
        *(f"f{number}" for number in range(1, 13)),
    }
)
_MODIFIERS = ("ctrl", "shift", "alt")
_SHOWN_KEYS = {
    "escape": "esc",
    "pagedown": "pgdn",
    "pageup": "pgup",
    "down": "↓",
    "up": "↑",
}


@dataclass(frozen=True, slots=True)
class KeyTable:
    """Every action with the keys it has for this user."""

    actions: tuple[Action, ...] = ACTIONS

    def of(self, name: str) -> Action:
        """One action; KeyError when there is none of that name."""
        for action in self.actions:
            if action.name == name:
                return action
        raise KeyError(name)

    def within(self, scopes: Iterable[Scope]) -> list[Action]:
        """The actions that work in any of these scopes, in the table's order."""
        wanted = set(scopes)
        return [action for action in self.actions if action.scopes & wanted]

    def footer(self, scope: Scope) -> list[Action]:
        """The actions to show in the footer, most needed first."""
        return [self.of(name) for name in _FOOTERS[scope]]

    def key_of(self, name: str) -> str:
        """An action's first key, as it is shown."""
        return shown_key(self.of(name).keys[0])


def key_table(keymap: Mapping[str, str]) -> KeyTable:
    """The table with the user's own keys: ``{"accept": "a,enter"}``.

    Raises:
        ConfigError: An action or key is unknown, a key has two meanings, or a key that types a
            character is given to an action for use while typing.
    """
    known = {action.name for action in ACTIONS}
    for name in keymap:
        if name not in known:
            message = f"Setting keymap names the action {one_line(name)!r}, which does not exist."
            raise ConfigError(message, hint=f"use one of: {', '.join(sorted(known))}.")
    actions = tuple(
        _with_keys(action, keymap[action.name]) if action.name in keymap else action
        for action in ACTIONS
    )
    _refuse_clashes(actions)
    return KeyTable(actions)


def shown_key(key: str) -> str:
    """A key's name, short enough for a footer."""
    return _SHOWN_KEYS.get(key, key)


def is_printable_key(key: str) -> bool:
    """Whether a key types a character."""
    return len(key) == 1 or key == "space"


def _with_keys(action: Action, text: str) -> Action:
    keys = tuple(part.strip() for part in text.split(",")) if text != "," else (",",)
    for key in keys:
        if not _is_known(key):
            message = f"Setting keymap gives {action.name} the key {one_line(key)!r}."
            hint = "use a character, ctrl+LETTER, f1 to f12, or a name such as enter, tab, home."
            raise ConfigError(message, hint=hint)
        if is_printable_key(key) and action.scopes <= TYPING_SCOPES:
            message = f"Setting keymap gives {action.name} the key {key!r}, which types a letter."
            raise ConfigError(message, hint="use a key such as ctrl+s for it.")
    return replace(action, keys=keys)


def _is_known(key: str) -> bool:
    if len(key) == 1:
        return key.isprintable() and key != " "
    *modifiers, last = key.split("+")
    if not all(modifier in _MODIFIERS for modifier in modifiers):
        return False
    if last in _NAMED_KEYS:
        return True
    return bool(modifiers) and len(last) == 1 and last.isascii() and last.isalnum()


def _refuse_clashes(actions: Iterable[Action]) -> None:
    taken: dict[tuple[Scope, str], Action] = {}
    for action in actions:
        for scope in action.scopes:
            for key in action.keys:
                if scope in TYPING_SCOPES and is_printable_key(key):
                    continue  # it types a character there
                other = taken.setdefault((scope, key), action)
                if other is not action:
                    message = f"Setting keymap: the key {key!r} is {other.name} and {action.name}."
                    raise ConfigError(message, hint="give one of them another key.")
