"""Permits that follow a changing number."""

from __future__ import annotations

import asyncio

from imageworks.engine.limiter import Limiter


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
