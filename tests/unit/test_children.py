"""Children: what crosses the pipe, what each end does when the other is gone."""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks import children
from imageworks.children import LENGTH, ChildProcess, encode, read_requests, spawn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CHECKOUT = Path(__file__).resolve().parents[2]
MODULE = "tests.support.answering_child"

Child = ChildProcess[object, Any]


@pytest.fixture(autouse=True)
def _with_the_tests_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))


@pytest.fixture
async def open_child() -> AsyncIterator[Callable[..., Child]]:
    opened: list[Child] = []

    def make(**options: int) -> Child:
        opened.append(ChildProcess(MODULE, **{"nice": 0, "requests_per_process": 9, **options}))
        return opened[-1]

    yield make
    for child in opened:
        await child.kill()


@pytest.fixture
def child(open_child: Callable[..., Child]) -> Child:
    return open_child()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # another process has no Event to wait for
            await asyncio.sleep(0.005)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def asked(child: Child, request: object) -> tuple[asyncio.Task[Any], int]:
    """A request that the child has in hand, and the child's process id."""
    await child.ask("ready")
    task = asyncio.create_task(child.ask(request))
    await asyncio.sleep(0)
    assert child.pid is not None
    return task, child.pid


# -- the parent's end ------------------------------------------------------------------------------


async def test_answers_come_in_turn_from_one_process(child):
    assert child.pid is None

    answers = [await child.ask(request) for request in ("a", b"\0\xff", ["c"])]
    first = child.pid
    process = await child.start()

    assert answers == ["a", b"\0\xff", ["c"]]
    assert process.pid == child.pid == first


async def test_child_is_of_low_rank_and_deaf_to_ctrl_c(open_child):
    child = open_child(nice=3)
    about = await child.ask("about")
    pid = child.pid

    os.kill(pid, signal.SIGINT)
    await child.ask("still there")

    assert child.pid == about["process_group"] == pid
    assert about["session"] == os.getsid(0)
    assert about["nice"] == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 3)
    assert about["oom_score"] == 700
    assert about["arguments"] == ["3"]


async def test_child_does_without_asyncio(child, monkeypatch):
    for name in [name for name in os.environ if name.startswith("COVERAGE")]:
        monkeypatch.delenv(name)  # what measures it imports more than it does

    modules = set((await child.ask("about"))["modules"])

    assert "imageworks.children" in modules
    assert modules.isdisjoint({"asyncio", "PIL", "textual", "httpx", "pyexiv2", "sqlite3"})


async def test_what_libraries_print_does_not_get_into_the_replies(child):
    assert [await child.ask(request) for request in ("print", "a")] == ["print", "a"]


async def test_replies_larger_than_what_is_read_ahead_come_whole(child):
    assert await child.ask(5_000_000) == bytes(5_000_000)


async def test_crash_is_an_end_of_file_with_its_status_and_the_next_child_works(child):
    await child.ask("ready")
    first = child.pid

    with pytest.raises(EOFError):
        await child.ask("crash")
    status = await child.kill()

    assert status == -signal.SIGKILL
    assert child.pid is None
    assert await child.ask("a") == "a"
    assert child.pid != first


async def test_status_of_one_that_ended_by_itself_is_its_own(child):
    process = await child.start()
    process.stdin.close()
    await until(process.stdout.at_eof)

    assert await child.kill() == 0


async def test_dead_child_is_an_error_and_not_a_wait(child):
    await child.ask("ready")
    os.kill(child.pid, signal.SIGKILL)
    await until(lambda: child._process.returncode is not None)

    with pytest.raises((EOFError, ConnectionError)):
        await child.ask("a")
    await child.kill()

    assert await child.ask("a") == "a"


async def test_interrupting_fails_the_request_under_way(child):
    task, pid = await asked(child, "hang")

    child.interrupt()

    with pytest.raises(EOFError):
        await task
    await until(lambda: not is_alive(pid))
    child.interrupt()
    assert await child.kill() == -signal.SIGKILL


async def test_there_is_nothing_to_end_where_nothing_was_started(child):
    child.interrupt()
    await child.close()

    assert await child.kill() is None


async def test_killing_ends_a_hung_child(child):
    task, pid = await asked(child, "hang")
    task.cancel()
    await asyncio.wait([task])

    assert await child.kill() == -signal.SIGKILL
    assert not is_alive(pid)


async def test_killing_does_not_wait_for_a_reply_that_nobody_reads(child, monkeypatch):
    monkeypatch.setattr(children, "_CLOSE_TIMEOUT_S", 60)
    task, _ = await asked(child, 9_000_000)
    task.cancel()
    await asyncio.wait([task])
    await until(lambda: child._process.stdout._paused)

    async with asyncio.timeout(20):
        assert await child.kill() == -signal.SIGKILL


async def test_child_is_renewed_after_its_share(open_child):
    child = open_child(requests_per_process=2)

    pids = []
    for request in range(5):
        await child.ask(request)
        pids.append(child.pid)

    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [2, 2, 1]
    assert not any(is_alive(pid) for pid in pids[:4])


async def test_closing_lets_an_idle_child_end_by_itself(child):
    process = await child.start()

    await child.close()

    assert process.returncode == 0
    assert child.pid is None


async def test_closing_ends_a_child_that_takes_no_notice(child, monkeypatch):
    monkeypatch.setattr(children, "_CLOSE_TIMEOUT_S", 0.05)
    process = child._process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "import time; time.sleep(60)"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )

    await child.close()
    monkeypatch.setattr(children, "_CLOSE_TIMEOUT_S", 20)
    await children._ended(process)

    assert process.returncode == -signal.SIGKILL


async def test_child_without_pipes_counts_as_dead(child):
    child._process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")

    with pytest.raises(EOFError):
        await child.ask("a")
    await child.kill()


async def test_child_that_cannot_be_started_is_an_error(child, monkeypatch):
    monkeypatch.setattr("sys.executable", "/nonexistent/python")

    with pytest.raises(FileNotFoundError):
        await child.ask("a")
    assert child.pid is None


async def test_code_lying_in_the_working_folder_is_not_run(child, tmp_path, monkeypatch):
    for module in ("pickle", "queue", "signal", "imageworks", "tests"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)

    assert await child.ask("a") == "a"


async def test_more_variables_stand_beside_those_of_the_parent(monkeypatch):
    monkeypatch.setenv("ONE", "1")
    process = await spawn(MODULE, "0", environment={"TWO": "2"})
    reply, _ = await process.communicate(encode("about"))

    about = pickle.loads(reply[LENGTH.size :])  # noqa: S301  # from our own child
    environment = about["environment"]
    assert (environment["ONE"], environment["TWO"]) == ("1", "2")
    assert environment["PYTHONPATH"].split(os.pathsep) == [str(CHECKOUT / "src"), str(CHECKOUT)]


PARENT = f"""
import asyncio
from imageworks.children import ChildProcess

async def main():
    child = ChildProcess({MODULE!r}, nice=0, requests_per_process=9)
    await child.ask("ready")
    print(child.pid, flush=True)
    await child.ask("hang")

asyncio.run(main())
"""


async def test_busy_child_dies_with_its_killed_parent():
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT / 'src'}:{CHECKOUT}"}
    parent = subprocess.Popen(  # noqa: ASYNC220  # our own script
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env=environment
    )
    with parent:
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()

    await until(lambda: not is_alive(pid))


def test_nothing_slow_is_imported():
    code = "import imageworks.children, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(CHECKOUT / "src"), "PATH": ""},
        check=True,
        capture_output=True,
        text=True,
    )

    heavy = {"asyncio", "subprocess", "logging", "PIL", "textual", "httpx", "pyexiv2", "sqlite3"}
    assert heavy.isdisjoint(loaded.stdout.split())


# -- the child's end -------------------------------------------------------------------------------

MESSAGES = st.lists(st.one_of(st.text(), st.binary(), st.integers(), st.tuples(st.text())))


@given(MESSAGES, st.data())
def test_whole_requests_are_read_and_then_the_process_ends(messages, data):
    whole = [encode(message) for message in messages]
    stream = b"".join(whole)
    cut = data.draw(st.integers(0, len(stream)))
    ends = [sum(map(len, whole[: count + 1])) for count in range(len(whole))]
    statuses: list[int] = []
    has_ended = threading.Event()

    def end(status: int) -> NoReturn:
        statuses.append(status)
        raise SystemExit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(children, "_LAST_WORDS_S", 0)
        patch.setattr(os, "_exit", end)
        patch.setattr(threading, "excepthook", lambda _: has_ended.set())
        got = list(read_requests(io.BytesIO(stream[:cut])))
        assert has_ended.wait(20)

    assert got == messages[: sum(end <= cut for end in ends)]
    assert statuses == [1]
