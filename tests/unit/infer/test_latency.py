"""Deadlines and second copies follow how long answers take."""

from __future__ import annotations

import pytest

from imageworks.infer.latency import LatencyTracker


def tracker(*durations_s):
    found = LatencyTracker()
    for duration_s in durations_s:
        found.add(duration_s)
    return found


def test_nothing_is_concluded_from_a_few_answers():
    few = tracker(*[1.0] * 15)

    assert few.p95_s is None
    assert few.deadline_s(120.0) == 120.0
    assert few.hedge_after_s(is_tail=True) is None
    assert tracker().typical_s is None
    assert few.typical_s == 1.0


def test_deadline_is_four_times_what_is_usual_within_its_bounds():
    assert tracker(*[1.0] * 20).deadline_s(120.0) == 10.0
    assert tracker(*[5.0] * 20).deadline_s(120.0) == 20.0
    assert tracker(*[50.0] * 20).deadline_s(120.0) == 120.0


def test_one_slow_answer_does_not_move_the_deadline():
    assert tracker(*[5.0] * 30, 100.0).deadline_s(120.0) == 20.0


def test_the_second_copy_goes_sooner_when_nothing_else_is_waited_for():
    usual = tracker(*[2.0] * 20)

    assert usual.hedge_after_s(is_tail=False) == 6.0
    assert usual.hedge_after_s(is_tail=True) == pytest.approx(2.2)
    assert tracker(*[0.01] * 20).hedge_after_s(is_tail=True) == 0.25


def test_old_answers_are_forgotten():
    found = tracker(*[50.0] * 200, *[5.0] * 128)

    assert found.deadline_s(120.0) == 20.0
