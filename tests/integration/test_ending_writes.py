"""Writes that end well: an engine told to stop in the middle of one, two screens that decide."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from imageworks.config import PersonalTaggerConfig
from imageworks.engine import worker
from imageworks.engine.scanning import LibraryScan
from imageworks.engine.writing import WriteLoop
from imageworks.errors import UsageError
from imageworks.metadata.process import MetadataProcess
from imageworks.models import ExistingMetadata, ImageState, Suggestion, Tags
from imageworks.review.session import ReviewSession
from imageworks.store.library import Library
from imageworks.store.records import NewSuggestion
from tests.e2e.conftest import make_photos

PHOTOS = 12


class HeldProcess(MetadataProcess):
    """The real one, which a test lets go on."""

    begun = asyncio.Event()
    released = asyncio.Event()

    async def write(self, request, announce=lambda _intent: None):
        type(self).begun.set()
        await type(self).released.wait()
        return await super().write(request, announce)


@pytest.fixture
def config(tmp_path):
    return PersonalTaggerConfig(input_paths=(tmp_path / "photos",), review_later=True)


@pytest.fixture
async def library(tmp_path, config):
    """Photographs with suggestions, to be decided on."""
    make_photos(tmp_path / "photos", PHOTOS)
    opened = Library(tmp_path / "library.sqlite3")
    await LibraryScan(opened, config).run()
    run = opened.runs.create("batch", config.to_json(), status="finished")
    for image_id in opened.images.ids():
        new = NewSuggestion(
            suggestion=Suggestion(Tags(caption=f"Caption {image_id}")),
            content_id=f"{image_id}",
            fingerprint="f",
            backend="vllm",
            base_url="",
            models={},
            prompt_profile="default",
            existing=ExistingMetadata(),
        )
        opened.suggestions.record(image_id, run.id, new)
    yield opened
    opened.close()


async def captions(paths):
    process = MetadataProcess(PersonalTaggerConfig(), is_dry_run=True)
    found = [(await process.read(path)).title for path in paths]
    await process.aclose()
    return found


async def test_an_engine_told_to_stop_in_the_middle_of_a_write_finishes_that_one_alone(
    library, config
):
    session = ReviewSession(library, config, undo_window_s=0)
    first, second = library.images.ids()[:2]
    session.accept(first)
    session.accept(second)
    HeldProcess.begun, HeldProcess.released = asyncio.Event(), asyncio.Event()
    writes = WriteLoop(library, start_process=HeldProcess)
    work = asyncio.create_task(writes.run())
    await HeldProcess.begun.wait()
    ending = asyncio.create_task(writes.aclose())
    await asyncio.sleep(0)
    is_waited_for = not ending.done()
    HeldProcess.released.set()
    await ending
    await work

    paths = [library.images.get(image_id).path for image_id in (first, second)]
    assert is_waited_for
    assert await captions(paths) == [f"Caption {first}", ""]
    assert library.images.get(first).state is ImageState.WRITTEN
    assert library.images.get(second).state is ImageState.ACCEPTED
    assert library.decisions.count_intended() == 1


async def test_two_screens_decide_at_once_and_every_image_is_written_once(library, config):
    ids = library.images.ids()
    others = Library(library.path)
    first = ReviewSession(library, config, undo_window_s=0)
    second = ReviewSession(others, config, undo_window_s=0)
    engines = Library(library.path)
    work = asyncio.create_task(worker.serve(engines, api_key="EMPTY", linger_s=0.5))
    for own, of_the_other in zip(ids[::2], ids[1::2], strict=True):
        first.accept(own)
        second.accept(of_the_other)
        with contextlib.suppress(UsageError):  # the other screen was first
            second.accept(own)
        await asyncio.sleep(0.01)
    deadline = time.monotonic() + 20
    while library.images.counts().get(ImageState.WRITTEN, 0) < PHOTOS:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    await work

    paths = [library.images.get(image_id).path for image_id in ids]
    assert await captions(paths) == [f"Caption {image_id}" for image_id in ids]
    changed = library.connection.execute(
        "SELECT count(*) FROM write_journal WHERE is_changed AND state='done'"
    ).fetchone()[0]
    assert changed == PHOTOS
    others.close()
    engines.close()
