"""The circuit breaker: closes on trouble, opens when the backend is back, gives up in the end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from imageworks.engine.gate import FAILURES_BEFORE_PAUSE, BackendGate
from imageworks.errors import BackendError


class Backend:
    base_url = "http://127.0.0.1:1/v1"

    def __init__(self, alive_after: int) -> None:
        self.probes = 0
        self._alive_after = alive_after

    async def is_alive(self) -> bool:
        self.probes += 1
        return self.probes > self._alive_after


def gate_for(backend, *, patience_s=100.0, draw=0.0):
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0)

    gate = BackendGate(backend, patience_s=patience_s, sleep=sleep, draw=lambda: draw)
    return gate, waited


async def test_an_unreachable_backend_closes_the_gate_until_it_is_back():
    backend = Backend(alive_after=23)
    gate, waited = gate_for(backend)

    gate.failed(is_unreachable=True)
    assert not gate.is_open
    await gate.wait()

    assert gate.is_open
    assert waited == [0.5] * 20 + [1.0, 2.0, 4.0, 4.0]


async def test_a_few_failures_close_nothing_but_many_in_a_row_do():
    gate, _ = gate_for(Backend(alive_after=0))

    for _ in range(FAILURES_BEFORE_PAUSE - 1):
        gate.failed(is_unreachable=False)
    gate.succeeded()
    gate.failed(is_unreachable=False)
    assert gate.is_open
    for _ in range(FAILURES_BEFORE_PAUSE - 1):
        gate.failed(is_unreachable=False)
    assert not gate.is_open
    await gate.wait()


async def test_a_backend_that_stays_away_ends_the_run():
    gate, waited = gate_for(Backend(alive_after=10**9), patience_s=60)

    gate.failed(is_unreachable=True)
    with pytest.raises(BackendError, match="was away for") as caught:
        await gate.wait()

    assert "goes on from here" in caught.value.hint
    assert sum(waited) >= 60
    assert max(waited) == 4


async def test_many_clients_do_not_look_at_the_same_moment():
    gate, waited = gate_for(Backend(alive_after=1), draw=1.0)

    gate.failed(is_unreachable=True)
    await gate.wait()

    assert waited == [0.375, 0.375]


async def test_closing_ends_the_probing():
    never = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        await never.wait()

    backend: Any = Backend(0)
    gate = BackendGate(backend, patience_s=9, sleep=sleep)
    gate.failed(is_unreachable=True)
    await gate.aclose()

    assert gate.is_open
