"""The form: caption, keywords and description of one image, bound to it until the cursor moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Static, TextArea

from imageworks.models import Origin, Tags
from imageworks.review.merge import keywords_text, typed_keywords
from imageworks.text import clean_text, one_line
from imageworks.tui.actions import Scope

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult

    from imageworks.models import Keyword
    from imageworks.review.session import ReviewCard

_ORIGIN_WORDS = {
    Origin.EXISTING: "from the file",
    Origin.MODEL: "from the model",
    Origin.VOCABULARY: "from your vocabulary",
    Origin.PERSON: "typed",
}


class FieldArea(TextArea):
    """One field. What is pasted into it is cleaned, so that it cannot drive the terminal."""

    scope: ClassVar[Scope] = Scope.TEXT
    """Where the keys go while they go here."""

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
        return character is not None and character.isprintable()

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


class ReviewForm(VerticalScroll):
    """The fields of the image under the cursor."""

    FIELD_NAMES: ClassVar[tuple[str, ...]] = ("caption", "keywords", "description")

    class Edited(Message):
        """A field's text has changed."""

    def __init__(self) -> None:
        super().__init__(id="form", can_focus=False)
        self._card: ReviewCard | None = None
        self._loaded: dict[str, str] = {}
        self._saved = Tags()

    def compose(self) -> ComposeResult:
        """Labels, fields and the lines below them."""
        yield Static("Caption", classes="label", markup=False)
        yield FieldArea("caption", is_multiline=False)
        yield Static(id="model-caption", classes="hint optional", markup=False)
        yield Static("Keywords", classes="label", markup=False)
        yield FieldArea("keywords", is_multiline=False)
        yield Static(id="origins", classes="hint", markup=False)
        yield Static("Description", classes="label", markup=False)
        yield FieldArea("description", is_multiline=True)
        yield Static(id="model-description", classes="hint optional", markup=False)
        yield Static(id="notes", classes="hint", markup=False)

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
        return self._card is not None and self._card.can_decide and self.tags() != self._saved

    def bind(self, card: ReviewCard | None) -> None:
        """Loads an image's fields; whatever was in them must be saved before."""
        self._card = card
        tags = Tags() if card is None else card.fields
        self._saved = tags
        self._loaded = {
            "caption": clean_text(tags.caption),
            "keywords": keywords_text(tags.keywords),
            "description": clean_text(tags.description, keep_newlines=True),
        }
        is_read_only = card is None or not card.can_decide
        for name, text in self._loaded.items():
            area = self.area(name)
            if area.text != text:
                area.load_text(text)
            area.read_only = is_read_only
        self.refresh_lines()

    def area(self, name: str) -> FieldArea:
        """A field by name."""
        return self.query_one(f"#{name}", FieldArea)

    def tags(self) -> Tags:
        """What the fields say; what was not touched is exactly as it was loaded."""
        if self._card is None:
            return Tags()
        fields = self._card.fields
        caption, keywords, description = (
            self.area(name).text for name in ("caption", "keywords", "description")
        )
        return Tags(
            caption=fields.caption if caption == self._loaded["caption"] else clean_text(caption),
            keywords=fields.keywords
            if keywords == self._loaded["keywords"]
            else typed_keywords(keywords, self._known_keywords()),
            description=fields.description
            if description == self._loaded["description"]
            else clean_text(description, keep_newlines=True),
        )

    def mark_saved(self, tags: Tags) -> None:
        """Takes note that these fields are kept."""
        self._saved = tags

    def swap_texts(self) -> bool:
        """Puts the model's caption and description in, or the file's back; False: they agree."""
        card = self._card
        if card is None or not card.can_decide or not _has_other_words(card):
            return False
        file = (clean_text(card.proposed.caption), _description(card.proposed))
        model = (
            clean_text(card.suggested.caption) or file[0],
            _description(card.suggested) or file[1],
        )
        shown = (self.area("caption").text, self.area("description").text)
        caption, description = file if shown == model else model
        self._put("caption", caption)
        self._put("description", description)
        self.refresh_lines()
        return True

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """Tells the screen that there is something to keep."""
        event.stop()
        self.refresh_lines()
        if self.is_dirty:
            self.post_message(self.Edited())

    def refresh_lines(self) -> None:
        """Brings the lines below the fields up to date."""
        card = self._card
        tags = self.tags()
        has_other = card is not None and _has_other_words(card)
        self._line("model-caption", _other_text(card, tags, "caption") if has_other else "")
        self._line("model-description", _other_text(card, tags, "description") if has_other else "")
        self._line("origins", _origins_text(tags.keywords))

    def show_notes(self, text: str) -> None:
        """Shows what the person should know about this image."""
        self._line("notes", text)

    def _known_keywords(self) -> tuple[Keyword, ...]:
        card = self._card
        if card is None:
            return ()
        return (*card.suggested.keywords, *card.proposed.keywords, *card.fields.keywords)

    def _put(self, name: str, text: str) -> None:
        area = self.area(name)
        if area.text != text:
            area.replace(text, area.document.start, area.document.end)

    def _line(self, line_id: str, text: str) -> None:
        """Fills a line. Its height is fixed: a new layout at each image would take 10 ms a key."""
        line = self.query_one(f"#{line_id}", Static)
        line.update(one_line(text, limit=600), layout=False)
        if line.has_class("optional"):
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


def _origins_text(keywords: tuple[Keyword, ...]) -> str:
    parts = []
    for origin, word in _ORIGIN_WORDS.items():
        texts = [keyword.text for keyword in keywords if keyword.origin is origin]
        if texts:
            parts.append(f"{word}: {', '.join(texts)}")
    return " · ".join(parts)
