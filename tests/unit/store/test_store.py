"""The library: states, history, queue, decisions, runs, migrations."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import UsageError
from imageworks.models import (
    DecisionKind,
    ExistingMetadata,
    ImageFormat,
    ImageState,
    Keyword,
    MetadataTarget,
    Origin,
    Priority,
    Stage,
    StageAnswer,
    Suggestion,
    Tags,
)
from imageworks.stages import DiscoveredImage, PreparedImage, WriteOutcome
from imageworks.store.library import Library
from imageworks.store.records import (
    Choice,
    NewSuggestion,
    answers_from_json,
    answers_to_json,
    existing_from_json,
    existing_to_json,
    tags_from_json,
    tags_to_json,
)


@pytest.fixture
def clock():
    return [1_000.0]


@pytest.fixture
def library(tmp_path, clock):
    opened = Library(tmp_path / "folder" / "library.sqlite3", now=lambda: clock[0])
    yield opened
    opened.close()


@pytest.fixture
def run(library):
    return library.runs.create("batch", "{}")


def found(path="/photos/a.jpg", *, size=10, mtime=20):
    return DiscoveredImage(Path(path), ImageFormat.JPEG, size, mtime, 3)


def suggestion(caption="A heron", *, content="c1", fingerprint="f1", answers=()):
    tags = Tags(caption, (Keyword("heron", 0.5, Origin.MODEL, ("bird", "heron")),), "Grey bird.")
    return NewSuggestion(
        Suggestion(tags, ("a note",)),
        content,
        fingerprint,
        "openai",
        "http://h/v1",
        {"caption": "m"},
        "default",
        answers=answers,
        existing=ExistingMetadata(title="Old", keywords=("x",)),
        timing_s={"prepare": 0.5},
        duration_s=1.25,
    )


def answer():
    return StageAnswer(
        tuple(Stage), "m", "sys", "user", "{}", 2.0, 0.5, 100, 20, is_truncated=True, attempts=2
    )


def prepared(path="/photos/a.jpg", content="c1"):
    return PreparedImage(
        Path(path), content, Path("/cache/p.jpg"), Path("/cache/t.jpg"), 40, 30, 2**64 - 1
    )


def add(library, run, path="/photos/a.jpg"):
    image = library.images.record_found(found(path))
    library.queue.add(run.id, [image.id])
    return image.id


def suggested(library, run, path="/photos/a.jpg", **kwargs):
    image_id = add(library, run, path)
    library.queue.claim(run.id, 1)
    library.suggestions.record(image_id, run.id, suggestion(**kwargs))
    return image_id


def state_of(library, image_id):
    return library.images.get(image_id).state


def test_a_new_file_is_discovered_and_known_the_second_time(library):
    first = library.images.record_found(found())
    second = library.images.record_found(found())
    changed = library.images.record_found(found(size=11))

    assert first.is_new
    assert not second.is_new
    assert not second.is_changed
    assert changed.is_changed
    assert {first.id, second.id, changed.id} == {1}
    assert library.images.counts() == {ImageState.DISCOVERED: 1}


def test_names_that_are_not_utf8_come_back_as_they_were(library):
    image = library.images.record_found(found("/photos/\udcff\udcfe.jpg"))

    assert library.images.get(image.id).path == Path("/photos/\udcff\udcfe.jpg")


def test_an_image_goes_from_queue_to_suggested(library, run):
    image_id = add(library, run)
    assert state_of(library, image_id) is ImageState.QUEUED

    (item,) = library.queue.claim(run.id, 5)
    assert (item.image_id, item.path) == (image_id, Path("/photos/a.jpg"))
    assert state_of(library, image_id) is ImageState.INFERRING

    number = library.suggestions.record(image_id, run.id, suggestion(answers=(answer(),)))
    stored = library.suggestions.get(number)

    assert state_of(library, image_id) is ImageState.SUGGESTED
    assert library.queue.is_empty(run.id)
    assert stored.suggestion == suggestion().suggestion
    assert stored.existing.keywords == ("x",)
    assert stored.answers == (answer(),)
    assert stored.duration_s == 1.25
    assert library.suggestions.find_asked("c1", "f1").id == number
    assert library.suggestions.find_asked("c1", "other") is None
    assert library.runs.tokens(run.id) == (100, 20)
    assert list(library.runs.measurements(run.id)) == [({"prepare": 0.5}, 1)]
    assert library.runs.models(run.id) == {"caption": "m"}


def test_captions_can_be_searched(library, run):
    suggested(library, run)

    rows = library.connection.execute("SELECT rowid FROM fts WHERE fts MATCH 'heron'").fetchall()
    assert len(rows) == 1


def test_higher_priority_comes_first_and_the_rest_in_order(library, run):
    ids = [add(library, run, f"/photos/{n}.jpg") for n in range(3)]

    library.queue.add(run.id, [ids[2]], priority=Priority.REVIEWER_WAITS, hint="a boat")
    claimed = library.queue.claim(run.id, 3)

    assert [item.image_id for item in claimed] == [ids[2], ids[0], ids[1]]
    assert claimed[0].hint == "a boat"


def test_what_a_killed_engine_had_claimed_comes_back_behind_the_rest(library, run):
    ids = [add(library, run, f"/photos/{n}.jpg") for n in range(3)]
    library.queue.claim(run.id, 1)

    assert library.queue.release_interrupted() == 1

    claimed = library.queue.claim(run.id, 3)
    assert [item.image_id for item in claimed] == [ids[1], ids[2], ids[0]]
    assert claimed[2].attempts == 1


def test_a_run_claims_only_its_own_images(library, run):
    add(library, run)
    other = library.runs.create("batch", '{"max_keywords": 3}')

    assert library.queue.claim(other.id, 5) == []


def test_a_stopped_run_releases_without_counting_an_attempt(library, run):
    image_id = add(library, run)
    library.queue.claim(run.id, 1)

    library.queue.release_claims(run.id)

    assert state_of(library, image_id) is ImageState.QUEUED
    assert library.queue.claim(run.id, 1)[0].attempts == 0


def test_dropping_a_run_restores_the_states_its_images_had(library, run):
    known = suggested(library, run, "/photos/old.jpg")
    fresh = add(library, run, "/photos/new.jpg")
    library.queue.add(run.id, [known])

    assert library.queue.drop_run(run.id) == 2

    assert state_of(library, fresh) is ImageState.DISCOVERED
    assert state_of(library, known) is ImageState.SUGGESTED


def accept(library, run, image_id, *, by="person", after=0):
    choice = Choice(Tags("Mine", (Keyword("k"),), "d"), is_caption_edited=True)
    return library.decisions.decide(
        image_id, run.id, DecisionKind.ACCEPT, by=by, choice=choice, write_after_ms=after
    )


def test_an_accept_is_a_write_to_do_once_its_time_has_come(library, run, clock):
    image_id = suggested(library, run)
    accept(library, run, image_id, after=2_000_000)

    assert state_of(library, image_id) is ImageState.ACCEPTED
    assert library.images.get(image_id).caption == "Mine"
    assert library.decisions.begin_writes(9) == []
    assert not library.decisions.has_due_writes()
    clock[0] = 2_000.0
    assert library.decisions.has_due_writes()
    (write,) = library.decisions.begin_writes(9)

    assert write.path == Path("/photos/a.jpg")
    assert write.choice.tags.caption == "Mine"
    assert write.choice.is_caption_edited
    assert library.decisions.begin_writes(9) == []
    assert library.decisions.count_intended() == 1


def test_hastening_lets_waiting_writes_go(library, run):
    accept(library, run, suggested(library, run), after=9_999_999_999)

    library.decisions.hasten_writes()

    assert library.decisions.has_due_writes()


def test_a_write_that_was_cut_off_is_done_again(library, run):
    accept(library, run, suggested(library, run))
    library.decisions.begin_writes(1)
    assert library.decisions.intended_folders() == [b"/photos"]

    assert library.decisions.reopen_interrupted() == 1

    assert len(library.decisions.begin_writes(1)) == 1


def test_a_write_is_journalled_and_marks_its_image(library, run):
    image_id = suggested(library, run)
    accept(library, run, image_id, by="run")
    (write,) = library.decisions.begin_writes(1)
    outcome = WriteOutcome(MetadataTarget.FILE, is_changed=True, undo=b"\x00old", notes=("n",))

    library.decisions.record_written(write, outcome)
    library.outcomes.record(run.id, image_id, ImageState.WRITTEN)
    ((_, record),) = library.outcomes.unreported(run.id, 5)

    assert state_of(library, image_id) is ImageState.WRITTEN
    assert library.decisions.count_for_run(run.id) == 0
    row = library.connection.execute("SELECT undo FROM write_journal").fetchone()
    assert row["undo"] == b"\x00old"
    assert record.is_metadata_written
    assert record.metadata_target is MetadataTarget.FILE
    assert record.decision.by == "run"
    assert record.tags.caption == "Mine"
    assert "n" in record.notes


def test_a_failed_write_keeps_the_decision_and_can_be_tried_again(library, run):
    image_id = suggested(library, run)
    accept(library, run, image_id)
    (write,) = library.decisions.begin_writes(1)
    library.decisions.record_write_failed(write, reason="read-only", reason_text="is read-only")
    assert state_of(library, image_id) is ImageState.FAILED
    assert library.decisions.failed_writes() == [image_id]
    assert library.images.failures() == {"read-only": 1}

    later = library.runs.create("batch", "{}")
    library.decisions.retry(image_id, later.id)

    (again,) = library.decisions.begin_writes(1)
    assert again.choice == write.choice
    assert again.run_id == later.id
    assert again.made_by == "person"


def test_undo_restores_the_state_before(library, run):
    image_id = suggested(library, run)
    decision = accept(library, run, image_id)

    assert library.decisions.undo(decision, run.id)

    assert state_of(library, image_id) is ImageState.SUGGESTED
    assert library.decisions.begin_writes(1) == []
    assert not library.decisions.undo(decision, run.id)


def test_undo_of_a_reject_brings_the_accept_before_it_back(library, run):
    image_id = suggested(library, run)
    accept(library, run, image_id)
    rejected = library.decisions.decide(image_id, run.id, DecisionKind.REJECT, by="person")
    assert library.decisions.begin_writes(1) == []

    assert library.decisions.undo(rejected, run.id)

    assert state_of(library, image_id) is ImageState.ACCEPTED
    assert len(library.decisions.begin_writes(1)) == 1


def test_undo_is_refused_once_the_write_has_begun(library, run):
    image_id = suggested(library, run)
    decision = accept(library, run, image_id)
    library.decisions.begin_writes(1)

    assert not library.decisions.undo(decision, run.id)
    with pytest.raises(UsageError, match="being written"):
        library.decisions.decide(image_id, run.id, DecisionKind.REJECT, by="person")
    assert state_of(library, image_id) is ImageState.ACCEPTED


@pytest.mark.parametrize(
    ("kind", "state"),
    [(DecisionKind.REJECT, ImageState.REJECTED), (DecisionKind.SKIP, ImageState.SKIPPED)],
)
def test_restoring_a_state_follows_the_decision(library, run, kind, state):
    image_id = suggested(library, run)
    library.decisions.decide(image_id, run.id, kind, by="person")
    library.queue.add(run.id, [image_id])

    assert library.images.restore_state(image_id) is state


def test_restoring_a_state_follows_the_write(library, run):
    image_id = suggested(library, run)
    accept(library, run, image_id)
    assert library.images.restore_state(image_id) is ImageState.ACCEPTED
    (write,) = library.decisions.begin_writes(1)
    library.decisions.record_write_failed(write, reason="r", reason_text="t")
    assert library.images.restore_state(image_id) is ImageState.FAILED
    library.decisions.retry(image_id, run.id)
    (write,) = library.decisions.begin_writes(1)
    library.decisions.record_written(write, WriteOutcome(MetadataTarget.FILE, is_changed=True))

    assert library.images.restore_state(image_id) is ImageState.WRITTEN


def test_a_moved_file_keeps_its_history(library, run):
    old = suggested(library, run, "/photos/old.jpg")
    library.images.record_prepared(old, prepared("/photos/old.jpg"))
    new = add(library, run, "/elsewhere/new.jpg")
    library.images.record_prepared(new, prepared("/elsewhere/new.jpg"))
    assert [row.id for row in library.images.same_picture(new, "c1")] == [old]

    library.images.adopt_moved(old, new)

    assert library.images.get(new) is None
    row = library.images.get(old)
    assert row.path == Path("/elsewhere/new.jpg")
    assert row.suggestion_id is not None
    assert [item.image_id for item in library.queue.claim(run.id, 5)] == [old]


def test_preparing_is_noted(library, run):
    image_id = add(library, run)

    library.images.record_prepared(image_id, prepared())

    row = library.images.get(image_id)
    assert (row.content_id, row.width_px, row.height_px) == ("c1", 40, 30)
    assert row.preview_path == Path("/cache/p.jpg")


def test_an_own_write_is_not_a_change(library, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"one")
    image = library.images.record_found(found(str(path)))
    path.write_bytes(b"longer")

    library.images.record_rewritten(image.id, path)
    library.images.record_rewritten(image.id, tmp_path / "gone.jpg")

    status = path.stat()
    again = DiscoveredImage(
        path, ImageFormat.JPEG, status.st_size, status.st_mtime_ns, status.st_ino
    )
    assert not library.images.record_found(again).is_changed


def test_lists_are_limited_to_states_folders_and_files(library, run):
    inside = suggested(library, run, "/photos/2024/a.jpg")
    beside = add(library, run, "/photos/20245/b.jpg")
    single = add(library, run, "/other/c.jpg")

    assert library.images.ids() == [inside, beside, single]
    assert library.images.ids(folders=[Path("/photos/2024")]) == [inside]
    assert library.images.ids(folders=[Path("/photos"), Path("/other/c.jpg")]) == [
        inside,
        beside,
        single,
    ]
    assert library.images.ids(states=[ImageState.QUEUED]) == [beside, single]
    assert library.images.counts([Path("/photos/2024")]) == {ImageState.SUGGESTED: 1}
    assert library.images.rows([single, 999, inside])[0].id == single


def test_a_file_that_is_no_image_is_failed_with_its_reason(library):
    image_id = library.images.record_failed_path(
        Path("/photos/x.jpg"), reason="not-an-image", reason_text="not an image"
    )
    again = library.images.record_failed_path(
        Path("/photos/x.jpg"), reason="not-an-image", reason_text="still none"
    )

    assert image_id == again
    assert library.images.get(image_id).reason_text == "still none"
    assert library.images.record_found(found("/photos/x.jpg")).is_changed


def test_outcomes_are_reported_once_and_again_when_they_change(library, run):
    image_id = suggested(library, run)
    library.outcomes.record(run.id, image_id, ImageState.SUGGESTED, note="would write")
    ((_, record),) = library.outcomes.unreported(run.id, 5)
    library.outcomes.mark_reported(run.id, [image_id])

    assert library.outcomes.unreported(run.id, 5) == []
    assert "would write" in record.notes
    assert record.run_id == run.name
    assert library.outcomes.counts(run.id) == {"suggested": 1}
    assert library.outcomes.has(run.id, image_id)
    assert not library.outcomes.has(run.id, image_id + 1)
    library.outcomes.record(run.id, image_id, ImageState.FAILED, reason="timeout")
    assert library.outcomes.failures(run.id) == {"timeout": 1}
    assert library.outcomes.failures(run.id, is_reported=True) == {}
    assert len(list(library.outcomes.records(run.id))) == 1


def test_runs_are_resumed_by_their_config(library):
    one = library.runs.create("batch", '{"a":1}')
    library.runs.start(one.id)
    library.runs.add_progress(one.id, worked_ms=1500, totals={"done": 2})

    assert library.runs.find_unfinished("batch", '{"a":1}').id == one.id
    assert library.runs.find_unfinished("batch", '{"a":2}') is None
    library.runs.end(one.id, "finished")
    assert library.runs.find_unfinished("batch", '{"a":1}') is None
    again = library.runs.get(one.id)
    assert (again.worked_s, again.totals, again.status) == (1.5, {"done": 2}, "finished")
    assert library.runs.find(one.name).id == one.id
    assert library.runs.find("last").id == one.id
    assert library.runs.find("nothing") is None
    with pytest.raises(KeyError):
        library.runs.get(99)


def test_pending_batches_come_oldest_first(library):
    first = library.runs.create("batch", "{}")
    library.runs.create("batch", "{}")
    library.runs.create("review", "{}")

    assert library.runs.next_pending().id == first.id
    assert [run.id for run in library.runs.latest(5)] == [2, 1]


def test_drafts_memory_wishes_and_lease(library, run, clock):
    image_id = suggested(library, run)
    session = library.session
    tags = Tags("typed", (Keyword("a", None, Origin.PERSON),), "more")

    session.save_draft(image_id, tags)
    assert session.draft(image_id) == tags
    accept(library, run, image_id)
    assert session.draft(image_id) is None
    session.save_draft(image_id, tags)
    session.drop_draft(image_id)
    assert session.draft(image_id) is None

    session.remember("cursor", "5")
    session.remember("cursor", "6")
    assert session.recall("cursor") == "6"
    assert session.recall("nothing", "x") == "x"

    session.wish("stop", "run-1")
    session.wish("scan", "[]")
    assert session.take_wishes() == [("stop", "run-1"), ("scan", "[]")]
    assert session.take_wishes() == []

    session.hold_lease(7, "host", "idle")
    clock[0] += 5
    session.hold_lease(7, "host", "run x")
    lease = session.lease()
    assert (lease.pid, lease.activity, lease.heartbeat_ms) == (7, "run x", 1_005_000)
    assert lease.started_at.timestamp() == 1000
    session.drop_lease()
    assert session.lease() is None


def test_page_queries_use_an_index(library, run):
    queries = [
        "SELECT * FROM decision WHERE write_state='intended' AND write_after <= 5 ORDER BY id",
        "SELECT * FROM suggestion WHERE content='a' AND fingerprint='b'",
        (
            "SELECT * FROM work WHERE run_id=1 AND is_claimed=0"
            " ORDER BY priority DESC, attempts, position LIMIT 1"
        ),
        (
            "SELECT id FROM image WHERE state='suggested' AND state <> 'discovered' AND id > 5"
            " ORDER BY id LIMIT 100"
        ),
        "SELECT * FROM outcome WHERE run_id=1 AND is_reported=0 ORDER BY at LIMIT 5",
    ]

    for query in queries:
        plan = library.connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
        text = " ".join(row["detail"] for row in plan)
        assert "SCAN" not in text.replace("SCAN decision USING INDEX decision_intended", ""), query
        assert "TEMP B-TREE" not in text, query


KEYWORDS = st.builds(
    Keyword,
    st.text(max_size=20),
    st.none() | st.floats(0, 1),
    st.sampled_from(Origin),
    st.lists(st.text(max_size=5), max_size=3).map(tuple),
)


@given(st.builds(Tags, st.text(), st.lists(KEYWORDS, max_size=5).map(tuple), st.text()))
def test_tags_survive_their_column(tags):
    assert tags_from_json(tags_to_json(tags)) == tags


@given(st.text(), st.lists(st.text()).map(tuple))
def test_metadata_survives_its_column(title, keywords):
    existing = ExistingMetadata(title=title, keywords=keywords)

    assert existing_from_json(existing_to_json(existing)) == existing


def test_answers_survive_their_column():
    assert answers_from_json(answers_to_json((answer(), answer()))) == (answer(), answer())


def test_standing_is_the_newest_suggestion_and_decision(library, run):
    assert library.images.standing(1) is None
    image_id = library.images.record_found(found("/photos/a.jpg")).id
    assert library.images.standing(image_id) == (None, None)

    first = library.suggestions.record(image_id, run.id, suggestion())
    decision_id = library.decisions.decide(
        image_id, run.id, DecisionKind.ACCEPT, by="person", choice=Choice(Tags("A dog"))
    )

    assert library.images.standing(image_id) == (first, decision_id)
