"""Accept, reject, skip, and taking it back."""

from __future__ import annotations

from imageworks.tui.hands.base import ReviewHands
from imageworks.tui.screens.review_texts import facts_text


class DecidingHands(ReviewHands):
    """Decisions on the image under the cursor."""

    def do_accept(self) -> None:
        """Accepts what the fields say, and goes on."""
        image_id = self.wanted_id()
        if image_id is None:
            return
        tags = self.form.tags()
        self.session.accept(image_id, tags)
        self.form.mark_saved(tags)
        self.go_on("Accepted")

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

    def do_undo(self) -> None:
        """Takes back the last decision, and goes to its image."""
        self.keep_draft()
        image_id = self.session.undo()
        if image_id is None:
            self.say("There is no decision of this session to take back.")
            return
        self.listing.touch()
        self.listing.move_to_id(image_id)
        self.show_current()
        self.say(f"Taken back: {facts_text(self.listing.row(self.listing.position))}")

    def do_accept_next(self) -> None:
        """Accepts what was typed, and goes on in the list."""
        self.do_accept()
        self.leave_text()
