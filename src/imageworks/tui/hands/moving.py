"""Moving through the list, and what it lists."""

from __future__ import annotations

from imageworks.review.filters import filter_text, parse_filter
from imageworks.tui.actions import Scope
from imageworks.tui.hands.hands import Hands


class MovingHands(Hands):
    """Cursor, filter and order."""

    async def do_next(self) -> None:
        """Next image."""
        await self.go(self.listing.position + 1)

    async def do_previous(self) -> None:
        """Previous image."""
        await self.go(self.listing.position - 1)

    async def do_first(self) -> None:
        """First image."""
        await self.go(0)

    async def do_last(self) -> None:
        """Last image."""
        await self.go(len(self.listing) - 1)

    async def do_page_down(self) -> None:
        """One page down."""
        await self.go(self.listing.position + self.images.page_rows())

    async def do_page_up(self) -> None:
        """One page up."""
        await self.go(self.listing.position - self.images.page_rows())

    async def do_next_undecided(self) -> None:
        """Next image to review."""
        await self.go(self.session.next_undecided(self.listing.ids, self.listing.position))

    async def do_previous_undecided(self) -> None:
        """Previous image to review."""
        await self.go(self.session.previous_undecided(self.listing.ids, self.listing.position))

    def do_filter(self) -> None:
        """Shows the next kind of image."""
        self.keep_draft()
        self.listing.set_filter(self.listing.state_filter.next())
        self.show_current()
        self.say(f"Showing: {self.listing.state_filter.label}")

    def do_sort(self) -> None:
        """Lists in the next order; the cursor stays on its image."""
        self.keep_draft()
        self.listing.set_order(self.listing.order.next())
        self.show_current()
        self.say(f"Sorted: {self.listing.order.label}")

    def do_search(self) -> None:
        """Opens the filter line."""
        self.prompt.open(filter_text(self.listing.query))
        # Not `Widget.focus`, which waits its turn while the next keys are already routed.
        self.set_focus(self.prompt)
        self.key_bar.show_scope(Scope.PROMPT)

    def do_apply_search(self) -> None:
        """Lists what matches; a filter that cannot be read stays open, and the list as it was."""
        query = parse_filter(self.prompt.text)
        self.keep_draft()
        self.listing.set_query(query)
        self.leave_text()
        self.show_current()

    def do_leave_search(self) -> None:
        """Back to the list as it was."""
        self.leave_text()
