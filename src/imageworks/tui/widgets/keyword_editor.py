"""The keywords of one image as chips, edited with the keys alone."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from imageworks.models import Origin
from imageworks.review.keyword_line import KeywordLine
from imageworks.review.merge import edited_keywords
from imageworks.text import clean_text, fold
from imageworks.tui.widgets.chip_rows import GAP, Placed, chip_text, cut, end_of, place_rows
from imageworks.tui.widgets.typing_field import TypingField, is_letter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.style import Style
    from textual import events

    from imageworks.models import Keyword
    from imageworks.review.completion import Completion, KeywordCompleter

_TONES = {
    Origin.EXISTING: "file",
    Origin.MODEL: "model",
    Origin.VOCABULARY: "vocabulary",
    Origin.PERSON: "person",
    Origin.LIBRARY: "vocabulary",
}
_CARET = " "


class KeywordEditor(TypingField, Widget, can_focus=True):
    """Chips in wrapped rows, and among them the place where a keyword is typed.

    What it holds is a `KeywordLine`; this shows it and gives it the keys.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"keywords--{tone}" for tone in (*_TONES.values(), "removed")),
        *("keywords--cursor", "keywords--typed", "keywords--ghost", "keywords--caret"),
    }

    class Changed(Message):
        """Chips, or what is typed, have changed by a key."""

    class Moved(Message):
        """Something else is to be told about: the cursor is on another chip."""

    def __init__(self) -> None:
        super().__init__(id="keywords", classes="field")
        self.line = KeywordLine()
        self.read_only = False
        self.completer: KeywordCompleter | None = None
        self.completions: Sequence[Completion] = ()
        self.chosen: int | None = None
        self._undo: list[KeywordLine] = []
        self._redo: list[KeywordLine] = []
        self._is_typing_on = False
        self._top = 0

    # What it holds

    def load(
        self, kept: Iterable[Keyword], offered: Iterable[Keyword], *, is_other_image: bool
    ) -> None:
        """Shows an image's keywords; an earlier image's steps back are forgotten."""
        line = KeywordLine.of(kept, offered)
        known = {chip.keyword for chip in self.line.chips}
        is_same = self.line.keywords() == line.keywords() and not self.line.typed
        if not is_other_image and is_same and {chip.keyword for chip in line.chips} <= known:
            return  # what the person took out or moved the cursor to stays as it is
        before = self._rows()
        self.line = line
        self._undo, self._redo = [], []
        self._is_typing_on = False
        self._top = 0
        self._look_up()
        self._refresh_changed(before)

    def keywords(self) -> tuple[Keyword, ...]:
        """What the image is to have, half-typed text among it."""
        return tuple(self._as_in_vocabulary(keyword) for keyword in self.line.keywords())

    def as_lines(self) -> str:
        """What the image is to have, one keyword a line."""
        return "\n".join(clean_text(keyword.text) for keyword in self.line.keywords())

    def put(self, text: str) -> None:
        """Takes over keywords from such lines; those that are gone are shown as taken out."""
        known = [chip.keyword for chip in self.line.committed().chips]
        self.change(self.line.with_keywords(edited_keywords(text.split("\n"), known)))

    def change(self, line: KeywordLine) -> None:
        """Takes over a changed line, as one step that can be taken back."""
        self._is_typing_on = False
        self._put(line)

    def end_keyword(self) -> bool:
        """Makes a chip of what is typed or chosen; False when nothing is."""
        if not self.line.typed:
            return False
        chosen = None if self.chosen is None else self.completions[self.chosen].keyword
        self._put(self.line.committed(chosen))
        return True

    def current_keyword(self) -> Keyword | None:
        """The keyword under the cursor."""
        chip = self.line.current
        return None if chip is None else chip.keyword

    def ghost(self) -> str:
        """What the first completion adds to what is typed; empty where the caret is within it."""
        line = self.line
        if not line.typed or line.caret < len(line.typed) or not self.completions:
            return ""
        text = clean_text(self.completions[self.chosen or 0].keyword.text)
        is_longer = fold(text).startswith(fold(line.typed)) and len(text) > len(line.typed)
        return text[len(line.typed) :] if is_longer else ""

    # Keys

    def check_consume_key(self, key: str, character: str | None = None) -> bool:  # noqa: ARG002  # Textual's signature
        """Letters are never commands here, even where nothing can be changed."""
        return is_letter(character)

    def on_key(self, event: events.Key) -> None:
        """Types, moves and edits; what is not for this field goes on its way."""
        if event.character is not None and event.is_printable:
            event.stop()
            event.prevent_default()
            if not self.read_only:
                self._type(event.character)
            return
        step = _KEYS.get(event.key)
        if step is None:
            return
        event.stop()
        event.prevent_default()
        if not self.read_only or event.key in _MOVING_KEYS:
            step(self)

    def on_paste(self, event: events.Paste) -> None:
        """Makes chips of a pasted list."""
        event.stop()
        event.prevent_default()
        if not self.read_only:
            self.change(self.line.paste(event.text))

    def on_focus(self) -> None:
        """Shows cursor and completions."""
        self.refresh()
        self.post_message(self.Moved())

    def on_blur(self) -> None:
        """Makes a chip of what is half typed when the field is left."""
        self.settle_text()
        self.refresh()
        self.post_message(self.Moved())

    def settle_text(self) -> None:
        """Makes a chip of what is typed, exactly as it is typed."""
        if self.line.typed and not self.read_only:
            self._put(self.line.committed())

    def _type(self, character: str) -> None:
        line = self.line
        if character == " " and not line.typed and not line.is_typing:
            self.change(line.toggled())
            return
        is_within_word = bool(line.typed)
        self._put(line.insert(character), is_same_step=is_within_word)

    def toggle(self) -> None:
        """Takes the chip under the cursor out, or puts it back."""
        self.change(self.line.committed().toggled())

    def shift(self, step: int) -> None:
        """Moves the chip under the cursor."""
        self.change(self.line.shifted(step))

    def undo(self) -> None:
        """Takes the last step back."""
        self._go(self._undo, self._redo)

    def redo(self) -> None:
        """Does again what was taken back."""
        self._go(self._redo, self._undo)

    def step(self, count: int) -> None:
        """Moves the cursor; at the end of a typed text the ghost becomes a keyword."""
        if count > 0 and self.ghost():
            self._put(self.line.committed(self.completions[self.chosen or 0].keyword))
        else:
            self._put(self.line.moved(count))

    def row_step(self, count: int) -> None:
        """Chooses among the completions; without any, moves a row up or down."""
        if self.line.typed and self.completions:
            last = len(self.completions) - 1
            chosen = -1 if self.chosen is None else self.chosen
            chosen = min(chosen + count, last)
            self.chosen = chosen if chosen >= 0 else None
            self.refresh()
            self.post_message(self.Moved())
            return
        rows = self._rows()
        row, placed = _find(rows, self._cursor_index())
        if placed is not None and 0 <= row + count < len(rows):
            near = min(rows[row + count], key=lambda other: abs(other.column - placed.column))
            target = len(self.line.chips) if near.index is None else near.index
            self._put(self.line.moved_to(target))

    def _put(self, line: KeywordLine, *, is_same_step: bool = False) -> None:
        """Takes over a line; a change of what it says can be undone and is told."""
        old = self.line
        line = self._with_vocabulary(line, old)
        is_changed = (line.chips, line.typed) != (old.chips, old.typed)
        self.line = line
        if is_changed:
            if not (is_same_step and self._is_typing_on):
                self._undo.append(old)
            self._redo = []
            self._is_typing_on = is_same_step or bool(line.typed)
        self._look_up()
        self.refresh()
        self.post_message(self.Changed() if is_changed else self.Moved())

    def _go(self, back: list[KeywordLine], forth: list[KeywordLine]) -> None:
        if not back:
            return
        forth.append(self.line)
        self.line = back.pop()
        self._is_typing_on = False
        self._look_up()
        self.refresh()
        self.post_message(self.Changed())

    def _look_up(self) -> None:
        self.chosen = None
        typed = self.line.typed
        self.completions = self.completer.complete(typed) if self.completer and typed else ()

    def _with_vocabulary(self, line: KeywordLine, old: KeywordLine) -> KeywordLine:
        """New chips as the vocabulary has them: spelling and path."""
        if line.chips is old.chips:
            return line
        known = {chip.keyword for chip in old.chips}
        for chip in line.chips:
            if chip.is_kept and chip.keyword not in known:
                line = line.respelled(chip, self._as_in_vocabulary(chip.keyword))
        return line

    def _as_in_vocabulary(self, keyword: Keyword) -> Keyword:
        if self.completer is None or keyword.origin is not Origin.PERSON:
            return keyword
        return self.completer.known(keyword.text) or keyword

    # Drawing

    def render_line(self, y: int) -> Strip:
        """One row of chips."""
        width = self.size.width
        base = self.rich_style
        rows = self._rows()
        if not y:
            self._top = self._first_row(rows)
        row = self._top + y
        if row >= len(rows):
            return Strip.blank(width, base)
        segments: list[Segment] = []
        column = 0
        for placed in rows[row]:
            if placed.column > column:
                segments.append(Segment(" " * (placed.column - column), base))
            drawn = self._segments(placed, base)
            segments += drawn
            column = max(column, placed.column) + Segment.get_line_length(drawn)
        strip = Strip(segments).adjust_cell_length(width, base)
        hidden = sum(len(later) for later in rows[row + 1 :])
        if y == self.size.height - 1 and hidden:
            return self._with_count(strip, f" +{hidden}", base)
        return strip

    def _with_count(self, strip: Strip, count: str, base: Style) -> Strip:
        """A row that says how many chips are below it."""
        width = self.size.width
        quiet = base + self._style("ghost")
        head = strip.crop(0, max(width - len(count), 0))
        return Strip([*head, Segment(count, quiet)]).adjust_cell_length(width, base)

    def _rows(self) -> list[list[Placed]]:
        width = max(self.size.width, 4)
        pieces: list[tuple[int | None, str]] = [
            (index, chip_text(chip)) for index, chip in enumerate(self.line.chips)
        ]
        is_typing_place = self.line.typed or self.line.cursor == len(self.line.chips)
        if self.has_focus and is_typing_place:
            shown, _ = end_of(self.line.typed, self.line.caret, width - GAP)
            pieces.insert(self.line.cursor, (None, cut(shown + self.ghost(), width - 1) + _CARET))
        return place_rows(pieces, width)

    def _refresh_changed(self, before: list[list[Placed]]) -> None:
        """Draws the rows that are not as they were."""
        after = self._rows()
        if self.has_focus or max(len(before), len(after)) > self.size.height:
            self.refresh()  # the cursor, or the count of the chips below, may be on any row
            return
        for y, (old, new) in enumerate(zip_longest(before, after)):
            if old != new:
                self.refresh(Region(0, y, self.size.width, 1))

    def _first_row(self, rows: list[list[Placed]]) -> int:
        """The row to begin with: without the keys the first, else such that the cursor is seen."""
        if not self.has_focus:
            return 0
        row, _ = _find(rows, self._cursor_index())
        height = max(self.size.height, 1)
        return min(max(self._top, row - height + 1), row)

    def _cursor_index(self) -> int | None:
        is_typing = bool(self.line.typed) or self.line.current is None
        return None if is_typing else self.line.cursor

    def _segments(self, placed: Placed, base: Style) -> list[Segment]:
        if placed.index is None:
            return self._typed_segments(placed.text, base)
        chip = self.line.chips[placed.index]
        tone = _TONES[chip.keyword.origin] if chip.is_kept else "removed"
        style = base + self._style(tone)
        is_here = placed.index == self._cursor_index()
        if self.has_focus and (is_here or self.line.is_all_marked):
            style += self._style("cursor")
        return [Segment(placed.text, style)]

    def _typed_segments(self, text: str, base: Style) -> list[Segment]:
        shown, caret = end_of(self.line.typed, self.line.caret, max(self.size.width, 4) - GAP)
        typed, ghost, lit = (base + self._style(name) for name in ("typed", "ghost", "caret"))
        under = text[caret : caret + 1] or _CARET
        return [
            Segment(text[:caret], typed),
            Segment(under, lit),
            Segment(text[caret + 1 : len(shown)], typed),
            Segment(text[max(len(shown), caret + 1) :], ghost),
        ]

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"keywords--{name}", partial=True)


def _find(rows: list[list[Placed]], index: int | None) -> tuple[int, Placed | None]:
    for number, row in enumerate(rows):
        for placed in row:
            if placed.index == index:
                return number, placed
    return 0, None


_MOVING_KEYS = frozenset({"left", "right", "home", "end", "up", "down"})
_KEYS: dict[str, Callable[[KeywordEditor], None]] = {
    "left": lambda editor: editor.step(-1),
    "right": lambda editor: editor.step(1),
    "up": lambda editor: editor.row_step(-1),
    "down": lambda editor: editor.row_step(1),
    "home": lambda editor: editor.change(editor.line.home()),
    "end": lambda editor: editor.change(editor.line.end()),
    "backspace": lambda editor: editor.change(editor.line.backspace()),
    "ctrl+h": lambda editor: editor.change(editor.line.backspace()),
    "delete": lambda editor: editor.change(editor.line.delete()),
    "ctrl+z": lambda editor: editor.undo(),
    "ctrl+y": lambda editor: editor.redo(),
    "f7": lambda editor: editor.change(editor.line.all_marked()),
}
"""The field's own editing keys, as in the text fields; the table of actions has the others."""
