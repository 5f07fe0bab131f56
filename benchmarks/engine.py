#!/usr/bin/env python3
"""What the unattended engine costs and how soon it hears; prints JSON.

* ``idle``: processor time of an open screen and its engine without work, as shares of a core.
* ``latency``: from a commit in one process until the other acts on it.
* ``jump``: from the cursor's jump to image 50,000 of a queue of 100,000 until its suggestion is
  there, in request times of a server whose request time is known.
* ``accepts``: suggestions a second of a batch, alone and while each is accepted as it comes.
* ``lag``: gaps of an open screen's event loop, 5 ms apart where nothing holds it up, idle and while
  a batch decodes photographs of a megapixel.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.attention import look_at
from imageworks.engine.client import EngineClient
from imageworks.engine.lease import is_engine_alive
from imageworks.models import ImageState
from imageworks.review.session import ReviewSession
from imageworks.store.library import Library
from imageworks.store.records import RunOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHECKOUT = Path(__file__).resolve().parents[1]
MODEL = "Qwen2.5-VL-7B-AWQ"
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
IDLE_S = 20.0
CHANGES = 20
JUMP_QUEUE = 100_000
JUMPS = (50_000, 75_000, 25_000, 99_000, 10_000)
LATENCY_S = 1.0
WAIT_S = 120.0
ACCEPTED_PHOTOS = 300
ACCEPTED_LATENCY_S = 0.2
LAG_S = 8.0
SCREEN_MODEL = "Test-VL"
LAG_SETTLE_S = 3.0
LAG_PHOTOS = 2000


def main() -> int:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["idle", "latency", "jump", "accepts", "lag"])
    parser.add_argument("--queue", type=int, default=JUMP_QUEUE, help="images in the queue")
    parser.add_argument("--seconds", type=float, default=IDLE_S, help="of idling")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        use_home(Path(folder) / "home")
        if options.only in {None, "idle"}:
            results["idle"] = measure_idle(Path(folder) / "idle", options.seconds)
        if options.only in {None, "latency"}:
            results["latency"] = measure_latency(Path(folder) / "latency")
        if options.only in {None, "jump"}:
            results["jump"] = measure_jump(Path(folder) / "jump", options.queue)
        if options.only in {None, "accepts"}:
            results["accepts"] = measure_accepts(Path(folder) / "accepts")
        if options.only in {None, "lag"}:
            results["lag"] = measure_lag(Path(folder) / "lag")
    print(json.dumps(results, indent=2))
    return 0


def use_home(home: Path) -> None:
    """Keeps settings, cache and logs of this machine out of it."""
    for name in ("DATA", "CACHE", "CONFIG", "STATE"):
        os.environ[f"XDG_{name}_HOME"] = str(home / name.lower())


def make_photos(folder: Path, count: int) -> list[Path]:
    """Small JPEGs, each with another picture."""
    from PIL import Image  # noqa: PLC0415  # only for what has pictures

    folder.mkdir(parents=True)
    paths = []
    for number in range(count):
        path = folder / f"photo-{number:06}.jpg"
        colour = (number % 256, number // 256 % 256, number // 65536 % 256)
        Image.new("RGB", (48, 32), colour).save(path)
        paths.append(path)
    return paths


class Screen:
    """The workstation in a terminal of its own that reads what it draws."""

    def __init__(self, words: list[str]) -> None:
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.execv(sys.executable, [sys.executable, "-m", "imageworks", *words])  # noqa: S606  # itself
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while os.read(self._master, 65536):
                pass

    def close(self) -> None:
        """Ends it as a closed terminal does."""
        os.kill(self.pid, signal.SIGHUP)
        os.waitpid(self.pid, 0)
        os.close(self._master)


def processor_s(pid: int) -> float:
    """Processor seconds of a process and its threads so far (proc(5), stat, fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def measure_idle(folder: Path, seconds: float) -> dict[str, float]:
    """Shares of a core."""
    make_photos(folder / "photos", 200)
    store = folder / "library.sqlite3"
    screen = Screen(["--store", str(store), "--images", "half", str(folder / "photos")])
    try:
        library = Library(store)
        wait_for(lambda: sum(library.images.counts().values()) == 200)
        wait_for(lambda: library.session.lease() is not None)
        time.sleep(5)
        lease = library.session.lease()
        if lease is None:
            message = "the engine is gone"
            raise RuntimeError(message)
        pids = {"screen": screen.pid, "engine": lease.pid}
        before = {name: processor_s(pid) for name, pid in pids.items()}
        time.sleep(seconds)
        shares = {n: (processor_s(pid) - before[n]) / seconds for n, pid in pids.items()}
        library.close()
    finally:
        screen.close()
    return {**shares, "together": sum(shares.values())}


def measure_latency(folder: Path) -> dict[str, float]:
    """Seconds from a pause's commit until the engine says that it has heard of it."""
    folder.mkdir(parents=True)
    library = Library(folder / "library.sqlite3")
    client = EngineClient(library, PersonalTaggerConfig(), folder / "engine.log")
    client.attach()
    client.ensure_running()
    wait_for(lambda: "idle" in client.view().activity)
    taken_s = []
    for number in range(CHANGES):
        time.sleep(0.3 + number * 0.013)
        started = time.monotonic()
        if number % 2:
            client.resume()
        else:
            client.pause()
        is_paused = number % 2 == 0
        wait_for(lambda wanted=is_paused: ("paused" in client.view().activity) == wanted)  # type: ignore[misc]  # a default of bool is inferred well enough
        taken_s.append(time.monotonic() - started)
    client.detach()
    wait_for(lambda: not is_engine_alive(library.path))
    library.close()
    return {"there_and_back_median_s": median(taken_s), "there_and_back_most_s": max(taken_s)}


@contextlib.contextmanager
def server(folder: Path, latency_s: float = LATENCY_S, model: str = MODEL) -> Iterator[str]:
    """A server that takes a known time for each request."""
    command = [sys.executable, "-m", "tests.support.openai_server", "--port", "0", "--model", model]
    command += ["--latency-ms", str(int(latency_s * 1000)), "--log", str(folder / "asked")]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  # itself
        try:
            assert process.stdout is not None  # noqa: S101  # asked for above
            yield process.stdout.readline().split()[1]
        finally:
            process.kill()


def batch_config(folder: Path, base_url: str, *, most_at_once: int) -> PersonalTaggerConfig:
    """Settings of a batch that leaves the deciding to a person."""
    return PersonalTaggerConfig(
        input_paths=(folder / "photos",),
        backend="openai",
        base_url=(base_url,),
        model=MODEL,
        caption_model=MODEL,
        keyword_model=MODEL,
        description_model=MODEL,
        review_later=True,
        max_workers=most_at_once,
        output_jsonl=folder / "results.jsonl",
        summary_path=folder / "summary.md",
        metrics_path=folder / "metrics.json",
    )


def measure_jump(folder: Path, queue: int) -> dict[str, Any]:
    """Request times from a jump until the suggestion is there."""
    make_photos(folder / "photos", queue)
    with server(folder) as base_url:
        library = Library(folder / "library.sqlite3")
        config = batch_config(folder, base_url, most_at_once=4)
        client = EngineClient(library, config, folder / "engine.log")
        client.attach()
        run = library.runs.create("batch", config.to_json(), options=RunOptions(is_background=True))
        client.ensure_running()
        wait_for(lambda: library.queue.count(run.id) > queue - 200)
        wait_for(lambda: library.images.counts().get(ImageState.SUGGESTED, 0) > 20)
        ids = library.images.ids()
        taken_s = [jump_s(library, ids, place * queue // JUMP_QUEUE) for place in JUMPS]
        client.stop_batch(run, is_now=True)
        wait_for(lambda: library.runs.get(run.id).status == "stopped")
        client.detach()
        wait_for(lambda: not is_engine_alive(library.path))
        library.close()
    times = [seconds / LATENCY_S for seconds in taken_s]
    return {"queue": queue, "request_times": times, "most": max(times)}


def jump_s(library: Library, ids: list[int], place: int) -> float:
    """Seconds until the image at a place has its suggestion."""
    started = time.monotonic()
    look_at(library, ids[place : place + 64])

    def has_suggestion() -> bool:
        row = library.images.get(ids[place])
        return row is not None and row.suggestion_id is not None

    wait_for(has_suggestion)
    return time.monotonic() - started


def measure_accepts(folder: Path) -> dict[str, float]:
    """Suggestions a second of a batch, without and with a person who accepts all of them."""
    alone = suggestions_per_s(folder / "alone", accepts=False)
    accepted = suggestions_per_s(folder / "accepted", accepts=True)
    return {"alone_per_s": alone, "accepted_per_s": accepted, "ratio": accepted / alone}


def suggestions_per_s(folder: Path, *, accepts: bool) -> float:
    """How fast a batch gets its suggestions while they are accepted and written, or not."""
    make_photos(folder / "photos", ACCEPTED_PHOTOS)
    with server(folder, ACCEPTED_LATENCY_S) as base_url:
        library = Library(folder / "library.sqlite3")
        config = batch_config(folder, base_url, most_at_once=8)
        client = EngineClient(library, config, folder / "engine.log")
        session = ReviewSession(library, config, undo_window_s=0)
        client.attach()
        client.start_batch(config, RunOptions())
        first_s = 0.0
        while True:
            ids = library.images.ids(states=[ImageState.SUGGESTED])
            asked = suggestion_count(library)
            first_s = first_s or (time.monotonic() if asked else 0.0)
            if asked == ACCEPTED_PHOTOS:
                break
            for image_id in ids if accepts else ():
                session.accept(image_id)
            time.sleep(0.02)
        taken_s = time.monotonic() - first_s
        client.detach()
        wait_for(lambda: not is_engine_alive(library.path))
        library.close()
    return (ACCEPTED_PHOTOS - 1) / taken_s


def suggestion_count(library: Library) -> int:
    """Suggestions in the library."""
    row = library.connection.execute("SELECT count(*) FROM suggestion").fetchone()
    return int(row[0])


def measure_lag(folder: Path) -> dict[str, float]:
    """The 99th percentile of the gaps of a screen's loop, in milliseconds."""
    idle = loop_gaps_ms(folder / "idle", is_busy=False)
    busy = loop_gaps_ms(folder / "busy", is_busy=True)
    p99 = {name: gaps[int(0.99 * len(gaps))] for name, gaps in (("idle", idle), ("busy", busy))}
    return {
        "idle_p99_ms": p99["idle"],
        "busy_p99_ms": p99["busy"],
        "busy_times_idle": p99["busy"] / p99["idle"],
        "busy_most_ms": busy[-1],
    }


def loop_gaps_ms(folder: Path, *, is_busy: bool) -> list[float]:
    """Gaps of the loop of a screen that nobody types at, shortest first, its start left out."""
    from PIL import Image  # noqa: PLC0415  # only for what has pictures
    from screen import open_screen  # type: ignore[import-not-found]  # noqa: PLC0415  # beside this one

    (folder / "photos").mkdir(parents=True)
    first = folder / "photos" / "00000.jpg"
    Image.effect_noise((1200, 800), 8).convert("RGB").save(first, quality=88)
    for number in range(1, LAG_PHOTOS):
        # Bytes behind the end mark: another picture to the program, the same work to decode.
        path = folder / "photos" / f"{number:05}.jpg"
        path.write_bytes(first.read_bytes() + b"%d" % number)
    with server(folder, ACCEPTED_LATENCY_S, SCREEN_MODEL) as base_url:
        terminal = open_screen(folder, base_url)
        try:
            terminal.wait_for(b"000")
            terminal.settle(1.0)
            if is_busy:
                terminal.type("b")
                time.sleep(0.5)
                terminal.type("\r")
            time.sleep(LAG_SETTLE_S)
            began_s = time.monotonic()
            time.sleep(LAG_S)
            ended_s = time.monotonic()
            if is_busy:
                check_is_under_way(folder)
                terminal.type("B")
                time.sleep(0.5)
            terminal.type("q")
            terminal.wait()
        finally:
            terminal.close()
    gaps = json.loads((folder / "gaps.json").read_text())
    return sorted(ms for at_s, ms in gaps if began_s < at_s < ended_s)


def check_is_under_way(folder: Path) -> None:
    """Makes sure that a batch has got suggestions and will get more.

    Raises:
        RuntimeError: It has not, or will not.
    """
    library = Library(folder / "library.sqlite3")
    suggested = library.images.counts().get(ImageState.SUGGESTED, 0)
    library.close()
    if not 0 < suggested < LAG_PHOTOS:
        message = f"no batch was under way: {suggested} of {LAG_PHOTOS} are suggested"
        raise RuntimeError(message)


def wait_for(is_true: Callable[[], bool]) -> None:
    """Returns when something is so.

    Raises:
        TimeoutError: It is not for too long.
    """
    deadline = time.monotonic() + WAIT_S
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.005)


if __name__ == "__main__":
    sys.exit(main())
