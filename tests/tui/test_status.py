from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.app import App, ComposeResult

from imageworks.tui.widgets import status
from imageworks.tui.widgets.status import StatusLines
from tests.tui.conftest import screen_text
from tests.tui.test_review_screen import until

if TYPE_CHECKING:
    from textual.pilot import Pilot


class StatusApp(App[None]):
    CSS = "#status { height: 2; } #counts, #message { height: 1; }"

    def __init__(self) -> None:
        super().__init__()
        self.lines = StatusLines()

    def compose(self) -> ComposeResult:
        yield self.lines


def shown(pilot: Pilot[None]) -> list[str]:
    app: StatusApp = pilot.app  # type: ignore[assignment]  # as made below
    return [line.rstrip() for line in screen_text(app).split("\n")[:2]]  # type: ignore[arg-type]


async def test_progress_stands_behind_the_counts_where_there_is_room() -> None:
    app = StatusApp()
    async with app.run_test(size=(60, 5)) as pilot:
        app.lines.show(counts="? 4 ready", progress="Batch 3 of 9")
        app.lines.say("Accepted: a.jpg")
        await pilot.pause()

        assert shown(pilot) == ["? 4 ready   Batch 3 of 9", "Accepted: a.jpg"]


async def test_message_goes_before_progress_where_there_is_no_room_and_then_gives_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(status, "MESSAGE_S", 0.05)
    app = StatusApp()
    async with app.run_test(size=(20, 5)) as pilot:
        app.lines.show(counts="? 4 ready", progress="Batch 3 of 9")
        app.lines.say("Accepted: a.jpg")
        assert app.lines.message == "Accepted: a.jpg"
        await until(pilot, lambda: shown(pilot) == ["? 4 ready", "Batch 3 of 9"])


async def test_error_stays_until_the_next_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "MESSAGE_S", 0.01)
    app = StatusApp()
    async with app.run_test(size=(60, 5)) as pilot:
        app.lines.say("Accepted: a.jpg")
        app.lines.say("The disk is full.", is_error=True)
        await pilot.pause(0.1)
        assert shown(pilot)[1] == "The disk is full."
        app.lines.say("")
        await pilot.pause()
        assert shown(pilot)[1] == ""
