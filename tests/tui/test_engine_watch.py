from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imageworks.tui.engine_watch import EngineWatch

if TYPE_CHECKING:
    from imageworks.engine.client import EngineView
    from imageworks.store.records import RunRow
    from tests.support.review_library import FakeEngine, ReviewLibrary


class Watched:
    def __init__(self, made: ReviewLibrary) -> None:
        self.made = made
        self.now_s = 0.0
        self.client: FakeEngine = made.engine()
        self.watch = EngineWatch(self.client, lambda: self.now_s)

    def later(self, seconds: float) -> str:
        self.now_s += seconds
        return self.watch.look()

    def batch(self) -> RunRow:
        run = self.made.library.runs.create("batch", "{}")
        self.made.library.runs.start(run.id)
        return run


@pytest.fixture
def watched(made: ReviewLibrary) -> Watched:
    return Watched(made)


def test_library_is_not_looked_at_too_often(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    view = watched.client.view

    def count() -> EngineView:
        looks.append(1)
        return view()

    monkeypatch.setattr(watched.client, "view", count)

    for _ in range(10):
        watched.later(0.15)
    of_a_quiet_library = len(looks)
    for _ in range(10):
        watched.made.library.session.remember("word", "another")
        watched.later(0.15)

    assert of_a_quiet_library == 1
    assert len(looks) == 3 + of_a_quiet_library


def test_idle_library_needs_no_engine(watched: Watched) -> None:
    for _ in range(10):
        assert watched.later(5) == ""

    assert watched.client.starts == 0


def test_engine_is_started_again_for_a_batch_and_at_last_complained_about(
    watched: Watched,
) -> None:
    watched.batch()
    told = [watched.later(5) for _ in range(5)]

    assert watched.client.starts == 3
    assert told[:4] == [""] * 4
    assert "`ptag doctor`" in told[4]


def test_end_of_a_batch_is_told_once(watched: Watched) -> None:
    run = watched.batch()
    watched.later(1)
    totals = {"done": 12, "failed": 2}
    watched.made.library.runs.add_progress(run.id, worked_ms=1, totals=totals)
    watched.made.library.runs.end(run.id, "finished")

    assert watched.later(1) == "The batch is finished: 12 images, 2 failed"
    assert watched.later(1) == ""


def test_batch_that_ends_before_it_is_seen_is_told_with_its_reason(watched: Watched) -> None:
    run = watched.batch()
    watched.watch.expect(run)
    watched.made.library.runs.end(run.id, "failed", message="No server answers.\x1b[2J")

    told = watched.later(0)

    assert told == r"The batch is failed: 0 images · No server answers.\x1b[2J"


def test_old_batches_are_not_told(watched: Watched) -> None:
    assert watched.later(1) == ""


def test_rates_of_the_batch_under_way_are_kept(watched: Watched) -> None:
    run = watched.batch()
    for rate in (1.0, 2.0):
        totals = {"total": 9, "images_per_s": rate}
        watched.made.library.runs.add_progress(run.id, worked_ms=1, totals=totals)
        watched.later(1)
    assert list(watched.watch.rates) == [1.0, 2.0]

    watched.watch.expect(run)

    assert list(watched.watch.rates) == []


def test_stop_pressed_twice_stops_at_once(watched: Watched) -> None:
    nothing = watched.watch.stop_batch()
    run = watched.batch()
    first = watched.watch.stop_batch()
    second = watched.watch.stop_batch()

    assert nothing == "No batch is under way."
    assert "after what is under way" in first
    assert "at once" in second
    wishes = watched.made.library.session.take_wishes()
    assert wishes == [("stop", run.name), ("stop-now", run.name)]


def test_pause_is_put_and_lifted_by_the_same_key(watched: Watched) -> None:
    paused = watched.watch.toggle_pause()
    view = watched.client.view()
    resumed = watched.watch.toggle_pause()

    assert paused.startswith("Paused")
    assert view.pause is not None
    assert resumed == "Asking goes on."
    assert watched.client.view().pause is None


def test_a_batch_whose_end_was_told_is_not_offered_again(watched: Watched) -> None:
    run = watched.batch()
    watched.later(1)
    library = watched.made.library
    library.runs.add_progress(run.id, worked_ms=1, totals={"done": 1})
    library.runs.end(run.id, "finished")
    offered = watched.client.unseen_batch()

    watched.later(1)

    assert offered is not None
    assert watched.client.unseen_batch() is None
