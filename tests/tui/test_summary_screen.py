from __future__ import annotations

from typing import TYPE_CHECKING

from tests.scenarios.drivers import workstation
from tests.support.burst import burst
from tests.tui.conftest import screen_text

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.review_library import ReviewLibrary

WIDE = (120, 36)


def night(made: ReviewLibrary) -> None:
    run = made.library.runs.create("batch", "{}")
    made.library.runs.start(run.id)
    made.library.runs.add_progress(run.id, worked_ms=61_000, totals={"total": 9, "done": 7})
    made.library.runs.end(run.id, "interrupted", message="Its time was up.")


async def test_a_night_without_a_screen_is_offered_and_told_once(
    made: ReviewLibrary, tmp_path: Path
) -> None:
    night(made)
    first = workstation(made, tmp_path)
    async with first.run_test(size=WIDE) as pilot:
        offered = first.review.message
        await burst(pilot, first.review.keys.key_of("show_summary"))
        told = screen_text(first)
        await burst(pilot, "escape")
    second = workstation(made, tmp_path)
    async with second.run_test(size=WIDE):
        offered_again = second.review.message

    assert "A batch has ended since you were here" in offered
    assert "Its time was up." in told
    assert "Left     9 images" in told
    assert "wait for you" in told
    assert offered_again == ""


async def test_the_summary_opens_from_the_metrics_and_closes_over_them(
    made: ReviewLibrary, tmp_path: Path
) -> None:
    night(made)
    app = workstation(made, tmp_path)
    async with app.run_test(size=WIDE) as pilot:
        keys = app.review.keys
        await burst(pilot, keys.key_of("show_metrics"), keys.key_of("show_summary"))
        told = screen_text(app)
        await burst(pilot, "enter", keys.key_of("pause_batch"))
        paused = screen_text(app)

    assert "The last batch" in told
    assert "Paused: nothing more is asked." in paused
