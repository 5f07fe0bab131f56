"""The morning after: figures and words, and who has been told."""

from __future__ import annotations

import pytest

from imageworks.engine.morning import morning_after
from imageworks.engine.morning_text import morning_lines, span_text
from imageworks.models import DecisionKind, ImageState, Tags
from imageworks.store.pace import review_pace_s
from imageworks.store.records import Choice
from tests.support.review_library import ReviewLibrary


@pytest.fixture
def made(tmp_path):
    made = ReviewLibrary(tmp_path)
    yield made
    made.library.close()


def reviewed(made, gaps_s):
    """Decisions of a person, so many seconds after one another."""
    for number, gap_s in enumerate([0, *gaps_s]):
        made.clock.now_s += gap_s
        image_id = made.add(f"reviewed-{number}.jpg", Tags(caption="x"))
        made.library.decisions.decide(
            image_id, made.run.id, DecisionKind.REJECT, by="person", choice=Choice(Tags())
        )


def night(made):
    """A batch of one image that waits, one that failed, and one not come to."""
    made.add("waits.jpg", Tags(caption="A boat"))
    failed = made.add("bad\x1b[2J.jpg")
    text = "the file is cut off"
    made.library.images.set_state(failed, ImageState.FAILED, reason="truncated", reason_text=text)
    run = made.library.runs.create("batch", "{}")
    made.library.runs.start(run.id)
    made.library.outcomes.record(run.id, failed, ImageState.FAILED, reason="truncated")
    made.library.runs.add_progress(run.id, worked_ms=3_725_000, totals={"total": 3, "done": 1})
    made.clock.now_s += 7200
    made.library.runs.end(run.id, "interrupted", message="Its time was up.")
    return made.library.runs.get(run.id)


def test_the_morning_says_what_failed_what_is_left_and_what_waits(made):
    reviewed(made, [2, 4, 3, 3, 2, 3])
    run = night(made)

    lines = morning_lines(morning_after(made.library, run))

    text = "\n".join(lines)
    assert "interrupted" in lines[0]
    assert "1 h 2 min of work" in lines[0]
    assert "Its time was up." in text
    assert "Left     2 images" in text
    assert "Failed   1 truncated" in text
    assert "the file is cut off" in text
    assert "--retry-failed" in text
    assert "Review   1 wait for you; about 3 s at 3.0 s each" in text
    assert "\x1b" not in text


def test_only_the_failures_of_the_batch_itself_are_told(made):
    earlier = made.add("earlier.jpg")
    made.library.images.set_state(earlier, ImageState.FAILED, reason="truncated", reason_text="cut")
    run = night(made)
    mended = made.add("mended.jpg")
    made.library.outcomes.record(run.id, mended, ImageState.FAILED, reason="truncated")

    text = "\n".join(morning_lines(morning_after(made.library, run)))

    assert "bad" in text
    assert "earlier.jpg" not in text
    assert "mended.jpg" not in text


def test_without_enough_decisions_there_is_no_pace_yet(made):
    reviewed(made, [2, 2])

    assert review_pace_s(made.library) is None
    assert "no pace yet" in "\n".join(morning_lines(morning_after(made.library, night(made))))


def test_acts_on_many_and_pauses_do_not_count_for_the_pace(made):
    reviewed(made, [3, 0, 0, 0, 0, 5, 4000, 4, 4, 4])

    assert review_pace_s(made.library) == 4


def test_a_night_without_work_leaves_nothing_to_review(made):
    run = made.library.runs.create("batch", "{}")

    lines = morning_lines(morning_after(made.library, run))

    assert "Done     no images" in lines
    assert "Review   nothing waits for you" in lines


def test_the_end_of_a_batch_is_offered_until_it_was_told(made):
    client = made.engine()
    before = client.unseen_batch()
    run = night(made)

    offered = client.unseen_batch()
    morning = client.morning_after()

    assert before is None
    assert offered.id == run.id
    assert morning.run.id == run.id
    assert client.unseen_batch() is None
    made.library.runs.queue_up(run.id)
    assert client.unseen_batch() is None
    made.clock.now_s += 60
    made.library.runs.end(run.id, "finished")
    assert client.unseen_batch().id == run.id


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (65, "1 min 5 s"), (7260, "2 h 1 min"), (59.7, "1 min 0 s")]
)
def test_spans_read_well(seconds, text):
    assert span_text(seconds) == text
