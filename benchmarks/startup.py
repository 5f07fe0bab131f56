#!/usr/bin/env python3
"""How long `ptag` takes to answer, as ratios against floors of the same run; prints JSON."""

from __future__ import annotations

import compileall
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 9
COMMANDS = {
    "python": ["-c", "pass"],
    "import typer": ["-c", "import typer"],
    "ptag --version": ["-m", "imageworks", "--version"],
    "ptag --help": ["-m", "imageworks", "--help"],
    "ptag status": ["-m", "imageworks", "status", "--store", "/nonexistent/library.sqlite3"],
}


def measure() -> dict[str, float]:
    """Median seconds of each command, taken in turns so that a busy moment hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, words in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *words], capture_output=True, check=True)  # noqa: S603  # our own
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Prints medians and ratios."""
    # As installed: the floor's own libraries are compiled, and an edited checkout may not be.
    compileall.compile_dir(Path(__file__).resolve().parents[1] / "src", quiet=1)
    medians = measure()
    ratios = {
        f"{name} / import typer": round(medians[name] / medians["import typer"], 3)
        for name in COMMANDS
        if name.startswith("ptag")
    }
    print(json.dumps({"median_s": {k: round(v, 4) for k, v in medians.items()}, "ratio": ratios}))


if __name__ == "__main__":
    main()
