"""What preparing a 24-megapixel JPEG costs, as a ratio to doing it without care, in the same run.

The yardstick is the plain way: decode in full, reduce with Lanczos, save as JPEG. Prints one JSON
object; ``ratio`` is to stay at or below 0.38. Takes about ten seconds.

    python benchmarks/prepare.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from imageworks.content import content_id_of_file
from imageworks.models import ImageFormat
from imageworks.prepare.budget import PixelBudget, target_size
from imageworks.prepare.cache import PreviewCache
from imageworks.prepare.picture import prepare_image

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET_RATIO = 0.38
_SIZE_PX = (6000, 4000)


def make_photograph(path: Path) -> None:
    """A 24 MP JPEG of about 7 MB: smooth light with grain, as a camera's file has."""
    light = Image.radial_gradient("L").resize(_SIZE_PX, Image.Resampling.BICUBIC)
    slope = Image.linear_gradient("L").resize(_SIZE_PX, Image.Resampling.BICUBIC)
    grain = Image.effect_noise(_SIZE_PX, 22)
    bands = (Image.blend(light, grain, 0.35), Image.blend(slope, grain, 0.35), grain)
    Image.merge("RGB", bands).save(path, quality=88)


def plain_way(path: Path, budget: PixelBudget) -> bytes:
    """The yardstick."""
    buffer = io.BytesIO()
    with Image.open(path) as image:
        small = image.resize(target_size(*image.size, budget), Image.Resampling.LANCZOS)
    small.save(buffer, "JPEG", quality=budget.jpeg_quality)
    return buffer.getvalue()


def cpu_s(work: Callable[[], object]) -> float:
    """Processor time of one call, in seconds; steadier than the clock on a busy machine."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(rounds: int) -> dict[str, float | int | bool]:
    """Medians over the rounds, each taking both ways in turn."""
    budget, ours, plain, cached, identity = PixelBudget(), [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "photo.jpg")
        make_photograph(path)
        size_bytes = path.stat().st_size
        prepare_image(path, ImageFormat.JPEG, PreviewCache(Path(folder, "warm"), 1), budget)
        for number in range(rounds):
            cache = PreviewCache(Path(folder, str(number)), 1)

            def prepare(cache: PreviewCache = cache) -> object:
                return prepare_image(path, ImageFormat.JPEG, cache, budget)

            ours.append(cpu_s(prepare))
            plain.append(cpu_s(lambda: plain_way(path, budget)))
            cached.append(cpu_s(prepare))
            identity.append(cpu_s(lambda: content_id_of_file(path, ImageFormat.JPEG)))
    ratio = statistics.median(ours) / statistics.median(plain)
    return {
        "ratio": round(ratio, 3),
        "target_ratio": TARGET_RATIO,
        "is_met": ratio <= TARGET_RATIO,
        "prepare_cpu_ms": round(statistics.median(ours) * 1000, 1),
        "plain_cpu_ms": round(statistics.median(plain) * 1000, 1),
        "cached_cpu_ms": round(statistics.median(cached) * 1000, 2),
        "content_id_cpu_ms": round(statistics.median(identity) * 1000, 2),
        "size_bytes": size_bytes,
        "rounds": rounds,
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    print(json.dumps(measure(parser.parse_args().rounds)))


if __name__ == "__main__":
    main()
