"""Asking the model again about the image under the cursor."""

from __future__ import annotations

from imageworks.errors import UsageError
from imageworks.models import Stage
from imageworks.tui.actions import Scope
from imageworks.tui.hands.hands import Hands
from imageworks.tui.widgets.fields import ReviewForm


class AskingHands(Hands):
    """Another suggestion or another field, with or without a word from the person."""

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

    def do_ask_field(self) -> None:
        """Asks for the field that the person is in; in the list, for one that the person names."""
        image_id = self.wanted_id()
        if image_id is None:
            return
        if self.focused is not None and self.focused.id in ReviewForm.FIELD_NAMES:
            self._ask_for(image_id, Stage(self.focused.id))
            return

        async def answer(text: str) -> None:
            self._ask_for(image_id, _stage_named(text))

        self.ask("Which field again: caption, keywords or description?", answer)

    def _ask_again(self, image_id: int, hint: str) -> None:
        self.keep_draft()
        self.session.ask_again(image_id, hint)
        self.engine.client.ensure_running()
        self.listing.touch()
        self.show_current()
        self.say("Asked again; go on, the new suggestion comes by itself.")

    def _ask_for(self, image_id: int, stage: Stage) -> None:
        self.keep_draft()
        self.session.ask_again(image_id, stage=stage)
        self.engine.client.ensure_running()
        self.listing.touch()
        if self.scope is Scope.TEXT:  # what is being typed stays as it is
            self.form.show_waiting(self.session.asked.of(image_id))
        else:
            self.show_current()
        self.say(f"Asked for another {stage}; go on, it comes by itself.")


def _stage_named(text: str) -> Stage:
    """The field whose name begins like this.

    Raises:
        UsageError: There is none.
    """
    typed = text.strip().lower()
    for stage in Stage:
        if typed and stage.value.startswith(typed):
            return stage
    message = "That is none of the fields."
    raise UsageError(message, hint="type caption, keywords or description; c, k or d will do.")
