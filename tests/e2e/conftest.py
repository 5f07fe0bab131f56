"""Whole programs in processes of their own: the command, a server, real files."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass
class Server:
    """A model server in its own process."""

    base_url: str
    log: Path
    process: subprocess.Popen[str]

    def asked(self) -> list[str]:
        """The digest of each picture asked about, in order; preflight's own picture left out."""
        whole_lines = self.log.read_text("utf-8").split("\n")[:-1]
        rows = [json.loads(line) for line in whole_lines]
        return [row["sha256"] for row in rows if not row["probe"]]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers that end with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*flags: str) -> Server:
        log = tmp_path / f"asked-{len(started)}.jsonl"
        log.touch()
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.support.openai_server", "--port", "0"),
                *("--log", str(log), *flags),
            ],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        ready = process.stdout.readline().split()
        assert ready[0] == "READY"
        return Server(ready[1], log, process)

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def ptag(*words: str | Path, cwd: Path, timeout: float = 100) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "imageworks", *map(str, words)],
        cwd=cwd,
        env=os.environ.copy(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def make_photos(folder: Path, count: int, *, seed: int = 1) -> list[Path]:
    """Small JPEGs, each with another picture."""
    folder.mkdir(parents=True, exist_ok=True)
    source = random.Random(seed)
    paths = []
    for number in range(count):
        image = Image.new("RGB", (160, 112), tuple(source.randrange(256) for _ in range(3)))
        draw = ImageDraw.Draw(image)
        for _ in range(4):
            corner = (source.randrange(120), source.randrange(80))
            box = (*corner, corner[0] + 30, corner[1] + 30)
            draw.rectangle(box, fill=tuple(source.randrange(256) for _ in range(3)))
        path = folder / f"photo-{number:04}.jpg"
        image.save(path, quality=88)
        paths.append(path)
    return paths
