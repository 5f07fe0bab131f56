"""A server that tells its queue: the limit is read off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.infer.queue_guide import MOST_TOLD_REQUESTS, QueueGuide, margin_for
from imageworks.infer.server_load import ServerLoad


def serve(guide, slots, looks, *, others=0):
    """What waits at each look in a server with so many slots, the limit always used up."""
    waiting = []
    for _ in range(looks):
        present = guide.limit + others
        load = ServerLoad(min(slots, present), max(0, present - slots))
        guide.told(load, guide.limit)
        waiting.append(load.waiting)
    return waiting


@pytest.mark.parametrize("slots", [1, 2, 4, 16, 64])
def test_every_number_of_slots_is_filled_with_few_requests_waiting(slots):
    guide = QueueGuide(8)

    waiting = serve(guide, slots, 40)

    assert guide.slots == slots
    assert slots < guide.limit <= slots + margin_for(slots)
    assert max(waiting[12:]) <= margin_for(slots)


def test_slots_that_never_fill_end_at_the_ceiling():
    guide = QueueGuide(8)
    serve(guide, 1000, 30)
    assert guide.limit == MOST_TOLD_REQUESTS

    guide = QueueGuide(8, ceiling=20)
    serve(guide, 1000, 30)
    assert guide.limit == 20


def test_requests_still_on_their_way_do_not_count_as_room():
    guide = QueueGuide(16)

    for _ in range(5):
        guide.told(ServerLoad(running=4, waiting=0), under_way=16)

    assert guide.limit == 16


def test_a_client_that_does_not_use_its_limit_gets_no_more():
    guide = QueueGuide(16)

    for _ in range(5):
        guide.told(ServerLoad(running=9, waiting=0), under_way=9)

    assert guide.limit == 16


def test_one_look_at_newcomers_changes_nothing():
    guide = QueueGuide(16)

    guide.told(ServerLoad(running=4, waiting=12), under_way=16)
    guide.told(ServerLoad(running=16, waiting=0), under_way=15)
    guide.told(ServerLoad(running=4, waiting=12), under_way=16)

    assert guide.limit == 16


def test_the_slots_are_shared_with_other_clients():
    guide = QueueGuide(16)

    for _ in range(30):
        guide.told(ServerLoad(running=8, waiting=guide.limit + 24 - 8), guide.limit)

    assert guide.limit <= 6


def test_overload_lowers_the_limit_and_holds_it_for_a_while():
    guide = QueueGuide(16)

    guide.overloaded()
    assert guide.limit == 12
    for _ in range(8):
        guide.told(ServerLoad(running=12, waiting=0), under_way=12)
    assert guide.limit == 12

    guide.told(ServerLoad(running=12, waiting=0), under_way=12)
    assert guide.limit > 12


def test_overload_of_a_server_with_a_queue_gives_up_the_queue_first():
    guide = QueueGuide(8)
    serve(guide, 16, 40)

    guide.overloaded()
    assert guide.limit == 16

    guide.overloaded()
    assert guide.limit == 12


@given(
    st.integers(0, 300),
    st.integers(0, 300),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300)), max_size=40),
)
def test_the_limit_stays_between_one_and_the_ceiling(hint, ceiling, looks):
    guide = QueueGuide(hint, ceiling=ceiling)

    for running, waiting, under_way in looks:
        guide.told(ServerLoad(running, waiting), under_way)
        if waiting % 7 == 3:
            guide.overloaded()
        assert 1 <= guide.limit <= (ceiling or MOST_TOLD_REQUESTS)
