"""What a scan of folders into the library costs, beside a bare walk that only looks at each file.

The yardstick is `os.scandir` with a `stat` of each file whose name is an image's. A first scan is
most often of files that nothing has looked at since the machine was started, so both are measured
with the kernel's caches dropped, which needs root; and once more with the caches warm. Prints one
JSON object; times are medians in milliseconds. Takes about 30 seconds.

    python benchmarks/scan.py [--files 100000] [--rounds 3] [--folder DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.scanning import LibraryScan, walked
from imageworks.store.library import Library

MOST_TIMES_BARE = 1.6
MOST_FIRST_SHARE = 0.02
MOST_RESCAN_SHARE = 0.02
_FILES_A_FOLDER = 250
_DROP_CACHES = Path("/proc/sys/vm/drop_caches")


def make_tree(root: Path, files: int) -> None:
    """Folders of small files under images' names; a walk does not open them."""
    for first in range(0, files, _FILES_A_FOLDER):
        folder = root / f"{first // 10_000:03}" / f"{first // _FILES_A_FOLDER:05}"
        folder.mkdir(parents=True)
        for number in range(first, min(first + _FILES_A_FOLDER, files)):
            (folder / f"IMG_{number:07}.JPG").write_bytes(b"\xff\xd8\xff\xe0")


def bare_walk(root: Path) -> int:
    """The yardstick."""
    waiting, count = [os.fspath(root)], 0
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.name.lower().endswith(".jpg"):
                    entry.stat()
                    count += 1
    return count


def drop_caches() -> bool:
    """Empties the kernel's caches; False where that is not permitted."""
    os.sync()
    try:
        _DROP_CACHES.write_text("3")
    except OSError:
        return False
    return True


async def first_row_ms(library: Library, config: PersonalTaggerConfig) -> float:
    """How long until the first images of a scan are in the library."""
    start = time.perf_counter()
    async for batch in walked(config):
        library.folders.record(batch)
        if library.images.counts():
            return (time.perf_counter() - start) * 1000
    raise ValueError(config.input_paths)


def measure(root: Path, home: Path, number: int, *, is_cold: bool) -> dict[str, float]:
    """One round: each way once."""
    config = replace(PersonalTaggerConfig(), input_paths=(root,))
    times = {}

    def take(name: str, library: Library | None) -> None:
        if is_cold:
            drop_caches()
        start = time.perf_counter()
        if library is None:
            bare_walk(root)
        else:
            asyncio.run(LibraryScan(library, config).run())
        times[name] = (time.perf_counter() - start) * 1000

    take("bare_ms", None)
    library = Library(home / f"{number}-{is_cold}.sqlite3")
    take("scan_ms", library)
    take("rescan_ms", library)
    other = Library(home / f"{number}-{is_cold}-first.sqlite3")
    times["first_row_ms"] = asyncio.run(first_row_ms(other, config))
    return times


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    figures: dict[str, object] = {"files": options.files}
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        root, home = Path(place) / "photos", Path(place) / "home"
        home.mkdir()
        make_tree(root, options.files)
        past_s = time.time() - 3600
        for folder, _, _ in os.walk(root):
            os.utime(folder, (past_s, past_s))  # a folder changed just now is listed again
        for kind in ("cold", "warm") if drop_caches() else ("warm",):
            rounds = [
                measure(root, home, number, is_cold=kind == "cold")
                for number in range(options.rounds)
            ]
            medians = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
            shares = {
                "times_bare": medians["scan_ms"] / medians["bare_ms"],
                "first_row_share": medians["first_row_ms"] / medians["scan_ms"],
                "rescan_share": medians["rescan_ms"] / medians["scan_ms"],
            }
            figures[kind] = {
                **{name: round(ms, 1) for name, ms in medians.items()},
                **{name: round(share, 4) for name, share in shares.items()},
                "is_met": shares["times_bare"] <= MOST_TIMES_BARE
                and shares["first_row_share"] <= MOST_FIRST_SHARE
                and shares["rescan_share"] <= MOST_RESCAN_SHARE,
            }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
