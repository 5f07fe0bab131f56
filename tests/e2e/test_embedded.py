"""The embedded backend with a real llama.cpp and a model that tells the truth: pixels to XMP."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import ptag
from tests.support.toy_world import scene

TOY = Path(__file__).parents[1] / "assets" / "toyvlm"
FLAGS = (
    *("--backend", "embedded", "--temperature", "0"),
    *("--embedded-model", str(TOY / "toy-qwen2vl.gguf")),
    *("--embedded-mmproj", str(TOY / "mmproj-toy-qwen2vl.gguf")),
)

needs_llama = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="xllamacpp is not installed"
)


def render(folder, count):
    folder.mkdir()
    source = random.Random(7)
    truths = {}
    for number in range(count):
        image, truth = scene(source)
        image.save(folder / f"scene-{number:02}.jpg", quality=90)
        truths[f"scene-{number:02}.jpg"] = truth
    return truths


def records(folder):
    lines = (folder / "outputs/results/personal_tagger.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def children(parent_pid):
    """Ids of the llama.cpp servers that a process started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            is_server = b"embedded_child" in (stat.parent / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if is_server and int(parent) == parent_pid and state != "Z":
            found.append(int(stat.parent.name))
    return found


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, limit_s=30.0):
    deadline = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.005)
    return value


def start_run(folder, *flags):
    words = ("run", "-i", str(folder / "photos"), *FLAGS, *flags)
    return subprocess.Popen(
        [sys.executable, "-m", "imageworks", *words],
        cwd=folder,
        env=os.environ.copy(),
        stderr=subprocess.PIPE,
        text=True,
    )


@needs_llama
def test_files_say_what_the_pictures_show(tmp_path):
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    truths = render(tmp_path / "photos", 5)

    result = ptag("run", "-i", tmp_path / "photos", *FLAGS, cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    command = ["exiftool", "-json", "-XMP-dc:all", "-ext", "jpg", str(tmp_path / "photos")]
    listing = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    right = 0
    for row in listing:
        truth = truths[Path(row["SourceFile"]).name]
        assert truth.ground in row["Title"]
        assert truth.sky in row["Title"]
        right += truth.colour in row["Subject"] and truth.thing in row["Title"]
    assert len(listing) == 5
    assert right >= 4
    assert {record["backend"] for record in records(tmp_path)} == {"embedded"}
    assert {record["models"]["caption"] for record in records(tmp_path)} == {"toy-world-vlm"}


@needs_llama
def test_killed_program_leaves_no_server(tmp_path):
    render(tmp_path / "photos", 40)
    with start_run(tmp_path) as program:
        (server,) = wait_for(lambda: children(program.pid))

        program.kill()

    wait_for(lambda: not is_running(server))


@needs_llama
def test_killed_server_costs_no_image(tmp_path):
    render(tmp_path / "photos", 60)
    results = tmp_path / "outputs/results/personal_tagger.jsonl"
    with start_run(tmp_path, "--review-later") as program:
        (server,) = wait_for(lambda: children(program.pid))
        wait_for(lambda: results.exists() and results.read_bytes().count(b"\n") >= 2)

        os.kill(server, signal.SIGKILL)

        (second,) = wait_for(lambda: [pid for pid in children(program.pid) if pid != server])
        _, errors = program.communicate(timeout=60)

    assert program.returncode == 0, errors
    assert "The embedded server ended" in errors
    assert [record["state"] for record in records(tmp_path)] == ["suggested"] * 60
    assert not is_running(second)


@needs_llama
def test_model_that_llama_cannot_run_ends_with_a_reason(tmp_path):
    render(tmp_path / "photos", 1)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes((TOY / "toy-qwen2vl.gguf").read_bytes()[:600_000])

    result = ptag(
        *("run", "-i", tmp_path / "photos", "--backend", "embedded", "--embedded-model", cut),
        *("--embedded-mmproj", TOY / "mmproj-toy-qwen2vl.gguf"),
        cwd=tmp_path,
    )

    assert result.returncode == 3
    assert "llama.cpp cannot run" in result.stderr
    assert "cut.gguf" in result.stderr
    assert "last words" in result.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--embedded-model", "none.gguf"), "cannot be read"),
        (("--embedded-model", __file__), "not a GGUF model file"),
        (("--embedded-model", str(TOY / "mmproj-toy-qwen2vl.gguf")), "is a projector"),
    ],
)
def test_file_that_is_no_model_is_a_wrong_command_line(tmp_path, flags, said):
    render(tmp_path / "photos", 1)

    result = ptag("run", "-i", tmp_path / "photos", "--backend", "embedded", *flags, cwd=tmp_path)

    assert result.returncode == 2
    assert said in result.stderr


def put_into_lm_studio(home):
    folder = home / ".lmstudio" / "models" / "us" / "Toy-GGUF"
    folder.mkdir(parents=True)
    for path in TOY.glob("*.gguf"):
        shutil.copy(path, folder)


@needs_llama
def test_model_of_another_program_is_listed_checked_and_used(tmp_path, own_home):
    put_into_lm_studio(own_home)

    listed = ptag("embedded", "list", cwd=tmp_path)
    checked = ptag("preflight", "--backend", "embedded", cwd=tmp_path)
    doctor = ptag("doctor", "--backend", "embedded", cwd=tmp_path)

    assert "* toy-world-vlm (F16, 0.0 GB, LM Studio)" in listed.stdout
    assert "qwen3-vl-4b" in listed.stdout
    assert checked.returncode == 0, checked.stdout
    assert "llama.cpp runs toy-world-vlm" in checked.stdout
    assert "vision completion" in checked.stdout
    assert "toy-world-vlm (F16, 0.0 GB, LM Studio), used when none is named" in doctor.stdout


def test_disk_without_models_says_how_to_get_one(tmp_path):
    result = ptag("preflight", "--backend", "embedded", cwd=tmp_path)

    assert result.returncode == 3
    assert "ptag embedded get" in result.stderr


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("get",), 2, "was not said"),
        (("get", "gpt"), 2, "qwen3-vl-4b"),
        (("list", "qwen3-vl-4b"), 2, "takes no model"),
        (("get", "qwen3-vl-2b"), 3, "no network"),
    ],
)
def test_fetching_says_what_is_wrong(tmp_path, monkeypatch, words, status, said):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")

    result = ptag("embedded", *words, cwd=tmp_path)

    assert result.returncode == status
    assert said in result.stderr


@pytest.mark.parametrize("is_unbuffered", [False, True])
def test_output_that_nobody_reads_any_more_ends_the_command_quietly(
    tmp_path, monkeypatch, is_unbuffered
):
    monkeypatch.setenv("PYTHONUNBUFFERED", "1" if is_unbuffered else "")
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(
        [sys.executable, "-m", "imageworks", "embedded", "list"],
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )

    os.close(writing)
    assert done.stderr == b""
    assert done.returncode == 128 + signal.SIGPIPE
