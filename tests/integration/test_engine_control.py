"""What people tell a working engine: pause, stop, until when, look at this next, ask again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from imageworks.engine import control, worker
from imageworks.engine.attention import look_at
from imageworks.engine.scanning import LibraryScan
from imageworks.engine.service import EngineService
from imageworks.models import ImageState, Stage
from imageworks.paths import app_paths
from imageworks.store.library import Library
from imageworks.store.records import RunOptions
from tests.e2e.conftest import make_photos
from tests.support.engine_runs import config_for, run_once, until
from tests.support.openai_server import OpenAIServer, status_fault


@pytest.fixture
def other_side(library):
    """The library as another process has it open."""
    opened = Library(library.path)
    yield opened
    opened.close()


def suggested(library):
    return library.images.counts().get(ImageState.SUGGESTED, 0)


async def served(library):
    return await worker.serve(library, api_key="EMPTY", linger_s=0.3)


async def test_a_pause_outlives_the_engine_and_asks_nothing(tmp_path, library, other_side):
    make_photos(tmp_path / "photos", 2)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, review_later=True, preflight=False)
        control.pause(other_side)
        library.runs.create("batch", config.to_json())
        await served(library)
        of_the_paused = len(server.questions)
        control.resume(other_side)
        await served(library)

    assert of_the_paused == 0
    assert library.images.counts() == {ImageState.SUGGESTED: 2}


async def test_a_pause_lets_what_is_under_way_finish(tmp_path, library, other_side):
    make_photos(tmp_path / "photos", 12)
    with OpenAIServer() as server:
        server.hold()
        config = config_for(tmp_path, server, review_later=True, preflight=False, max_workers=2)
        run = library.runs.create("batch", config.to_json())
        work = asyncio.create_task(served(library))
        await asyncio.to_thread(server.wait_for_chats, 2)
        control.pause(other_side)
        await until(lambda: "paused" in getattr(other_side.session.lease(), "activity", ""))
        server.release()
        await until(lambda: suggested(other_side) == len(server.questions) >= 2)
        asked = len(server.questions)
        worked_s = other_side.runs.get(run.id).worked_s
        await until(lambda: other_side.runs.get(run.id).worked_s > worked_s + 1)
        asked_later = len(server.questions)
        message = other_side.runs.get(run.id).totals["message"]
        control.resume(other_side)
        await asyncio.wait_for(work, 30)

    assert asked == asked_later == 2
    assert "paused since" in message
    assert library.images.counts() == {ImageState.SUGGESTED: 12}


async def test_a_stop_keeps_the_answers_under_way(tmp_path, library, other_side):
    make_photos(tmp_path / "photos", 12)
    with OpenAIServer() as server:
        server.hold()
        config = config_for(tmp_path, server, review_later=True, preflight=False, max_workers=2)
        run = library.runs.create("batch", config.to_json())
        work = asyncio.create_task(served(library))
        await asyncio.to_thread(server.wait_for_chats, 2)
        other_side.session.wish(control.STOP, run.name)
        await until(lambda: not other_side.session.has_wishes())
        server.release()
        await asyncio.wait_for(work, 30)
        asked = len(server.questions)

    counts = library.images.counts()
    assert counts[ImageState.SUGGESTED] == asked < 12
    assert counts[ImageState.DISCOVERED] == 12 - asked
    assert library.runs.get(run.id).status == "stopped"


async def test_a_run_ends_when_its_time_is_up_and_goes_on_later(tmp_path, library):
    make_photos(tmp_path / "photos", 12)
    with OpenAIServer() as server:
        server.hold()
        config = config_for(tmp_path, server, review_later=True, preflight=False, max_workers=2)
        options = RunOptions(until_ms=library.now_ms() + 1000)
        work = asyncio.create_task(run_once(library, config, options=options))
        await asyncio.to_thread(server.wait_for_chats, 2)
        await until(lambda: library.now_ms() > options.until_ms)
        server.release()
        _, run = await work
        ended = library.runs.get(run.id)
        again = library.runs.find_unfinished("batch", config.to_json())

    assert ended.status == "interrupted"
    assert "Its time was up with" in ended.message
    assert library.images.counts()[ImageState.SUGGESTED] >= 2
    assert again.id == run.id


async def test_only_what_failed_for_a_reason_is_tried_again(tmp_path, library):
    photos = make_photos(tmp_path / "photos", 3)
    photos[0].write_bytes(b"\xff\xd8\xff\xe0 no picture")
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, preflight=False, max_workers=1, review_later=True)
        server.faults.extend([status_fault(400)] * 2)
        await run_once(library, config)
        reasons = library.images.failures()
        other = next(
            reason for reason in reasons if "decod" not in reason and "image" not in reason
        )
        asked = len(server.questions)

        summary, _ = await run_once(library, config, options=RunOptions(retry_failed=other))

    assert len(reasons) == 2, reasons
    assert sum(summary.counts.values()) == reasons[other]
    assert len(server.questions) > asked
    assert library.images.counts()[ImageState.FAILED] == 1


async def test_what_a_person_looks_at_is_asked_first(tmp_path, library, other_side):
    make_photos(tmp_path / "photos", 40)
    with OpenAIServer() as server:
        server.hold()
        config = config_for(tmp_path, server, review_later=True, preflight=False, max_workers=2)
        library.runs.create("batch", config.to_json())
        work = asyncio.create_task(served(library))
        await asyncio.to_thread(server.wait_for_chats, 2)
        await until(lambda: other_side.queue.count() == 40)
        wanted = other_side.images.ids()[30:36]
        look_at(other_side, wanted)
        # A person's own image does not wait for a free place at the server.
        await asyncio.to_thread(server.wait_for_chats, 3)
        server.release()
        await asyncio.wait_for(work, 60)

    order = [
        row[0] for row in library.connection.execute("SELECT image_id FROM suggestion ORDER BY id")
    ]
    assert max(order.index(image_id) for image_id in wanted[:3]) < 16
    assert len(order) == len(set(order)) == 40


async def test_an_image_is_asked_about_again_without_a_batch(tmp_path, library, other_side):
    make_photos(tmp_path / "photos", 1)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, review_later=True)
        await run_once(library, config)
        (image_id,) = library.images.ids()
        first = library.images.get(image_id).suggestion_id
        library.runs.create("review", config.to_json(), status="finished")
        other_side.session.wish_suggestion(image_id, "the ship is the Cutty Sark")
        await served(library)
        asked = server.questions[-1]

    row = library.images.get(image_id)
    assert row.suggestion_id != first
    assert row.state is ImageState.SUGGESTED
    assert "Cutty Sark" in str(asked.body)
    assert library.queue.count() == 0


async def test_one_field_is_asked_again_in_a_short_call_and_the_others_stay(tmp_path, library):
    make_photos(tmp_path / "photos", 1)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, review_later=True)
        await run_once(library, config)
        (image_id,) = library.images.ids()
        before = library.suggestions.get(library.images.get(image_id).suggestion_id)
        library.runs.create("review", config.to_json(), status="finished")
        server.script = lambda _asked: "Another caption"
        library.session.wish_suggestion(image_id, stage=Stage.CAPTION)
        await served(library)
        first, again = server.questions

    after = library.suggestions.get(library.images.get(image_id).suggestion_id)
    assert after.suggestion.tags.caption == "Another caption"
    assert after.suggestion.tags.keywords == before.suggestion.tags.keywords
    assert after.suggestion.tags.description == before.suggestion.tags.description
    assert again.body["stream"] is True
    assert not again.is_structured
    assert again.body["seed"] != first.body["seed"]


async def test_a_field_of_an_image_that_was_never_asked_about_brings_all_of_them(tmp_path, library):
    make_photos(tmp_path / "photos", 1)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, review_later=True)
        await LibraryScan(library, config).run()
        (image_id,) = library.images.ids()
        library.runs.create("review", config.to_json(), status="finished")
        library.session.wish_suggestion(image_id, stage=Stage.CAPTION)
        await served(library)

    tags = library.suggestions.get(library.images.get(image_id).suggestion_id).suggestion.tags
    assert tags.caption
    assert tags.keywords
    assert tags.description


async def test_what_a_person_said_of_one_picture_is_not_told_of_its_copy(tmp_path, library):
    (photo,) = make_photos(tmp_path / "photos", 1)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, review_later=True)
        library.runs.create("review", config.to_json(), status="finished")
        await LibraryScan(library, config).run()
        (image_id,) = library.images.ids()
        library.session.wish_suggestion(image_id, "the ship is the Cutty Sark")
        await served(library)
        of_the_hinted = library.images.get(image_id).suggestion_id
        (tmp_path / "photos" / "copy.jpg").write_bytes(photo.read_bytes())

        await run_once(library, config)
        asked = server.questions

    assert len(asked) == 2
    assert "Cutty Sark" not in str(asked[1].body)
    assert library.images.get(image_id).suggestion_id == of_the_hinted


@pytest.mark.parametrize(
    ("content", "reason"), [(b"\xff\xd8\xff\xe0 no picture", ""), (b"text", "not-an-image")]
)
async def test_an_image_that_cannot_be_asked_about_says_why(tmp_path, library, content, reason):
    (photo,) = make_photos(tmp_path / "photos", 1)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, review_later=True)
        await LibraryScan(library, config).run()
        (image_id,) = library.images.ids()
        photo.write_bytes(content)
        library.session.wish_suggestion(image_id)
        await served(library)
        asked = server.questions

    row = library.images.get(image_id)
    assert row.state is ImageState.FAILED
    assert row.reason_text
    assert reason in row.reason
    assert asked == []
    assert library.queue.count() == 0


async def test_a_wish_for_a_model_that_is_missing_says_so_and_keeps_what_was_there(
    tmp_path, library
):
    make_photos(tmp_path / "photos", 1)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, review_later=True)
        await run_once(library, config)
        (image_id,) = library.images.ids()
        first = library.images.get(image_id).suggestion_id
        missing = replace(
            config, caption_model="gone", keyword_model="gone", description_model="gone"
        )
        library.runs.create("review", missing.to_json(), status="finished")
        library.session.wish_suggestion(image_id)
        await served(library)

    row = library.images.get(image_id)
    assert (row.suggestion_id, row.state) == (first, ImageState.SUGGESTED)
    assert "does not" in row.reason_text


async def test_a_wish_waits_for_a_server_that_is_away(tmp_path, library, caplog):
    make_photos(tmp_path / "photos", 1)
    server = OpenAIServer()
    with server:
        config = config_for(tmp_path, server, review_later=True)
        await run_once(library, config)
    (image_id,) = library.images.ids()
    first = library.images.get(image_id).suggestion_id
    library.runs.create("review", config.to_json(), status="finished")
    library.session.wish_suggestion(image_id, "an osprey")
    work = asyncio.create_task(served(library))
    await until(lambda: "The backend does not answer" in caplog.text)
    with server:
        await asyncio.wait_for(work, 30)

    assert library.images.get(image_id).suggestion_id != first


async def test_an_image_keeps_its_suggestion_when_it_cannot_be_asked_again(tmp_path, library):
    make_photos(tmp_path / "photos", 1)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, review_later=True)
        await run_once(library, config)
        (image_id,) = library.images.ids()
        first = library.images.get(image_id).suggestion_id
        server.faults.extend([status_fault(400)] * 5)
        library.runs.create("review", config.to_json(), status="finished")
        library.session.wish_suggestion(image_id, "")
        await served(library)

    row = library.images.get(image_id)
    assert (row.suggestion_id, row.state) == (first, ImageState.SUGGESTED)
    assert row.reason == "not-asked-again"


async def test_a_batch_whose_engine_was_killed_is_taken_up_by_the_next(tmp_path, library):
    make_photos(tmp_path / "photos", 2)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, review_later=True)
        background = RunOptions(is_background=True)
        run = library.runs.create("batch", config.to_json(), options=background)
        watched = library.runs.create("batch", config.to_json())
        library.runs.start(run.id)
        library.runs.start(watched.id)
        await served(library)

    assert library.runs.get(run.id).status == "finished"
    assert library.runs.get(watched.id).status == "interrupted"


async def test_two_engines_on_two_machines_are_never_at_work_at_once(
    library, other_side, monkeypatch
):
    service = EngineService(library, app_paths())
    await service.start()
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    other_side.session.hold_lease(77, "another", "run")
    monkeypatch.undo()

    await until(lambda: any(task.done() for task in service._tasks))

    with pytest.raises(Exception, match="An engine on another"):
        service.check()
    await service.aclose()
    assert other_side.session.lease().host == "another"


def test_a_pause_keeps_its_first_time(library):
    clock = [1_000.0]
    patient = Library(library.path, now=lambda: clock[0])

    control.pause(patient)
    clock[0] = 2_000.0
    control.pause(patient)

    assert control.current_pause(patient).since == datetime.fromtimestamp(1_000, UTC)
    assert control.resume(patient)
    assert not control.resume(patient)
    patient.close()


def test_options_that_change_nothing_about_the_work_find_the_same_run(library):
    run = library.runs.create("batch", "{}", options=RunOptions(limit=3, is_background=True))
    library.runs.end(run.id, "interrupted")

    same = library.runs.find_unfinished("batch", "{}", RunOptions(limit=3, until_ms=5))
    other = library.runs.find_unfinished("batch", "{}", replace(RunOptions(), limit=4))

    assert same.id == run.id
    assert other is None
