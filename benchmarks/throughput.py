#!/usr/bin/env python3
"""How busy each client keeps a model server, as shares of that server's own ideal; prints JSON.

The server is the emulator: it runs in a process of its own and computes offline the fastest that
its slots could have answered the same requests. All clients get the same marked files. Beside
`ptag run` there are a sequential client that asks three questions about each picture, and pools of
8 and of 32 that ask one.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TOOLS = Path(__file__).resolve().parents[2] / "shared" / "tools"
MODEL = "Qwen2.5-VL-7B-AWQ"
ONE_PROMPT = ("Answer in JSON: caption, keywords and description of this picture.",)
THREE_PROMPTS = (
    "Write a caption for this picture.",
    "List keywords for this picture.",
    "Describe this picture.",
)
PTAG = "ptag run"
POLL_S = 0.25
START_TIMEOUT_S = 20.0
PTAG_TIMEOUT_S = 900.0


@contextlib.contextmanager
def emulator(path: Path, folder: Path, *, slots: int, speed: float) -> Iterator[str]:
    """A fresh server's address; it ends with the block."""
    port_file = folder / f"port-{time.monotonic_ns()}"
    command = [sys.executable, str(path), "--preset", "ci", "--speed", str(speed), "--read-marker"]
    command += [
        "--allow-text",
        "--slots",
        str(slots),
        "--port",
        "0",
        "--port-file",
        str(port_file),
        "--quiet",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603  # our own tool
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (port_file.exists() and port_file.read_text().strip()):
            if process.poll() is not None or time.monotonic() > deadline:
                message = "the emulator did not start"
                raise SystemExit(message)
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port_file.read_text().strip()}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)


def make_files(tool: Path, folder: Path, count: int) -> None:
    """Marked one-megapixel JPEGs."""
    command = [sys.executable, str(tool), str(folder), str(count), "--mp", "1"]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # our own tool


async def ask_pool(url: str, files: Sequence[Path], prompts: Sequence[str], width: int) -> None:
    """Asks every prompt about every file, `width` files at a time."""
    waiting = iter(files)
    limits = httpx.Limits(max_connections=width, max_keepalive_connections=width)
    async with httpx.AsyncClient(limits=limits, timeout=120, trust_env=False) as client:

        async def work() -> None:
            for file in waiting:
                picture = base64.b64encode(file.read_bytes()).decode()
                for prompt in prompts:
                    body = chat_body(picture, prompt)
                    response = await client.post(f"{url}/v1/chat/completions", json=body)
                    response.raise_for_status()

        await asyncio.gather(*(work() for _ in range(width)))


def chat_body(picture: str, prompt: str) -> dict[str, Any]:
    """An OpenAI chat request about one picture."""
    image = {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{picture}"}}
    content = [image, {"type": "text", "text": prompt}]
    return {"model": MODEL, "max_tokens": 512, "messages": [{"role": "user", "content": content}]}


def run_ptag(url: str, photos: Path, folder: Path) -> list[int]:
    """Runs `ptag run` with a home of its own; the requests waiting in the server, sampled."""
    home = folder / "home"
    home.mkdir(parents=True)
    outputs = ["--output-jsonl", "results.jsonl", "--summary", "summary.md"]
    outputs += ["--metrics", "metrics.json", "--quiet"]
    command = [sys.executable, "-m", "imageworks", "run", str(photos), "--backend", "vllm"]
    command += ["--base-url", f"{url}/v1", "--model", MODEL, "--dry-run", *outputs]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "PTAG"))}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # our own program
            command, cwd=home, env={**kept, "HOME": str(home)}, stdout=log, stderr=log
        )
        waiting = []
        deadline = time.monotonic() + PTAG_TIMEOUT_S
        while process.poll() is None and time.monotonic() < deadline:
            stats = read_stats(url)
            if stats["running"] > 0:
                waiting.append(int(stats["waiting"]))
            time.sleep(POLL_S)
    if process.poll() is None:
        process.kill()
    if process.wait() != 0:
        raise SystemExit((folder / "log").read_text(errors="replace")[-2000:])
    return waiting


def answers_with_own_file(results: Path) -> Counter[str]:
    """How many captions name the number drawn in their own picture."""
    told: Counter[str] = Counter()
    for line in results.read_text().splitlines():
        record = json.loads(line)
        number = "".join(filter(str.isdigit, Path(record["image"]).stem))
        told["right" if f"frame {int(number):06d}" in json.dumps(record) else "wrong"] += 1
    return told


def read_stats(url: str) -> dict[str, Any]:
    """The emulator's report so far."""
    page: dict[str, Any] = httpx.get(f"{url}/stats", timeout=30, trust_env=False).json()
    return page


def shares(stats: dict[str, Any], wall_s: float, images: int) -> dict[str, Any]:
    """One client's figures; 1.0 is as fast as the server's slots allow."""
    return {
        "of_ideal": stats["ratio"],
        "of_ideal_by_wall": round(stats["ideal_s"] / wall_s, 3),
        "ideal_s": stats["ideal_s"],
        "images_per_s": round(images / stats["elapsed_s"], 3),
        "starved": stats["starved"],
        "max_inflight": stats["max_inflight"],
        "problems": stats["problems"],
    }


def measure_ptag(url: str, photos: Path, folder: Path, count: int) -> dict[str, Any]:
    """The figures of `ptag run`, with what waited in the server and whose answers came home."""
    started = time.perf_counter()
    waiting = run_ptag(url, photos, folder)
    wall_s = time.perf_counter() - started
    told = answers_with_own_file(folder / "home" / "results.jsonl")
    return {
        **shares(read_stats(url), wall_s, count),
        "waiting_median": median(waiting or [0]),
        "answers_with_own_file": told["right"],
    }


def measure_pool(
    url: str, files: Sequence[Path], prompts: Sequence[str], width: int
) -> dict[str, Any]:
    """The figures of a pool of requests."""
    started = time.perf_counter()
    asyncio.run(ask_pool(url, files, prompts, width))
    return shares(read_stats(url), time.perf_counter() - started, len(files))


def measure_slots(options: argparse.Namespace, slots: int, folder: Path) -> dict[str, Any]:
    """Every client's figures on servers with so many slots."""
    photos = folder / "photos"
    files = sorted(photos.rglob("*.jpg"))
    pools = {
        "sequential three calls": (THREE_PROMPTS, 1),
        "pool of 8": (ONE_PROMPT, 8),
        "pool of 32": (ONE_PROMPT, 32),
    }
    figures: dict[str, Any] = {}
    for client in options.only or [PTAG, *pools]:
        with emulator(options.emulator, folder, slots=slots, speed=options.speed) as url:
            if client == PTAG:
                figures[client] = measure_ptag(url, photos, folder / f"ptag-{slots}", len(files))
            else:
                figures[client] = measure_pool(url, files, *pools[client])
    if PTAG in figures and "sequential three calls" in figures:
        slow = figures["sequential three calls"]["images_per_s"]
        figures["times the sequential client"] = round(figures[PTAG]["images_per_s"] / slow, 2)
    return figures


def main() -> None:
    """Prints, for each number of slots, each client's share of the ideal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--emulator", type=Path, default=TOOLS / "vlm_emulator.py")
    parser.add_argument("--corpus-tool", type=Path, default=TOOLS / "make_corpus.py")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--slots", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--speed", type=float, default=3.0)
    parser.add_argument("--only", nargs="+", help="clients to run; all when left out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="throughput-") as name:
        folder = Path(name)
        make_files(options.corpus_tool, folder / "photos", options.images)
        figures = {slots: measure_slots(options, slots, folder) for slots in options.slots}
    print(json.dumps({"images": options.images, "speed": options.speed, "slots": figures}))


if __name__ == "__main__":
    main()
