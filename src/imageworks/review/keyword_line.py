"""Keywords while a person edits them: chips in order, a cursor, and what is half typed.

Each change gives a new line, so an undo is the line before. Nothing here knows a screen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from imageworks.models import Keyword, Origin
from imageworks.review.merge import (
    has_separator,
    split_at_separators,
    starts_known_keyword,
    typed_keywords,
)
from imageworks.text import clean_text, fold

if TYPE_CHECKING:
    from collections.abc import Iterable


class Chip(NamedTuple):
    """A keyword, and whether the image is to have it."""

    keyword: Keyword
    is_kept: bool = True


@dataclass(frozen=True, slots=True)
class KeywordLine:
    """The chips of one image, and where the keys go among them.

    Attributes:
        chips: In order; those taken out stay in their place, so that they can be put back.
        cursor: The chip that the keys act on, 0 to the number of chips; the last is the end. What
            is typed becomes a chip before it.
        typed: The keyword that is being typed.
        caret: Place in ``typed``, 0 to its length.
        is_typing: The last key typed, so a space belongs to the text and takes no chip out.
        is_all_marked: The next letter takes the place of all chips.
    """

    chips: tuple[Chip, ...] = ()
    cursor: int = 0
    typed: str = ""
    caret: int = 0
    is_typing: bool = True
    is_all_marked: bool = False

    @classmethod
    def of(cls, kept: Iterable[Keyword], offered: Iterable[Keyword] = ()) -> KeywordLine:
        """A line of kept keywords, the cursor at its end.

        Args:
            kept: What the image is to have, in order.
            offered: What file and model say; those not kept are shown as taken out, each behind
                the one that it follows there.
        """
        chips = [Chip(keyword) for keyword in kept]
        seen = {fold(chip.keyword.text) for chip in chips}
        before = ""
        for keyword in offered:
            key = fold(keyword.text)
            if key not in seen:
                seen.add(key)
                chips.insert(_place_behind(chips, before), Chip(keyword, is_kept=False))
            before = key
        return cls(chips=tuple(chips), cursor=len(chips))

    # What it says

    def keywords(self) -> tuple[Keyword, ...]:
        """What the image is to have, what is half typed among it."""
        return tuple(chip.keyword for chip in self.committed().chips if chip.is_kept)

    @property
    def current(self) -> Chip | None:
        """The chip under the cursor; None at the end."""
        return self.chips[self.cursor] if self.cursor < len(self.chips) else None

    # Typing

    def insert(self, text: str) -> KeywordLine:
        """Types text at the caret; a separator ends the keyword before it."""
        line = self._without_all() if self.is_all_marked else self
        for character in clean_separators(text):
            line = line.with_character(character)
        return replace(line, is_typing=True)

    def paste(self, text: str) -> KeywordLine:
        """Inserts a list of keywords, each as a chip; a single word is only typed."""
        line = self.insert(text)
        return line.committed() if has_separator(text) else line

    def committed(self, chosen: Keyword | None = None) -> KeywordLine:
        """Makes chips of what is typed, or of the completion that was chosen in its place."""
        keywords = (chosen,) if chosen else typed_keywords(self.typed, self._known())
        line = replace(self, typed="", caret=0)
        for keyword in keywords:
            line = line.with_keyword(keyword)
        return line

    def backspace(self) -> KeywordLine:
        """Takes out the letter before the caret; where nothing is typed, the chip before."""
        if self.is_all_marked:
            return self._without_all()
        if self.typed:
            if not self.caret:
                return self
            text = self.typed[: self.caret - 1] + self.typed[self.caret :]
            return replace(self, typed=text, caret=self.caret - 1)
        if not self.cursor:
            return self
        return replace(self, cursor=self.cursor - 1).taken_out()

    def delete(self) -> KeywordLine:
        """Takes out the letter behind the caret; where nothing is typed, the chip there."""
        if self.is_all_marked:
            return self._without_all()
        if self.typed:
            return replace(self, typed=self.typed[: self.caret] + self.typed[self.caret + 1 :])
        line = self.taken_out()
        is_there_still = len(line.chips) == len(self.chips)
        return line.moved(1) if is_there_still else line

    # Moving

    def moved(self, step: int) -> KeywordLine:
        """The caret, or where nothing is typed the cursor, some steps on."""
        if self.typed:
            caret = min(max(self.caret + step, 0), len(self.typed))
            return replace(self, caret=caret, is_all_marked=False)
        return self.moved_to(self.cursor + step)

    def moved_to(self, place: int) -> KeywordLine:
        """The cursor on a chip; what is half typed becomes one."""
        line = self.committed()
        cursor = min(max(place, 0), len(line.chips))
        return replace(line, cursor=cursor, is_typing=False, is_all_marked=False)

    def home(self) -> KeywordLine:
        """To the start of what is typed, else of the line."""
        return replace(self, caret=0) if self.typed else self.moved_to(0)

    def end(self) -> KeywordLine:
        """To the end of what is typed, else of the line."""
        return (
            replace(self, caret=len(self.typed)) if self.typed else self.moved_to(len(self.chips))
        )

    def all_marked(self) -> KeywordLine:
        """All chips marked, so that the next letter takes their place."""
        return replace(self.committed(), is_all_marked=True)

    # Chips

    def toggled(self) -> KeywordLine:
        """The chip under the cursor taken out, or put back."""
        chip = self.current
        if chip is None:
            return self
        return self._with_chip(self.cursor, chip._replace(is_kept=not chip.is_kept))

    def shifted(self, step: int) -> KeywordLine:
        """The chip under the cursor some places on, and the cursor with it."""
        line = self.committed()
        chip = line.current
        if chip is None:
            return line
        place = min(max(line.cursor + step, 0), len(line.chips) - 1)
        rest = [*line.chips[: line.cursor], *line.chips[line.cursor + 1 :]]
        rest.insert(place, chip)
        return replace(line, chips=tuple(rest), cursor=place, is_typing=False)

    def with_keywords(self, kept: Iterable[Keyword]) -> KeywordLine:
        """The line with exactly these keywords; the others that it had are shown as taken out."""
        wanted = tuple(kept)
        return KeywordLine.of(wanted, [chip.keyword for chip in self.committed().chips])

    def respelled(self, chip: Chip, keyword: Keyword) -> KeywordLine:
        """The line with another keyword in a chip's place, unless it has that one already."""
        place = self.chips.index(chip)
        other = self._place_of(keyword)
        return self if other not in {None, place} else self._with_chip(place, Chip(keyword))

    def with_character(self, character: str) -> KeywordLine:
        """The line with one more character at the caret."""
        if character == " " and not self.typed:
            return self
        text = self.typed[: self.caret] + character + self.typed[self.caret :]
        line = replace(self, typed=text, caret=self.caret + 1)
        ends_keyword = character == "," and not starts_known_keyword(text, self._known())
        return line.committed() if ends_keyword else line

    def with_keyword(self, keyword: Keyword) -> KeywordLine:
        """The keyword before the cursor; one that is kept already stays in its place."""
        place = self._place_of(keyword)
        if place is None:
            chips = (*self.chips[: self.cursor], Chip(keyword), *self.chips[self.cursor :])
            return replace(self, chips=chips, cursor=self.cursor + 1)
        chip = Chip(_respelled(self.chips[place].keyword, keyword))
        if self.chips[place].is_kept:
            return self._with_chip(place, chip)
        rest = [*self.chips[:place], *self.chips[place + 1 :]]
        cursor = self.cursor - (place < self.cursor)
        rest.insert(cursor, chip)
        return replace(self, chips=tuple(rest), cursor=cursor + 1)

    def _place_of(self, keyword: Keyword) -> int | None:
        key = fold(keyword.text)
        keys = (fold(chip.keyword.text) for chip in self.chips)
        return next((place for place, known in enumerate(keys) if known == key), None)

    def _with_chip(self, place: int, chip: Chip) -> KeywordLine:
        chips = (*self.chips[:place], chip, *self.chips[place + 1 :])
        return replace(self, chips=chips)

    def taken_out(self) -> KeywordLine:
        """The chip under the cursor taken out; what the person typed leaves no trace."""
        chip = self.current
        if chip is None or not chip.is_kept:
            return self
        if chip.keyword.origin is Origin.PERSON:
            return replace(self, chips=(*self.chips[: self.cursor], *self.chips[self.cursor + 1 :]))
        return self._with_chip(self.cursor, chip._replace(is_kept=False))

    def _without_all(self) -> KeywordLine:
        chips = tuple(
            chip._replace(is_kept=False)
            for chip in self.chips
            if chip.keyword.origin is not Origin.PERSON or not chip.is_kept
        )
        return KeywordLine(chips=chips, cursor=len(chips))

    def _known(self) -> list[Keyword]:
        return [chip.keyword for chip in self.chips]


def clean_separators(text: str) -> str:
    """Typed or pasted text with commas for separators; nothing in it can drive a terminal."""
    return ",".join(_clean_piece(piece) for piece in split_at_separators(text))


def _clean_piece(piece: str) -> str:
    """A cleaned piece; the cleaning trims, but a typed space is a space."""
    cleaned = clean_text(piece)
    if not cleaned:
        return " " if piece.isspace() else ""
    return " " * piece[0].isspace() + cleaned + " " * piece[-1].isspace()


def _respelled(known: Keyword, typed: Keyword) -> Keyword:
    """The known keyword, or the person's spelling of it; the file's own spelling always stays."""
    is_same = clean_text(known.text) == clean_text(typed.text)
    return known if is_same or known.origin is Origin.EXISTING else typed


def _place_behind(chips: list[Chip], key: str) -> int:
    if not key:
        return 0
    for place, chip in enumerate(chips):
        if fold(chip.keyword.text) == key:
            return place + 1
    return len(chips)
