"""Help: every action with its keys, from the table itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from imageworks.tui.actions import Scope, shown_key
from imageworks.tui.screens.command import Dialog
from imageworks.tui.states import STATE_SIGNS, glyph_of
from imageworks.tui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from imageworks.tui.actions import KeyTable

_KEY_WIDTH = 16
_FILTER_TERMS = (
    ("boat", "caption, keywords or description have a word that starts so"),
    ('"red boat"', "the same for these words, one after the other"),
    ("kw:heron", "this keyword; kw:her* for those that start so"),
    ('cap:"red boat"', "these words in the caption"),
    ("state:ready", "in this state; several: any of them"),
    ("dir:lisbon", "in the name of the folder or those above it"),
    ("name:img_12", "in the name of the file"),
    ("model:qwen", "suggested by this model"),
    ("failed:timeout", "failed for this reason"),
    ("is:changed", "the suggestion has keywords that the file had not"),
    ("is:draft", "has text that was typed and not decided on"),
    ("-kw:bird", "a minus turns any of these round; all that is said holds"),
)


class HelpScreen(Dialog):
    """All keys, by where they work, and what the signs in the list mean."""

    def __init__(self, keys: KeyTable, *, is_unicode: bool) -> None:
        super().__init__(keys)
        self._is_unicode = is_unicode

    def compose(self) -> ComposeResult:
        """The text, scrollable."""
        with VerticalScroll(id="help-box"):
            yield Static(help_content(self.keys, is_unicode=self._is_unicode), markup=False)
        yield KeyBar(self.keys, Scope.DIALOG, without=frozenset({"confirm"}))


def help_content(keys: KeyTable, *, is_unicode: bool) -> Content:
    """The help text."""
    parts: list[Content | tuple[str, str] | str] = []
    for scope in Scope:
        parts += [(f"{scope.value}\n", "bold")]
        for action in keys.within([scope]):
            shown = " ".join(shown_key(key) for key in action.keys)
            parts += [(f"  {shown:<{_KEY_WIDTH}}", "bold"), f"{action.help}\n"]
        parts.append("\n")
    parts.append(("What a filter can say\n", "bold"))
    for term, meaning in _FILTER_TERMS:
        parts += [(f"  {term:<{_KEY_WIDTH}}", "bold"), f"{meaning}\n"]
    parts.append("\n")
    parts.append(("What the signs in the list mean\n", "bold"))
    for state, sign in STATE_SIGNS.items():
        glyph = glyph_of(state, is_unicode=is_unicode)
        parts += [(f"  {glyph + ' ' + sign.word:<{_KEY_WIDTH}}", "bold"), f"{sign.help}\n"]
    return Content.assemble(*parts)
