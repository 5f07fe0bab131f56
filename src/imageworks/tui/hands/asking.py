"""Asking the model again about the image under the cursor."""

from __future__ import annotations

from imageworks.tui.hands.base import ReviewHands


class AskingHands(ReviewHands):
    """Another suggestion, with or without a word from the person."""

    def do_regenerate(self) -> None:
        """Asks for another suggestion, ahead of everything else."""
        image_id = self.wanted_id()
        if image_id is not None:
            self._ask_again(image_id, "")

    def do_regenerate_with_hint(self) -> None:
        """Asks the person what the model should know, then asks for another suggestion."""
        image_id = self.wanted_id()
        if image_id is None:
            return

        async def answer(text: str) -> None:
            self._ask_again(image_id, text)

        self.ask("What should the model know about this picture?", answer)

    def _ask_again(self, image_id: int, hint: str) -> None:
        self.keep_draft()
        self.session.ask_again(image_id, hint)
        self.engine.client.ensure_running()
        self.listing.touch()
        self.show_current()
        self.say("Asked again; go on, the new suggestion comes by itself.")
