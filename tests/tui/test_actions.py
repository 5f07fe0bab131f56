from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from imageworks.errors import ConfigError
from imageworks.tui.actions import (
    ACTIONS,
    KeyTable,
    Scope,
    is_printable_key,
    key_table,
    shown_key,
)
from imageworks.tui.screens.batch import BatchScreen
from imageworks.tui.screens.group import GroupScreen
from imageworks.tui.screens.help import HelpScreen, help_content
from imageworks.tui.screens.metrics import MetricsScreen
from imageworks.tui.screens.quick import QuickKeywordsScreen
from imageworks.tui.screens.review import ReviewScreen
from imageworks.tui.screens.settings import SettingsScreen
from imageworks.tui.widgets.key_bar import MAX_KEYS

SCREENS = {
    Scope.LIST: ReviewScreen,
    Scope.TEXT: ReviewScreen,
    Scope.PROMPT: ReviewScreen,
    Scope.METRICS: MetricsScreen,
    Scope.DIALOG: HelpScreen,
    Scope.GROUP: GroupScreen,
    Scope.QUICK: QuickKeywordsScreen,
    Scope.ASK: ReviewScreen,
    Scope.BATCH: BatchScreen,
    Scope.SETTINGS: SettingsScreen,
    Scope.VALUE: SettingsScreen,
}


def test_default_keys_do_not_clash() -> None:
    assert key_table({}).actions == ACTIONS


def test_names_are_unique() -> None:
    assert len({action.name for action in ACTIONS}) == len(ACTIONS)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_every_action_is_a_method_where_its_keys_work(action) -> None:
    for scope in action.scopes:
        assert callable(getattr(SCREENS[scope], action.method, None)), scope


def test_slots_share_their_method_and_no_other_action_does() -> None:
    methods: dict[str, list[int]] = {}
    for action in ACTIONS:
        methods.setdefault(action.method, []).append(action.slot)

    assert methods.pop("do_quick") == list(range(1, 10))
    assert methods.pop("do_use_slot") == list(range(10))
    assert all(slots == [0] for slots in methods.values())


@pytest.mark.parametrize("scope", Scope)
def test_footer_has_few_keys_that_fit_80_columns(scope: Scope) -> None:
    footer = KeyTable().footer(scope)

    assert 0 < len(footer) <= MAX_KEYS
    line = "".join(f" {shown_key(action.keys[0])} {action.label} " for action in footer)
    assert cell_len(line) <= 80
    assert all(scope in action.scopes for action in footer)


def test_help_lists_every_action_with_every_key() -> None:
    text = help_content(KeyTable(), is_unicode=True).plain

    for action in ACTIONS:
        assert action.help in text
        assert " ".join(shown_key(key) for key in action.keys) in text


def test_users_keys_take_the_place_of_the_defaults() -> None:
    keys = key_table({"accept": "W,ctrl+a", "undo": "X"})

    assert keys.of("accept").keys == ("W", "ctrl+a")
    assert keys.key_of("undo") == "X"
    assert keys.of("reject").keys == ("r",)
    assert "W ctrl+a" in help_content(keys, is_unicode=False).plain


def test_keys_may_change_places() -> None:
    keys = key_table({"accept": "r", "reject": "a"})

    assert keys.of("accept").keys == ("r",)


@pytest.mark.parametrize(
    ("keymap", "message"),
    [
        ({"acept": "y"}, "'acept'"),
        ({"accept": "r"}, "'r' is accept and reject"),
        ({"accept": "ctrl+banana"}, "'ctrl\\+banana'"),
        ({"accept": ""}, "the key ''"),
        ({"accept": "hyper+a"}, "hyper"),
        ({"accept": "\x1b"}, r"\\x1b"),
        ({"accept_next": "s"}, "types a letter"),
        ({"leave_text": "space"}, "types a letter"),
        ({"leave_text": "tab"}, "leave_text and next_field"),
        ({"quit_now": "ctrl+p"}, "palette"),
    ],
)
def test_wrong_keymap_is_refused(keymap: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        key_table(keymap)
    assert caught.value.hint


@given(
    st.dictionaries(st.sampled_from([a.name for a in ACTIONS]), st.text(max_size=12), max_size=4)
)
def test_any_keymap_is_taken_without_a_clash_or_refused(keymap: dict[str, str]) -> None:
    try:
        keys = key_table(keymap)
    except ConfigError:
        return

    for scope in Scope:
        in_scope = [
            key
            for action in keys.within([scope])
            for key in action.keys
            if not (scope is Scope.TEXT and is_printable_key(key))
        ]
        assert len(in_scope) == len(set(in_scope))


def test_unknown_action_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        KeyTable().of("nothing")
