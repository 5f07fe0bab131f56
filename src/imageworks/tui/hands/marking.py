"""Marks, and acts on all that is marked or listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imageworks.models import DecisionKind
from imageworks.tui.hands.hands import Hands
from imageworks.tui.wording import count_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imageworks.review.acts import ActOutcome
    from imageworks.review.steps import Steps

_VERBS = {
    DecisionKind.ACCEPT: ("Accept", "Each gets what its own fields say; it is written soon after."),
    DecisionKind.REJECT: ("Reject", "Their files stay as they are."),
    DecisionKind.SKIP: ("Skip", "They are left for another day; nothing is written."),
}


class MarkingHands(Hands):
    """Picks images, and decides or edits many as one act."""

    async def do_mark(self) -> None:
        """Marks the image under the cursor, or unmarks it, and goes on."""
        image_id = self.listing.current_id
        if image_id is None:
            return
        is_marked = self.listing.marks.toggle(image_id)
        await self.go(self.listing.position + 1)
        self._say_marks("Marked" if is_marked else "Unmarked")

    def do_mark_range(self) -> None:
        """Marks all from the image marked last to the one under the cursor."""
        image_id = self.listing.current_id
        if image_id is None:
            return
        marks = self.listing.marks
        start = None if marks.last_id is None else self.listing.position_of(marks.last_id)
        if start is None:
            start = self.listing.position
        count = marks.add_range(self.listing.ids, start, self.listing.position)
        self._say_marks(f"Marked {count_text(count, 'image')}")

    def do_mark_all(self) -> None:
        """Marks all that the list shows; unmarks them when all are marked."""
        is_marked = self.listing.marks.toggle_all(self.listing.ids)
        self._say_marks("Marked all listed" if is_marked else "Unmarked all listed")

    def do_clear_marks(self) -> None:
        """Unmarks everything."""
        self.listing.marks.clear()
        self._say_marks("Unmarked")

    async def do_accept_many(self) -> None:
        """Accepts all marked images; without marks, all to review that are listed."""
        await self._ask_to_decide(DecisionKind.ACCEPT)

    async def do_reject_many(self) -> None:
        """Rejects all marked images; without marks, all to review that are listed."""
        await self._ask_to_decide(DecisionKind.REJECT)

    async def do_skip_many(self) -> None:
        """Skips all marked images; without marks, all to review that are listed."""
        await self._ask_to_decide(DecisionKind.SKIP)

    def do_add_to_many(self) -> None:
        """Asks for a keyword to add to all marked images."""
        self._ask_for_keyword("Add a keyword to", self.session.many.add_keyword)

    def do_take_from_many(self) -> None:
        """Asks for a keyword to take out of all marked images."""
        self._ask_for_keyword("Take a keyword out of", self.session.many.remove_keyword)

    async def _ask_to_decide(self, kind: DecisionKind) -> None:
        from imageworks.tui.screens.confirm import ConfirmScreen  # noqa: PLC0415  # seldom seen

        self.keep_draft()
        marked = self.listing.marks.ids()
        if marked:
            image_ids, which = self.session.many.open_to(kind, marked), "marked"
        else:
            image_ids = self.session.to_review(self.listing.state_filter, self.listing.query)
            which = "listed, yours to decide"
        if not image_ids:
            self.say(f"None of the {'marked' if marked else 'listed'} images is open to that.")
            return
        verb, meaning = _VERBS[kind]
        lines = [meaning, f"{self.keys.key_of('undo')} takes all of it back as one act."]
        if len(image_ids) < len(marked):
            left = count_text(len(marked) - len(image_ids), "marked image")
            lines.insert(0, f"{left} cannot be decided on so, and will stay.")
        question = f"{verb} {count_text(len(image_ids), 'image')} ({which})?"

        async def decide() -> None:
            await self.act_on_many(self.session.many.decide(kind, image_ids))
            self.listing.marks.clear()
            self.show_current()

        await self.app.push_screen(
            ConfirmScreen(self.keys, question, lines, lambda: self.attempt(decide))
        )

    def _ask_for_keyword(
        self, question: str, act: Callable[[str, Sequence[int]], Steps[ActOutcome]]
    ) -> None:
        self.keep_draft()
        image_ids = self.session.many.open_to_edits(self.listing.marks.ids())
        if not image_ids:
            self.say(f"Nothing is marked that has keywords: {self.keys.key_of('mark')} marks.")
            return

        async def answer(text: str) -> None:
            await self.act_on_many(act(text, image_ids))

        self.ask(f"{question} {count_text(len(image_ids), 'marked image')}:", answer)

    def _say_marks(self, text: str) -> None:
        count = len(self.listing.marks)
        self.images.follow()
        self.show_title()
        self.say(f"{text} · {count:,} marked")
