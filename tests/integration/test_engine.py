"""The engine with a real library, real files and a real server on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from imageworks.config import PersonalTaggerConfig
from imageworks.engine import worker
from imageworks.engine.asking import MAX_ATTEMPTS
from imageworks.engine.client import EngineClient
from imageworks.engine.lease import engine_lock, is_engine_alive
from imageworks.errors import BackendError, StoreError
from imageworks.models import ImageState
from imageworks.prepare.processes import ImageProcesses
from imageworks.review.session import ReviewSession
from imageworks.store.library import Library
from imageworks.store.records import RunOptions
from tests.e2e.conftest import make_photos
from tests.support.engine_runs import config_for, run_once
from tests.support.openai_server import MODEL, OpenAIServer, garbage_fault, status_fault


def records(tmp_path):
    return [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]


async def test_faults_that_pass_cost_no_image(tmp_path, library):
    make_photos(tmp_path / "photos", 8)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, preflight=False)
        server.faults.extend([status_fault(503), status_fault(500), status_fault(429)])

        summary, _ = await run_once(library, config)

    assert summary.counts == {"written": 8}


async def test_an_answer_that_cannot_be_used_fails_one_image_with_its_reason(tmp_path, library):
    make_photos(tmp_path / "photos", 3)
    with OpenAIServer() as server:
        server.faults.extend([garbage_fault(), status_fault(400), status_fault(400)])
        config = config_for(tmp_path, server, preflight=False, max_workers=1)

        summary, _ = await run_once(library, config)

    assert summary.counts["written"] + summary.counts.get("failed", 0) == 3
    failed = [record for record in records(tmp_path) if record["state"] == "failed"]
    assert all(record["notes"] for record in failed)


async def test_a_failing_preflight_ends_the_run_before_any_image(tmp_path, library):
    make_photos(tmp_path / "photos", 2)
    with OpenAIServer(models=("other",)) as server:
        config = config_for(tmp_path, server)

        with pytest.raises(BackendError, match="does not serve"):
            await run_once(library, config)

        assert server.questions == []
    assert library.runs.latest(1)[0].status == "interrupted"


async def test_a_backend_that_goes_away_and_comes_back_costs_no_image(tmp_path, library):
    make_photos(tmp_path / "photos", 12)
    first = OpenAIServer().__enter__()
    config = config_for(tmp_path, first, max_workers=2, preflight=False)
    port = int(first.base_url.split(":")[2].split("/")[0])
    is_away = asyncio.Event()
    first.hold()

    def on_progress(progress):
        if "away" in progress.message:
            is_away.set()

    async def outage():
        await asyncio.to_thread(first.wait_for_chats, 2)
        first.__exit__(None, None, None)
        await asyncio.wait_for(is_away.wait(), 30)
        return OpenAIServer(port=port).__enter__()

    interruption = asyncio.create_task(outage())
    summary, _ = await run_once(library, config, on_progress=on_progress)
    second = await interruption
    second.__exit__(None, None, None)

    assert summary.counts == {"written": 12}


async def test_a_copy_of_a_picture_is_asked_about_once(tmp_path, library):
    (photo,) = make_photos(tmp_path / "photos", 1)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, max_workers=1)
        await run_once(library, config)
        (tmp_path / "photos" / "second.jpg").write_bytes(photo.read_bytes())

        summary, _ = await run_once(library, config)

        assert len(server.questions) == 1
    assert summary.counts == {"written": 1}
    assert any("asked about before" in note for note in records(tmp_path)[-1]["notes"])


async def test_a_file_that_another_program_touched_is_not_asked_again(tmp_path, library):
    (photo,) = make_photos(tmp_path / "photos", 1)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server)
        await run_once(library, config)
        os.utime(photo, ns=(1, 1))

        summary, _ = await run_once(library, config)

        assert len(server.questions) == 1
    assert summary.counts == {"written": 1}


async def test_a_picture_edited_in_place_is_asked_again(tmp_path, library):
    (photo,) = make_photos(tmp_path / "photos", 1)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server)
        await run_once(library, config)
        Image.new("RGB", (90, 60), (1, 200, 3)).save(photo)

        await run_once(library, config)

        assert len(server.questions) == 2


async def test_a_persons_reject_stands_against_a_run_with_another_model(tmp_path, library):
    (photo,) = make_photos(tmp_path / "photos", 1)
    before = photo.read_bytes()
    with OpenAIServer(models=(MODEL, "other")) as server:
        await run_once(library, config_for(tmp_path, server, review_later=True))
        session = ReviewSession(library, PersonalTaggerConfig())
        session.reject(session.image_ids()[0])
        other = {f"{stage}_model": "other" for stage in ("caption", "keyword", "description")}

        await run_once(library, config_for(tmp_path, server, model="other", **other))
        os.utime(photo, ns=(1, 1))
        await run_once(library, config_for(tmp_path, server, model="other", **other))

        assert len(server.questions) == 1
    assert photo.read_bytes() == before
    assert library.images.counts() == {ImageState.REJECTED: 1}


async def test_an_internal_error_fails_one_image_and_not_the_batch(
    tmp_path, library, monkeypatch, caplog
):
    make_photos(tmp_path / "photos", 3)
    original = ImageProcesses.prepare

    async def prepare(self, path, image_format):
        if path.name.endswith("1.jpg"):
            message = "unforeseen"
            raise RuntimeError(message)
        return await original(self, path, image_format)

    monkeypatch.setattr(ImageProcesses, "prepare", prepare)
    with OpenAIServer() as server:
        summary, _ = await run_once(library, config_for(tmp_path, server))

    assert summary.counts == {"written": 2, "failed": 1}
    assert summary.failures == {"internal": 1}
    assert "unforeseen" in caplog.text


async def test_an_output_that_cannot_be_written_ends_the_run_as_a_store_error(tmp_path, library):
    make_photos(tmp_path / "photos", 2)
    (tmp_path / "results.jsonl").mkdir()
    with OpenAIServer() as server, pytest.raises(StoreError):
        await run_once(library, config_for(tmp_path, server))


async def test_a_dry_run_says_what_it_would_do(tmp_path, library):
    make_photos(tmp_path / "photos", 1)
    with OpenAIServer() as server:
        await run_once(library, config_for(tmp_path, server, dry_run=True))

    assert "would write to the file" in records(tmp_path)[0]["notes"]


async def test_an_image_is_tried_so_often_and_then_failed(tmp_path, library):
    make_photos(tmp_path / "photos", 1)
    with OpenAIServer() as server:
        server.faults.extend([status_fault(503)] * 100)
        config = config_for(tmp_path, server, preflight=False, timeout=1)

        summary, _ = await run_once(library, config)

    assert summary.counts == {"failed": 1}
    assert MAX_ATTEMPTS > 1


async def test_existing_keywords_stay_first_and_are_told_apart(tmp_path, library):
    make_photos(tmp_path / "photos", 1)
    answer = {"caption": "One", "keywords": ["alpha", "beta"], "description": "Two."}
    with OpenAIServer(lambda _request: answer) as server:
        await run_once(library, config_for(tmp_path, server))
    second = {"caption": "Other", "keywords": ["Beta", "gamma"], "description": "More."}
    with OpenAIServer(lambda _request: second) as server:
        config = config_for(tmp_path, server)
        await run_once(library, config, options=RunOptions(is_redo=True))

    last = records(tmp_path)[-1]
    assert [(k["keyword"], k["origin"]) for k in last["keywords"]] == [
        ("alpha", "existing"),
        ("beta", "existing"),
        ("gamma", "model"),
    ]
    assert last["caption"] == "One"


async def test_a_worker_does_pending_batches_and_writes_and_ends(tmp_path, library):
    make_photos(tmp_path / "photos", 2)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, review_later=True)
        library.runs.create("batch", config.to_json())
        await worker.serve(library, api_key="EMPTY", linger_s=0.2)
    session = ReviewSession(library, config, undo_window_s=0)
    for image_id in session.image_ids():
        session.accept(image_id)

    await worker.serve(library, api_key="EMPTY", linger_s=0.2)

    assert library.images.counts() == {ImageState.WRITTEN: 2}
    assert library.session.lease() is None


async def test_a_worker_scans_for_a_screen_and_stops_a_batch_on_its_wish(tmp_path, library):
    make_photos(tmp_path / "photos", 3)
    with OpenAIServer() as server:
        server.hold()
        config = config_for(tmp_path, server, review_later=True, preflight=False)
        library.session.wish("scan", config.to_json())
        await worker.serve(library, api_key="EMPTY", linger_s=0.5)
        assert library.images.counts() == {ImageState.DISCOVERED: 3}
        run = library.runs.create("batch", config.to_json())
        work = asyncio.create_task(worker.serve(library, api_key="EMPTY", linger_s=0.2))
        await asyncio.to_thread(server.wait_for_chats, 1)
        screen = Library(library.path)
        screen.session.wish("stop-now", run.name)
        screen.close()
        await asyncio.wait_for(work, 30)
        server.release()

    assert library.runs.get(run.id).status == "stopped"
    assert library.images.counts() == {ImageState.DISCOVERED: 3}


def test_the_engine_process_serves_a_client_and_ends_when_told(tmp_path, library, monkeypatch):
    make_photos(tmp_path / "photos", 2)
    # Code that lies among the photographs is not run.
    for module in ("json", "sqlite3", "httpx", "imageworks"):
        (tmp_path / "photos" / f"{module}.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path / "photos")
    with OpenAIServer() as server:
        config = config_for(tmp_path, server)
        client = EngineClient(library, config, tmp_path / "engine.log")
        client.attach()
        client.start_batch(replace(config, review_later=True))
        deadline = time.monotonic() + 60
        while client.view().batch.status != "finished":
            assert time.monotonic() < deadline
        view = client.view()
        pid = library.session.lease().pid
        os.kill(pid, signal.SIGTERM)
        client.detach()
        while is_engine_alive(library.path):
            assert time.monotonic() < deadline

    assert view.is_alive
    assert view.totals["done"] == 2
    assert library.images.counts() == {ImageState.SUGGESTED: 2}


def test_a_second_engine_leaves_at_once(tmp_path, library):
    with engine_lock(library.path):
        ended = subprocess.run(
            [sys.executable, "-m", "imageworks.engine.worker", str(library.path)],
            env=os.environ.copy(),
            timeout=30,
            check=False,
        )

    assert ended.returncode == 0
    assert not Path(tmp_path / "engine.log").exists()
