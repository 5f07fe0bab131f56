"""What was put right once, offered for all that hold the same; and rules made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imageworks.text import one_line, show_path
from imageworks.tui.hands.hands import Hands
from imageworks.tui.wording import count_text

if TYPE_CHECKING:
    from imageworks.review.corrections import Offer, RuleOffer


class CorrectingHands(Hands):
    """Corrections of the last accept, carried further."""

    def do_fix_others(self) -> None:
        """Shows the other images that hold what was put right, and asks whether to change them."""
        from imageworks.tui.screens.corrections import (  # noqa: PLC0415  # seldom seen
            CorrectionsScreen,
            correction_lines,
        )

        offer = self.session.corrections.offer(self.session.folders)
        if offer is None:
            self.say("The last accept put nothing right that other images hold.")
            return
        self.keep_draft()
        lines = correction_lines(self.session, offer)
        if not lines:
            self.say("No other image needs it any more.")
            return
        self.app.push_screen(
            CorrectionsScreen(
                self.keys, offer, lines, lambda: self.attempt(lambda: self._apply(offer))
            )
        )

    async def do_make_rule(self) -> None:
        """Shows the rule that a repeated correction would make, and asks whether to keep it."""
        from imageworks.tui.screens.confirm import ConfirmScreen  # noqa: PLC0415  # seldom seen

        offer = self.session.corrections.rule_offer()
        if offer is None:
            self.say("No correction has been made often enough to make it a rule.")
            return
        book = self.session.rules
        lines = [
            f"You have done so {count_text(offer.count, 'time')}. From now on:",
            one_line(offer.rule.text, limit=200),
            f"This goes into {show_path(book.path or '')}:",
            *(f"| {line}" for line in book.preview(offer.rule).splitlines()),
        ]
        await self.app.push_screen(
            ConfirmScreen(
                self.keys,
                "Make it a rule?",
                lines,
                lambda: self.attempt(lambda: self._keep_rule(offer)),
                on_no=lambda: self.library.corrections.decline(offer.correction),
            )
        )

    async def _apply(self, offer: Offer) -> None:
        corrections = self.session.corrections
        await self.act_on_many(corrections.apply(offer.correction, offer.image_ids))

    async def _keep_rule(self, offer: RuleOffer) -> None:
        self.session.rules.add(offer.rule)
        self.listing.touch()
        self.show_current()
        self.say(f"Kept: {offer.rule.text}")
