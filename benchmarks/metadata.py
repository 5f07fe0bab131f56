"""What a safe write costs, beside a bare copy and beside ExifTool, in the same run.

The yardstick is the least that any safe writer does: copy the file, flush the copy to the disk,
rename. ExifTool is measured as one process per file and as one that stays open; it flushes nothing,
so the open one is also measured with a flush after it, which leaves the file as safe as ours is.
Every way takes its turn in every round, on a copy of its own that nobody has touched for three
seconds. Prints one JSON object; times are medians in milliseconds. ``is_met`` tells of the JPEG: at
most twice the bare copy, five times as fast as one ExifTool per file, and no slower than an open
one with its flush. Takes about 40 seconds.

    python benchmarks/metadata.py [--rounds 15] [--folder DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from imageworks.config import PersonalTaggerConfig
from imageworks.content import content_id_of_file, sniff_format
from imageworks.metadata.process import MetadataProcess
from imageworks.models import Keyword, Tags
from imageworks.stages import WriteRequest

if TYPE_CHECKING:
    from collections.abc import Callable

AT_REST_S = 3.0
"""How long a photograph has been at rest before it is written, as any but the newest has."""
MOST_TIMES_BARE = 2.0
LEAST_TIMES_EXIFTOOL = 5.0
LEAST_TIMES_STAY_OPEN = 1.0
_BLOCK_BYTES = 1024 * 1024
_TAGS = Tags("A heron", (Keyword("heron"), Keyword("river")), "It waits in shallow water.")
# Not `-q`: it would keep an open ExifTool from telling that it is ready.
_EXIFTOOL = (
    "-overwrite_original",
    f"-XMP-dc:Title={_TAGS.caption}",
    f"-XMP-dc:Description={_TAGS.description}",
    *(f"-XMP-dc:Subject={keyword.text}" for keyword in _TAGS.keywords),
)
_SIDECAR = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
    ' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    ' xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" crs:Exposure2012="+0.35"/>'
    "</rdf:RDF></x:xmpmeta>"
)


class StayOpen:
    """One ExifTool process that takes one file after another."""

    def __init__(self) -> None:
        command = ["exiftool", "-stay_open", "True", "-@", "-"]  # found by name, as people run it
        self._child = subprocess.Popen(  # noqa: S603  # fixed command
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def write(self, path: Path) -> None:
        """Writes the fields into one file."""
        self._send(*_EXIFTOOL, str(path), "-execute")
        if self._child.stdout is None:
            raise RuntimeError
        while self._child.stdout.readline().strip() != "{ready}":
            pass

    def close(self) -> None:
        """Ends it; it would not end by itself at the end of its input."""
        self._send("-stay_open", "False")
        self._child.communicate(timeout=10)

    def _send(self, *arguments: str) -> None:
        if self._child.stdin is None:
            raise RuntimeError
        self._child.stdin.write("".join(f"{argument}\n" for argument in arguments))
        self._child.stdin.flush()


def make_samples(folder: Path) -> dict[str, Path]:
    """A JPEG, a PNG and a TIFF of about 7 MB each, and a sidecar beside a file we only read."""
    folder.mkdir()
    for name, size in (
        ("jpeg.jpg", (6000, 4000)),
        ("png.png", (2000, 1400)),
        ("tiff.tif", (2000, 1200)),
    ):
        light = Image.radial_gradient("L").resize(size, Image.Resampling.BICUBIC)
        grain = Image.effect_noise(size, 22)
        bands = (Image.blend(light, grain, 0.35), Image.blend(light, grain, 0.2), grain)
        Image.merge("RGB", bands).save(folder / name, quality=88, compress_level=1)
    (folder / "sidecar.avif").write_bytes(b"\0\0\0\x1cftypavif" + bytes(40))
    (folder / "sidecar.xmp").write_text(_SIDECAR)
    return {
        name: folder / f"{name}{ending}"
        for name, ending in (
            ("jpeg", ".jpg"),
            ("png", ".png"),
            ("tiff", ".tif"),
            ("sidecar", ".xmp"),
        )
    }


def bare_copy(source: Path, target: Path) -> None:
    """The yardstick: copy, flush, rename."""
    temporary = target.with_name("bare.tmp")
    with source.open("rb") as old, temporary.open("wb") as new:
        shutil.copyfileobj(old, new, _BLOCK_BYTES)
        new.flush()
        os.fsync(new.fileno())
    temporary.replace(target)


def exiftool_alone(path: Path) -> None:
    """One ExifTool process for this file."""
    command = ["exiftool", *_EXIFTOOL, str(path)]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)  # noqa: S603  # fixed command


def flush(path: Path) -> None:
    """What makes a renamed file safe: its bytes and its name on the disk."""
    for place in (path, path.parent):
        descriptor = os.open(place, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def took_ms(work: Callable[[], object]) -> float:
    """How long a call takes, with nothing left for the disk to do by those before."""
    os.sync()
    return elapsed_ms(work)


def elapsed_ms(work: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


class Bench:
    """The ways to write one file, and how long each took.

    Args:
        folder: Where copies are made; on the disk that is to be measured.
        process: Our writer.
        rounds: How often each way is taken.
    """

    def __init__(self, folder: Path, process: MetadataProcess, rounds: int) -> None:
        self._folder = folder
        self._process = process
        self._rounds = rounds
        self._stay_open = StayOpen() if shutil.which("exiftool") else None

    async def measure(self, sample: Path) -> dict[str, float | int]:
        """Medians for one kind of file; the first round warms up and is not counted."""
        image = sample.with_suffix(".avif") if sample.suffix == ".xmp" else sample
        image_format = sniff_format(image.read_bytes()[:4096], image.name)
        if image_format is None:
            raise ValueError(image)
        content_id = content_id_of_file(image, image_format)
        times: dict[str, list[float]] = {}
        homes = [self._copies(sample, image, number) for number in range(self._rounds + 1)]
        await asyncio.sleep(AT_REST_S)
        for home in homes:
            for way, ms in (await self._round(sample, home, image.name, content_id)).items():
                if home != homes[0]:
                    times.setdefault(way, []).append(ms)
        medians = {way: statistics.median(found) for way, found in times.items()}
        return self._figures(sample, medians)

    def close(self) -> None:
        """Ends ExifTool."""
        if self._stay_open:
            self._stay_open.close()

    def _copies(self, sample: Path, image: Path, number: int) -> Path:
        """A folder with a copy for each way."""
        home = self._folder / f"{sample.name}-{number}"
        home.mkdir()
        for name in ("alone", "opened", "bare"):
            shutil.copy(sample, home / f"{name}{sample.suffix}")
        shutil.copy(sample, home / sample.name)
        if image != sample:
            shutil.copy(image, home / image.name)
        return home

    async def _round(
        self, sample: Path, home: Path, image_name: str, content_id: str
    ) -> dict[str, float]:
        ours, target = home / image_name, home / f"bare{sample.suffix}"
        alone, opened = home / f"alone{sample.suffix}", home / f"opened{sample.suffix}"
        times = {"bare_ms": took_ms(lambda: bare_copy(sample, target))}
        request = WriteRequest(ours, _TAGS, expected_content_id=content_id)
        os.sync()
        start = time.perf_counter()
        await self._process.write(request)
        times["ours_ms"] = (time.perf_counter() - start) * 1000
        if (exiftool := self._stay_open) is not None:
            times["exiftool_stay_open_ms"] = took_ms(lambda: exiftool.write(opened))
            times["exiftool_stay_open_flushed_ms"] = times["exiftool_stay_open_ms"] + elapsed_ms(
                lambda: flush(opened)
            )
            times["exiftool_ms"] = took_ms(lambda: exiftool_alone(alone))
        shutil.rmtree(home)
        return times

    def _figures(self, sample: Path, medians: dict[str, float]) -> dict[str, float | int]:
        figures: dict[str, float | int] = {"size_bytes": sample.stat().st_size}
        figures |= {way: round(ms, 2) for way, ms in medians.items()}
        ours = medians["ours_ms"]
        figures["times_bare"] = round(ours / medians["bare_ms"], 2)
        for way in ("exiftool", "exiftool_stay_open", "exiftool_stay_open_flushed"):
            if f"{way}_ms" in medians:
                figures[f"speed_to_{way}"] = round(medians[f"{way}_ms"] / ours, 2)
        return figures


async def measure(folder: Path, rounds: int) -> dict[str, object]:
    """Every kind of file in turn."""
    samples = make_samples(folder / "samples")
    process = MetadataProcess(PersonalTaggerConfig(backup_originals=False))
    bench = Bench(folder, process, rounds)
    try:
        found = {name: await bench.measure(path) for name, path in samples.items()}
    finally:
        bench.close()
        await process.aclose()
    jpeg = found["jpeg"]
    is_met = (
        jpeg["times_bare"] <= MOST_TIMES_BARE
        and jpeg.get("speed_to_exiftool", 0) >= LEAST_TIMES_EXIFTOOL
        and jpeg.get("speed_to_exiftool_stay_open_flushed", 0) >= LEAST_TIMES_STAY_OPEN
    )
    return {**found, "is_met": is_met, "rounds": rounds}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--folder", type=Path, help="measure on this folder's disk")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        print(json.dumps(asyncio.run(measure(Path(folder), arguments.rounds)), indent=2))


if __name__ == "__main__":
    main()
