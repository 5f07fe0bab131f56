#!/usr/bin/env python3
"""What a photograph costs the client beside the bare work, and whether memory grows; prints JSON.

The bare work decodes a 24-megapixel JPEG at the exact draft, reduces and encodes it, and posts it
as base64 with a minimal httpx loop, in as many processes as there are processors: two that share a
core are slower than one alone. `ptag run` does the same and keeps the library, reads metadata
and follows the server. Both are taken per photograph in the same run: the difference between a
short and a long run, so that starting counts for neither. Memory is that of `ptag run` with all its
processes, on one-megapixel files.

``cost_ratio`` is to stay at or below 1.15, ``prepare_bound_ratio`` at or above 0.85 and
``memory_ratio`` within 0.1 of 1. ``prepare_bound_ratio`` leaves out what other programs took of the
processors, the server among them.
"""

from __future__ import annotations

import argparse
import base64
import concurrent.futures
import contextlib
import io
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from PIL import Image

from imageworks.models import ImageFormat
from imageworks.prepare.budget import PixelBudget, target_size
from imageworks.prepare.cache import PreviewCache
from imageworks.prepare.picture import prepare_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

EMULATOR = Path(__file__).resolve().parents[2] / "shared" / "tools" / "vlm_emulator.py"
MODEL = "Qwen2.5-VL-7B-AWQ"
LARGE_PX = (6000, 4000)
SMALL_PX = (1224, 816)
POLL_S = 0.1
START_TIMEOUT_S = 20.0
RUN_TIMEOUT_S = 1200.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Spent:
    """What one run took.

    Attributes:
        cpu_s: Processor time of the program and all its processes.
        wall_s: By the clock.
        others_cpu_s: Processor time that everything else on the machine took meanwhile.
        peak_bytes: Most memory at once, all its processes together.
    """

    cpu_s: float
    wall_s: float
    others_cpu_s: float
    peak_bytes: int


def make_photograph(size_px: tuple[int, int]) -> bytes:
    """A JPEG of smooth light with grain, about as hard to decode as a camera's."""
    light = Image.radial_gradient("L").resize(size_px, Image.Resampling.BICUBIC)
    slope = Image.linear_gradient("L").resize(size_px, Image.Resampling.BICUBIC)
    grain = Image.effect_noise(size_px, 22)
    bands = (Image.blend(light, grain, 0.35), Image.blend(slope, grain, 0.35), grain)
    buffer = io.BytesIO()
    Image.merge("RGB", bands).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def write_copies(photograph: bytes, folder: Path, count: int) -> None:
    """So many files, each a picture of its own: a few bits near the end of the scan differ."""
    folder.mkdir(parents=True)
    places = range(len(photograph) - 9000, len(photograph) - 1000, 7)
    plain = [at for at in places if 0xFF not in photograph[at - 1 : at + 2]]
    for number in range(count):
        content = bytearray(photograph)
        for place, at in enumerate(plain[:16]):
            content[at] ^= number >> place & 1
        (folder / f"photo-{number:05d}.jpg").write_bytes(content)


@contextlib.contextmanager
def emulator(folder: Path, *, slots: int, speed: float) -> Iterator[str]:
    """A fast server's address; it ends with the block."""
    port_file = folder / f"port-{time.monotonic_ns()}"
    command = [sys.executable, str(EMULATOR), "--preset", "ci", "--speed", str(speed)]
    command += ["--slots", str(slots), "--port", "0", "--port-file", str(port_file)]
    command += ["--allow-text", "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603  # our own tool
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (port_file.exists() and port_file.read_text().strip()):
            if process.poll() is not None or time.monotonic() > deadline:
                message = "the emulator did not start"
                raise SystemExit(message)
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port_file.read_text().strip()}/v1"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)


def bare_work(files: Sequence[Path], url: str) -> float:
    """Processor seconds of the bare work on these files."""
    budget = PixelBudget()
    with httpx.Client(timeout=120, trust_env=False) as client:
        started = time.process_time()
        for file in files:
            with Image.open(file) as image:
                target = target_size(*image.size, budget)
                image.draft("RGB", target)
                small = image.resize(target)
            buffer = io.BytesIO()
            small.save(buffer, "JPEG", quality=budget.jpeg_quality)
            picture = base64.b64encode(buffer.getvalue()).decode()
            client.post(url, json=_body(picture)).raise_for_status()
        return time.process_time() - started


def _body(picture: str) -> dict[str, Any]:
    image = {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{picture}"}}
    text = {"type": "text", "text": "Answer in JSON: caption, keywords and description."}
    return {
        "model": MODEL,
        "max_tokens": 512,
        "messages": [{"role": "user", "content": [image, text]}],
    }


def run_ptag(photos: Path, url: str, folder: Path) -> Spent:
    """Runs `ptag run` with a home of its own."""
    home = folder / f"home-{time.monotonic_ns()}"
    home.mkdir()
    command = [sys.executable, "-m", "imageworks", "run", str(photos), "--backend", "vllm"]
    command += ["--base-url", url, "--model", MODEL, "--review-later", "--quiet"]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "PTAG"))}
    busy_before, started, peak_bytes = _busy_s(), time.monotonic(), 0
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # our own program
            command, cwd=home, env={**kept, "HOME": str(home)}, stdout=log, stderr=log
        )
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            peak_bytes = max(peak_bytes, _memory_bytes(process.pid))
            if time.monotonic() - started > RUN_TIMEOUT_S:
                process.kill()
            time.sleep(POLL_S)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit((home / "log").read_text(errors="replace")[-2000:])
    cpu_s = usage.ru_utime + usage.ru_stime
    shutil.rmtree(home)
    return Spent(cpu_s, time.monotonic() - started, _busy_s() - busy_before - cpu_s, peak_bytes)


def _busy_s() -> float:
    """Processor seconds that the machine has spent on any work (proc_pid_stat(5), /proc/stat)."""
    fields = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / _TICKS_PER_S


def _memory_bytes(root: int) -> int:
    """Proportional memory of a process and all below it; 0 for those that have just ended."""
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        try:
            tasks = list(Path(f"/proc/{pid}/task").iterdir())
            for task in tasks:
                waiting += map(int, (task / "children").read_text().split())
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return total


def measure_cost(folder: Path, few: int, many: int) -> dict[str, Any]:
    """The cost of a 24-megapixel photograph, and how well the processors were used."""
    photograph = make_photograph(LARGE_PX)
    write_copies(photograph, folder / "few", few)
    write_copies(photograph, folder / "many", many)
    with emulator(folder, slots=16, speed=200) as url:
        short, long = (run_ptag(folder / name, url, folder) for name in ("few", "many"))
        files = sorted((folder / "many").iterdir())[: 2 * few]
        bare_ms = on_all_cores(bare_work, files, f"{url}/chat/completions") * 1000
    prepare_ms = on_all_cores(prepare_alone, files, str(folder / "cache")) * 1000
    cores, images = len(os.sched_getaffinity(0)), many - few
    ours_ms = (long.cpu_s - short.cpu_s) / images * 1000
    wall_s = long.wall_s - short.wall_s
    free_s = cores * wall_s - (long.others_cpu_s - short.others_cpu_s)
    return {
        "cost_ratio": round(ours_ms / bare_ms, 3),
        "ours_cpu_ms": round(ours_ms, 1),
        "bare_cpu_ms": round(bare_ms, 1),
        "prepare_cpu_ms": round(prepare_ms, 1),
        "images_per_s": round(images / wall_s, 2),
        "prepare_bound_ratio": round(images * prepare_ms / 1000 / free_s, 3),
        "prepare_bound_ratio_by_wall": round(images * prepare_ms / 1000 / (cores * wall_s), 3),
    }


def on_all_cores(
    work: Callable[[Sequence[Path], str], float], files: Sequence[Path], where: str
) -> float:
    """Processor seconds per file when every processor is at it; the median of three rounds."""
    cores = len(os.sched_getaffinity(0))
    shares = [files[first::cores] for first in range(cores)]
    with concurrent.futures.ProcessPoolExecutor(cores) as pool:
        rounds = [
            sum(pool.map(work, shares, [f"{where}{end}"] * cores)) for end in ("", "?2", "?3")
        ]
    return statistics.median(rounds) / len(files)


def prepare_alone(files: Sequence[Path], cache_folder: str) -> float:
    """Processor seconds of this program's preparation of these files."""
    cache = PreviewCache(Path(cache_folder), 10**9)
    started = time.process_time()
    for file in files:
        prepare_image(file, ImageFormat.JPEG, cache, PixelBudget())
    return time.process_time() - started


def measure_memory(folder: Path, few: int, many: int) -> dict[str, Any]:
    """Peak memory with few and with many photographs."""
    photograph = make_photograph(SMALL_PX)
    write_copies(photograph, folder / "small-few", few)
    write_copies(photograph, folder / "small-many", many)
    with emulator(folder, slots=16, speed=100) as url:
        short, long = (run_ptag(folder / name, url, folder) for name in ("small-few", "small-many"))
    return {
        "memory_ratio": round(long.peak_bytes / short.peak_bytes, 3),
        "memory_few_mb": round(short.peak_bytes / 1e6, 1),
        "memory_many_mb": round(long.peak_bytes / 1e6, 1),
        "images_few": few,
        "images_many": many,
        "small_ours_cpu_ms": round((long.cpu_s - short.cpu_s) / (many - few) * 1000, 2),
        "small_images_per_s": round((many - few) / (long.wall_s - short.wall_s), 1),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, nargs=2, default=[16, 80], metavar=("FEW", "MANY"))
    parser.add_argument("--memory", type=int, nargs=2, default=[100, 1000], metavar=("FEW", "MANY"))
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory")
    parser.add_argument("--no-cost", action="store_true", help="leave out the cost")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="client-cost-") as name:
        folder = Path(name)
        cost = {} if options.no_cost else measure_cost(folder, *options.images)
        memory = {} if options.no_memory else measure_memory(folder, *options.memory)
    print(json.dumps({**cost, **memory}))


if __name__ == "__main__":
    main()
