"""The morning after: what a batch did, what failed and why, and what waits for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imageworks.models import ImageState
from imageworks.store.pace import review_pace_s
from imageworks.store.records import ImageRow, RunRow

if TYPE_CHECKING:
    from imageworks.store.library import Library

_LISTED_FAILURES = 10


@dataclass(frozen=True, slots=True)
class MorningAfter:
    """How things stand after a batch.

    Attributes:
        run: The batch.
        counts: Its images by outcome.
        failures: Its failed images by reason, most frequent first.
        failed: Some of them, with their reasons in words.
        waiting: Images of the library with a suggestion that nobody has decided on.
        unwritten: Accepted images that are not yet on disk.
        pace_s: Seconds a decision, at the person's pace of late; None while unknown.
    """

    run: RunRow
    counts: Mapping[str, int]
    failures: Mapping[str, int]
    failed: Sequence[ImageRow]
    waiting: int
    unwritten: int
    pace_s: float | None

    @property
    def review_s(self) -> float | None:
        """Seconds to review what waits, at the person's pace; None while that is unknown."""
        return None if self.pace_s is None else self.waiting * self.pace_s

    @property
    def left(self) -> int:
        """Images of the batch that it did not come to."""
        return max(0, int(self.run.totals.get("total") or 0) - sum(self.counts.values()))


def morning_after(library: Library, run: RunRow) -> MorningAfter:
    """How things stand after a batch, as the library has it now."""
    return MorningAfter(
        run=run,
        counts=library.outcomes.counts(run.id),
        failures=library.outcomes.failures(run.id),
        failed=library.images.rows(library.outcomes.failed_ids(run.id, _LISTED_FAILURES)),
        waiting=library.images.counts().get(ImageState.SUGGESTED, 0),
        unwritten=library.decisions.count_intended(),
        pace_s=review_pace_s(library),
    )
