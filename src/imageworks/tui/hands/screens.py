"""The batch and the other screens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imageworks.errors import ImageworksError
from imageworks.tui.hands.hands import Hands
from imageworks.tui.screens.review_texts import NOT_ASKED
from imageworks.tui.wording import count_text

if TYPE_CHECKING:
    from pathlib import Path

    from imageworks.tui.screens.batch import BatchChoices


class ScreenHands(Hands):
    """What leads away from the review, and the batch."""

    def do_batch(self) -> None:
        """Asks whether to start a batch."""
        from imageworks.tui.screens.batch import BatchChoices, BatchScreen  # noqa: PLC0415  # seldom seen

        folders = self._batch_folders()
        view = self.engine.view
        if view is not None and view.is_batch_active:
            self.say(f"A batch is under way; {self.keys.key_of('stop_batch')} stops it.")
        elif not folders:
            self.say("Start with: ptag FOLDER")
        else:
            waiting = sum(self.listing.counts.get(state, 0) for state in NOT_ASKED)
            total = self.listing.total
            facts = f"{count_text(waiting, 'image')} of {total:,} without one; new files are found."
            self.app.push_screen(
                BatchScreen(
                    self.keys,
                    BatchChoices.of(self.config, folders),
                    facts=facts,
                    client=self.engine.client,
                    start=self._start_batch,
                )
            )

    def do_stop_batch(self) -> None:
        """Stops the batch; pressed twice, at once."""
        self.say(self.engine.stop_batch())

    def do_pause_batch(self) -> None:
        """Pauses the asking, or lets it go on."""
        self.say(self.engine.toggle_pause())

    def do_show_summary(self) -> None:
        """Tells how the last batch went."""
        from imageworks.tui.screens.summary import show_summary  # noqa: PLC0415  # seldom seen

        show_summary(self, self.engine.client)

    def do_show_review(self) -> None:
        """This is the review screen."""

    def do_show_metrics(self) -> None:
        """Opens the metrics screen."""
        from imageworks.tui.screens.metrics import MetricsScreen  # noqa: PLC0415  # seldom seen

        self.app.push_screen(MetricsScreen(self.keys, self.library.runs, self.engine))

    async def do_show_settings(self) -> None:
        """Opens the settings screen."""
        await self.app.run_action("show_settings")

    def do_help(self) -> None:
        """Shows all keys."""
        from imageworks.tui.screens.help import HelpScreen  # noqa: PLC0415  # seldom seen

        self.app.push_screen(HelpScreen(self.keys, is_unicode=self.is_unicode))

    def _batch_folders(self) -> tuple[Path, ...]:
        """The folders shown; in the whole library, the folder of the image under the cursor."""
        if self.session.folders:
            return self.session.folders
        card = self.form.card
        return () if card is None else (card.row.path.parent,)

    def _start_batch(self, choices: BatchChoices) -> None:
        try:
            config = choices.config(self.config)
            run = self.engine.client.start_batch(config, choices.options())
        except ImageworksError as error:
            self.say(str(error), is_error=True)
            return
        self.engine.expect(run)
        self.say("")
