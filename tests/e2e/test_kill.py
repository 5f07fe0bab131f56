"""`kill -9` at any moment: nothing is lost, nothing torn, nothing asked more than once more."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter

from PIL import Image

from tests.e2e.conftest import make_photos
from tests.support.openai_answers import MODEL

PHOTOS = 200
KILLS = 10


def pixels_of(path):
    with Image.open(path) as image:
        return hashlib.sha256(image.tobytes()).hexdigest()


def start_run(folder, base_url, cwd):
    command = [sys.executable, "-m", "imageworks", "run", "-i", str(folder), "--quiet"]
    command += ["--backend", "openai", "--base-url", base_url, "--model", MODEL]
    return subprocess.Popen(command, cwd=cwd, env=os.environ.copy(), stderr=subprocess.PIPE)


def test_a_run_killed_ten_times_ends_complete(tmp_path, start_server):
    photos = make_photos(tmp_path / "photos", PHOTOS)
    before = {path: pixels_of(path) for path in photos}
    server = start_server("--latency-ms", "60")
    moments = random.Random(20261122)

    for _ in range(KILLS):
        seen = len(server.asked())
        process = start_run(tmp_path / "photos", server.base_url, tmp_path)
        wanted = seen + moments.randrange(1, PHOTOS // KILLS)
        deadline = time.monotonic() + 60
        while len(server.asked()) < wanted and process.poll() is None:
            assert time.monotonic() < deadline
        process.kill()
        process.communicate()
    process = start_run(tmp_path / "photos", server.base_url, tmp_path)
    _, errors = process.communicate(timeout=100)

    assert process.returncode == 0, errors
    asked = Counter(server.asked())
    assert len(asked) == PHOTOS
    assert max(asked.values()) <= 2
    lines = (tmp_path / "outputs/results/personal_tagger.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert sorted(record["image"] for record in records) == sorted(map(str, photos))
    assert {record["state"] for record in records} == {"written"}
    leftovers = [p for p in (tmp_path / "photos").iterdir() if ".ptag-" in p.name]
    assert leftovers == []
    assert {path: pixels_of(path) for path in photos} == before
