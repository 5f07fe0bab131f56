"""What an accept will change: every property of the file before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from imageworks.models import MetadataTarget
from imageworks.review.properties import KEYWORDS, iptc_field
from imageworks.text import clean_text, one_line, show_path
from imageworks.tui.actions import Scope
from imageworks.tui.screens.command import Dialog
from imageworks.tui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from textual.app import ComposeResult

    from imageworks.config import PersonalTaggerConfig
    from imageworks.review.changes import ChangePlan, ListChange, TextChange
    from imageworks.review.session import ReviewCard
    from imageworks.tui.actions import KeyTable

Part = tuple[str, str] | str

_TARGETS = {
    MetadataTarget.NONE: "nowhere",
    MetadataTarget.FILE: "into the file",
    MetadataTarget.SIDECAR: "into an XMP sidecar beside the file",
    MetadataTarget.BOTH: "into the file and its XMP sidecar",
}


class ChangesScreen(Dialog):
    """Before and after, field by field; scrolls where it is long."""

    def __init__(
        self, keys: KeyTable, plan: ChangePlan, card: ReviewCard, config: PersonalTaggerConfig
    ) -> None:
        super().__init__(keys)
        self._content = changes_content(plan, card, config)

    def compose(self) -> ComposeResult:
        """The text, scrollable."""
        with VerticalScroll(id="changes-box"):
            yield Static(self._content, markup=False)
        yield KeyBar(self.keys, Scope.DIALOG, without=frozenset({"confirm"}))


def changes_content(plan: ChangePlan, card: ReviewCard, config: PersonalTaggerConfig) -> Content:
    """The whole text; every sign is readable without colours."""
    parts: list[Part] = [(f"{show_path(card.row.path.name, limit=200)}\n", "bold")]
    parts += _where(plan, card)
    for change in plan.texts:
        parts += _text_parts(change, config)
    parts += _list_parts("Keywords", plan.keywords, config)
    if plan.hierarchy is not None:
        parts += _list_parts("Hierarchy", plan.hierarchy, config)
    parts.append(
        "\nThe write compares once more with what the file says then: what another program has"
        " changed stays, and a text that both changed is put before you again.\n"
    )
    return Content.assemble(*parts)


def _where(plan: ChangePlan, card: ReviewCard) -> Iterator[Part]:
    if plan.conflict:
        yield (f"! {one_line(plan.conflict, limit=600)}\n", "$tagger-bad")
    if not plan.is_changed:
        yield "Nothing would change: the file says all of this already.\n"
        return
    why = f" ({plan.why_sidecar})" if plan.why_sidecar else ""
    yield f"Written {_TARGETS[plan.target]}{why}.\n"
    read = "when it was last written" if card.row.decision_id else "when it was suggested"
    yield (f"Compared with what the file said {read}.\n", "$tagger-quiet")


def _text_parts(change: TextChange, config: PersonalTaggerConfig) -> Iterator[Part]:
    yield (f"\n{change.name.capitalize()}", "bold")
    yield f"  {_becomes((change.xmp_property,), config)}\n"
    if not change.is_changed:
        yield (f"  = {_shown(change.after) or '(empty)'}\n", "$tagger-quiet")
        return
    if change.before is None:
        yield ("  - (not read from this property)\n", "$tagger-bad")
    elif change.before:
        yield (f"  - {_shown(change.before)}\n", "$tagger-bad")
    yield (f"  + {_shown(change.after) or '(removed)'}\n", "$tagger-good")
    yield from _cut_note(change, config)


def _cut_note(change: TextChange, config: PersonalTaggerConfig) -> Iterator[Part]:
    iptc = iptc_field((change.xmp_property,), config)
    size_bytes = len(change.after.encode("utf-8", "replace"))
    if iptc is not None and size_bytes > iptc.limit_bytes:
        yield (
            f"    {size_bytes:,} bytes; IPTC {iptc.name} holds {iptc.limit_bytes:,} and is cut\n",
            "$tagger-ready",
        )


def _list_parts(name: str, change: ListChange, config: PersonalTaggerConfig) -> Iterator[Part]:
    yield (f"\n{name}", "bold")
    yield f"  {_becomes(change.properties, config)}\n"
    for sign, texts, colour in (
        ("=", change.kept, "$tagger-quiet"),
        ("-", change.removed, "$tagger-bad"),
        ("+", change.added, "$tagger-good"),
    ):
        if texts:
            yield (f"  {sign} {_listed(texts)}\n", colour)
    if not (change.kept or change.removed or change.added):
        yield ("  = (none)\n", "$tagger-quiet")


def _becomes(properties: tuple[str, ...], config: PersonalTaggerConfig) -> str:
    iptc = iptc_field(properties, config)
    where = f" + IPTC {iptc.name}, where the file has IPTC" if iptc else ""
    order = " (the file's own first)" if KEYWORDS in properties else ""
    return f"{', '.join(properties)}{where}{order}"


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(one_line(clean_text(text), limit=120) for text in texts)


def _shown(text: str) -> str:
    lines = [
        one_line(line, limit=4000) for line in clean_text(text, keep_newlines=True).split("\n")
    ]
    return "\n    ".join(lines)
