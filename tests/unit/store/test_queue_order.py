"""The work queue's order under a person's eyes."""

from __future__ import annotations

import pytest

from imageworks.models import Priority
from tests.support.review_library import ReviewLibrary


@pytest.fixture
def made(tmp_path):
    made = ReviewLibrary(tmp_path)
    yield made
    made.library.close()


@pytest.fixture
def queued(made):
    """Twelve images on the queue of a run."""
    ids = [made.add(f"{number:02}.jpg") for number in range(12)]
    made.library.queue.add(made.run.id, ids)
    return ids


def claimed(made, count):
    return [item.image_id for item in made.library.queue.claim(made.run.id, count)]


def test_what_is_looked_at_comes_first_in_its_order_and_the_rest_as_before(made, queued):
    wanted = [queued[9], queued[3], queued[7]]

    made.library.queue.attend(made.run.id, wanted, 2)

    assert claimed(made, 5) == [queued[9], queued[3], queued[0], queued[1], queued[2]]


def test_what_is_looked_at_no_more_goes_back_to_its_place(made, queued):
    made.library.queue.attend(made.run.id, [queued[9], queued[10]], 5)
    made.library.queue.attend(made.run.id, [queued[5]], 5)

    assert claimed(made, 3) == [queued[5], queued[0], queued[1]]


def test_images_of_no_run_are_not_asked_because_they_are_looked_at(made, queued):
    stranger = made.add("stranger.jpg")

    assert made.library.queue.attend(made.run.id, [stranger], 5) == 0
    assert made.library.queue.count() == 12


def test_only_what_is_looked_at_is_claimed_ahead(made, queued):
    made.library.queue.attend(made.run.id, [queued[4]], 5)

    first = made.library.queue.claim(made.run.id, 5, least_priority=Priority.REVIEW_AHEAD)
    second = made.library.queue.claim(made.run.id, 5, least_priority=Priority.REVIEW_AHEAD)

    assert [item.image_id for item in first] == [queued[4]]
    assert second == []


def test_a_claim_reads_as_many_rows_as_it_takes(made, queued):
    plan = made.library.connection.execute(
        "EXPLAIN QUERY PLAN SELECT w.* FROM work w JOIN image i ON i.id = w.image_id"
        " JOIN folder f ON f.id = i.folder_id"
        " WHERE w.run_id=1 AND w.is_claimed=0 AND w.priority >= 0"
        " ORDER BY w.priority DESC, w.attempts, w.position LIMIT 1"
    ).fetchall()

    text = " | ".join(row["detail"] for row in plan)
    assert "USING INDEX work_order" in text
    assert "TEMP B-TREE" not in text
