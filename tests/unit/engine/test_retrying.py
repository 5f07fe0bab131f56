"""A retry queues what failed: to its limit, by its reason, each as it failed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from imageworks.engine.retrying import ANY_REASON, FailedScan
from imageworks.models import DecisionKind, ImageState, Tags
from imageworks.store.records import RunOptions
from tests.support.review_library import ReviewLibrary


@pytest.fixture
def made(tmp_path):
    made = ReviewLibrary(tmp_path)
    yield made
    made.library.close()


def failed(made, name, reason="timeout", *, is_decided=False):
    image_id = made.add(name, Tags(caption="A boat") if is_decided else None)
    if is_decided:
        made.library.decisions.decide(image_id, made.run.id, DecisionKind.ACCEPT, by="person")
        (write,) = made.library.decisions.begin_writes(1)
        made.library.decisions.record_write_failed(write, reason=reason, reason_text="no")
    else:
        made.library.images.set_state(image_id, ImageState.FAILED, reason=reason)
    return image_id


def scan_for(made, reason=ANY_REASON):
    run = made.library.runs.create("batch", "{}", options=RunOptions(retry_failed=reason))
    config = replace(made.config, input_paths=(made.photos,))
    return FailedScan(made.library, run, config), run


async def run(scan, *, limit=None, is_redo=False, is_stopped=False):
    stop = asyncio.Event()
    if is_stopped:
        stop.set()
    await scan.run(is_redo=is_redo, limit=limit, stop=stop)


async def test_what_could_not_be_written_is_written_again_and_the_rest_asked_about(made):
    unwritten = failed(made, "a.jpg", is_decided=True)
    unasked = failed(made, "b.jpg")
    made.add("c.jpg", Tags(caption="fine"))
    scan, batch = scan_for(made)

    await run(scan)

    assert scan.planned == 2
    assert [item.image_id for item in made.library.queue.claim(batch.id, 9)] == [unasked]
    assert [write.image_id for write in made.library.decisions.begin_writes(9)] == [unwritten]


async def test_a_limit_counts_all_that_the_run_deals_with(made):
    for number in range(5):
        failed(made, f"{number}.jpg")
    scan, batch = scan_for(made)

    await run(scan, limit=3)

    assert (scan.planned, made.library.queue.count(batch.id)) == (3, 3)


async def test_only_the_reason_asked_for_counts_and_nothing_that_failed_in_this_run(made):
    wanted = failed(made, "a.jpg", "timeout")
    failed(made, "b.jpg", "refused")
    again = failed(made, "c.jpg", "timeout")
    scan, batch = scan_for(made, "timeout")
    made.library.outcomes.record(batch.id, again, ImageState.FAILED, reason="timeout")

    await run(scan, is_redo=True)

    (item,) = made.library.queue.claim(batch.id, 9)
    assert (item.image_id, item.is_redo) == (wanted, True)
    assert scan.planned == 2


async def test_a_run_that_is_stopped_queues_nothing(made):
    failed(made, "a.jpg")
    scan, batch = scan_for(made)

    await run(scan, is_stopped=True)

    assert made.library.queue.count(batch.id) == 0
