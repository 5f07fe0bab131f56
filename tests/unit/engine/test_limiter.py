"""Permits that follow a changing number, and the engine that is measured."""

from __future__ import annotations

import asyncio

import pytest

from imageworks.engine.limiter import Limiter, MeasuredEngine
from imageworks.errors import TransientBackendError
from imageworks.models import InferenceResult, Stage, StageAnswer


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_permits_never_exceed_the_number_and_follow_it():
    limiter = Limiter(2)
    tasks = [asyncio.create_task(limiter.acquire()) for _ in range(6)]
    await settle()
    assert limiter.out == 2

    limiter.resize(4)
    await settle()
    assert limiter.out == 4

    limiter.resize(1)
    for _ in range(3):
        limiter.release()
    await settle()
    assert limiter.out == 1

    limiter.release()
    await settle()
    assert limiter.out == 1
    for task in tasks:
        task.cancel()


async def test_a_waiter_that_gives_up_costs_no_permit():
    limiter = Limiter(1)
    await limiter.acquire()
    waiter = asyncio.create_task(limiter.acquire())
    await settle()
    waiter.cancel()
    await settle()

    limiter.release()
    await asyncio.wait_for(limiter.acquire(), 1)

    assert limiter.out == 1


class Engine:
    backend = "vllm"

    def __init__(self, *, base_url="http://127.0.0.1:1/v1", hint=4):
        self.base_url = base_url
        self.hint = hint
        self.error = None

    def suggested_concurrency(self):
        return self.hint

    async def preflight(self):
        self.hint = 6
        return ()

    async def infer(self, request):
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        answer = StageAnswer((Stage.CAPTION,), "m", "", "", "text", 1.0, completion_tokens=9)
        return InferenceResult((answer,))


def measured(engine, **kwargs):
    changes = []
    settings = {"max_workers": 0, "on_change": lambda: changes.append(1), **kwargs}
    return MeasuredEngine(engine, **settings), changes


async def test_each_request_is_counted_while_under_way_and_then_reported():
    engine, changes = measured(Engine())

    task = asyncio.create_task(engine.infer(None))
    await asyncio.sleep(0)
    assert engine.under_way == 1
    await task

    assert engine.under_way == 0
    assert changes == [1]


async def test_a_failed_or_cancelled_request_is_no_longer_under_way():
    inner = Engine()
    engine, _ = measured(inner)
    task = asyncio.create_task(engine.infer(None))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    inner.error = TransientBackendError("busy", reason="busy")
    with pytest.raises(TransientBackendError):
        await engine.infer(None)

    assert engine.under_way == 0
    assert engine.limit == 3


async def test_the_hint_of_the_preflight_is_where_it_starts():
    engine, _ = measured(Engine())

    await engine.preflight()

    assert engine.limit == 6


async def test_turning_to_another_server_starts_anew():
    inner = Engine(hint=4)
    engine, _ = measured(inner)
    inner.base_url, inner.hint = "http://127.0.0.1:2/v1", 12

    await engine.infer(None)

    assert engine.base_url == inner.base_url
    assert engine.limit >= 12


async def test_a_built_in_engine_keeps_its_number():
    engine, _ = measured(Engine(base_url="", hint=2))

    for _ in range(50):
        await asyncio.gather(*(engine.infer(None) for _ in range(engine.limit)))

    assert engine.limit <= 2


def test_one_worker_means_one():
    engine, _ = measured(Engine(hint=8), max_workers=1)

    assert engine.limit == 1
