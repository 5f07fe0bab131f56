"""How long answers take at one server, and from that how long to wait for one."""

from __future__ import annotations

from collections import deque

_REMEMBERED = 128
_ENOUGH = 16
_DEADLINE_FLOOR_S = 10.0
_DEADLINE_P95S = 4.0
_HEDGE_FLOOR_S = 1.0
_HEDGE_P95S = 3.0
# When nothing else waits, slots stand idle and a copy keeps nobody from an answer.
_TAIL_HEDGE_FLOOR_S = 0.25
_TAIL_HEDGE_P95S = 1.1


class LatencyTracker:
    """Durations of the latest answers of one server, queue included."""

    def __init__(self) -> None:
        self._durations_s: deque[float] = deque(maxlen=_REMEMBERED)
        self._p95_s: float | None = None

    def add(self, duration_s: float) -> None:
        """Notes how long an answer took."""
        self._durations_s.append(duration_s)
        self._p95_s = None

    @property
    def typical_s(self) -> float | None:
        """Mean duration, or None before the first answer."""
        if not self._durations_s:
            return None
        return sum(self._durations_s) / len(self._durations_s)

    @property
    def p95_s(self) -> float | None:
        """What 95 of 100 answers do not exceed, or None before enough were seen."""
        if len(self._durations_s) < _ENOUGH:
            return None
        if self._p95_s is None:
            ordered = sorted(self._durations_s)
            self._p95_s = ordered[int(0.95 * (len(ordered) - 1))]
        return self._p95_s

    def deadline_s(self, longest_s: float) -> float:
        """How long to wait for an answer at all, at most ``longest_s``.

        A fixed minute or two for a server that answers in one second makes each request that it
        lost cost as much as a hundred answers.
        """
        p95_s = self.p95_s
        if p95_s is None:
            return longest_s
        return min(longest_s, max(_DEADLINE_FLOOR_S, _DEADLINE_P95S * p95_s))

    def hedge_after_s(self, *, is_tail: bool) -> float | None:
        """When to ask a second time beside a request without answer; None: not known yet.

        Args:
            is_tail: Nothing else waits to be asked, so only this answer is waited for.
        """
        p95_s = self.p95_s
        if p95_s is None:
            return None
        if is_tail:
            return max(_TAIL_HEDGE_FLOOR_S, _TAIL_HEDGE_P95S * p95_s)
        return max(_HEDGE_FLOOR_S, _HEDGE_P95S * p95_s)
