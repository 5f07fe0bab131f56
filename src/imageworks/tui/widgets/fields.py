"""The form: caption, keywords and description of one image, bound to it until the cursor moves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import TextArea

from imageworks.models import Keyword, Origin, Tags
from imageworks.review.edits import TagsEdit, edit_between, repeated
from imageworks.review.merge import merge_keywords
from imageworks.review.properties import iptc_field, keyword_properties, text_properties
from imageworks.text import clean_text, one_line
from imageworks.tui.widgets.keyword_editor import KeywordEditor
from imageworks.tui.widgets.keyword_hints import editing_hint, legend
from imageworks.tui.widgets.line import Line
from imageworks.tui.widgets.typing_field import TypingField, is_letter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual import events
    from textual.app import ComposeResult

    from imageworks.config import PersonalTaggerConfig
    from imageworks.review.session import ReviewCard


_LINES = {
    **{f"label-{name}": "label" for name in ("caption", "keywords", "description")},
    **{f"model-{name}": "hint optional" for name in ("caption", "description")},
    **dict.fromkeys(("origins", "notes"), "hint"),
}
"""The lines around the fields, and their classes."""


class FieldArea(TypingField, TextArea):
    """One field. What is pasted into it is cleaned, so that it cannot drive the terminal."""

    def __init__(self, field_id: str, *, is_multiline: bool) -> None:
        super().__init__(
            id=field_id,
            tab_behavior="focus",
            compact=True,
            highlight_cursor_line=False,
            classes="field",
        )
        self.is_multiline = is_multiline

    def check_consume_key(self, key: str, character: str | None = None) -> bool:  # noqa: ARG002  # Textual's signature
        """Letters are never commands here, even where the text cannot be changed."""
        return is_letter(character)

    async def on_key(self, event: events.Key) -> None:
        """Runs this field's own editing keys at once.

        Textual lets such a key rise to the app first and finds its binding there, while letters
        are inserted here: in a burst of keys a backspace would come after the letters typed
        behind it (textual `App._on_key`).
        """
        for binding in self._bindings.key_to_bindings.get(event.key, ()):
            if await self.app.run_action(binding.action, self):
                event.stop()
                event.prevent_default()
                return

    def on_paste(self, event: events.Paste) -> None:
        """Takes control sequences out of what is pasted."""
        event.text = clean_text(event.text, keep_newlines=self.is_multiline)

    def put(self, text: str) -> None:
        """Replaces the whole text, as one step that ctrl+z takes back."""
        if self.text != text:
            self.replace(text, self.document.start, self.document.end)


class ReviewForm(VerticalScroll):
    """The fields of the image under the cursor.

    Args:
        config: Says which metadata the fields become.
    """

    FIELD_NAMES: ClassVar[tuple[str, ...]] = ("caption", "keywords", "description")

    class Edited(Message):
        """A field's text has changed."""

    def __init__(self, config: PersonalTaggerConfig) -> None:
        super().__init__(id="form", can_focus=False)
        self._config = config
        self._card: ReviewCard | None = None
        self._loaded: dict[str, str] = {}
        self._saved = Tags()
        self._first = Tags()
        self.keywords = KeywordEditor()
        self._areas = {
            "caption": FieldArea("caption", is_multiline=False),
            "description": FieldArea("description", is_multiline=True),
        }
        self._lines = {line_id: Line(line_id, classes=names) for line_id, names in _LINES.items()}
        self._waiting: frozenset[str] = frozenset()
        self.last_edit = TagsEdit()
        """What was done to the image that was edited last."""

    def compose(self) -> ComposeResult:
        """Labels, fields and the lines below them."""
        yield self._lines["label-caption"]
        yield self._areas["caption"]
        yield self._lines["model-caption"]
        yield self._lines["label-keywords"]
        yield self.keywords
        yield self._lines["origins"]
        yield self._lines["label-description"]
        yield self._areas["description"]
        yield self._lines["model-description"]
        yield self._lines["notes"]

    @property
    def bound_id(self) -> int | None:
        """The image that the fields belong to."""
        return None if self._card is None else self._card.row.id

    @property
    def card(self) -> ReviewCard | None:
        """The card that the fields were loaded from."""
        return self._card

    @property
    def is_dirty(self) -> bool:
        """Whether the fields hold what is not saved yet."""
        return self._card is not None and self._card.can_edit and self.tags() != self._saved

    def bind(self, card: ReviewCard | None) -> None:
        """Loads an image's fields; whatever was in them must be saved before."""
        is_other = card is None or self._card is None or card.row.id != self._card.row.id
        self._card = card
        tags = Tags() if card is None else card.fields
        self._saved = tags
        if is_other:
            self._first = tags
        self._loaded = {
            "caption": clean_text(tags.caption),
            "description": clean_text(tags.description, keep_newlines=True),
        }
        is_read_only = card is None or not card.can_edit
        for name, text in self._loaded.items():
            area = self.area(name)
            if area.text != text:
                with area.prevent(TextArea.Changed):  # it is no edit, and the lines are put below
                    area.load_text(text)
            area.read_only = is_read_only
        self.keywords.load(tags.keywords, self.known_keywords(), is_other_image=is_other)
        self.keywords.read_only = is_read_only
        self.refresh_lines()

    def area(self, name: str) -> FieldArea:
        """The field of a text, by name."""
        return self._areas[name]

    def field(self, name: str) -> FieldArea | KeywordEditor:
        """Any field by name."""
        return self.keywords if name == "keywords" else self.area(name)

    def tags(self) -> Tags:
        """What the fields say; what was not touched is exactly as it was loaded."""
        if self._card is None:
            return Tags()
        fields = self._card.fields
        caption, description = self.area("caption").text, self.area("description").text
        return Tags(
            caption=fields.caption if caption == self._loaded["caption"] else clean_text(caption),
            keywords=self.keywords.keywords(),
            description=fields.description
            if description == self._loaded["description"]
            else clean_text(description, keep_newlines=True),
        )

    def mark_saved(self, tags: Tags) -> None:
        """Takes note that these fields are kept."""
        self._saved = tags
        edit = edit_between(self._first, tags)
        if not edit.is_empty:
            self.last_edit = edit

    def take_answer(self, card: ReviewCard, name: str) -> None:
        """Puts the model's new answer into one field, as a step that ctrl+z takes back there.

        The other fields stay as they are, also the one that is being typed in.

        Args:
            card: The image as it is now; what was typed before must be saved.
            name: The field.
        """
        answer = getattr(card.fields, name)
        shown = replace(self.tags(), **{name: answer})
        self._first = replace(self._first, **{name: answer})
        self._card = replace(card, fields=shown)
        self._saved = shown
        if name == "keywords":
            self.put_keywords(shown.keywords)
        else:
            self._loaded[name] = clean_text(answer, keep_newlines=name == "description")
            self.area(name).put(self._loaded[name])
        self.refresh_lines()

    def show_waiting(self, names: Iterable[str]) -> None:
        """Says beside their names which fields the model was asked for again."""
        waiting = frozenset(names)
        if waiting != self._waiting:
            self._waiting = waiting
            self.refresh_lines()

    def put(self, tags: Tags) -> None:
        """Puts other words into the fields, as a person's edit that each field can take back."""
        self.area("caption").put(clean_text(tags.caption))
        self.area("description").put(_description(tags))
        self.put_keywords(tags.keywords)

    def put_keywords(self, keywords: Iterable[Keyword]) -> None:
        """Puts other keywords in; those that were there are shown as taken out."""
        wanted = tuple(keywords)
        if wanted != self.keywords.keywords():
            self.keywords.change(self.keywords.line.with_keywords(wanted))

    def repeat_edit(self) -> None:
        """Does to this image what was done to the one that was edited last."""
        tags = repeated(self.last_edit, self.tags(), self.known_keywords())
        self.put(tags)
        # What was only repeated here stays what is repeated next.
        self._first = self.tags()

    def known_keywords(self) -> tuple[Keyword, ...]:
        """What file and suggestion say about this image; their keywords keep their origin."""
        card = self._card
        if card is None:
            return ()
        own = (Keyword(text, origin=Origin.EXISTING) for text in card.existing.keywords)
        proposed = merge_keywords(card.proposed.keywords, own)
        return merge_keywords(proposed, card.suggested.keywords)

    def swap_texts(self) -> bool:
        """Puts the model's caption and description in, or the file's back; False: they agree."""
        card = self._card
        if card is None or not card.can_edit or not _has_other_words(card):
            return False
        file = (clean_text(card.proposed.caption), _description(card.proposed))
        model = (
            clean_text(card.suggested.caption) or file[0],
            _description(card.suggested) or file[1],
        )
        shown = (self.area("caption").text, self.area("description").text)
        caption, description = file if shown == model else model
        self.area("caption").put(caption)
        self.area("description").put(description)
        self.refresh_lines()
        return True

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """Tells the screen that there is something to keep."""
        event.stop()
        self._tell()

    def on_keyword_editor_changed(self, event: KeywordEditor.Changed) -> None:
        """Likewise for the keywords."""
        event.stop()
        self._tell()

    def on_keyword_editor_moved(self, event: KeywordEditor.Moved) -> None:
        """Says what is under the cursor now."""
        event.stop()
        self._show_keyword_line()

    def refresh_lines(self) -> None:
        """Brings the lines around the fields up to date."""
        card = self._card
        tags = self.tags()
        has_other = card is not None and _has_other_words(card)
        self._line("model-caption", _other_text(card, tags, "caption") if has_other else "")
        self._line("model-description", _other_text(card, tags, "description") if has_other else "")
        self._show_keyword_line()
        for name, properties in text_properties(self._config).items():
            self._label(name, _length_text(self.area(name).text), properties)
        count = f"{len(tags.keywords)}" if tags.keywords else ""
        self._label("keywords", count, keyword_properties(self._config))

    def show_notes(self, text: str) -> None:
        """Shows what the person should know about this image."""
        self._line("notes", text)

    def _tell(self) -> None:
        self.refresh_lines()
        if self.is_dirty:
            self.post_message(self.Edited())

    def _show_keyword_line(self) -> None:
        if self.keywords.has_focus and not self.keywords.read_only:
            self._lines["origins"].put(editing_hint(self.keywords))
        else:
            self._line("origins", legend(self.keywords.line))

    def _label(self, name: str, length: str, properties: tuple[str, ...]) -> None:
        """A field's name, how long it is, and what it becomes in the file."""
        iptc = iptc_field(properties, self._config)
        becomes = ", ".join(properties) + (f" + IPTC {iptc.name}" if iptc else "")
        parts: list[tuple[str, str] | str] = [name.capitalize()]
        size_bytes = 0
        if iptc is not None and name != "keywords":
            size_bytes = len(self.area(name).text.encode("utf-8", "replace"))
        if iptc is not None and size_bytes > iptc.limit_bytes:
            shown = f" {size_bytes:,} of {iptc.limit_bytes:,} bytes: IPTC {iptc.name} is cut there"
            parts.append((shown, "$tagger-bad"))
        else:
            waiting = "asked again …" if name in self._waiting else ""
            shown = " · ".join(part for part in (waiting, length, becomes) if part)
            parts.append((f" {shown}", "$tagger-quiet not bold"))
        self._lines[f"label-{name}"].put(Content.assemble(*parts))

    def _line(self, line_id: str, text: str) -> None:
        """Fills a line. Its height is fixed: a new layout at each image would take 10 ms a key."""
        line = self._lines[line_id]
        line.put(one_line(text, limit=600))
        if line.has_class("optional") and line.display != bool(text):
            line.display = bool(text)


def _has_other_words(card: ReviewCard) -> bool:
    """Whether the file's own title or description stands in place of the model's."""
    return (card.proposed.caption, card.proposed.description) != (
        card.suggested.caption,
        card.suggested.description,
    )


def _other_text(card: ReviewCard | None, tags: Tags, name: str) -> str:
    if card is None:
        return ""
    shown, proposed, suggested = (
        clean_text(str(getattr(source, name))) for source in (tags, card.proposed, card.suggested)
    )
    if suggested and suggested not in {shown, proposed}:
        return f"the model says: {suggested}"
    if proposed and shown == suggested and proposed != suggested:
        return f"the file says: {proposed}"
    return ""


def _description(tags: Tags) -> str:
    return clean_text(tags.description, keep_newlines=True)


def _length_text(text: str) -> str:
    return f"{len(text):,} characters" if text else ""
