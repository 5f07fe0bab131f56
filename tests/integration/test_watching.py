"""A run that watches: new and edited files join it, growing ones only when they are whole."""

from __future__ import annotations

import asyncio
import os

import pytest

from imageworks.engine import watching
from imageworks.engine.service import EngineService
from imageworks.models import ImageState
from imageworks.paths import app_paths
from imageworks.store.records import RunOptions
from tests.e2e.conftest import make_photos
from tests.support.engine_runs import config_for, until
from tests.support.openai_server import OpenAIServer


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(watching, "SETTLE_S", 0.3)
    monkeypatch.setattr(watching, "_LOOK_S", 0.05)


async def test_new_files_are_asked_about_once_they_have_stopped_growing(
    tmp_path, library, monkeypatch
):
    make_photos(tmp_path / "photos", 2)
    (late,) = make_photos(tmp_path / "elsewhere", 1, seed=7)
    whole = late.read_bytes()
    folder = tmp_path / "photos" / "new"
    growing = folder / "growing.jpg"
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, review_later=True)
        run = library.runs.create("batch", config.to_json(), options=RunOptions(is_watch=True))
        service = EngineService(library, app_paths())
        await service.start()
        work = asyncio.create_task(service.do_run(run, config))
        await until(lambda: "watching" in library.runs.get(run.id).totals.get("message", ""))
        await until(lambda: library.images.counts().get(ImageState.SUGGESTED) == 2)
        folder.mkdir()
        with growing.open("wb") as stream:
            for start in range(0, len(whole), len(whole) // 8):
                stream.write(whole[start : start + len(whole) // 8])
                stream.flush()
                await asyncio.sleep(0.1)
                assert len(server.questions) == 2
        await until(lambda: library.images.counts().get(ImageState.SUGGESTED) == 3)
        os.utime(tmp_path / "photos")
        (tmp_path / "photos" / "text.jpg").write_bytes(b"no picture at all")
        await until(lambda: library.images.counts().get(ImageState.FAILED) == 1)
        service.stop_run()
        await asyncio.wait_for(work, 20)
        await service.aclose()
        asked = len(server.questions)

    assert asked == 3
    assert library.images.counts() == {ImageState.SUGGESTED: 3, ImageState.FAILED: 1}
    assert library.runs.get(run.id).status == "interrupted"


async def test_file_edited_in_place_is_asked_about_again(tmp_path, library):
    edited, other = make_photos(tmp_path / "photos", 2)
    broken = tmp_path / "photos" / "broken.jpg"
    broken.write_bytes(b"no picture at all")
    os.utime(broken, (1, 1))
    first, second = make_photos(tmp_path / "elsewhere", 2, seed=7)
    folder_time_ns = edited.parent.stat().st_mtime_ns
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, review_later=True)
        run = library.runs.create("batch", config.to_json(), options=RunOptions(is_watch=True))
        service = EngineService(library, app_paths())
        await service.start()
        work = asyncio.create_task(service.do_run(run, config))
        await until(lambda: "watching" in library.runs.get(run.id).totals.get("message", ""))
        await until(lambda: library.images.counts().get(ImageState.SUGGESTED) == 2)
        await until(lambda: library.images.counts().get(ImageState.FAILED) == 1)
        before = {row.path: row.content_id for row in library.images.rows(library.images.ids())}
        edited.write_bytes(first.read_bytes())
        await until(lambda: len(server.questions) == 3)
        broken.write_bytes(second.read_bytes())
        await until(lambda: len(server.questions) == 4)
        await until(lambda: library.images.counts() == {ImageState.SUGGESTED: 3})
        service.stop_run()
        await asyncio.wait_for(work, 20)
        await service.aclose()
        asked = len(server.questions)

    after = {row.path: row.content_id for row in library.images.rows(library.images.ids())}
    assert edited.parent.stat().st_mtime_ns == folder_time_ns
    assert asked == 4
    assert after[edited] != before[edited]
    assert after[other] == before[other]
