#!/usr/bin/env python3
"""The review list over a thousand and over a million images, in a real terminal; prints JSON.

Start-up is from the start of the process to the first frame with the first image's name; then the
cursor goes down, and each key is timed to the first byte that comes back and its bytes counted. A
bare Textual app that shows a number does the same in the same run, as the floor.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import fcntl
import json
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

SIZES = {"thousand": 1_000, "million": 1_000_000}
ROUNDS = 5
KEYS = 60
FIRST = b"img_0000000"
_WAIT_S = 60.0
_QUIET_S = 0.06
_COLUMNS, _LINES = 120, 36


def build(path: Path, count: int) -> None:
    """A library of so many images in folders of a thousand, the first of them with suggestions."""
    from imageworks.models import Keyword, Suggestion, Tags  # noqa: PLC0415
    from imageworks.store.library import Library  # noqa: PLC0415
    from imageworks.store.records import NewSuggestion  # noqa: PLC0415

    library = Library(path)
    run = library.runs.create("batch", "{}")
    with library.transaction() as connection:
        for number in range(0, count, 1000):
            connection.execute(
                "INSERT INTO folder(id, path) VALUES (?, ?)",
                (number // 1000 + 1, b"/photos/%04d" % (number // 1000)),
            )
            connection.executemany(
                "INSERT INTO image(folder_id, name, format, size, mtime_ns, inode, state_at)"
                " VALUES (?, ?, 'jpeg', 8000000, 1, 1, 1)",
                ((number // 1000 + 1, b"img_%07d.jpg" % (number + i)) for i in range(1000)),
            )
            library.folders.count_new(connection, number // 1000 + 1, 1000)
        tags = Tags("A red boat lies on the beach", (Keyword("boat"), Keyword("beach")), "A boat.")
        for image_id in range(1, 1001):
            library.suggestions.record(
                image_id,
                run.id,
                NewSuggestion(Suggestion(tags), f"c{image_id}", "f", "builtin", "", {}, "default"),
            )
    library.close()


def show(path: Path) -> None:
    """The workstation over a library; for the child process."""
    from imageworks.config import PersonalTaggerConfig  # noqa: PLC0415
    from imageworks.engine.client import EngineClient  # noqa: PLC0415
    from imageworks.review.session import ReviewSession  # noqa: PLC0415
    from imageworks.store.library import Library  # noqa: PLC0415
    from imageworks.tui.workstation import Workstation  # noqa: PLC0415

    library = Library(path)
    config = PersonalTaggerConfig()
    app = Workstation(
        library=library,
        session=ReviewSession(library, config),
        config=config,
        client=EngineClient(library, config, path.with_suffix(".log")),
        log_path=path.with_suffix(".log"),
        themes_dir=path.parent / "themes",
    )
    app.run()


def show_bare() -> None:
    """A Textual app with one number; for the child process."""
    from textual.app import App, ComposeResult  # noqa: PLC0415
    from textual.widgets import Static  # noqa: PLC0415

    class Bare(App[None]):
        BINDINGS = [("j", "count", "count"), ("q", "quit", "quit")]  # noqa: RUF012  # Textual's own type
        count = 0

        def compose(self) -> ComposeResult:
            yield Static(FIRST.decode())

        def action_count(self) -> None:
            self.count += 1
            self.query_one(Static).update(f"{FIRST.decode()} {self.count}")

    Bare().run()


class Terminal:
    """A program in a terminal of its own that answers no query."""

    def __init__(self, arguments: list[str]) -> None:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"}
        for name in ("NO_COLOR", "TMUX", "COLUMNS", "LINES", "SSH_CONNECTION"):
            environment.pop(name, None)
        self._started_s = time.perf_counter()
        self.process = subprocess.Popen(  # noqa: S603  # this same file
            [sys.executable, __file__, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        self._master = master

    def read(self, timeout_s: float) -> bytes:
        """What comes within a time; empty when nothing does."""
        if not select.select([self._master], [], [], timeout_s)[0]:
            return b""
        return os.read(self._master, 65536)

    def wait_for(self, text: bytes) -> float:
        """Seconds from the start until a text has come."""
        seen, end_s = b"", time.perf_counter() + _WAIT_S
        while text not in seen:
            if time.perf_counter() > end_s:
                message = f"{text!r} did not come: {seen[-500:]!r}"
                raise TimeoutError(message)
            seen = seen[-4096:] + self.read(1.0)
        return time.perf_counter() - self._started_s

    def drain(self, quiet_s: float) -> int:
        """Reads until nothing has come for a while; how many bytes came."""
        count = 0
        while chunk := self.read(quiet_s):
            count += len(chunk)
        return count

    def press(self, key: bytes) -> tuple[float, int]:
        """Seconds from a key to the first byte that comes back, and the bytes in all."""
        started_s = time.perf_counter()
        os.write(self._master, key)
        first = self.read(5.0)
        answered_s = time.perf_counter() - started_s
        return answered_s, len(first) + self.drain(_QUIET_S)

    def resident_bytes(self) -> int:
        """The program's resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def close(self) -> None:
        """Ends the program."""
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            os.close(self._master)


def measure(paths: dict[str, Path]) -> dict[str, object]:
    """All programs in turns, so that a busy moment hits all alike."""
    starts: dict[str, list[float]] = {name: [] for name in (*paths, "bare")}
    keys: dict[str, list[tuple[float, int]]] = {name: [] for name in starts}
    resident: dict[str, int] = {}
    for _ in range(ROUNDS):
        for name, times in starts.items():
            terminal = Terminal(["--bare"] if name == "bare" else ["--show", str(paths[name])])
            times.append(terminal.wait_for(FIRST))
            terminal.drain(1.5)  # the list is complete, and the picture drawn
            keys[name] += [terminal.press(b"j") for _ in range(KEYS // ROUNDS)]
            resident[name] = terminal.resident_bytes()
            terminal.close()
    start_s = {name: statistics.median(values) for name, values in starts.items()}
    key_s = {name: statistics.median(v[0] for v in values) for name, values in keys.items()}
    sizes = {name: statistics.median(v[1] for v in values) for name, values in keys.items()}
    figures = {
        "start_ratio_million_to_thousand": round(start_s["million"] / start_s["thousand"], 3),
        "resident_more_mb": round((resident["million"] - resident["thousand"]) / 1e6, 1),
        "cursor_step_bytes": sizes["million"],
        "key_ratio_to_bare": round(key_s["million"] / key_s["bare"], 3),
    }
    limits = {
        "start_ratio_million_to_thousand": 1.3,
        "resident_more_mb": 60,
        "cursor_step_bytes": 1024,
        "key_ratio_to_bare": 1.5,
    }
    return {
        "start_s": {name: round(value, 4) for name, value in start_s.items()},
        "key_to_byte_ms": {name: round(value * 1000, 2) for name, value in key_s.items()},
        "step_bytes": sizes,
        "resident_mb": {name: round(value / 1e6, 1) for name, value in resident.items()},
        "figures": figures,
        "is_met": {name: figures[name] <= limit for name, limit in limits.items()},
    }


def main() -> None:
    """Builds the libraries, measures, prints; or is one of the programs measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        show_bare()
    elif options.show:
        show(options.show)
    else:
        # As installed: the floor's own libraries are compiled, and an edited checkout may not be.
        compileall.compile_dir(Path(__file__).resolve().parents[1] / "src", quiet=1)
        with tempfile.TemporaryDirectory(prefix="ptag-list-") as folder:
            paths = {name: Path(folder) / f"{name}.sqlite3" for name in SIZES}
            for name, count in SIZES.items():
                build(paths[name], count)
            print(json.dumps(measure(paths)))


if __name__ == "__main__":
    main()
