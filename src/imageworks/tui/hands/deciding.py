"""Accept, reject, skip, and taking it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imageworks.text import one_line
from imageworks.tui.hands.hands import Hands
from imageworks.tui.screens.review_texts import outcome_text

if TYPE_CHECKING:
    from imageworks.review.acts import ActOutcome
    from imageworks.review.steps import Steps


class DecidingHands(Hands):
    """Decisions on the image under the cursor."""

    def do_accept(self) -> None:
        """Accepts what the fields say, and goes on."""
        image_id = self.wanted_id()
        if image_id is None:
            return
        tags = self.form.tags()
        self.session.accept(image_id, tags)
        self.form.mark_saved(tags)
        self.go_on("Accepted", more=self._offers())

    def do_reject(self) -> None:
        """Rejects the image, and goes on."""
        image_id = self.wanted_id()
        if image_id is not None:
            self.keep_draft()
            self.session.reject(image_id)
            self.go_on("Rejected")

    def do_skip(self) -> None:
        """Skips the image, and goes on."""
        image_id = self.wanted_id()
        if image_id is not None:
            self.keep_draft()
            self.session.skip(image_id)
            self.go_on("Skipped")

    def _offers(self) -> str:
        """What the correction just made is good for besides; empty as a rule."""
        corrections, parts = self.session.corrections, []
        rule = corrections.rule_offer()
        if rule is not None:
            parts.append(f"{self.keys.key_of('make_rule')} makes it a rule")
        offer = corrections.offer(self.session.folders)
        if offer is not None:
            wrong = one_line(offer.correction.wrong, limit=40)
            count = len(offer.image_ids)
            others = f"{count:,} other holds" if count == 1 else f"{count:,} others hold"
            parts.append(f"{others} {wrong}: press {self.keys.key_of('fix_others')}")
        return " · ".join(parts)

    async def do_undo(self) -> None:
        """Takes back the last act, and goes to its image."""
        self.keep_draft()
        await self._travel(self.session.history.undo(), "Taken back", "There is nothing to undo.")

    async def do_redo(self) -> None:
        """Does again what was undone last, and goes to its image."""
        self.keep_draft()
        await self._travel(self.session.history.redo(), "Done again", "There is nothing to redo.")

    async def _travel(self, steps: Steps[ActOutcome | None], word: str, nothing: str) -> None:
        outcome = await self.work_through(steps)
        if outcome is None:
            self.say(nothing)
            return
        self.listing.touch()
        if outcome.image_id is not None:
            self.listing.move_to_id(outcome.image_id)
        self.show_current()
        self.say(f"{word}: {outcome_text(outcome)}")

    def do_accept_next(self) -> None:
        """Accepts what was typed, and goes on in the list."""
        self.do_accept()
        self.leave_text()
