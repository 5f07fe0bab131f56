"""Kills, full disks, malformed files: what the metadata process leaves behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from imageworks.errors import MetadataError
from imageworks.metadata import exiv2
from imageworks.metadata.process import MetadataProcess
from tests.unit.metadata.pictures import config, jpeg_with, make_file, packet, request, xmp_segment

SCRIPT = Path(__file__).parents[3] / "scripts" / "fire_metadata"
POISON = packet(attributes='xmp:Rating="4"').replace(b"http://ns.adobe.com/xap/1.0/", b"a")


def fire(*arguments):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.usefixtures("uncounted")
def test_a_kill_at_a_random_moment_tears_nothing_and_leaves_nothing():
    figures = fire("--writes", "40", "--seed", "3")

    assert (figures["torn"], figures["strays"], figures["writes"]) == (0, 0, 40)
    assert figures["deaths"] > 0
    assert figures["changed_files"] > 0


@pytest.mark.slow
@pytest.mark.usefixtures("uncounted")
def test_a_file_system_that_fills_up_tears_nothing_and_leaves_nothing():
    figures = fire("--writes", "60", "--seed", "4", "--full-disk")
    if figures["trouble"] != "tmpfs":
        pytest.skip("mounting is not allowed here")

    assert (figures["torn"], figures["strays_before_the_sweep"]) == (0, 0)
    assert figures["failures"].get("disk-full", 0) > 0
    assert set(figures["failures"]) == {"disk-full"}


@pytest.mark.slow
@pytest.mark.usefixtures("uncounted")
def test_a_file_size_limit_tears_nothing_and_leaves_nothing():
    figures = fire("--writes", "40", "--seed", "5", "--full-disk", "--no-mount")

    assert figures["trouble"] == "file size limit"
    assert (figures["torn"], figures["strays_before_the_sweep"]) == (0, 0)
    assert set(figures["failures"]) <= {"disk-full"}


@pytest.mark.usefixtures("uncounted")
async def test_deaths_and_recycled_children_are_counted_apart(tmp_path):
    good = make_file(tmp_path, "good.jpg")
    raw = tmp_path / "IMG.jp2"
    jp2 = b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\x14ftypjp2 \0\0\0\0jp2 "
    box = bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + POISON
    raw.write_bytes(jp2 + (len(box) + 8).to_bytes(4, "big") + b"uuid" + box)
    process = MetadataProcess(config())

    await process.read(good)
    assert (process.deaths, process.recycled) == (0, 0)
    await process.read(raw)
    await process.read(good)
    assert (process.deaths, process.recycled) == (0, 1)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    await process.read(good)
    assert (process.deaths, process.recycled) == (1, 1)
    await process.aclose()
    assert (process.deaths, process.recycled) == (1, 1)


async def test_the_malformed_corpus_is_survived_and_what_is_refused_stays_as_it_was(
    corpus, tmp_path
):
    process = MetadataProcess(config(backup_originals=False), time_limit_s=20)
    good = make_file(tmp_path, "good.jpg")
    sources = sorted((corpus / "malformed").iterdir())
    harmed = []
    for number, source in enumerate(sources):
        home = tmp_path / str(number)
        home.mkdir()
        path = Path(shutil.copy(source, home / source.name))
        try:
            outcome = await process.write(request(path))
        except MetadataError as error:
            if not is_same(path, source) or error.reason in {"metadata-crash", "metadata-timeout"}:
                harmed.append((source.name, error.reason))
        else:
            if outcome.target_path != path and not is_same(path, source):
                harmed.append((source.name, "changed"))
    found = await process.read(good)
    await process.aclose()

    assert len(sources) > 40
    assert harmed == []
    assert process.deaths == 0
    assert found.keywords == ()


def is_same(one, other):
    return one.read_bytes() == other.read_bytes()


def test_a_poisoned_process_shows_in_the_canary():
    script = (
        "import sys\n"
        "from imageworks.metadata import exiv2\n"
        "fresh = exiv2.serialised_canary()\n"
        "assert fresh and exiv2.serialised_canary() == fresh\n"
        "exiv2.look(sys.stdin.buffer.read())\n"
        "print(exiv2.serialised_canary() == fresh, exiv2.has_clean_namespaces())\n"
    )
    for data, expected in (
        (jpeg_with(xmp_segment(POISON)), "False False\n"),
        (jpeg_with(xmp_segment(packet(attributes='xmp:Rating="4"'))), "True True\n"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", script], input=data, capture_output=True, check=True
        )
        assert done.stdout.decode().replace("\r", "") == expected


def test_exiv2_sees_the_same_in_the_segments_alone_as_in_the_whole_file(corpus, monkeypatch):
    """It is given the segments before the picture only, to save copies of megabytes."""
    whole, compared = [], 0
    files = [p for kind in ("photos", "awkward") for p in sorted((corpus / kind).iterdir())]
    jpegs = [p.read_bytes() for p in files if p.read_bytes()[:3] == b"\xff\xd8\xff"]
    parts = [view_of(data) for data in jpegs]
    monkeypatch.setattr(exiv2, "_worth_copying", lambda data: data)
    whole = [view_of(data) for data in jpegs]

    for part, view in zip(parts, whole, strict=True):
        assert part == view
        compared += view is not None
    assert compared > 40


def view_of(data):
    try:
        return exiv2.look(data)
    except MetadataError:
        return None


def test_a_missing_exiv2_is_the_answer_to_a_request_and_not_the_end(monkeypatch):
    def fail(_):
        raise ImportError

    monkeypatch.setattr("importlib.import_module", fail)
    canary = exiv2.serialised_canary()
    monkeypatch.undo()

    assert canary == ""
