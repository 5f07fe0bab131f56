"""Full disks, locked libraries and other machines, each at its seam."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sqlite3
from pathlib import Path

import pytest

from imageworks.config import PersonalTaggerConfig
from imageworks.engine import worker, writing
from imageworks.engine.hold import Hold
from imageworks.engine.lease import claim_lease, drop_own_lease, is_alive_elsewhere, say_alive
from imageworks.engine.pulse import Pulse
from imageworks.engine.room import (
    PASSING_REASONS,
    RoomGuard,
    free_bytes,
    through_full_disks,
    until_writable,
)
from imageworks.engine.service import EngineService
from imageworks.errors import BackendError, LibraryBusyError, MetadataError, StoreError
from imageworks.files import output_error
from imageworks.models import ImageState, Tags
from imageworks.paths import app_paths
from imageworks.review.session import ReviewSession
from imageworks.store.library import Library
from imageworks.store.records import RunOptions
from tests.support.review_library import ReviewLibrary


def test_asking_is_held_before_a_disk_is_full_and_goes_on_with_clearly_more_room(tmp_path):
    free = [10_000_000]
    hold = Hold()
    guard = RoomGuard(hold, free=lambda _folder: free[0])
    guard.watch([(tmp_path, "the previews")])

    guard.look()
    of_the_full = hold.text
    free[0] = 60_000_000
    guard.look()
    of_the_nearly_full = hold.is_held
    free[0] = 200_000_000
    guard.look()
    free_again = hold.is_held
    free[0] = 60_000_000
    guard.look()

    assert "the disk of the previews is full" in of_the_full
    assert of_the_nearly_full
    assert not free_again
    assert not hold.is_held


def test_the_room_of_a_folder_to_come_is_that_of_its_disk(tmp_path):
    assert free_bytes(tmp_path / "not" / "yet") == pytest.approx(free_bytes(tmp_path), rel=0.1)


async def test_a_disk_whose_size_is_unknown_holds_nothing(tmp_path):
    hold = Hold()
    guard = RoomGuard(hold, free=lambda _folder: None)
    guard.watch([(tmp_path, "the library")])

    guard.look()

    assert not hold.is_held
    await asyncio.wait_for(hold.wait(), 1)


async def test_those_who_wait_go_when_the_last_reason_is_lifted():
    hold = Hold()
    hold.put("person", "paused")
    hold.put("room", "full")
    waiting = asyncio.create_task(hold.wait())
    hold.lift("person")
    await asyncio.sleep(0)
    is_still_waiting = not waiting.done()
    hold.lift("room")

    await asyncio.wait_for(waiting, 1)

    assert is_still_waiting


async def test_a_locked_library_is_waited_for(library, monkeypatch):
    library.connection.execute("PRAGMA busy_timeout=1")
    holder = sqlite3.connect(library.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    waited = []

    async def sleep(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            holder.execute("COMMIT")

    await until_writable(library, sleep=sleep)

    assert waited == [1.0, 2.0, 4.0]
    holder.close()


async def test_a_damaged_library_is_not_waited_for(library, monkeypatch):
    def fail(_key, _value):
        message = "damaged"
        raise StoreError(message, reason="damaged")

    monkeypatch.setattr(library.session, "remember", fail)

    with pytest.raises(StoreError):
        await until_writable(library)


def failing_work(reasons, result="done"):
    """Work that ends with these errors first, and what it was called with."""
    left = list(reasons)

    async def work():
        if left:
            message = "no room"
            raise StoreError(message, reason=left.pop(0))
        return result

    return work


async def test_work_that_a_full_disk_or_a_lock_ended_is_begun_anew_after_longer_and_longer_waits(
    library,
):
    waited = []

    async def sleep(seconds):
        waited.append(seconds)

    work = failing_work(["disk-full", "locked", "disk-full"])

    assert await through_full_disks(library, work, sleep=sleep) == "done"
    assert waited == [1.0, 2.0, 4.0]


async def test_work_that_ends_for_a_lasting_reason_is_not_begun_anew(library):
    waited = []

    async def sleep(seconds):
        waited.append(seconds)

    with pytest.raises(StoreError) as caught:
        await through_full_disks(library, failing_work(["damaged"]), sleep=sleep)

    assert caught.value.reason == "damaged"
    assert waited == []


async def test_an_engine_that_is_told_to_end_while_it_waits_for_room_ends(library, monkeypatch):
    served = []

    async def serve(library, *, api_key, stop):
        served.append(stop)
        stop.set()  # as a signal does, which its first serving has asked for
        message = "no room"
        raise StoreError(message, reason="disk-full")

    monkeypatch.setattr(worker, "serve", serve)
    monkeypatch.setattr("imageworks.engine.room._FIRST_PROBE_S", 0.001)

    await asyncio.wait_for(worker.serve_on(library, api_key="EMPTY"), 5)

    assert len(served) == 1


def test_a_disk_that_is_full_already_is_seen_as_soon_as_it_is_watched(tmp_path):
    hold = Hold()

    RoomGuard(hold, free=lambda _folder: 1).watch([(tmp_path, "the results")])

    assert "the results" in hold.text


def test_an_output_without_room_is_a_reason_that_passes(tmp_path):
    full = output_error(tmp_path / "a.jsonl", OSError(errno.ENOSPC, "No space left on device"))
    other = output_error(tmp_path / "a.jsonl", OSError(errno.EACCES, "Permission denied"))

    assert full.reason in PASSING_REASONS
    assert other.reason not in PASSING_REASONS


class FullDisk:
    """A metadata process whose disk has room after some tries."""

    def __init__(self, refusals):
        self.refusals = refusals
        self.tries = 0

    async def write(self, request, announce):
        self.tries += 1
        if self.tries <= self.refusals:
            message = "the disk is full"
            raise MetadataError(message, reason="disk-full")
        message = "told apart from a full disk"
        raise MetadataError(message, reason="read-only")

    async def aclose(self):
        pass


async def test_a_full_target_disk_fails_no_image_and_is_tried_again(tmp_path, monkeypatch):
    made = ReviewLibrary(tmp_path)
    image_id = made.add("a.jpg", Tags(caption="A boat"))
    ReviewSession(made.library, made.config, undo_window_s=0).accept(image_id)
    process = FullDisk(refusals=1)
    loop = writing.WriteLoop(made.library, start_process=lambda _config: process)  # type: ignore[arg-type,return-value]  # a fault at its seam
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])

    await loop.write_due()
    of_the_full = (made.states()["a.jpg"], loop.trouble, made.library.decisions.count_intended())
    await loop.write_due()
    tries_while_waiting = process.tries
    clock[0] = 60.0
    await loop.write_due()

    assert of_the_full[0] is ImageState.ACCEPTED
    assert "writing waits for room" in of_the_full[1]
    assert of_the_full[2] == 1
    assert tries_while_waiting == 1
    assert process.tries == 2
    assert made.states()["a.jpg"] is ImageState.FAILED


def another_machine(library, heartbeats):
    """An engine on another machine that beats as often as it is given heartbeats."""
    now_s = [0.0]
    library.session.hold_lease(77, "another", "run")

    def sleep(seconds):
        now_s[0] += seconds
        if heartbeats:
            heartbeats.pop()
            library.session.hold_lease(77, "another", f"run {len(heartbeats)}")

    return {"clock": lambda: now_s[0], "sleep": sleep}


def test_an_engine_on_another_machine_that_beats_is_left_alone(library):
    with pytest.raises(LibraryBusyError, match=r"An engine on another \(process 77\)"):
        claim_lease(library, **another_machine(library, [1]))

    assert library.session.lease().host == "another"


def test_a_silent_engine_on_another_machine_is_taken_over(library, caplog):
    claim_lease(library, **another_machine(library, []))

    assert library.session.lease().pid == os.getpid()
    assert "Taking over from an engine on another" in caplog.text


def test_a_killed_engine_on_this_machine_is_taken_over_at_once(library, monkeypatch, caplog):
    say_alive(library, "run")
    monkeypatch.setattr(os, "getpid", lambda: 1_234_567)

    claim_lease(library, sleep=lambda _seconds: pytest.fail("it waited"))

    assert library.session.lease().pid == 1_234_567
    assert "which was killed" in caplog.text


def test_an_engine_that_was_taken_over_while_it_slept_says_so(library):
    library.session.hold_lease(77, "another", "run")

    with pytest.raises(LibraryBusyError):
        say_alive(library, "run")
    drop_own_lease(library)

    assert library.session.lease().host == "another"


def test_people_see_an_engine_elsewhere_only_while_it_beats(tmp_path):
    now_s = [1_000.0]
    library = Library(tmp_path / "l.sqlite3", now=lambda: now_s[0])
    library.session.hold_lease(77, "another", "run")
    fresh = is_alive_elsewhere(library, library.session.lease())
    now_s[0] += 60

    assert fresh
    assert not is_alive_elsewhere(library, library.session.lease())
    assert not is_alive_elsewhere(library, None)
    library.close()


async def test_the_pulse_notices_changes_of_both_sides_and_nothing_else(library):
    other = Library(library.path)
    pulse = Pulse(library)
    pulse.look()

    quiet = pulse.look()
    other.session.remember("a", "1")
    of_the_other = pulse.look()
    library.session.remember("a", "2")
    of_its_own = pulse.look()

    assert (quiet, of_the_other, of_its_own) == (False, True, True)
    other.close()


async def test_those_who_wait_for_the_pulse_are_woken_by_it(library):
    pulse = Pulse(library, period_s=0.01)
    beating = asyncio.create_task(pulse.run())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(pulse.wait(30))
    await asyncio.sleep(0)
    library.session.remember("a", "1")

    woken, _asleep = await asyncio.wait({waiting}, timeout=5)

    assert woken == {waiting}
    beating.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await beating
    await asyncio.wait_for(pulse.wait(0.01), 1)


def test_a_library_that_cannot_be_read_just_now_is_no_change(library, monkeypatch, caplog):
    def fail():
        message = "locked"
        raise StoreError(message)

    pulse = Pulse(library)
    monkeypatch.setattr(library, "change_mark", fail)

    assert not pulse.look()
    assert "locked" in caplog.text
    assert Path(library.path).exists()


@pytest.mark.parametrize(
    ("error", "status", "message", "is_raised"),
    [
        (StoreError("no room", reason="disk-full"), "pending", "", True),
        (StoreError("damaged", reason="damaged"), "running", "", True),
        (LibraryBusyError("another engine"), "running", "", True),
        (BackendError("no such model"), "interrupted", "no such model", False),
    ],
)
async def test_a_batch_outlives_what_passes_and_ends_with_its_reason_by_what_does_not(
    library, monkeypatch, error, status, message, is_raised
):
    service = EngineService(library, app_paths())
    options = RunOptions(is_background=True)
    run = library.runs.create("batch", PersonalTaggerConfig().to_json(), options=options)

    async def fail(run, _config):
        library.runs.start(run.id)
        raise error

    monkeypatch.setattr(service, "do_run", fail)
    with pytest.raises(type(error)) if is_raised else contextlib.nullcontext():
        await service.do_pending_run()

    after = library.runs.get(run.id)
    assert (after.status, after.message) == (status, message)


class SessionRank:
    """What `/proc/self/autogroup` answers to one wish after the other; None: it is granted."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.written = []

    def write_text(self, text, encoding):
        self.written.append(text)
        if (error := self.answers.pop(0)) is not None:
            raise error


@pytest.mark.parametrize(
    ("answers", "wishes"),
    [
        ([None], 1),
        ([BlockingIOError(), BlockingIOError(), None], 3),
        ([FileNotFoundError()], 1),
        ([BlockingIOError()] * 9, 5),
    ],
)
def test_an_engine_ranks_its_session_as_low_as_itself(monkeypatch, answers, wishes):
    rank = SessionRank(*answers)
    monkeypatch.setattr(worker, "_SESSION_RANK", rank)
    monkeypatch.setattr(worker, "_RANK_PAUSE_S", 0)
    monkeypatch.setattr(os, "nice", lambda step: 2 + step)
    monkeypatch.setattr(os, "getsid", lambda _pid: os.getpid())

    worker._stand_back()

    assert rank.written == ["7"] * wishes


def test_an_engine_in_the_session_of_others_leaves_it_its_rank(monkeypatch):
    rank = SessionRank()
    monkeypatch.setattr(worker, "_SESSION_RANK", rank)
    monkeypatch.setattr(os, "nice", lambda step: step)
    monkeypatch.setattr(os, "getsid", lambda _pid: os.getpid() + 1)

    worker._stand_back()

    assert rank.written == []
