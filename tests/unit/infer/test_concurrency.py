"""The number of requests under way: finds the knee of a batching server, and never runs away."""

from __future__ import annotations

import random
import statistics
from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.infer.concurrency import MOST_REQUESTS, ConcurrencyController


class FixedLimit:
    def __init__(self, limit):
        self.limit = limit

    def started(self, now_s):
        return None

    def finished(self, ticket, now_s, *, tokens):
        pass


class BatchingServer:
    """One step at a time: a prefill, or one token for every running request."""

    def __init__(self, slots, *, base_s=0.018, each_s=0.0006, prefill_s=0.05):
        self.slots = slots
        self.base_s = base_s
        self.each_s = each_s
        self.prefill_s = prefill_s
        self.queue: deque[Any] = deque()
        self.running = []
        self.now_s = 0.0

    def step(self):
        if self.queue and len(self.running) < self.slots:
            request = self.queue.popleft()
            self.now_s += self.prefill_s * request["weight"]
            self.running.append(request)
            return []
        self.now_s += self.base_s + self.each_s * len(self.running)
        for request in self.running:
            request["left"] -= 1
        ended = [request for request in self.running if request["left"] <= 0]
        self.running = [request for request in self.running if request["left"] > 0]
        return ended


def simulate(limiter, server, images, *, seed=1, at=None, has_tokens=True):
    """Images per second over the last half, the median queue then, and the limits."""
    rng = random.Random(seed)
    sent = ended = 0
    half_s = 0.0
    waiting, limits = [], []
    while ended < images:
        while sent - ended < limiter.limit:
            tokens = max(20, int(rng.gauss(160, 40)))
            ticket = limiter.started(server.now_s)
            weight = rng.uniform(0.8, 1.2)
            server.queue.append(
                {"left": tokens, "tokens": tokens, "weight": weight, "ticket": ticket}
            )
            sent += 1
        for request in server.step():
            ended += 1
            tokens = request["tokens"] if has_tokens else 0
            limiter.finished(request["ticket"], server.now_s, tokens=tokens)
            waiting.append(len(server.queue))
            limits.append(limiter.limit)
            if ended == images // 2:
                half_s = server.now_s
            if at and ended in at:
                server.slots = at[ended]
    last = images - images // 2
    return last / (server.now_s - half_s), statistics.median(waiting[-last:]), limits


def best_fixed(make_server, images):
    return max(
        simulate(FixedLimit(n), make_server(), images)[0] for n in (1, 2, 4, 8, 16, 20, 32, 64)
    )


@pytest.mark.parametrize("slots", [1, 4, 16, 64])
@pytest.mark.parametrize("hint", [1, 4, 8])
def test_it_keeps_the_server_busy_without_a_queue(slots, hint):
    rate, waiting, _ = simulate(ConcurrencyController(hint), BatchingServer(slots), 1200)

    assert rate >= 0.95 * best_fixed(lambda: BatchingServer(slots), 1200)
    assert waiting <= slots


def test_a_server_with_more_slots_than_the_ceiling_gets_what_pays():
    def make_server():
        return BatchingServer(256, prefill_s=0.12)

    rate, waiting, _ = simulate(ConcurrencyController(8), make_server(), 1200)

    assert rate >= 0.95 * best_fixed(make_server, 1200)
    assert waiting == 0


def test_answers_are_counted_where_tokens_are_not_told():
    rate, waiting, _ = simulate(
        ConcurrencyController(8), BatchingServer(16), 1200, has_tokens=False
    )

    assert rate >= 0.9 * best_fixed(lambda: BatchingServer(16), 1200)
    assert waiting <= 16


def test_a_server_that_loses_slots_gets_fewer_requests():
    _, waiting, limits = simulate(ConcurrencyController(16), BatchingServer(16), 3000, at={1000: 4})

    assert statistics.mean(limits[800:1000]) > 12
    assert statistics.mean(limits[-300:]) < 10
    assert waiting <= 8


def test_it_starts_at_the_hint_and_keeps_the_ceiling():
    assert ConcurrencyController(8).limit == 8
    assert ConcurrencyController(8, ceiling=3).limit == 3
    assert ConcurrencyController(500).limit == MOST_REQUESTS
    assert ConcurrencyController(0).limit == 1


def test_one_worker_means_one_whatever_is_gained():
    _, _, limits = simulate(ConcurrencyController(8, ceiling=1), BatchingServer(16), 200)

    assert set(limits) == {1}


def fail(controller, reason, now_s=1.0):
    controller.failed(controller.started(now_s), now_s + 0.1, reason=reason)


def test_a_lone_rate_limit_is_no_overload_but_several_in_a_row_are():
    controller = ConcurrencyController(16)

    fail(controller, "rate-limited")
    fail(controller, "rate-limited")
    controller.finished(controller.started(2.0), 3.0, tokens=10)
    fail(controller, "rate-limited")
    fail(controller, "rate-limited")
    assert controller.limit >= 16

    fail(controller, "rate-limited")
    assert controller.limit < 16


def test_of_the_requests_that_a_busy_server_refused_together_one_counts():
    controller = ConcurrencyController(16)
    tickets = [controller.started(0.0) for _ in range(16)]

    for ticket in tickets:
        controller.failed(ticket, 0.1, reason="busy")

    assert controller.limit == 12


@pytest.mark.parametrize("reason", ["bad-sample", "server-error", "connection-lost", ""])
def test_other_failures_change_nothing(reason):
    controller = ConcurrencyController(16)

    for _ in range(20):
        fail(controller, reason)

    assert controller.limit == 16


def test_an_answer_that_took_retries_tells_nothing_about_speed():
    controller = ConcurrencyController(4)

    for second in range(50):
        controller.finished(controller.started(second), second + 0.9, tokens=5, is_clean=False)

    assert controller.limit == 4


def test_it_does_not_rise_while_the_client_cannot_fill_it():
    controller = ConcurrencyController(8)

    for second in range(100):
        controller.finished(controller.started(second), second + 0.9, tokens=5)

    assert controller.limit <= 8


def test_another_server_is_learned_anew():
    controller = ConcurrencyController(8)
    simulate(controller, BatchingServer(1), 300)

    controller.restart(16)

    assert controller.limit == 16


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["start", "finish", "busy", "rate-limited", "timeout", "", "restart"]),
        st.floats(-1.0, 100.0),
        st.integers(-5, 5000),
        st.booleans(),
    ),
    max_size=300,
)


@given(hint=st.integers(-10, 1000), ceiling=st.integers(0, 80), events=EVENTS)
def test_whatever_it_is_told_the_limit_stays_within_bounds(hint, ceiling, events):
    controller = ConcurrencyController(hint, ceiling=ceiling)
    most = ceiling or MOST_REQUESTS
    tickets: list[Any] = []
    now_s = 0.0
    for kind, passed_s, tokens, is_clean in events:
        now_s += passed_s
        if kind == "start" or not tickets:
            tickets.append(controller.started(now_s))
        elif kind == "restart":
            controller.restart(tokens)
        elif kind == "finish":
            controller.finished(tickets.pop(0), now_s, tokens=tokens, is_clean=is_clean)
        else:
            controller.failed(tickets.pop(), now_s, reason=kind)
        assert 1 <= controller.limit <= most
        assert controller.under_way == len(tickets)
