"""The line below the keywords: what the signs mean, what can be typed, what a keyword is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from imageworks.models import Origin
from imageworks.review.properties import IPTC_OF, KEYWORDS
from imageworks.text import one_line
from imageworks.tui.widgets.chip_rows import REMOVED_SIGN, SIGNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imageworks.review.completion import Completion
    from imageworks.review.keyword_line import Chip, KeywordLine
    from imageworks.tui.widgets.keyword_editor import KeywordEditor

ORIGIN_WORDS = {
    Origin.EXISTING: "in the file",
    Origin.MODEL: "from the model",
    Origin.VOCABULARY: "from your vocabulary",
    Origin.PERSON: "typed",
    Origin.LIBRARY: "from similar photographs",
}
_HELP = "type a keyword · ← → choose · space takes one out or puts it back · alt+← → moves it"
_ALL = "all marked: the next letter takes their place, backspace takes all out"


def legend(line: KeywordLine) -> str:
    """What the signs mean that are seen, with their counts."""
    parts = []
    for origin, word in ORIGIN_WORDS.items():
        count = sum(chip.is_kept and chip.keyword.origin is origin for chip in line.chips)
        if count:
            parts.append(f"{SIGNS[origin]} {count} {word}")
    removed = sum(not chip.is_kept for chip in line.chips)
    if removed:
        parts.append(f"{REMOVED_SIGN} {removed} taken out")
    return " · ".join(parts)


def editing_hint(editor: KeywordEditor) -> Content:
    """What the person can do now, or should know about the keyword under the cursor."""
    line = editor.line
    if line.is_all_marked:
        return Content(_ALL)
    if line.typed:
        if editor.completions:
            return _completions(editor.completions, editor.chosen)
        return Content(" · ".join(["enter or comma ends it", *_about(line.typed, 0)]))
    chip = line.current
    if chip is None:
        return Content(_HELP)
    uses = editor.completer.uses(chip.keyword.text) if editor.completer else 0
    return Content(one_line(chip_facts(chip, uses), limit=600))


def chip_facts(chip: Chip, uses: int) -> str:
    """All that is known about one keyword: whether it is taken out, its path, who says so."""
    keyword = chip.keyword
    parts = [] if chip.is_kept else ["taken out; space puts it back"]
    parts += [" > ".join(keyword.path)] if keyword.path else []
    parts.append(ORIGIN_WORDS[keyword.origin])
    if keyword.score is not None:
        parts.append(f"{keyword.score:.0%} sure")
    parts += _about(keyword.text, uses)
    parts += ["space takes it out"] if chip.is_kept else []
    return " · ".join(parts)


def _about(text: str, uses: int) -> list[str]:
    parts = [f"used {uses:,} times"] if uses else ["new in this library"]
    limit_bytes = IPTC_OF[KEYWORDS].limit_bytes
    size_bytes = len(text.encode("utf-8", "replace"))
    if size_bytes > limit_bytes:
        parts.append(f"{size_bytes} of {limit_bytes} bytes: cut where the file has IPTC")
    return parts


def _completions(completions: Sequence[Completion], chosen: int | None) -> Content:
    parts: list[Content | tuple[str, str] | str] = ["↓ " if chosen is None else ""]
    for number, completion in enumerate(completions):
        keyword = completion.keyword
        sign = SIGNS[keyword.origin] if keyword.origin is Origin.VOCABULARY else ""
        uses = f" {completion.uses:,}" if completion.uses else ""
        shown = f"{sign}{one_line(keyword.text, limit=60)}{uses}"
        parts += [(shown, "reverse") if number == chosen else shown, " · "]
    return Content.assemble(*parts[:-1])
