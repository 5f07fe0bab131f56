#!/usr/bin/env python3
"""How busy each client keeps a model server, as shares of that server's own ideal; prints JSON.

The server is the emulator: it runs in a process of its own and computes offline the fastest that
its slots could have answered the same requests. All clients get the same marked files. Beside
`ptag run` there are a sequential client that asks three questions about each picture, and pools of
8 and of 32 that ask one. After that `ptag run` alone meets a server in trouble, and a person asks
about single pictures while a batch runs.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import itertools
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

from imageworks.config import PersonalTaggerConfig
from imageworks.infer.chat import ChatEngine
from imageworks.infer.profiles import ProfileBook
from imageworks.stages import InferenceRequest

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
TROUBLES: dict[str, tuple[tuple[str, ...], float]] = {
    "faults": (("429=0.05", "500=0.03", "garbage=0.07", "reset=0.02", "slow=0.01"), 0.0),
    "hangs": (("hang=0.02",), 0.0),
    "outage": ((), 4.0),
}
TROUBLE_SLOTS = 16
OUTAGE_AFTER_IMAGES = 60
PERSONS_REQUESTS = 20
PERSONS_PAUSE_S = 0.7
WARM_UP_S = 4.0
JPEG_END = b"\xff\xd9"
POLL_S = 0.25
START_TIMEOUT_S = 20.0
PTAG_TIMEOUT_S = 900.0


@contextlib.contextmanager
def emulator(
    path: Path, folder: Path, *, slots: int, speed: float, faults: Sequence[str] = ()
) -> Iterator[str]:
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
        *(part for fault in faults for part in ("--fault", fault)),
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


def run_ptag(url: str, photos: Path, folder: Path, *, outage_s: float = 0.0) -> list[int]:
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
            try:
                stats = read_stats(url)
            except httpx.TransportError:
                time.sleep(POLL_S)
                continue
            if outage_s and stats["useful"] >= OUTAGE_AFTER_IMAGES:
                httpx.post(f"{url}/control", json={"outage_s": outage_s}, trust_env=False)
                outage_s = 0.0
            if stats["running"] > 0:
                waiting.append(int(stats["waiting"]))
            time.sleep(POLL_S)
    if process.poll() is None:
        process.kill()
    if process.wait() not in (0, 1):
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
        "duplicates": stats["duplicate_successes"],
    }


def measure_ptag(
    url: str, photos: Path, folder: Path, count: int, *, outage_s: float = 0.0
) -> dict[str, Any]:
    """The figures of `ptag run`, with what waited in the server and whose answers came home."""
    started = time.perf_counter()
    waiting = run_ptag(url, photos, folder, outage_s=outage_s)
    wall_s = time.perf_counter() - started
    told = answers_with_own_file(folder / "home" / "results.jsonl")
    stats = read_stats(url)
    return {
        **shares(stats, wall_s, count),
        "of_ideal_with_faults": stats["ratio_with_faults"],
        "elapsed_s": stats["elapsed_s"],
        "counters": stats["counters"],
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


def measure_troubles(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The figures of `ptag run` on a server in trouble."""
    photos = folder / "photos"
    count = sum(1 for _ in photos.rglob("*.jpg"))
    figures: dict[str, Any] = {}
    for name in options.troubles:
        faults, outage_s = TROUBLES[name]
        with emulator(
            options.emulator, folder, slots=TROUBLE_SLOTS, speed=options.speed, faults=faults
        ) as url:
            figures[name] = measure_ptag(url, photos, folder / name, count, outage_s=outage_s)
    return figures


async def ask_beside_a_batch(url: str, files: Sequence[Path]) -> dict[str, float]:
    """Seconds of a person's requests on an idle server, and while a batch keeps it busy."""
    config = PersonalTaggerConfig(backend="vllm", base_url=(f"{url}/v1",))
    engine = ChatEngine(config, ProfileBook().get("default"))
    pictures = [file.read_bytes() for file in files]

    def request(number: int, *, is_interactive: bool) -> InferenceRequest:
        # Bytes after the end of a JPEG are ignored; each request is about a picture of its own.
        jpeg = pictures[number % len(pictures)] + number.to_bytes(4, "big") + JPEG_END
        return InferenceRequest(files[0], jpeg, is_interactive=is_interactive)

    async def person(first: int) -> list[float]:
        durations_s = []
        for number in range(first, first + PERSONS_REQUESTS):
            started = time.perf_counter()
            await engine.infer(request(number, is_interactive=True))
            durations_s.append(time.perf_counter() - started)
            await asyncio.sleep(PERSONS_PAUSE_S)
        return sorted(durations_s)

    async def batch() -> None:
        while True:
            await engine.infer(request(next(numbers), is_interactive=False))

    numbers = itertools.count(1000)
    await engine.preflight()
    idle = await person(0)
    tasks = [
        asyncio.create_task(engine.watch()),
        *(asyncio.create_task(batch()) for _ in range(16)),
    ]
    await asyncio.sleep(WARM_UP_S)
    busy = await person(PERSONS_REQUESTS)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await engine.aclose()
    p95 = int(0.95 * (PERSONS_REQUESTS - 1))
    return {
        "idle_p95_s": round(idle[p95], 3),
        "busy_p95_s": round(busy[p95], 3),
        "busy_median_s": round(median(busy), 3),
        "busy_over_idle_p95": round(busy[p95] / idle[p95], 2),
    }


def measure_person(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """What a person waits beside a batch on four slots."""
    files = sorted((folder / "photos").rglob("*.jpg"))[:40]
    with emulator(options.emulator, folder, slots=4, speed=options.speed) as url:
        return asyncio.run(ask_beside_a_batch(url, files))


def main() -> None:
    """Prints, for each number of slots, each client's share of the ideal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--emulator", type=Path, default=TOOLS / "vlm_emulator.py")
    parser.add_argument("--corpus-tool", type=Path, default=TOOLS / "make_corpus.py")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--slots", type=int, nargs="*", default=[4, 16, 64])
    parser.add_argument("--troubles", nargs="*", choices=TROUBLES, default=list(TROUBLES))
    parser.add_argument("--no-person", action="store_true", help="leave out the person's requests")
    parser.add_argument("--speed", type=float, default=3.0)
    parser.add_argument("--only", nargs="+", help="clients to run; all when left out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="throughput-") as name:
        folder = Path(name)
        make_files(options.corpus_tool, folder / "photos", options.images)
        figures = {slots: measure_slots(options, slots, folder) for slots in options.slots}
        troubles = measure_troubles(options, folder)
        person = {} if options.no_person else measure_person(options, folder)
    result = {"images": options.images, "speed": options.speed, "slots": figures}
    print(json.dumps({**result, "troubles": troubles, "person": person}))


if __name__ == "__main__":
    main()
