"""What a batch did in numbers: durations per stage, tokens, retries, failures, concurrency.

Memory stays bounded however many images there are. The first 4096 durations of a stage are kept
as they are, so percentiles are exact; beyond that they are counted in buckets whose bounds grow by
2 %, so percentiles are within 1 % of a duration that occurred. Count, total, average, minimum and
maximum are always exact.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

EXACT_SAMPLES = 4096
_GROWTH = 1.02
_SMALLEST_S = 1e-6
_PERCENTILES = (50, 95, 99)


class DurationSeries:
    """Durations in seconds, with their average, extremes and percentiles."""

    def __init__(self) -> None:
        self.count = 0
        self.total_s = 0.0
        self._minimum_s = math.inf
        self._maximum_s = 0.0
        self._samples: list[float] = []
        self._buckets: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Counts one duration.

        Raises:
            ValueError: It is negative, infinite or not a number.
        """
        if not 0 <= seconds < math.inf:
            message = f"a duration cannot be {seconds} s"
            raise ValueError(message)
        self.count += 1
        self.total_s += seconds
        self._minimum_s = min(self._minimum_s, seconds)
        self._maximum_s = max(self._maximum_s, seconds)
        if self._buckets:
            self._buckets[_bucket(seconds)] += 1
            return
        self._samples.append(seconds)
        if len(self._samples) > EXACT_SAMPLES:
            self._buckets.update(map(_bucket, self._samples))
            self._samples.clear()

    def percentile(self, percent: float) -> float:
        """The duration that this share of all does not exceed (nearest rank); 0 when empty."""
        if not self.count:
            return 0.0
        rank = max(1, math.ceil(self.count * percent / 100))
        if self._samples:
            return sorted(self._samples)[rank - 1]
        buckets = sorted(self._buckets)
        seen = accumulate(self._buckets[bucket] for bucket in buckets)
        bucket = next(b for b, count in zip(buckets, seen, strict=True) if count >= rank)
        return min(max(_middle_s(bucket), self._minimum_s), self._maximum_s)

    def summary(self) -> dict[str, float | int]:
        """Count, and total, avg, min, max, p50, p95 and p99 in seconds."""
        percentiles = {
            f"p{percent}": round(self.percentile(percent), 6) for percent in _PERCENTILES
        }
        return {
            "count": self.count,
            "total": round(self.total_s, 6),
            "avg": round(self.total_s / self.count, 6) if self.count else 0.0,
            "min": round(self._minimum_s, 6) if self.count else 0.0,
            "max": round(self._maximum_s, 6),
            **percentiles,
        }


class BatchRunMetrics:
    """Collects the figures of one run; not for use by several threads at once.

    Args:
        clock: Seconds that never go back; the run's time counts from the making of this object.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started_s = clock()
        self._stages: dict[str, DurationSeries] = {}
        self._ttft = DurationSeries()
        self._stall = DurationSeries()
        self._failures: Counter[str] = Counter()
        self._concurrency_total = 0
        self._concurrency_samples = 0
        self._concurrency_max = 0
        self.images = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.retries = 0

    def add(self, stage: str, seconds: float) -> None:
        """Counts one duration of a stage or phase, such as ``caption`` or ``prepare``."""
        self._stages.setdefault(stage, DurationSeries()).add(seconds)

    def add_ttft(self, seconds: float) -> None:
        """Counts one time to the first token."""
        self._ttft.add(seconds)

    def add_stall(self, seconds: float) -> None:
        """Counts the longest wait between two pieces of one image's streamed answers."""
        self._stall.add(seconds)

    def add_tokens(self, *, prompt: int | None, completion: int | None) -> None:
        """Counts the tokens of one exchange; None where the server did not say."""
        self.prompt_tokens += prompt or 0
        self.completion_tokens += completion or 0

    def add_retries(self, count: int = 1) -> None:
        """Counts requests that had to be sent again."""
        self.retries += count

    def add_image(self) -> None:
        """Counts one image that was finished."""
        self.images += 1

    def add_failure(self, reason: str) -> None:
        """Counts one image that failed, under the reason word of its error."""
        self._failures[reason] += 1

    def add_concurrency(self, requests: int) -> None:
        """Notes how many requests are under way."""
        self._concurrency_total += requests
        self._concurrency_samples += 1
        self._concurrency_max = max(self._concurrency_max, requests)

    def summary(self, *, working_s: float | None = None) -> dict[str, Any]:
        """The figures as the metrics history holds them (contract, section 6).

        Args:
            working_s: Seconds of work, pauses left out; None: since the start.
        """
        elapsed_s = self._clock() - self._started_s if working_s is None else working_s
        samples = self._concurrency_samples
        return {
            "stages": {name: series.summary() for name, series in self._stages.items()},
            "ttft": self._ttft.summary(),
            "stall": self._stall.summary(),
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "tokens_per_s": _rate(self.completion_tokens, elapsed_s),
            "images": self.images,
            "images_per_s": _rate(self.images, elapsed_s),
            "elapsed_s": round(elapsed_s, 3),
            "concurrency": {
                "avg": round(self._concurrency_total / samples, 2) if samples else 0.0,
                "max": self._concurrency_max,
            },
            "retries": self.retries,
            "failures": dict(self._failures.most_common()),
        }


def _bucket(seconds: float) -> int:
    return math.floor(math.log(max(seconds, _SMALLEST_S)) / math.log(_GROWTH))


def _middle_s(bucket: int) -> float:
    """The geometric middle of a bucket, in seconds."""
    return float(_GROWTH ** (bucket + 0.5))


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 3) if seconds > 0 else 0.0
