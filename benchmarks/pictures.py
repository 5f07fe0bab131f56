#!/usr/bin/env python3
"""What pictures cost on a terminal's line, in bytes and in milliseconds; prints JSON.

The real pane in a real app on a pseudo terminal; photographs of 24 megapixels that were never
prepared, and a line that is fast or takes 1 Mbit/s whatever the system would buffer.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from tests.support.fake_terminal import (  # noqa: E402  # found through the line above
    CURSOR_POSITION,
    KITTY_ANSWERS,
    SIXEL_ANSWERS,
    FakeTerminal,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

SLOW_BYTES_PER_S = 125_000
ROUNDS = 8
DIFFERENT = 5
ECHOES = 14
ANSWERS = {"kitty": KITTY_ANSWERS, "sixel": SIXEL_ANSWERS, "half": (CURSOR_POSITION,)}


def make_photographs(folder: Path, count: int) -> list[Path]:
    """Photographs of 24 megapixels with noise as from a sensor."""
    paths = []
    noise = Image.effect_noise((1500, 1000), 50).convert("RGB").resize((6000, 4000))
    for number in range(count):
        if number >= DIFFERENT:
            paths.append(folder / f"photograph-{number}.jpg")
            paths[-1].hardlink_to(paths[number % DIFFERENT])
            continue
        tint = Image.new("RGB", noise.size, (number * 40 % 255, number * 90 % 255, 120))
        path = folder / f"photograph-{number}.jpg"
        Image.blend(noise, tint, 0.4).save(path, quality=88)
        paths.append(path)
    return paths


def open_pane(images: str, paths: Sequence[Path], rate: float | None = None) -> FakeTerminal:
    """The pane on a terminal that knows these pictures."""
    words = [sys.executable, "-m", "tests.support.picture_app"]
    words += ["auto" if images in {"kitty", "sixel"} else images, *map(str, paths)]
    return FakeTerminal(
        words,
        answers=ANSWERS[images],
        rate_bytes_per_s=rate,
        environment={"PYTHONPATH": f"{CHECKOUT / 'src'}:{CHECKOUT}"},
    )


def picture_times(paths: Sequence[Path]) -> dict[str, float]:
    """Milliseconds from a key to the last byte of the next picture."""
    figures: dict[str, float] = {}
    terminal = open_pane("half", paths)
    try:
        terminal.wait_for("▀".encode())
        terminal.settle(0.6)
        for name, key in (("cold", "J"), ("prefetched", "j")):
            taken_s = []
            for _ in range(ROUNDS):
                begin = len(terminal.arrived)
                pressed_s = terminal.type(key)
                terminal.wait_for("▀".encode(), begin)
                taken_s.append(terminal.settle(0.6) - pressed_s)
            figures[f"next_picture_{name}_ms"] = round(statistics.median(taken_s) * 1000, 1)
            figures[f"next_picture_{name}_worst_ms"] = round(max(taken_s) * 1000, 1)
    finally:
        terminal.close()
    return figures


def half_block_bytes(folder: Path, paths: Sequence[Path]) -> dict[str, int]:
    """Bytes of one change of a picture that fills 40 by 20 cells."""
    squares = []
    for path in paths[:2]:
        with Image.open(path) as picture:
            square = folder / f"square-{path.name}"
            picture.crop((0, 0, 4000, 4000)).save(square, quality=88)
            squares.append(square)
    terminal = open_pane("half", squares)
    try:
        terminal.wait_for("▀".encode())
        terminal.settle(0.6)
        begin = len(terminal.arrived)
        terminal.type("j")
        terminal.wait_for("▀".encode(), begin)
        terminal.settle(0.6)
        sent = terminal.arrived[begin:]
    finally:
        terminal.close()
    return {
        "half_blocks_40x20_bytes": len(sent),
        "half_blocks_40x20_zlib6_bytes": len(zlib.compress(sent, 6)),
    }


def echo_delay(images: str, paths: Sequence[Path]) -> dict[str, float]:
    """Milliseconds that a key's echo takes at 1 Mbit/s while pictures change."""
    terminal = open_pane(images, paths, SLOW_BYTES_PER_S)
    taken_s: list[float] = []
    try:
        terminal.wait_for(b"ready")
        terminal.settle(0.6)
        for _ in range(ROUNDS // 2):
            terminal.type("j")
            for _ in range(ECHOES):
                time.sleep(0.03)
                begin = len(terminal.arrived)
                pressed_s = terminal.type("e")
                echo = f"echo {len(taken_s) + 1}.".encode()
                taken_s.append(terminal.wait_for(echo, begin) - pressed_s)
            terminal.settle(0.4)
    finally:
        terminal.close()
    return {
        f"echo_at_1_mbit_{images}_p50_ms": round(statistics.median(taken_s) * 1000, 1),
        f"echo_at_1_mbit_{images}_worst_ms": round(max(taken_s) * 1000, 1),
    }


def start_up(paths: Sequence[Path]) -> dict[str, float]:
    """Milliseconds until the first text, with a terminal that answers and one that does not."""
    taken_s: dict[str, list[float]] = {"answering": [], "silent": []}
    for _ in range(4):
        for name, answers in (("answering", KITTY_ANSWERS), ("silent", ())):
            words = [sys.executable, "-m", "tests.support.picture_app", "auto", *map(str, paths)]
            environment = {"PYTHONPATH": f"{CHECKOUT / 'src'}:{CHECKOUT}"}
            terminal = FakeTerminal(words, answers=answers, environment=environment)
            try:
                taken_s[name].append(terminal.wait_for(b"ready") - terminal.started_s)
            finally:
                terminal.close()
    figures = {name: round(statistics.median(times) * 1000, 1) for name, times in taken_s.items()}
    return {
        "first_text_answering_ms": figures["answering"],
        "first_text_silent_ms": figures["silent"],
        "silent_costs_ms": round(figures["silent"] - figures["answering"], 1),
    }


def main() -> None:
    """Prints all figures."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = make_photographs(folder, 100)
        figures |= half_block_bytes(folder, paths)
        figures |= picture_times(paths)
        for images in ("half", "kitty", "sixel"):
            figures |= echo_delay(images, paths)
        figures |= start_up(paths)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
