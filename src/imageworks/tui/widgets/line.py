"""A text of fixed height that is drawn only when it changes."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static


class Line(Static):
    """Shows a text where its widget's height is fixed by the style sheet.

    The same text again is neither drawn nor sent: Textual would do both, and at every key.

    Args:
        line_id: As the style sheet calls it.
        classes: Likewise.
    """

    def __init__(self, line_id: str, *, classes: str = "") -> None:
        super().__init__(id=line_id, classes=classes, markup=False)
        self._shown = Content()

    def put(self, text: str | Content) -> None:
        """Fills the line, without a layout: its height stays as it is."""
        content = Content(text) if isinstance(text, str) else text
        # Two contents are equal to Textual when their letters are, whatever their colours.
        if (content.plain, content.spans) != (self._shown.plain, self._shown.spans):
            self._shown = content
            self.update(content, layout=False)
