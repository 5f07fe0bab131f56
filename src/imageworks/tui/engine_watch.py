"""How the engine fares, looked at now and then; it is started again when there is work for it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from imageworks.text import one_line
from imageworks.tui.wording import count_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from imageworks.engine.client import EngineClient, EngineView
    from imageworks.store.records import RunRow

_LOOK_EVERY_S = 0.5
_LOOK_AT_LEAST_EVERY_S = 2.0
_START_EVERY_S = 10.0
_KEPT_RATES = 240
_STARTS_BEFORE_COMPLAINT = 2


class EngineWatch:
    """The screen's eye on the engine.

    Args:
        client: The way to the engine.
        clock: Seconds that never go back.
    """

    def __init__(self, client: EngineClient, clock: Callable[[], float]) -> None:
        self.client = client
        self._clock = clock
        self._looked_s = float("-inf")
        self._started_s = float("-inf")
        self._starts = 0
        self._batch_id: int | None = None
        self._seen: object = None
        self._stopping = ""
        self.view: EngineView | None = None
        self.rates: deque[float] = deque(maxlen=_KEPT_RATES)

    def expect(self, run: RunRow) -> None:
        """Takes note of a batch, so that its end is told even when it comes at once."""
        self._batch_id = run.id
        self.rates.clear()
        self._looked_s = float("-inf")

    def look(self) -> str:
        """Looks again when it is time; what the person should be told, or an empty text."""
        now_s = self._clock()
        waited_s = now_s - self._looked_s
        if waited_s < _LOOK_EVERY_S:
            return ""
        mark = self.client.change_mark()
        if mark == self._seen and waited_s < _LOOK_AT_LEAST_EVERY_S:
            return ""
        self._looked_s, self._seen = now_s, mark
        self.view = view = self.client.view()
        if view.is_batch_active and view.batch is not None:
            self._batch_id = view.batch.id
            self.rates.append(float(view.totals.get("images_per_s") or 0.0))
        return self._tend(view, now_s) or self._ended(view)

    def stop_batch(self) -> str:
        """Stops the batch, at once when told so twice; what the person should be told."""
        view = self.client.view()
        if view.batch is None or not view.is_batch_active:
            return "No batch is under way."
        is_now = self._stopping == view.batch.name
        self._stopping = view.batch.name
        self.client.stop_batch(view.batch, is_now=is_now)
        if is_now:
            return "The batch stops at once; what was under way can be asked for again."
        return "The batch stops after what is under way; the same key again stops it at once."

    def toggle_pause(self) -> str:
        """Pauses the asking, or lets it go on; what the person should be told."""
        self._looked_s = float("-inf")
        if self.client.view().pause is None:
            self.client.pause()
            return "Paused: nothing more is asked. Accepted images are still written."
        self.client.resume()
        return "Asking goes on."

    def _tend(self, view: EngineView, now_s: float) -> str:
        """Starts an engine where accepted images or a batch wait and none is alive."""
        if view.is_alive or not (view.is_batch_active or view.unwritten):
            self._starts = 0
            return ""
        if now_s - self._started_s < _START_EVERY_S:
            return ""
        self._started_s = now_s
        self._starts += 1
        self.client.ensure_running()
        if self._starts > _STARTS_BEFORE_COMPLAINT:
            return "The engine does not start. Nothing is lost; `ptag doctor` says what is wrong."
        return ""

    def _ended(self, view: EngineView) -> str:
        batch = view.batch
        if batch is None or view.is_batch_active or batch.id != self._batch_id:
            return ""
        self._batch_id = None
        self.client.note_seen(batch)
        return ended_text(batch)


def ended_text(batch: RunRow) -> str:
    """How a batch ended."""
    done, failed = int(batch.totals.get("done") or 0), int(batch.totals.get("failed") or 0)
    parts = [f"The batch is {batch.status}: {count_text(done, 'image')}"]
    if failed:
        parts.append(f"{failed:,} failed")
    if batch.message:
        parts.append(one_line(batch.message, limit=300))
    return ", ".join(parts) if not batch.message else " · ".join(parts)
