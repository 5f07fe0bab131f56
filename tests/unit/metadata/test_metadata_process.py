import asyncio
import contextlib
import io
import os
import select
import signal
import subprocess
import sys

import pytest

from imageworks.errors import ConfigError, MetadataError
from imageworks.metadata import process as module
from imageworks.metadata import worker
from imageworks.metadata.process import MetadataProcess
from imageworks.metadata.wire import Go, Intent, Opening, decode_reply, encode_request
from imageworks.models import ExistingMetadata, MetadataTarget
from imageworks.stages import WriteOutcome
from tests.unit.metadata.pictures import (
    bag,
    config,
    jpeg_with,
    make_file,
    names_in,
    packet,
    request,
    xmp_segment,
)

POISON = packet(attributes='xmp:Rating="4"').replace(b"http://ns.adobe.com/xap/1.0/", b"a")


@contextlib.asynccontextmanager
async def opened(**options):
    settings = options.pop("settings", {})
    process = MetadataProcess(config(**settings), **options)
    try:
        yield process
    finally:
        await process.aclose()


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_reads_and_writes_go_through_one_child(tmp_path):
    path = make_file(tmp_path, "a.jpg")

    async with opened() as process:
        before = await process.read(path)
        first = process.pid
        outcome = await process.write(request(path))
        after = await process.read(path)
        assert process.pid == first

    assert before.keywords == ()
    assert outcome.target is MetadataTarget.FILE
    assert after.keywords == ("heron", "river")
    assert not is_alive(first)


async def test_many_callers_at_once_are_served_one_by_one(tmp_path):
    paths = [make_file(tmp_path, f"{number}.jpg") for number in range(8)]

    async with opened() as process:
        await asyncio.gather(*(process.write(request(p, keywords=(p.stem,))) for p in paths))
        found = await asyncio.gather(*(process.read(path) for path in paths))

    assert [f.keywords for f in found] == [(path.stem,) for path in paths]


async def test_a_dry_run_writes_nothing(tmp_path):
    path = make_file(tmp_path, "a.jpg")
    before = path.read_bytes()

    async with opened(is_dry_run=True) as process:
        outcome = await process.write(request(path))

    assert outcome.is_changed
    assert path.read_bytes() == before


async def test_an_error_of_the_file_reaches_the_caller(tmp_path):
    async with opened() as process:
        with pytest.raises(MetadataError) as caught:
            await process.read(tmp_path / "absent.jpg")

    assert caught.value.reason == "not-found"
    assert "absent.jpg" in caught.value.message


async def test_an_impossible_mapping_is_told_at_once():
    with pytest.raises(ConfigError):
        MetadataProcess(config(fields={"caption": "dc:subject"}))


@pytest.mark.usefixtures("uncounted")
async def test_a_child_killed_between_requests_is_replaced_unnoticed(tmp_path):
    path = make_file(tmp_path, "a.jpg")

    async with opened() as process:
        await process.read(path)
        first = process.pid
        os.kill(first, signal.SIGKILL)
        found = await process.read(path)

        assert found.identity
        assert process.pid != first


async def stopped(process, path):
    """A child that takes requests from its pipe and never answers."""
    await process.read(path)
    os.kill(process.pid, signal.SIGSTOP)
    return process.pid


@pytest.mark.usefixtures("uncounted")
async def test_a_child_that_takes_too_long_fails_one_file_and_is_replaced(tmp_path):
    path = make_file(tmp_path, "a.jpg")

    async with opened(time_limit_s=30) as process:
        first = await stopped(process, path)
        process._time_limit_s = 0.05
        with pytest.raises(MetadataError) as caught:
            await process.write(request(path))
        process._time_limit_s = 30
        found = await process.read(path)

    assert caught.value.reason == "metadata-timeout"
    assert not is_alive(first)
    assert found.keywords == ()


CRASHING = """
import os, sys
from imageworks.metadata import replace, worker
real = replace._take_place
def crash(source, temporary, options, seen):
    if "crash" in source.path.name and temporary.exists():
        os.kill(os.getpid(), 9)
    real(source, temporary, options, seen)
replace._take_place = crash
worker.main()
"""


@pytest.mark.usefixtures("uncounted")
async def test_a_crash_mid_write_fails_that_image_alone_and_leaves_no_trace(tmp_path, monkeypatch):
    bad, good = make_file(tmp_path, "crash.jpg"), make_file(tmp_path, "good.jpg")
    before = bad.read_bytes()
    real = asyncio.create_subprocess_exec

    async def crashing(program, *_, **pipes):
        return await real(program, "-c", CRASHING, **pipes)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", crashing)

    async with opened() as process:
        results = await asyncio.gather(
            process.write(request(bad)), process.write(request(good)), return_exceptions=True
        )

    failure, outcome = results
    assert isinstance(failure, MetadataError)
    assert failure.reason == "metadata-crash"
    assert "crash.jpg" in failure.message
    assert isinstance(outcome, WriteOutcome)
    assert outcome.target is MetadataTarget.FILE
    assert bad.read_bytes() == before
    assert names_in(tmp_path) == ["crash.jpg", "good.jpg", "good.jpg_original"]


@pytest.mark.usefixtures("uncounted")
async def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new_one(tmp_path):
    path = make_file(tmp_path, "a.jpg")
    path.write_bytes(path.read_bytes() + os.urandom(3_000_000))
    original = path.read_bytes()

    async with opened(settings={"backup_originals": False}) as process:
        for delay_ms in (0, 2, 5, 8, 12, 16, 20, 30):
            path.write_bytes(original)
            await process.read(path)
            task = asyncio.create_task(process.write(request(path)))
            await asyncio.sleep(delay_ms / 1000)
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            with contextlib.suppress(MetadataError):
                await task
            found = await process.read(path)

            assert found.keywords in ((), ("heron", "river"))
            assert path.read_bytes().endswith(original[-3_000_000:])
            assert found.keywords or path.read_bytes() == original
            assert names_in(tmp_path) == ["a.jpg"]


async def test_a_file_that_poisons_exiv2_does_not_touch_the_next(tmp_path, monkeypatch):
    """The child that read it ends; the next file is written by a clean one."""
    raw = tmp_path / "IMG.jp2"
    jp2 = b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\x14ftypjp2 \0\0\0\0jp2 "
    box = bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + POISON
    raw.write_bytes(jp2 + (len(box) + 8).to_bytes(4, "big") + b"uuid" + box)
    good = tmp_path / "good.jpg"
    good.write_bytes(jpeg_with(xmp_segment(packet(attributes='xmp:Rating="4"'))))

    async with opened() as process:
        await process.read(good)
        first = process.pid
        await process.read(raw)
        outcome = await process.write(request(good))

        assert process.pid != first
    assert outcome.target is MetadataTarget.FILE
    assert b'xmlns:xmp="http://ns.adobe.com/xap/1.0/"' in good.read_bytes()


async def test_a_packet_that_would_poison_is_never_given_to_exiv2(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(xmp_segment(POISON)))

    async with opened() as process:
        outcome = await process.write(request(path))
        first = process.pid
        await process.read(path)
        assert process.pid == first

    assert outcome.target is MetadataTarget.SIDECAR


async def test_a_caller_that_stops_waiting_does_not_stop_the_write(tmp_path):
    path = make_file(tmp_path, "a.jpg")

    async with opened() as process:
        await process.read(path)
        task = asyncio.create_task(process.write(request(path)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        found = await process.read(path)

    assert found.keywords == ("heron", "river")


async def test_an_error_that_nobody_waits_for_is_not_reported_by_asyncio(tmp_path, caplog):
    async with opened() as process:
        task = asyncio.create_task(process.read(tmp_path / "absent.jpg"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await process.read(make_file(tmp_path, "a.jpg"))

    assert "never retrieved" not in caplog.text


async def test_a_child_that_never_starts_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")

    async with opened() as process:
        with pytest.raises(MetadataError) as caught:
            await process.read(make_file(tmp_path, "a.jpg"))

    assert caught.value.reason == "metadata-crash"


async def test_code_lying_in_the_working_folder_is_not_run(tmp_path, monkeypatch):
    path = make_file(tmp_path, "a.jpg")
    for name in ("base64", "pickle", "pyexiv2", "imageworks"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)

    async with opened() as process:
        await process.write(request(path))
        assert (await process.read(path)).keywords == ("heron", "river")


async def test_child_is_out_of_reach_of_the_terminals_signals(tmp_path):
    async with opened() as process:
        await process.read(make_file(tmp_path, "a.jpg"))

        assert os.getpgid(process.pid) == process.pid


@pytest.mark.parametrize("answer", [b"+\xff\xff\xff\xff", b"+\0\0\0\2{}", b"+\0\0\0\1", b"?"])
async def test_a_child_that_talks_nonsense_is_an_error(tmp_path, monkeypatch, answer):
    real = asyncio.create_subprocess_exec
    code = f"import sys; sys.stdout.buffer.write({answer!r}); sys.stdout.flush()"

    async def babbling(program, *_, **pipes):
        return await real(program, "-c", code, **pipes)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", babbling)

    async with opened() as process:
        with pytest.raises(MetadataError) as caught:
            await process.read(make_file(tmp_path, "a.jpg"))

    assert caught.value.reason == "metadata-crash"


async def test_an_answer_of_the_wrong_kind_is_an_error(tmp_path, monkeypatch):
    path = make_file(tmp_path, "a.jpg")

    async with opened() as process:
        monkeypatch.setattr(module, "encode_request", _swapped(path))
        for call in (process.read(path), process.write(request(path))):
            with pytest.raises(MetadataError) as caught:
                await call
            assert caught.value.reason == "metadata-crash"


def _swapped(path):
    """Sends a write for a read and a read for a write."""

    def encode(sent):
        if isinstance(sent, Opening):
            return encode_request(sent)
        return encode_request(path if sent != path else request(path))

    return encode


@pytest.mark.usefixtures("uncounted")
async def test_a_child_that_does_not_leave_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LEAVING_TIME_S", 0.05)
    process = MetadataProcess(config())
    pid = await stopped(process, make_file(tmp_path, "a.jpg"))

    await process.aclose()

    assert not is_alive(pid)
    assert process.pid is None


async def test_closing_twice_or_unused_is_no_error():
    process = MetadataProcess(config())
    await process.aclose()
    await process.aclose()

    assert (process.pid, process.deaths) == (None, 0)


@pytest.mark.usefixtures("uncounted")
def test_the_child_ends_with_its_parent(tmp_path):
    """The parent is killed; its pipe closes, and the child leaves without being told."""
    code = (
        "import asyncio, sys\n"
        "from imageworks.metadata.process import MetadataProcess\n"
        "from tests.unit.metadata.pictures import config\n"
        "from pathlib import Path\n"
        "async def main():\n"
        "    process = MetadataProcess(config())\n"
        "    await process.read(Path(sys.argv[1]))\n"
        "    print(process.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    path = make_file(tmp_path, "a.jpg")
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        descriptor = os.pidfd_open(pid)
        parent.kill()

    readable, _, _ = select.select([descriptor], [], [], 20)
    os.close(descriptor)
    assert readable


def test_the_child_keeps_its_output_clean_and_ignores_interrupts(tmp_path):
    """Exiv2 prints warnings to descriptor 1, where the replies would be."""
    path = make_file(tmp_path, "a.jpg")
    with subprocess.Popen(
        [sys.executable, "-m", "imageworks.metadata.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(encode_request(Opening(config(), is_dry_run=False)))
        child.stdin.write(encode_request(path))
        child.stdin.flush()
        head = child.stdout.read(5)
        body = child.stdout.read(int.from_bytes(head[1:], "big"))
        child.send_signal(signal.SIGINT)
        frames = encode_request(request(path)) + encode_request(Go())
        out, err = child.communicate(frames, timeout=20)

    assert head[:1] == b"+"
    assert isinstance(decode_reply(body), ExistingMetadata)
    size = int.from_bytes(out[1:5], "big")
    assert isinstance(decode_reply(out[5 : 5 + size]), Intent)
    assert isinstance(decode_reply(out[5 + size + 4 :]), WriteOutcome)
    assert err == b""
    assert child.returncode == 0


class Pipe(io.BytesIO):
    """A reply pipe whose reader has gone."""

    tries = 0

    def write(self, _):
        self.tries += 1
        raise BrokenPipeError


def test_the_worker_ends_quietly_when_nobody_listens(tmp_path):
    path = make_file(tmp_path, "a.jpg")
    opening = encode_request(Opening(config(), is_dry_run=False))
    asked = (opening + 2 * encode_request(request(path)), encode_request(path), b"")
    before, pipes = path.read_bytes(), [Pipe() for _ in asked]

    for frames, pipe in zip(asked, pipes, strict=True):
        worker.serve(io.BytesIO(frames), pipe)

    assert [pipe.tries for pipe in pipes] == [1, 0, 0]
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.jpg"]


def test_a_second_opening_is_a_mistake():
    frame = encode_request(Opening(config(), is_dry_run=False))

    with pytest.raises(TypeError):
        worker.serve(io.BytesIO(frame * 2), io.BytesIO())


def test_keywords_with_a_bag_and_everything_cross_the_pipe_in_process(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(xmp_segment(packet(bag("dc:subject", "Ünïcode 🦊")))))
    replies = io.BytesIO()
    frames = encode_request(Opening(config(), is_dry_run=True)) + encode_request(path)

    worker.serve(io.BytesIO(frames), replies)

    found = decode_reply(replies.getvalue()[5:])
    assert isinstance(found, ExistingMetadata)
    assert found.keywords == ("Ünïcode 🦊",)
