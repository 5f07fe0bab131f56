"""The work queue's order under a person's eyes."""

from __future__ import annotations

import pytest

from imageworks.models import Priority, Stage
from imageworks.store.session import SuggestionWish
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


def test_wishes_for_different_fields_of_an_image_add_up(made):
    library, run, image_id = made.library, made.run, made.add("a.jpg")

    library.queue.add(run.id, [image_id], stage=Stage.CAPTION, hint="an osprey")
    (of_one,) = library.queue.claim(run.id, 1)
    library.queue.release(image_id)
    library.queue.add(run.id, [image_id], stage=Stage.CAPTION)
    (of_the_same,) = library.queue.claim(run.id, 1)
    library.queue.release(image_id)
    library.queue.add(run.id, [image_id], stage=Stage.KEYWORDS)
    (of_two,) = library.queue.claim(run.id, 1)

    assert (of_one.stage, of_one.hint) == (Stage.CAPTION, "an osprey")
    assert of_the_same.stage is Stage.CAPTION
    assert of_two.stage is None


def test_a_wish_for_a_field_stays_beside_one_for_another_and_gives_way_to_one_for_all(made):
    image_id = made.add("a.jpg")
    session = made.library.session

    session.wish_suggestion(image_id, "first", stage=Stage.CAPTION)
    session.wish_suggestion(image_id, "second", stage=Stage.CAPTION)
    session.wish_suggestion(image_id, stage=Stage.KEYWORDS)
    of_fields = [SuggestionWish.from_value(value) for _, value in session.take_wishes()]
    session.wish_suggestion(image_id, stage=Stage.CAPTION)
    session.wish_suggestion(image_id)
    of_all = [SuggestionWish.from_value(value) for _, value in session.take_wishes()]

    assert of_fields == [
        SuggestionWish(image_id, "second", Stage.CAPTION),
        SuggestionWish(image_id, "", Stage.KEYWORDS),
    ]
    assert of_all == [SuggestionWish(image_id, "")]


def test_the_next_files_of_a_run_are_told_without_claiming_them(made):
    library, run = made.library, made.run
    first, second, third = (made.add(name) for name in ("a.jpg", "b.jpg", "c.jpg"))
    library.queue.add(run.id, [first, second, third])
    library.queue.claim(run.id, 1)

    paths = library.queue.next_paths(run.id, 5)
    one = library.queue.next_paths(run.id, 1)

    assert [path.name for path in paths] == ["b.jpg", "c.jpg"]
    assert [path.name for path in one] == ["b.jpg"]
    assert len(library.queue.claim(run.id, 5)) == 2
