"""How far a run is: counted as images end, shown by screens and commands."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_RATE_WINDOW = 50


@dataclass(frozen=True, slots=True)
class Progress:
    """A run's figures at one moment; kept in the library as the run's totals.

    Attributes:
        total: Images of this run known so far; grows while folders are walked.
        done: Images with an outcome.
        failed: Of these, images that failed.
        written: Of these, images whose metadata was written.
        already_done: Images left alone because nothing about them has changed.
        images_per_s: Over the last outcomes.
        eta_s: Seconds to the end at that rate; None while it cannot be told.
        concurrency: Requests allowed at once.
        is_scanning: Folders are still being walked.
        stages: Seconds per stage, ``{stage: {count, avg, p50, p95…}}``.
        tokens: ``{prompt, completion, per_s}``; per second counts completion tokens.
        retries: Requests sent again.
        failures: Failed images per reason.
        message: What the engine waits for, if it does.
    """

    total: int = 0
    done: int = 0
    failed: int = 0
    written: int = 0
    already_done: int = 0
    images_per_s: float = 0.0
    eta_s: float | None = None
    concurrency: int = 0
    is_scanning: bool = False
    stages: Mapping[str, Any] | None = None
    tokens: Mapping[str, Any] | None = None
    retries: int = 0
    failures: Mapping[str, int] | None = None
    message: str = ""

    def as_totals(self) -> dict[str, Any]:
        """As the library keeps it."""
        return asdict(self)


class RateMeter:
    """Images per second over the last outcomes.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._times: deque[float] = deque([clock()], maxlen=_RATE_WINDOW)

    def tick(self) -> None:
        """Counts one image."""
        self._times.append(self._clock())

    def rate(self) -> float:
        """Images per second; it falls while nothing ends."""
        elapsed = self._clock() - self._times[0]
        count = len(self._times) - 1
        return count / elapsed if count and elapsed > 0 else 0.0

    def eta_s(self, remaining: int) -> float | None:
        """Seconds until so many more have ended, or None when the rate is not known."""
        rate = self.rate()
        return remaining / rate if rate > 0 else None
