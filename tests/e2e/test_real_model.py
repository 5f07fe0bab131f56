"""From pixels to XMP with a real vision model: llama.cpp serves a tiny one that tells the truth."""

from __future__ import annotations

import importlib.util
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import ptag
from tests.support.toy_world import scene

CHECKOUT = Path(__file__).parents[2]
TOY = CHECKOUT / "tests" / "assets" / "toyvlm"
SCENES = 40
NEEDED = 36


@pytest.fixture
def toy_server():
    """The toy model behind llama.cpp's own HTTP server; skips where that is not installed."""
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed")
    models = (TOY / "toy-qwen2vl.gguf", TOY / "mmproj-toy-qwen2vl.gguf")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.llama_server", *map(str, models)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    ready = ""
    while not ready.startswith("READY"):
        ready = process.stdout.readline()
        assert ready, "the server ended before it was ready"
    yield ready.split()[1]
    process.kill()
    process.wait()
    process.stdout.close()


def render_scenes(folder):
    folder.mkdir()
    source = random.Random(7)
    truth = {}
    for number in range(SCENES):
        image, seen = scene(source, 280, 196)
        image.save(folder / f"scene-{number:02}.jpg", quality=90)
        truth[f"scene-{number:02}.jpg"] = seen
    return truth


def test_captions_in_the_files_name_what_the_pictures_show(tmp_path, toy_server):
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    truth = render_scenes(tmp_path / "photos")

    result = ptag(
        *("run", "-i", tmp_path / "photos", "--backend", "llamacpp"),
        *("--base-url", f"{toy_server}/v1", "--model", "toy", "--temperature", "0"),
        cwd=tmp_path,
    )

    assert result.returncode == 0, result.stderr
    listing = subprocess.run(
        [
            *("exiftool", "-json", "-XMP-dc:Title", "-XMP-dc:Description", "-ext", "jpg"),
            str(tmp_path / "photos"),
        ],
        capture_output=True,
        check=True,
    )
    right = 0
    for row in json.loads(listing.stdout):
        seen = truth[row["SourceFile"].rsplit("/", 1)[1]]
        text = f"{row.get('Title', '')} {row.get('Description', '')}".lower()
        right += seen.colour in text and seen.ground in text
    assert right >= NEEDED
