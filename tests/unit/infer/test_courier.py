"""One request through a pool: second copies, deadlines, displaced requests."""

from __future__ import annotations

import asyncio

import pytest

from imageworks.errors import TransientBackendError
from imageworks.infer.courier import Courier
from imageworks.infer.lane import Lane
from imageworks.infer.payload import Dialect
from imageworks.infer.responses import ChatResponse
from imageworks.infer.server_pool import ServerPool
from imageworks.infer.transport import ChatExchange, ServerConnection

EXCHANGE = ChatExchange(ChatResponse("text", completion_tokens=7), duration_s=0.02)


def lane_at(number=1, *, known_s=None):
    connection = ServerConnection(f"http://127.0.0.{number}:9/v1", api_key="", timeout_s=5)
    lane = Lane(connection, Dialect(), hint=2, ceiling=2)
    for _ in range(16 if known_s else 0):
        lane.latency.add(known_s)
    return lane


class Clock:
    """Runs so many times faster than the loop's."""

    def __init__(self, speed):
        self.speed = speed

    def __call__(self):
        return asyncio.get_running_loop().time() * self.speed


def courier_for(*lanes, timeout_s=60.0, speed=1.0):
    clock = Clock(speed)
    pool = ServerPool(lanes, clock=clock)
    return Courier(pool, timeout_s=timeout_s, clock=clock, look_every_s=0.005), pool


class Server:
    """Answers each request as it is told: a wait in seconds, or an error; then at once."""

    def __init__(self, *behaviours):
        self.behaviours = list(behaviours)
        self.asked = []
        self.cancelled = 0

    async def send(self, lane):
        self.asked.append(lane)
        behaviour = self.behaviours.pop(0) if self.behaviours else 0
        if isinstance(behaviour, Exception):
            raise behaviour
        try:
            await asyncio.sleep(behaviour)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return EXCHANGE


async def test_an_answer_comes_with_its_server_and_gives_the_permit_back():
    courier, pool = courier_for(lane_at())
    server = Server()

    exchange, lane = await courier.deliver(server.send)

    assert (exchange, lane) == (EXCHANGE, pool.lanes[0])
    assert pool.under_way == 0
    assert lane.latency.typical_s == EXCHANGE.duration_s


async def test_a_request_without_answer_is_sent_again_and_the_first_answer_counts():
    first, second = lane_at(1, known_s=1.0), lane_at(2, known_s=1.0)
    courier, pool = courier_for(first, second, speed=50)
    server = Server(3600)

    exchange, lane = await courier.deliver(server.send)

    assert exchange is EXCHANGE
    assert server.asked == [first, second]
    assert lane is second
    assert server.cancelled == 1
    assert pool.under_way == 0


async def test_a_copy_that_fails_does_not_end_the_request():
    lane = lane_at(known_s=1.0)
    courier, _ = courier_for(lane, speed=50)
    server = Server(0.06, TransientBackendError("x", reason="busy"))

    exchange, _ = await courier.deliver(server.send)

    assert exchange is EXCHANGE
    assert len(server.asked) == 2


async def test_no_copy_is_sent_while_it_is_unknown_how_long_answers_take():
    courier, _ = courier_for(lane_at(), speed=50)
    server = Server(0.3)

    await courier.deliver(server.send)

    assert len(server.asked) == 1


async def test_no_copy_goes_beyond_the_persons_ceiling():
    lane = lane_at(known_s=1.0)
    courier, pool = courier_for(lane, speed=50)
    server = Server(0.06, 0.06)

    both = [asyncio.create_task(courier.deliver(server.send)) for _ in range(2)]
    await asyncio.sleep(0.05)

    assert len(server.asked) == pool.under_way == 2
    await asyncio.gather(*both)


async def test_copies_are_few():
    lane = lane_at(known_s=1.0)
    courier, _ = courier_for(lane, speed=100)
    server = Server(*[0.04, 0.04] * 6)

    for _ in range(6):
        await courier.deliver(server.send)

    assert len(server.asked) <= 6 + 3


async def test_an_answer_is_given_up_on_at_a_multiple_of_what_is_usual():
    lane = lane_at(known_s=1.0)
    courier, pool = courier_for(lane, timeout_s=3600.0, speed=100)
    server = Server(3600, 3600)

    with pytest.raises(TransientBackendError, match="did not answer within 10 s") as caught:
        await courier.deliver(server.send)

    assert caught.value.reason == "timeout"
    assert server.cancelled == 2
    await asyncio.sleep(0)
    assert pool.under_way == 0


async def test_an_error_reaches_the_caller_and_the_server_is_judged_by_it():
    lane = lane_at()
    courier, pool = courier_for(lane)
    error = TransientBackendError("x", reason="unreachable")

    with pytest.raises(TransientBackendError):
        await courier.deliver(Server(error).send)

    assert not lane.is_open
    assert pool.under_way == 0


async def test_a_cancelled_request_gives_its_permit_back():
    courier, pool = courier_for(lane_at())
    server = Server(3600)
    task = asyncio.create_task(courier.deliver(server.send))
    await asyncio.sleep(0.01)

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert server.cancelled == 1
    assert pool.under_way == 0


async def test_a_displaced_request_is_sent_again_and_answered():
    courier, pool = courier_for(lane_at())
    server = Server(3600, 3600)
    batch = [asyncio.create_task(courier.deliver(server.send)) for _ in range(2)]
    await asyncio.sleep(0.01)

    await courier.deliver(server.send, is_interactive=True)
    assert server.cancelled == 1

    pool.lanes[0].reserved_until_s = 0.0
    pool.nudge()
    done, _ = await asyncio.wait(batch, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    assert [task.result()[0] for task in done] == [EXCHANGE]
    for task in batch:
        task.cancel()
    await asyncio.gather(*batch, return_exceptions=True)
