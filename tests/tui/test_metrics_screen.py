from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from textual.widgets import Static

from imageworks.engine.client import EngineView
from imageworks.errors import StoreError
from imageworks.tui.screens.metrics import current_content, past_content, rates_content
from tests.support.burst import burst
from tests.tui.conftest import screen_text
from tests.tui.test_review_screen import until
from tests.tui.test_wording import RUN, view_of

if TYPE_CHECKING:
    import pytest
    from textual.content import Content

    from imageworks.store.records import RunRow
    from imageworks.tui.workstation import Workstation
    from tests.support.review_library import ReviewLibrary

TOTALS: dict[str, Any] = {
    "total": 200,
    "done": 50,
    "already_done": 3,
    "failed": 2,
    "written": 0,
    "images_per_s": 0.5,
    "eta_s": 300.0,
    "concurrency": 4,
    "retries": 7,
    "stages": {"caption": {"count": 50, "avg": 1.234, "p50": 1.1, "p95": 2.25}},
    "tokens": {"prompt": 45_000, "completion": 8_000, "per_s": 64.2},
    "failures": {"timeout": 1, "decode": 1},
}


def test_figures_of_the_batch_under_way() -> None:
    text = current_content(view_of(**TOTALS)).plain

    assert "The batch under way · 20260101-000000-abcd" in text
    assert "[#######.......................] 25 %" in text
    assert "200 known · 50 done · 3 done before · 2 failed · 7 asked twice" in text
    assert "30.0 images/min · 5 min left · 4 at once" in text
    assert "Tokens: 45,000 prompt · 8,000 completion · 64.2 per second" in text
    assert "caption             50      1.23     1.10     2.25" in text
    assert "1 timeout" in text


def test_last_batch_has_no_time_left_and_says_how_it_ended() -> None:
    view = view_of("interrupted", **TOTALS)
    assert view.batch is not None
    view = replace(view, batch=view.batch._replace(message="stopped"))

    text = current_content(view).plain

    assert "The last batch" in text
    assert "interrupted: stopped" in text
    assert "left" not in text


def test_message_of_a_waiting_engine_is_shown() -> None:
    assert "the server is away" in current_content(view_of(message="the server is away")).plain


def test_before_the_first_batch_it_says_how_to_start_one() -> None:
    nothing = EngineView(is_alive=False, activity="", batch=None, waiting=0, unwritten=0)

    assert "No batch yet" in current_content(nothing).plain
    assert "No batch yet" in current_content(None).plain
    assert past_content([]).plain == ""


def test_past_runs_are_compared_in_lines_that_fit() -> None:
    runs = [
        RUN._replace(status="finished", worked_s=60.0, totals=TOTALS),
        RUN._replace(status="interrupted", worked_s=0.0, totals={}),
        RUN._replace(worked_s=359_999.0, totals={**TOTALS, "done": 1_000_000}),
    ]

    lines = past_content(runs).plain.strip("\n").split("\n")

    assert len(lines) == 4
    assert all(len(line) <= 77 for line in lines)
    assert lines[1].split() == [
        *("20260101-000000-abcd", "finished", "50", "2", "1", "min", "50.0", "64.2")
    ]


def test_rates_are_bars_from_zero() -> None:
    assert rates_content([]).plain == ""
    assert rates_content([0.0, 0.0]).plain == ""
    assert " ▄█ at most 4.0" in rates_content([0.0, 2.0, 4.0]).plain


async def test_figures_are_live(app: Workstation, made: ReviewLibrary) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await burst(pilot, "3")
        run = made.library.runs.create("batch", "{}")
        made.library.runs.start(run.id)
        made.library.runs.add_progress(run.id, worked_ms=1, totals=TOTALS)
        await until(pilot, lambda: "25 %" in screen_text(app))
        await burst(pilot, "B")

        assert made.library.session.take_wishes() == [("stop", run.name)]


async def test_figures_that_stay_are_not_drawn_again(
    app: Workstation, made: ReviewLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str | None] = []
    asked = 0
    latest, update = made.library.runs.latest, Static.update

    def counted(limit: int) -> list[RunRow]:
        nonlocal asked
        asked += 1
        return latest(limit)

    def noted(widget: Static, content: Content, *, layout: bool = True) -> None:
        drawn.append(widget.id)
        update(widget, content, layout=layout)

    async with app.run_test(size=(80, 24)) as pilot:
        await burst(pilot, "3")
        monkeypatch.setattr(made.library.runs, "latest", counted)
        monkeypatch.setattr(Static, "update", noted)
        await until(pilot, lambda: asked == 2)
        assert drawn == []

        made.library.runs.create("batch", "{}")
        await until(pilot, lambda: "past" in drawn)


async def test_library_that_cannot_be_read_is_told(
    app: Workstation, made: ReviewLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_limit: int) -> None:
        raise StoreError("The library is locked.")  # noqa: EM101

    async with app.run_test(size=(80, 24)) as pilot:
        monkeypatch.setattr(made.library.runs, "latest", refuse)
        await burst(pilot, "3")
        await until(pilot, lambda: "The library is locked." in screen_text(app))
