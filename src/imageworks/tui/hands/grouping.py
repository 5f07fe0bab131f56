"""Bursts and near-duplicates, decided as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imageworks.models import DecisionKind
from imageworks.tui.hands.hands import Hands

if TYPE_CHECKING:
    from imageworks.models import Tags


class GroupingHands(Hands):
    """Acts on all that is like the image under the cursor."""

    def do_group(self) -> None:
        """Shows how the images of this group differ, and asks how to decide on them."""
        from imageworks.tui.screens.group import GroupScreen  # noqa: PLC0415  # seldom seen

        image_id = self.wanted_id()
        if image_id is None:
            return
        self.keep_draft()
        members = self.session.group(image_id)
        if not members:
            self.say("No other picture is like this one.")
            return
        card = self.form.card
        if card is None or not card.can_decide:
            self.say("Go to an image of this group that has a suggestion.")
            return
        tags = self.form.tags()
        self.app.push_screen(
            GroupScreen(
                self.keys,
                [card for card in map(self.session.card, members) if card is not None],
                image_id,
                accept_same=lambda: self.attempt(lambda: self._accept(members, tags)),
                accept_each=lambda: self.attempt(lambda: self._accept(members, None)),
                mark=lambda: self._mark(members),
            )
        )

    async def _accept(self, image_ids: list[int], tags: Tags | None) -> None:
        await self.act_on_many(self.session.many.decide(DecisionKind.ACCEPT, image_ids, tags=tags))

    def _mark(self, image_ids: list[int]) -> None:
        self.listing.marks.add(image_ids)
        self.images.follow()
        self.say(f"{len(self.listing.marks):,} marked")
