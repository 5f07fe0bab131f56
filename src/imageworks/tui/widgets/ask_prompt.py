"""A question with a line to answer it on; it takes the title's place while it is open."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.widgets import Static

from imageworks.text import one_line
from imageworks.tui.actions import Scope
from imageworks.tui.widgets.fields import FieldArea

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class AskPrompt(FieldArea):
    """One line for an answer.

    Args:
        title: What the question stands in for while it is open.
    """

    scope: ClassVar[Scope] = Scope.ASK

    def __init__(self, title: Static) -> None:
        super().__init__("answer", is_multiline=False)
        self._title = title
        self.question = Static(id="question", markup=False)
        self.question.display = False
        self.soft_wrap = False
        self.display = False
        self._on_answer: Callable[[str], Awaitable[None]] | None = None

    def open(self, question: str, on_answer: Callable[[str], Awaitable[None]]) -> None:
        """Shows the question and an empty line; the keys are the caller's to send here."""
        self._on_answer = on_answer
        self.load_text("")
        self.question.update(one_line(question, limit=300), layout=False)
        self._show(is_open=True)

    async def answer(self) -> None:
        """Hands over what was typed."""
        if self._on_answer is not None:
            await self._on_answer(self.text)

    def close(self) -> None:
        """Gives the title its place back; the keys must go elsewhere by then."""
        if self.display:
            self._show(is_open=False)

    def _show(self, *, is_open: bool) -> None:
        self._title.display = not is_open
        self.question.display = is_open
        self.display = is_open
