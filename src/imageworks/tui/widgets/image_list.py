"""The list of images: draws the rows that are seen and asks for no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from imageworks.text import one_line
from imageworks.tui.states import STATE_SIGNS, WORD_WIDTH, glyph_of
from imageworks.tui.widgets.chip_rows import cut
from imageworks.tui.wording import shorten_middle

if TYPE_CHECKING:
    from textual import events

    from imageworks.review.marks import Marks
    from imageworks.store.records import ImageRow
    from imageworks.tui.listing import ImageListing

_STATE_WIDTH = WORD_WIDTH + 5  # cursor, space, sign, space, word, space
_SHORTEST_NAME = 12


class ImageList(ScrollView, can_focus=True):
    """Images with state, name and the start of the caption; flat at any length.

    Args:
        listing: What is listed; the screen moves its cursor and then calls `follow`.
        is_unicode: Whether the terminal shows more than ASCII.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "image-list--row",
        "image-list--cursor",
        "image-list--quiet",
        "image-list--ready",
        "image-list--good",
        "image-list--bad",
    }
    cursor: reactive[int] = reactive(0, repaint=False, init=False)

    class Clicked(Message):
        """The mouse chose a row."""

        def __init__(self, position: int) -> None:
            super().__init__()
            self.position = position

    def __init__(self, listing: ImageListing, *, is_unicode: bool) -> None:
        super().__init__(id="images")
        self._listing = listing
        self._is_unicode = is_unicode
        self._drawn: dict[int, tuple[ImageRow | None, bool]] = {}
        self.empty_text = ""

    def follow(self) -> None:
        """Takes over the listing's length and cursor, and repaints what has changed."""
        self.virtual_size = Size(self.size.width, len(self._listing))
        if self.cursor == self._listing.position:
            self._scroll_to_cursor()
        else:
            self.cursor = self._listing.position
        if not len(self._listing):
            self.refresh()
        self._repaint_changed()

    def page_rows(self) -> int:
        """How many rows a page key moves."""
        return max(1, self.scrollable_content_region.height - 1)

    def watch_cursor(self, old: int, new: int) -> None:
        """Repaints two rows, and scrolls where the cursor would leave the view."""
        self._refresh_row(old)
        self._refresh_row(new)
        self._scroll_to_cursor()

    def on_resize(self) -> None:
        """Keeps the cursor in view when the view gets smaller."""
        self.virtual_size = Size(self.size.width, len(self._listing))
        self._scroll_to_cursor()
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Moves the cursor to the row clicked on."""
        position = event.y + self.scroll_offset.y
        if position < len(self._listing):
            self.post_message(self.Clicked(position))

    def render_line(self, y: int) -> Strip:
        """One row of the view."""
        width = self.size.width
        base = self._style("row")
        position = y + self.scroll_offset.y
        if not len(self._listing):
            return self._empty_line(y, width, base)
        if position >= len(self._listing):
            return Strip.blank(width, base)
        row = self._listing.row(position)
        self._drawn[position] = (row, self._is_marked(position))
        is_cursor = position == self.cursor
        if is_cursor:
            base = self._style("cursor")
        if row is None:
            return Strip([Segment("    (gone)", base)], 10).adjust_cell_length(width, base)
        return self._row_line(row, width, base, is_cursor=is_cursor)

    def _is_marked(self, position: int) -> bool:
        return self._listing.ids[position] in self._listing.marks

    def _row_line(self, row: ImageRow, width: int, base: Style, *, is_cursor: bool) -> Strip:
        sign = STATE_SIGNS[row.state]
        glyph = glyph_of(row.state, is_unicode=self._is_unicode)
        tone = base + Style(color=self._style(sign.tone).color)
        caption = one_line(row.caption or row.trouble, limit=200)
        kin = _kin_text(row, is_unicode=self._is_unicode)
        name_width = self._name_width(kin, has_caption=bool(caption))
        name = shorten_middle(one_line(row.path.name, limit=400), name_width)
        # A state's word gives way before the file's name does.
        has_word = width >= _STATE_WIDTH + _SHORTEST_NAME
        word = f"{'asked' if row.is_asked_again else sign.word:<{WORD_WIDTH}}" if has_word else ""
        mark = _mark_of(row, self._listing.marks, is_unicode=self._is_unicode)
        quiet = base + Style(color=self._style("quiet").color)
        segments = [
            Segment(">" if is_cursor else " ", base),
            Segment(glyph, tone),
            Segment(mark if has_word or mark != " " else "", base),
            Segment(f"{word} ", tone),
            Segment(set_cell_size(name, name_width) + " ", base),
            Segment(kin, base),
        ]
        cells = sum(cell_len(segment.text) for segment in segments)
        room = max(0, self.scrollable_content_region.width - cells)  # the scroll bar hides the rest
        shown = cut(caption, room, sign="…" if self._is_unicode else "")
        segments.append(Segment(shown, quiet if row.caption else tone))
        return Strip(segments, cells + cell_len(shown)).adjust_cell_length(width, base)

    def _name_width(self, kin: str, *, has_caption: bool) -> int:
        """Cells of a file's name: all there are before there is a caption to stand beside it."""
        if has_caption:
            return max(_SHORTEST_NAME, min(28, (self.size.width - _STATE_WIDTH) * 2 // 5))
        room = self.scrollable_content_region.width - _STATE_WIDTH
        return max(_SHORTEST_NAME, room - cell_len(kin) - 1)

    def _empty_line(self, y: int, width: int, base: Style) -> Strip:
        lines = self.empty_text.split("\n")
        text = f" {lines[y]}" if y < len(lines) else ""
        return Strip([Segment(text, base)], cell_len(text)).adjust_cell_length(width, base)

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"image-list--{name}")

    def _repaint_changed(self) -> None:
        first = self.scroll_offset.y
        last = min(first + self.size.height, len(self._listing))
        drawn, self._drawn = self._drawn, {}
        for position in range(first, last):
            now = (self._listing.row(position), self._is_marked(position))
            self._drawn[position] = now
            if position not in drawn or drawn[position] != now:
                self._refresh_row(position)
        if any(position >= last for position in drawn):
            self.refresh()

    def _refresh_row(self, position: int) -> None:
        y = position - self.scroll_offset.y
        if 0 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def _scroll_to_cursor(self) -> None:
        """Brings a cursor that left the view to its middle.

        A view that followed it row by row would be drawn and sent as a whole at every key.
        """
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        if height and not top <= self.cursor < top + height:
            y = max(0, self.cursor - height // 2)
            self.scroll_to(y=y, animate=False, force=True, immediate=True)


def _mark_of(row: ImageRow, marks: Marks, *, is_unicode: bool) -> str:
    """The sign of a marked image: one cell, blank without a mark."""
    if row.id not in marks:
        return " "
    return "●" if is_unicode else "*"


def _kin_text(row: ImageRow, *, is_unicode: bool) -> str:
    """How many pictures are alike, and whether a RAW shares the card; empty as a rule."""
    parts = []
    if row.group_size > 1:
        parts.append(f"{'×' if is_unicode else 'x'}{row.group_size}")  # noqa: RUF001  # a multiplication sign
    if row.followers:
        parts.append("+raw")
    return f"{' '.join(parts)} " if parts else ""
