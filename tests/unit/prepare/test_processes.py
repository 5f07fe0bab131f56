"""Image processes: crashes and hangs cost one picture, and nobody is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

import imageworks
from imageworks.errors import DecodeError
from imageworks.models import ImageFormat
from imageworks.prepare import processes as processes_module
from imageworks.prepare.budget import PixelBudget
from imageworks.prepare.picture import prepare_image
from imageworks.prepare.processes import ImageProcesses

JPEG = ImageFormat.JPEG
SOURCE = Path(imageworks.__file__).parents[1]


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (300, 200), "teal").save(path)
    return path


@pytest.fixture
def hanging(tmp_path):
    """A file that no decoder gets to the end of: opening it waits for ever."""
    path = tmp_path / "hanging.jpg"
    os.mkfifo(path)
    return path


@pytest.fixture
async def open_processes(cache):
    opened = []

    def make(**options):
        opened.append(ImageProcesses(cache, PixelBudget(), **{"workers": 1, **options}))
        return opened[-1]

    yield make
    for processes in opened:
        await processes.aclose()


def pid_of(processes: ImageProcesses) -> int | None:
    return processes._workers[0].pid


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # another process has no Event to wait for
            await asyncio.sleep(0.005)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_picture_comes_back_as_if_prepared_here(open_processes, photo, cache):
    result = await open_processes().prepare(photo, JPEG)

    assert result == prepare_image(photo, JPEG, cache, PixelBudget())
    assert result.preview_path.exists()


async def test_errors_cross_the_pipe_whole(open_processes, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(99))
    processes = open_processes()

    for name, reason in (("bad.jpg", "corrupt"), ("gone.jpg", "unreadable")):
        with pytest.raises(DecodeError, match=name) as caught:
            await processes.prepare(tmp_path / name, JPEG)
        assert (caught.value.reason, bool(caught.value.hint)) == (reason, True)


async def test_name_that_is_not_utf8_crosses_the_pipe(open_processes, photo, tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    photo.rename(path)

    assert (await open_processes().prepare(path, JPEG)).path == path


async def test_process_is_kept_nice_and_deaf_to_ctrl_c(open_processes, photo):
    processes = open_processes(nice=3)
    await processes.prepare(photo, JPEG)
    pid = pid_of(processes)
    assert pid is not None

    os.kill(pid, signal.SIGINT)
    await processes.prepare(photo, JPEG)

    assert pid_of(processes) == pid
    assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0) + 3
    assert os.getpgid(pid) == pid


async def test_killed_idle_process_is_replaced(open_processes, photo):
    processes = open_processes()
    await processes.prepare(photo, JPEG)
    first = pid_of(processes)
    assert first is not None

    os.kill(first, signal.SIGKILL)
    await until(lambda: not is_alive(first))
    await processes.prepare(photo, JPEG)

    assert pid_of(processes) not in (first, None)


async def test_picture_that_kills_its_process_twice_is_given_up(open_processes, hanging, photo):
    processes = open_processes()
    asked = asyncio.create_task(processes.prepare(hanging, JPEG))
    killed: list[int] = []

    for _ in range(2):
        await until(lambda: pid_of(processes) not in (None, *killed))
        pid = pid_of(processes)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    with pytest.raises(DecodeError, match=r"hanging\.jpg") as caught:
        await asked
    assert caught.value.reason == "decoder-crash"
    assert (await processes.prepare(photo, JPEG)).width_px == 300


async def test_hung_picture_is_given_up_and_its_process_replaced(open_processes, hanging, photo):
    processes = open_processes(time_limit_s=0.8)

    with pytest.raises(DecodeError, match=r"hanging\.jpg.*0\.8 s") as caught:
        await processes.prepare(hanging, JPEG)
    processes._time_limit_s = 20

    assert caught.value.reason == "decode-timeout"
    assert (await processes.prepare(photo, JPEG)).width_px == 300


async def test_others_go_on_while_one_hangs(open_processes, hanging, photo):
    processes = open_processes(workers=2)
    hung = asyncio.create_task(processes.prepare(hanging, JPEG))

    results = await asyncio.gather(*(processes.prepare(photo, JPEG) for _ in range(5)))

    assert len(results) == 5
    assert not hung.done()


async def test_more_pictures_than_processes_wait_their_turn(open_processes, tmp_path):
    paths = []
    for index in range(12):
        paths.append(tmp_path / f"{index}.jpg")
        Image.new("RGB", (20 + index, 10), "teal").save(paths[-1])

    processes = open_processes(workers=2)

    results = await asyncio.gather(*(processes.prepare(path, JPEG) for path in paths))

    assert [(result.path, result.width_px) for result in results] == [
        (path, 20 + index) for index, path in enumerate(paths)
    ]


async def test_few_pictures_start_few_processes(open_processes, photo):
    processes = open_processes(workers=4)

    for _ in range(3):
        await processes.prepare(photo, JPEG)

    assert sum(worker.pid is not None for worker in processes._workers) == 1


async def test_default_is_one_process_a_core(cache):
    processes = ImageProcesses(cache, PixelBudget())

    assert len(processes._workers) == len(os.sched_getaffinity(0))
    await processes.aclose()


async def test_giving_up_waiting_does_not_lose_the_process(open_processes, photo):
    processes = open_processes()
    asked = asyncio.create_task(processes.prepare(photo, JPEG))
    await until(lambda: pid_of(processes) is not None)
    pid = pid_of(processes)

    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await processes.prepare(photo, JPEG)

    assert pid_of(processes) == pid


async def test_nobody_hears_of_a_failure_that_was_given_up(open_processes, tmp_path, caplog):
    processes = open_processes()
    asked = asyncio.create_task(processes.prepare(tmp_path / "gone.jpg", JPEG))
    await until(lambda: pid_of(processes) is not None)

    asked.cancel()
    await until(lambda: not processes._running)

    assert "never retrieved" not in caplog.text


async def test_process_is_renewed_after_its_share(open_processes, photo, monkeypatch):
    monkeypatch.setattr(processes_module, "_REQUESTS_PER_PROCESS", 1)
    processes = open_processes()

    pids = set()
    for _ in range(2):
        await processes.prepare(photo, JPEG)
        pids.add(pid_of(processes))

    assert len(pids) == 2


async def test_closing_ends_busy_and_idle_processes_alike(open_processes, hanging, photo):
    processes = open_processes(workers=2)
    hung = asyncio.create_task(processes.prepare(hanging, JPEG))
    await processes.prepare(photo, JPEG)
    pids = [worker.pid for worker in processes._workers]

    await processes.aclose()

    with pytest.raises(asyncio.CancelledError):
        await hung
    assert not any(is_alive(pid) for pid in pids)
    with pytest.raises(RuntimeError, match="closed"):
        await processes.prepare(photo, JPEG)


async def test_works_where_textual_has_replaced_the_standard_streams(
    open_processes, photo, monkeypatch
):
    unusable = SimpleNamespace(fileno=lambda: -1, write=len, flush=lambda: None)
    monkeypatch.setattr(sys, "stdout", unusable)
    monkeypatch.setattr(sys, "stderr", unusable)

    assert (await open_processes().prepare(photo, JPEG)).width_px == 300


async def test_code_lying_in_the_working_folder_is_not_run(
    open_processes, photo, tmp_path, monkeypatch
):
    for module in ("pickle", "PIL", "queue", "imageworks"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)

    assert (await open_processes().prepare(photo, JPEG)).width_px == 300


PARENT = """
import asyncio, os, sys
from pathlib import Path
from imageworks.models import ImageFormat
from imageworks.prepare.budget import PixelBudget
from imageworks.prepare.cache import PreviewCache
from imageworks.prepare.processes import ImageProcesses

async def main(photo, hanging, root):
    processes = ImageProcesses(PreviewCache(Path(root), 1), PixelBudget(), workers=2)
    hung = asyncio.create_task(processes.prepare(Path(hanging), ImageFormat.JPEG))
    await processes.prepare(Path(photo), ImageFormat.JPEG)
    print(*(worker.pid for worker in processes._workers), flush=True)
    await hung

asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_die_with_their_killed_parent(photo, hanging, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    parent = subprocess.Popen(  # noqa: ASYNC220  # our own script
        [sys.executable, "-c", PARENT, photo, hanging, tmp_path / "cache"],
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert all(is_alive(pid) for pid in pids)

    parent.kill()
    parent.wait()
    parent.stdout.close()

    await until(lambda: not any(is_alive(pid) for pid in pids))


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("imageworks.prepare.processes", {"PIL", "textual", "httpx", "pyexiv2", "sqlite3"}),
        ("imageworks.prepare.worker", {"asyncio", "textual", "httpx", "pyexiv2", "sqlite3"}),
    ],
)
def test_only_what_is_needed_is_imported(module, unwanted):
    code = f"import {module}, sys; print(*sys.modules)"
    environment = {"PYTHONPATH": str(SOURCE), "PATH": ""}
    loaded = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )

    assert unwanted.isdisjoint(loaded.stdout.split())


@pytest.mark.parametrize("workers", [1, 3])
def test_it_says_how_many_pictures_it_prepares_at_once(cache, workers):
    assert ImageProcesses(cache, PixelBudget(), workers=workers).count == workers
