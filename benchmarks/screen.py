#!/usr/bin/env python3
"""How the workstation feels under the fingers, on a pseudo terminal; prints JSON.

First frame beside that of a minimal Textual app in the same run; an hour's most frequent act,
accept, from the key to the next image's text; and keys while a batch of 24-megapixel photographs
decodes on all cores, beside the same keys on an idle machine. Takes about two minutes.

    python benchmarks/screen.py [--accepts 100] [--photographs 60]
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from imageworks.models import ImageState, Keyword, Tags  # noqa: E402  # found through the line above
from imageworks.store.library import Library  # noqa: E402
from tests.support.fake_terminal import CURSOR_POSITION, FakeTerminal  # noqa: E402
from tests.support.review_library import ReviewLibrary  # noqa: E402

MOST_TIMES_MINIMAL = 1.6
MOST_MORE_IN_SILENCE_MS = 400
MOST_ACCEPT_P95_MS = 50
MOST_TIMES_IDLE = 3
MOST_GAP_MS = 100
ROUNDS = 5
KEYS = 150
KEY_PAUSE_S = 0.04
SIZE = (110, 32)
ANSWERS = (CURSOR_POSITION, (rb"\x1b\[c", b"\x1b[?62;c"))
"""Of a terminal that tells where its cursor is and what it is, and draws no pictures."""
MINIMAL = """
from textual.app import App
from textual.widgets import Static

class Minimal(App[None]):
    def compose(self):
        yield Static("first-frame-marker")

Minimal().run()
"""
WORKSTATION = """
import asyncio, json, sys, time
from pathlib import Path
from imageworks.tui.app import prepare_environment
import os
prepare_environment(os.environ)
from imageworks.config import PersonalTaggerConfig
from imageworks.engine.client import EngineClient
from imageworks.store.library import Library
from imageworks.tui.app import run_review

folder, base_url = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
gaps, run_loop = [], asyncio.run

async def tick():
    before = time.monotonic()
    while True:
        await asyncio.sleep(0.005)
        now = time.monotonic()
        gaps.append((before, (now - before) * 1000))
        before = now

async def watched(main):
    ticker = asyncio.create_task(tick())
    return await main

asyncio.run = lambda main, **more: run_loop(watched(main), **more)
more = {"backend": "openai", "base_url": (base_url,), "caption_model": "Test-VL"}
more = more if base_url else {}
config = PersonalTaggerConfig(**more, keyword_model="Test-VL", description_model="Test-VL")
library = Library(folder / "library.sqlite3")
if not base_url:
    EngineClient.ensure_running = lambda self: None
client = EngineClient(library, config, folder / "engine.log")
folders = [folder / "photos"]
run_review(library, config, client, folders, log_path=folder / "s.log", themes_dir=folder)
(folder / "gaps.json").write_text(json.dumps(gaps))
"""


def open_screen(folder: Path, *words: str, is_silent: bool = False) -> FakeTerminal:
    """The workstation over a folder's library."""
    home = folder / "home"
    return FakeTerminal(
        [sys.executable, "-c", WORKSTATION, str(folder), *words],
        answers=() if is_silent else ANSWERS,
        size=SIZE,
        environment={
            "PYTHONPATH": f"{CHECKOUT / 'src'}:{CHECKOUT}",
            "HOME": str(home),
            **{
                f"XDG_{name}_HOME": str(home / name)
                for name in ("DATA", "CONFIG", "CACHE", "STATE")
            },
        },
    )


def token(number: int) -> str:
    """A caption that looks like no other, so that it shows up whole on the line."""
    return f"{number * 7919 % 100_000:05}-{number:04}-caption"


def make_library(folder: Path, count: int) -> None:
    """Images with suggestions and thumbnails, ready for review."""
    made = ReviewLibrary(folder)
    with made.library.transaction():
        for number in range(count):
            name = f"photo-{number:05}.jpg"
            image_id = made.add(name, Tags(token(number), (Keyword("heron"),), "A text."))
            if number < 200:
                made.add_picture(image_id, name, (number % 255, 90, 160))
    made.library.close()


def first_frames(folder: Path) -> dict[str, float]:
    """Milliseconds until the first text of a minimal app and of ours, in turns.

    Ours too in a terminal that never answers what it is asked.
    """
    taken: dict[str, list[float]] = {"minimal": [], "ours": [], "silent": []}
    for _ in range(ROUNDS):
        minimal = FakeTerminal([sys.executable, "-c", MINIMAL], answers=ANSWERS, size=SIZE)
        try:
            shown_s = minimal.wait_for(b"first-frame-marker")
            taken["minimal"].append((shown_s - minimal.started_s) * 1000)
        finally:
            minimal.close()
        for name in ("ours", "silent"):
            ours = open_screen(folder, is_silent=name == "silent")
            try:
                taken[name].append((ours.wait_for(token(0).encode()) - ours.started_s) * 1000)
            finally:
                ours.close()
    medians = {name: statistics.median(times) for name, times in taken.items()}
    return {
        "first_frame_minimal_ms": round(medians["minimal"], 1),
        "first_frame_ms": round(medians["ours"], 1),
        "first_frame_times_minimal": round(medians["ours"] / medians["minimal"], 2),
        "first_frame_more_in_silence_ms": round(medians["silent"] - medians["ours"], 1),
    }


def accepts(folder: Path, count: int) -> dict[str, float]:
    """Milliseconds from the accept key to the next image's caption."""
    taken = []
    terminal = open_screen(folder)
    try:
        terminal.wait_for(token(0).encode())
        terminal.settle(0.5)
        for number in range(count):
            begin = len(terminal.arrived)
            pressed_s = terminal.type("a")
            shown_s = terminal.wait_for(token(number + 1).encode(), begin)
            taken.append((shown_s - pressed_s) * 1000)
            time.sleep(KEY_PAUSE_S)
        terminal.type("q")
        terminal.wait()
    finally:
        terminal.close()
    library = Library(folder / "library.sqlite3")
    accepted = library.images.counts().get(ImageState.ACCEPTED, 0)
    library.close()
    return {
        "accept_keys": count,
        "accepted": accepted,
        "accept_to_text_p50_ms": round(statistics.median(taken), 1),
        "accept_to_text_p95_ms": round(percentile(taken, 0.95), 1),
    }


def key_times(terminal: FakeTerminal) -> list[float]:
    """Milliseconds from a key that moves the cursor to the first byte that comes of it."""
    taken = []
    for number in range(KEYS):
        terminal.settle(0.02, timeout_s=2)
        begin = len(terminal.arrived)
        pressed_s = terminal.type("jk"[number % 2])
        while len(terminal.arrived) == begin and time.monotonic() < pressed_s + 2:
            time.sleep(0.0005)
        taken.append((terminal.last_arrival_s - pressed_s) * 1000)
        time.sleep(KEY_PAUSE_S)
    return [ms for ms in taken if ms > 0]


def under_load(folder: Path, photographs: int) -> dict[str, float]:
    """Keys on an idle machine, and while a batch of large photographs runs."""
    made = ReviewLibrary(folder)
    made.library.close()
    noise = Image.effect_noise((1500, 1000), 50).convert("RGB").resize((6000, 4000))
    first = made.photos / "00000.jpg"
    noise.save(first, quality=88)
    data = first.read_bytes()
    for number in range(1, photographs):
        # A comment behind the end mark: another picture to the program, the same work to decode.
        (made.photos / f"{number:05}.jpg").write_bytes(data + b"%d" % number)
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.openai_server", "--port", "0", "--model", "Test-VL"],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    if server.stdout is None:
        raise RuntimeError
    base_url = server.stdout.readline().split()[1]
    terminal = open_screen(folder, base_url)
    try:
        terminal.wait_for(f"{photographs // 2:05}.jpg"[:3].encode())
        terminal.settle(1.0)
        idle = key_times(terminal)
        began_s = terminal.type("b")
        time.sleep(0.5)
        terminal.type("\r")
        time.sleep(2.0)
        busy = key_times(terminal)
        ended_s = time.monotonic()
        done = photographs - waiting(folder)
        terminal.type("B")
        time.sleep(0.5)
        terminal.type("q")
        terminal.wait()
    finally:
        terminal.close()
        server.kill()
        server.wait()
    times = json.loads((folder / "gaps.json").read_text())
    gaps = [ms for at_s, ms in times if began_s < at_s < ended_s]
    return {
        "photographs_of_24_megapixels": photographs,
        "suggested_while_typing": done,
        "key_to_byte_idle_p95_ms": round(percentile(idle, 0.95), 1),
        "key_to_byte_busy_p95_ms": round(percentile(busy, 0.95), 1),
        "busy_times_idle": round(percentile(busy, 0.95) / percentile(idle, 0.95), 2),
        "longest_gap_of_the_loop_ms": round(max(gaps), 1),
    }


def waiting(folder: Path) -> int:
    """Images that a batch has not come to yet."""
    library = Library(folder / "library.sqlite3")
    counts = library.images.counts()
    library.close()
    return sum(counts.values()) - counts.get(ImageState.SUGGESTED, 0)


def percentile(values: list[float], share: float) -> float:
    """The smallest value that this share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main() -> None:
    """Prints all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accepts", type=int, default=100)
    parser.add_argument("--photographs", type=int, default=60)
    options = parser.parse_args()
    # As installed: the floor's own libraries are compiled, and an edited checkout may not be.
    compileall.compile_dir(CHECKOUT / "src", quiet=1)
    figures: dict[str, object] = {"cores": os.cpu_count()}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        make_library(Path(name) / "frames", 1000)
        figures |= first_frames(Path(name) / "frames")
        make_library(Path(name) / "accepts", options.accepts + 20)
        figures |= accepts(Path(name) / "accepts", options.accepts)
        figures |= under_load(Path(name) / "load", options.photographs)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
