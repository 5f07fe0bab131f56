"""Who gets the next request: permits, priorities, servers that go away."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from imageworks.infer.lane import FAILURES_BEFORE_PAUSE, RESERVED_S, Lane
from imageworks.infer.payload import Dialect
from imageworks.infer.server_pool import ServerPool
from imageworks.infer.transport import ServerConnection
from tests.support.openai_server import OpenAIServer


def lane_at(url="http://127.0.0.1:9/v1", *, hint=2, ceiling=2):
    connection = ServerConnection(url, api_key="EMPTY", timeout_s=5)
    return Lane(connection, Dialect(), hint=hint, ceiling=ceiling)


def pool_of(*lanes, clock=lambda: 0.0):
    return ServerPool(lanes, clock=clock)


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_permits_than_the_limit_and_the_rest_in_order():
    pool = pool_of(lane_at())
    first, second = await pool.acquire(), await pool.acquire()
    order = []

    async def wait(number):
        permit = await pool.acquire()
        order.append(number)
        return permit

    waiting = [asyncio.create_task(wait(number)) for number in range(3)]
    await settle()
    assert (order, pool.under_way, pool.is_tail) == ([], 2, False)

    pool.finished(first, tokens=5, duration_s=1.0)
    await settle()
    assert order == [0]
    pool.failed(second, "")
    await settle()
    assert order == [0, 1]
    pool.finished(waiting[0].result(), tokens=5, duration_s=1.0)
    await settle()
    assert order == [0, 1, 2]
    assert pool.is_tail


async def test_a_waiter_that_gives_up_takes_no_permit_with_it():
    pool = pool_of(lane_at(ceiling=1))
    held = await pool.acquire()
    gone, next_one = (asyncio.create_task(pool.acquire()) for _ in range(2))
    await settle()

    pool.finished(held, tokens=0, duration_s=1.0)
    gone.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await gone

    await asyncio.wait_for(next_one, 1)
    assert pool.under_way == 1


async def test_a_persons_request_goes_at_once_and_displaces_the_newest_of_the_batch():
    lane = lane_at(hint=4, ceiling=4)
    pool = pool_of(lane)
    interrupted = []
    batch = [await pool.acquire() for _ in range(4)]
    for permit in batch:

        def interrupt(permit=permit):
            interrupted.append(permit)
            pool.failed(permit, "")

        permit.interrupt = interrupt
    waiting = asyncio.create_task(pool.acquire())
    await settle()

    person = await pool.acquire(is_interactive=True)

    assert interrupted == [batch[3]]
    assert pool.under_way == 4
    assert not waiting.done()
    pool.finished(person, tokens=1, duration_s=0.1)
    waiting.cancel()


async def test_a_slot_stays_free_for_a_while_after_a_person_asked():
    now = [0.0]
    lane = lane_at(hint=4, ceiling=4)
    pool = pool_of(lane, clock=lambda: now[0])
    pool.finished(await pool.acquire(is_interactive=True), tokens=1, duration_s=0.1)
    tasks = [asyncio.create_task(pool.acquire()) for _ in range(4)]
    await settle()
    assert pool.under_way == 3

    now[0] += RESERVED_S
    pool.nudge()
    await settle()

    assert pool.under_way == 4
    assert all(task.done() for task in tasks)


async def test_a_server_with_one_slot_is_free_while_a_persons_request_runs():
    lane = lane_at(hint=1, ceiling=1)
    pool = pool_of(lane)
    batch = await pool.acquire()
    displaced = []

    def interrupt():
        displaced.append(batch)
        pool.failed(batch, "")

    batch.interrupt = interrupt

    await pool.acquire(is_interactive=True)

    assert displaced == [batch]


async def test_the_faster_server_gets_more():
    fast, slow = lane_at(hint=8, ceiling=8), lane_at(hint=8, ceiling=8)
    pool = pool_of(slow, fast)
    for lane, duration_s in ((fast, 1.0), (slow, 3.0)):
        lane.latency.add(duration_s)

    permits = [await pool.acquire() for _ in range(8)]

    assert sum(permit.lane is fast for permit in permits) == 6


async def test_a_server_that_refuses_connections_is_left_out_at_once():
    away, there = lane_at(), lane_at()
    pool = pool_of(away, there)

    permit = await pool.acquire()
    assert permit.lane is away
    pool.failed(permit, "unreachable")

    assert [(await pool.acquire()).lane for _ in range(2)] == [there, there]
    assert pool.limit == 2
    pool.reopen(away)
    assert (await pool.acquire()).lane is away


async def test_failures_in_a_row_close_a_server_and_an_answer_between_does_not():
    lane = lane_at(ceiling=50, hint=50)
    for _ in range(FAILURES_BEFORE_PAUSE - 1):
        lane.judge("server-error")
    lane.succeeded(1.0)
    lane.judge("server-error")
    assert lane.is_open

    for _ in range(FAILURES_BEFORE_PAUSE):
        lane.judge("connection-lost")

    assert not lane.is_open


async def test_the_only_server_is_tried_even_when_it_was_away():
    lane = lane_at()
    pool = pool_of(lane)
    pool.failed(await pool.acquire(), "unreachable")

    assert (await pool.acquire()).lane is lane


async def test_a_lone_refusal_is_no_overload_but_many_are():
    lane = lane_at(hint=16, ceiling=0)
    for _ in range(5):
        for _ in range(19):
            lane.succeeded(1.0)
        assert not lane.judge("rate-limited")

    lane.succeeded(1.0)
    assert [lane.judge("busy") for _ in range(3)] == [False, False, True]
    for _ in range(4):
        lane.succeeded(1.0)
        assert not lane.judge("rate-limited")
    lane.succeeded(1.0)
    assert lane.judge("busy")


async def test_overload_lowers_the_limit():
    lane = lane_at(hint=16, ceiling=0)
    pool = pool_of(lane)
    for permit in [await pool.acquire() for _ in range(3)]:
        pool.failed(permit, "busy")

    assert lane.limit == 12


async def test_slots_that_the_server_tells_bound_the_limit():
    lane = lane_at(hint=8, ceiling=0)
    lane.told_slots(4)
    assert (lane.hint, lane.slots, lane.limit) == (4, 4, 6)

    capped = lane_at(hint=8, ceiling=2)
    capped.told_slots(4)
    assert (capped.slots, capped.limit) == (2, 2)


@pytest.fixture
def metrics_page():
    return {"/metrics": "vllm:num_requests_running 3\nvllm:num_requests_waiting 0\n"}


async def watching(pool, until):
    watcher = asyncio.create_task(pool.watch())
    try:
        async with asyncio.timeout(10):
            while not until():  # noqa: ASYNC110  # what is waited for has no event
                await asyncio.sleep(0.01)
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        for lane in pool.lanes:
            await lane.connection.aclose()


async def test_the_watch_follows_a_server_that_tells_its_load(metrics_page):
    with OpenAIServer(texts=metrics_page) as server:
        lane = lane_at(server.base_url, hint=3, ceiling=0)
        pool = ServerPool([lane])
        changes = []
        pool.on_change = lambda: changes.append(lane.limit)
        for _ in range(3):
            await pool.acquire()
        await watching(pool, lambda: lane.limit >= 6)

    assert lane.has_load_page is True
    assert 6 in changes


@pytest.mark.parametrize(("asked", "least", "most"), [(1, 2, 3), (9, 5, 13)])
async def test_load_is_asked_for_often_only_while_requests_wait_for_leave(
    metrics_page, asked, least, most
):
    """Within 1.2 s, in which the server tells nothing that would settle its slots."""
    ending = time.monotonic() + 1.2
    with OpenAIServer(texts=metrics_page) as server:
        lane = lane_at(server.base_url, hint=2, ceiling=2)
        pool = ServerPool([lane])
        requests = [asyncio.create_task(pool.acquire()) for _ in range(asked)]
        await watching(pool, lambda: time.monotonic() > ending)
        for request in requests:
            request.cancel()
        await asyncio.gather(*requests, return_exceptions=True)

    looks = [asked for asked in server.requests if asked.path == "/metrics"]
    assert least <= len(looks) <= most


async def test_a_server_without_metrics_is_not_asked_for_them_again():
    with OpenAIServer() as server:
        lane = lane_at(server.base_url)
        await watching(ServerPool([lane]), lambda: lane.has_load_page is False)

    assert lane.guide is None


async def test_the_watch_takes_a_server_back_that_answers_again():
    with OpenAIServer() as server:
        lane = lane_at(server.base_url)
        lane.judge("unreachable")
        pool = ServerPool([lane])
        await watching(pool, lambda: lane.is_open)

    assert lane.is_open


async def test_a_batch_that_is_held_back_sends_nothing_more_and_a_person_still_does():
    pool = pool_of(lane_at())
    first = await pool.acquire()
    pool.hold_back(is_held=True)
    waiting = asyncio.create_task(pool.acquire())
    await settle()
    pool.finished(first, tokens=5, duration_s=1.0)
    await settle()
    is_still_waiting = not waiting.done()
    persons = await pool.acquire(is_interactive=True)
    pool.finished(persons, tokens=5, duration_s=1.0)
    of_the_held = pool.waiting
    pool.hold_back(is_held=False)
    await asyncio.wait_for(waiting, 1)

    assert is_still_waiting
    assert of_the_held == 1
    assert pool.waiting == 0
