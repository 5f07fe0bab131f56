from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imageworks.model_loader.metrics import EXACT_SAMPLES, BatchRunMetrics, DurationSeries


class _Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_percentiles_of_few_durations_are_exact():
    series = DurationSeries()

    for hundredth in range(1, 101):
        series.add(hundredth / 100)

    assert series.summary() == {
        "count": 100,
        "total": 50.5,
        "avg": 0.505,
        "min": 0.01,
        "max": 1.0,
        "p50": 0.5,
        "p95": 0.95,
        "p99": 0.99,
    }


def test_no_durations_give_zeros():
    assert set(DurationSeries().summary().values()) == {0}


def test_percentiles_of_many_durations_are_within_two_percent():
    series = DurationSeries()
    durations = [0.001 + (number * 7919 % 20_000) / 1000 for number in range(20_000)]

    for duration in durations:
        series.add(duration)

    ordered = sorted(durations)
    summary = series.summary()
    assert summary["count"] == 20_000
    assert summary["min"] == pytest.approx(0.001)
    assert summary["max"] == pytest.approx(20.0)
    assert summary["total"] == pytest.approx(sum(durations))
    for percent in (50, 95, 99):
        exact = ordered[20_000 * percent // 100 - 1]
        assert series.percentile(percent) == pytest.approx(exact, rel=0.02)


def test_memory_does_not_grow_with_the_number_of_images():
    series = DurationSeries()

    for number in range(10 * EXACT_SAMPLES):
        series.add(0.01 + number % 997 / 10)

    assert not series._samples
    assert len(series._buckets) < 1000
    assert sys.getsizeof(series._buckets) < 100_000


@pytest.mark.parametrize("seconds", [-0.001, float("nan"), float("inf")])
def test_what_is_no_duration_is_refused(seconds):
    series = DurationSeries()

    with pytest.raises(ValueError, match="cannot be"):
        series.add(seconds)

    assert series.count == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.integers(1, 100))
def test_a_percentile_lies_between_minimum_and_maximum(durations, percent):
    series = DurationSeries()

    for duration in durations:
        series.add(duration)

    assert series.percentile(percent) in durations
    assert series.percentile(100) == max(durations)


def test_the_highest_percentile_of_buckets_is_the_maximum():
    series = DurationSeries()
    for _ in range(EXACT_SAMPLES + 1):
        series.add(1.5)

    assert series.percentile(100) == 1.5


def test_zero_and_tiny_durations_survive_the_buckets():
    series = DurationSeries()

    for _ in range(EXACT_SAMPLES + 1):
        series.add(0.0)

    assert series.percentile(50) == 0.0


def test_summary_holds_all_that_the_contract_names():
    clock = _Clock()
    metrics = BatchRunMetrics(clock)
    for seconds in (1.0, 3.0):
        metrics.add("caption", seconds)
        metrics.add_image()
    metrics.add("prepare", 0.1)
    metrics.add_ttft(0.25)
    for stall_s in (0.5, 2.0, 1.0):
        metrics.add_stall(stall_s)
    metrics.add_tokens(prompt=900, completion=60)
    metrics.add_tokens(prompt=None, completion=None)
    metrics.add_retries()
    metrics.add_retries(2)
    metrics.add_failure("timeout")
    metrics.add_failure("timeout")
    metrics.add_failure("decode")
    metrics.add_concurrency(2)
    metrics.add_concurrency(5)
    clock.now_s += 10

    summary = metrics.summary()

    assert summary["stages"]["caption"]["avg"] == 2.0
    assert summary["stages"]["prepare"]["count"] == 1
    assert summary["ttft"]["p50"] == 0.25
    assert (summary["stall"]["count"], summary["stall"]["p50"]) == (3, 1.0)
    assert summary["stall"]["max"] == 2.0
    assert (summary["prompt_tokens"], summary["completion_tokens"]) == (900, 60)
    assert summary["tokens_per_s"] == 6.0
    assert (summary["images"], summary["images_per_s"]) == (2, 0.2)
    assert summary["concurrency"] == {"avg": 3.5, "max": 5}
    assert summary["retries"] == 3
    assert summary["failures"] == {"timeout": 2, "decode": 1}
    assert summary["elapsed_s"] == 10.0
    json.dumps(summary, allow_nan=False)


def test_pauses_are_left_out_of_the_rates():
    clock = _Clock()
    metrics = BatchRunMetrics(clock)
    metrics.add_image()
    clock.now_s += 100

    assert metrics.summary(working_s=2.0)["images_per_s"] == 0.5


def test_a_run_that_did_nothing_has_rates_of_zero():
    summary = BatchRunMetrics(_Clock()).summary()

    assert summary["images_per_s"] == 0.0
    assert summary["concurrency"] == {"avg": 0.0, "max": 0}
