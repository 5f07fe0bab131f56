"""Queues the images that have failed, instead of walking folders."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from imageworks.models import ImageState

if TYPE_CHECKING:
    import asyncio

    from imageworks.config import PersonalTaggerConfig
    from imageworks.store.library import Library
    from imageworks.store.records import ImageRow, RunRow

ANY_REASON = "any"
"""Stands for every reason."""

_AT_ONCE = 500


class FailedScan:
    """Does for images that have failed what `RunScan` does for all.

    One whose accepted metadata could not be written is written again; the others are asked about.

    Attributes:
        planned: Images that this run deals with, so far.
        left: Images left alone; none.
        skipped: None.
    """

    def __init__(self, library: Library, run: RunRow, config: PersonalTaggerConfig) -> None:
        self._library = library
        self._run = run
        self._config = config
        self.planned = 0
        self.left = 0
        self.skipped: Counter[str] = Counter()

    async def run(self, *, is_redo: bool, limit: int | None, stop: asyncio.Event) -> None:
        """Queues them, to the limit, or until told to stop."""
        self.planned = sum(self._library.outcomes.counts(self._run.id).values())
        self.planned += self._library.queue.count(self._run.id)
        ids = self._library.images.ids(states=[ImageState.FAILED], folders=self._config.input_paths)
        for start in range(0, len(ids), _AT_ONCE):
            if stop.is_set():
                return
            rows = [
                row
                for row in self._library.images.rows(ids[start : start + _AT_ONCE])
                if self._is_meant(row)
            ]
            if limit is not None:
                rows = rows[: max(0, limit - self.planned)]
            self._take(rows, is_redo=is_redo)

    def _is_meant(self, row: ImageRow) -> bool:
        """Whether an image failed for the reason wanted, and not in this very run."""
        is_reason = self._run.options.retry_failed in {ANY_REASON, row.reason}
        return is_reason and not self._library.outcomes.has(self._run.id, row.id)

    def _take(self, rows: list[ImageRow], *, is_redo: bool) -> None:
        self.planned += len(rows)
        to_write = [row.id for row in rows if row.decision_id is not None]
        to_ask = [row.id for row in rows if row.decision_id is None]
        with self._library.transaction():
            for image_id in to_write:
                self._library.decisions.retry(image_id, self._run.id)
            if to_ask:
                self._library.queue.add(self._run.id, to_ask, is_redo=is_redo)
