"""Disks that fill up under a run in the foreground: it waits, keeps what it has, and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imageworks.cli.app import run_command_line
from imageworks.engine import room
from imageworks.errors import StoreError
from imageworks.models import ImageState
from imageworks.store.library import Library
from imageworks.store.suggestions import Suggestions
from tests.e2e.conftest import make_photos, ptag
from tests.support.openai_server import MODEL, OpenAIServer
from tests.support.under_fire import clear_disk, fill_disk, small_disk

DISK_BYTES = 160 * 1024 * 1024
"""More than an engine wants to be free before it asks."""
PHOTOS = 24


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own, with photographs on it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, DISK_BYTES) as is_mounted:
        if not is_mounted:
            pytest.skip("mounting a small disk is not allowed here")
        make_photos(folder / "photos", PHOTOS)
        yield folder


def flags(folder: Path, server: OpenAIServer) -> list[str]:
    words = ["run", "-i", str(folder / "photos"), "--backend", "openai", "--model", MODEL]
    words += ["--base-url", server.base_url, "--store", str(folder / "library.sqlite3")]
    return [*words, "--max-workers", "2"]


def until(is_true, timeout_s=40.0):
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def states(folder: Path) -> dict[ImageState, int]:
    library = Library(folder / "library.sqlite3")
    counts = {state: count for state, count in library.images.counts().items() if count}
    library.close()
    return counts


@pytest.fixture
def run_on_full_disk(disk, tmp_path):
    """A run whose disk is filled to the last byte while it asks, and what it has said."""
    # Slow enough that no run is done before the disk is full.
    with OpenAIServer(latency_s=0.5) as server:
        log = tmp_path / "said.txt"
        with log.open("w") as said:
            command = [sys.executable, "-m", "imageworks", *flags(disk, server)]
            run = subprocess.Popen(command, cwd=tmp_path, stderr=said, env=os.environ.copy())
            server.wait_for_chats(6)
            fill_disk(disk, 0)
            until(lambda: "waits for it" in log.read_text() or run.poll() is not None)
            yield run, disk, log
            run.kill()
            run.wait()


def test_a_run_waits_for_room_and_goes_on_where_it_was(run_on_full_disk):
    run, disk, log = run_on_full_disk
    is_alive = run.poll() is None

    clear_disk(disk)

    assert is_alive, log.read_text()
    assert run.wait(timeout=60) == 0, log.read_text()
    assert states(disk) == {ImageState.WRITTEN: PHOTOS}


def test_a_run_that_waits_for_room_can_be_interrupted(run_on_full_disk):
    run, disk, log = run_on_full_disk

    run.send_signal(signal.SIGINT)

    assert run.wait(timeout=20) == 130, log.read_text()
    clear_disk(disk)
    assert sum(states(disk).values()) == PHOTOS


def test_an_undo_waits_for_room_and_fails_nothing(disk, tmp_path):
    before = {path.name: path.read_bytes() for path in (disk / "photos").iterdir()}
    with OpenAIServer() as server:
        done = ptag(*flags(disk, server), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    fill_disk(disk, 3_000_000)  # enough for the library, too little for a replacement
    log = tmp_path / "said.txt"
    with log.open("w") as said:
        words = ["undo", str(disk / "photos"), "--store", str(disk / "library.sqlite3")]
        command = [sys.executable, "-m", "imageworks", *words]
        undo = subprocess.Popen(command, cwd=tmp_path, stdout=said, stderr=said)
        until(lambda: "waits for room" in log.read_text() or undo.poll() is not None)

    clear_disk(disk)

    assert undo.wait(timeout=60) == 0, log.read_text()
    assert f"{PHOTOS} undone, 0 failed" in log.read_text()
    assert {path.name: path.read_bytes() for path in (disk / "photos").iterdir()} == before


def test_a_library_that_may_not_grow_is_waited_for(tmp_path, monkeypatch):
    """The same without a disk of its own: SQLite's own limit gives the same error."""
    make_photos(tmp_path / "photos", PHOTOS)
    monkeypatch.chdir(tmp_path)
    kept, waits = [], []
    record, until_writable = Suggestions.record, room.until_writable

    def record_until_full(self, *arguments):
        kept.append(arguments)
        if len(kept) == 5:
            self._library.connection.execute("PRAGMA max_page_count=1")  # as large as it is
        return record(self, *arguments)

    async def make_room(library, **_how):
        with pytest.raises(StoreError, match="full"), library.transaction() as connection:
            connection.execute("INSERT INTO memory VALUES ('x', printf('%.*c', 100000, 'x'))")
        waits.append(len(kept))
        library.connection.execute("PRAGMA max_page_count=1000000")
        await until_writable(library)

    monkeypatch.setattr(Suggestions, "record", record_until_full)
    monkeypatch.setattr(room, "until_writable", make_room)

    with OpenAIServer() as server:
        status = run_command_line(flags(tmp_path, server))

    assert status == 0
    assert len(waits) == 1
    assert states(tmp_path) == {ImageState.WRITTEN: PHOTOS}
