"""How many requests to keep under way, learned from how fast the server answers.

A server that batches continuously answers each request more slowly the more of them it works on,
while it finishes more of them per second: a long answer is no sign of overload. Once its slots are
full, more requests only wait. So the controller looks for the knee of throughput over load.

Throughput is taken from single requests by Little's law, load = throughput x duration: with the
mean load during each request's life known, a handful of answers gives the rate at that load, even
while the load is changing. Nothing here reads a clock or waits; times are passed in.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from enum import Enum

MOST_REQUESTS = 64
"""Ceiling when the settings name none."""

OVERLOAD_REASONS = frozenset({"busy", "timeout"})
"""Reasons of a failed request that say the server has too much to do."""

_RATE_LIMIT = "rate-limited"
_RATE_LIMITS_IN_A_ROW = 3
_SHRINK = 0.75
_FALL = 0.5

# A raise is worth it when throughput grows by this share of it (both as logarithms).
_WORTH = 0.15
# Loads that reach this share of the best rate are as good as the best.
_AS_GOOD = 0.97
# The same for loads seen while it rose, from few answers each.
_NEAR = 0.93
# A step down is kept when it costs less than this share of the rate.
_FREE = 0.985
# Requests more than the knee, so that a slot never waits for the client.
_MARGIN = 1.15
_FEW = 4
_EPOCH = 12
_FIRST_HOLD_EPOCHS = 1
_LONGEST_HOLD_EPOCHS = 8
_BINS_PER_DOUBLING = 3


class _Phase(Enum):
    """What the controller is finding out."""

    RISE = "rise"
    FALL = "fall"
    HOLD = "hold"
    PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Ticket:
    """One request under way, as handed out by `ConcurrencyController.started`.

    Attributes:
        started_s: When it was sent.
        area: Load integrated over time until then.
        load: Requests under way then, this one too.
        level: Number of the level at which it was sent.
    """

    started_s: float
    area: float
    load: int
    level: int


@dataclass(slots=True)
class _Window:
    """Answers seen under about the same load."""

    count: int = 0
    work: float = 0.0
    duration_s: float = 0.0
    load_s: float = 0.0
    first_end_s: float = 0.0
    last_end_s: float = 0.0
    later_work: float = 0.0

    def add(self, work: float, duration_s: float, load: float, end_s: float = 0.0) -> None:
        if self.count:
            self.later_work += work
        else:
            self.first_end_s = end_s
        self.last_end_s = end_s
        self.count += 1
        self.work += work
        self.duration_s += duration_s
        self.load_s += load * duration_s

    def halve(self) -> None:
        """Lets old answers weigh less."""
        self.count -= self.count // 2
        self.work /= 2
        self.duration_s /= 2
        self.load_s /= 2

    @property
    def load(self) -> float:
        """Mean requests under way."""
        return self.load_s / self.duration_s

    @property
    def rate(self) -> float:
        """Work per second of the whole server at that load."""
        return self.load * self.work / self.duration_s

    @property
    def departures(self) -> float:
        """The same rate, counted at the server's exit.

        Exact where requests queue, whose durations are made of other requests' work; else it
        depends on where the window happens to begin and end.
        """
        lasted_s = self.last_end_s - self.first_end_s
        return self.later_work / lasted_s if lasted_s > 0 else self.rate


@dataclass(slots=True)
class _Curve:
    """Throughput at each load seen, loads binned by their logarithm."""

    windows: dict[int, _Window] = field(default_factory=dict)

    def add(self, work: float, duration_s: float, load: float) -> None:
        key = round(math.log2(max(load, 1.0)) * _BINS_PER_DOUBLING)
        window = self.windows.setdefault(key, _Window())
        window.add(work, duration_s, load)
        if window.count > 4 * MOST_REQUESTS:
            window.halve()

    def points(self) -> list[_Window]:
        """What is known well enough, by rising load."""
        return [w for _, w in sorted(self.windows.items()) if w.count >= _FEW]

    def knee(self) -> tuple[float, bool] | None:
        """The lowest load nearly as good as the best, and whether a lower one is known worse."""
        points = self.points()
        if not points:
            return None
        enough = _NEAR * max(point.rate for point in points)
        index = next(i for i, point in enumerate(points) if point.rate >= enough)
        return points[index].load, index > 0


class ConcurrencyController:
    """The number of requests to keep under way at one server.

    It starts at the hint and rises by one with every answer, which doubles it in the time of one
    request, for as long as throughput rises with it. Then it settles a little above the lowest
    number that gives the best rate, and from time to time tries a few more and a few less.

    Args:
        hint: Where to start; what the server told or what its kind can do.
        ceiling: Most requests ever; 0 takes `MOST_REQUESTS`.
    """

    def __init__(self, hint: int, *, ceiling: int = 0) -> None:
        self._ceiling = ceiling if ceiling > 0 else MOST_REQUESTS
        self._under_way = 0
        self._area = 0.0
        self._area_at_s: float | None = None
        self._level = 0
        self._limit = 1
        self.restart(hint)

    @property
    def limit(self) -> int:
        """Requests allowed at once, from 1 to the ceiling."""
        return self._limit

    @property
    def ceiling(self) -> int:
        """Most requests ever allowed at once."""
        return self._ceiling

    @property
    def under_way(self) -> int:
        """Requests sent and not ended."""
        return self._under_way

    def restart(self, hint: int) -> None:
        """Forgets what was learned, as for another server."""
        self._curve = _Curve()
        self._epoch = _Window()
        self._recent: deque[float] = deque(maxlen=_FEW)
        self._cap = self._ceiling
        self._rate_limits = 0
        self._counts_tokens = True
        self._base: tuple[int, float] | None = None
        self._base_departures = 0.0
        self._is_up_next = False
        self._hold_epochs = _FIRST_HOLD_EPOCHS
        self._held = 0
        self._phase = _Phase.RISE
        self._go_to(hint)

    def started(self, now_s: float) -> Ticket:
        """Notes that a request is sent; its ticket goes to `finished` or `failed` once."""
        self._integrate(now_s)
        self._under_way += 1
        return Ticket(now_s, self._area, self._under_way, self._level)

    def finished(
        self, ticket: Ticket, now_s: float, *, tokens: int = 0, is_clean: bool = True
    ) -> None:
        """Notes an answer.

        Args:
            ticket: The request's.
            now_s: When it ended.
            tokens: Completion tokens; 0 when the server does not tell.
            is_clean: It took one try, so that its duration is the server's own.
        """
        self._end(now_s)
        self._rate_limits = 0
        duration_s = now_s - ticket.started_s
        if not is_clean or duration_s <= 0:
            return
        if tokens <= 0 and self._counts_tokens:
            # From here on answers are counted, and the two kinds of rates cannot be compared.
            self._counts_tokens = False
            self._curve, self._epoch = _Curve(), _Window()
        work = float(tokens) if self._counts_tokens else 1.0
        # While the load rises, a request that queues waits only for those sent before it.
        load = min(float(ticket.load), (self._area - ticket.area) / duration_s)
        self._curve.add(work, duration_s, load)
        if self._phase is _Phase.RISE:
            self._epoch.add(work, duration_s, load)
            self._rise()
        elif ticket.level == self._level:
            self._epoch.add(work, duration_s, load, now_s)
            if self._epoch.count >= max(_EPOCH, self._limit):
                self._judge()

    def failed(self, ticket: Ticket, now_s: float, *, reason: str = "") -> None:
        """Notes a request that brought no answer.

        One refusal for its rate says nothing about load, several in a row do. A busy server is
        given less; of the requests sent before that only one counts.
        """
        self._end(now_s)
        is_overload = reason in OVERLOAD_REASONS
        if reason == _RATE_LIMIT:
            self._rate_limits += 1
            is_overload = self._rate_limits >= _RATE_LIMITS_IN_A_ROW
        if is_overload and ticket.level == self._level:
            self._rate_limits = 0
            self._cap = max(1, self._limit - 1)
            self._hold(int(self._limit * _SHRINK))

    # -- finding the knee --------------------------------------------------------------

    def _rise(self) -> None:
        """One more request an answer, until throughput no longer follows."""
        is_full = self._under_way + 1 >= self._limit
        if self._epoch.count >= max(_FEW, self._limit // 3):
            window, self._epoch = self._epoch, _Window()
            if self._is_flat(window):
                self._settle()
                return
        if not is_full:
            return
        if self._limit >= self._cap:
            if self._curve.windows and self._epoch.count == 0:
                # It was still worth it: nothing calls for fewer.
                self._hold_epochs = _LONGEST_HOLD_EPOCHS
                self._hold(self._limit)
            return
        self._set_limit(self._limit + 1)

    def _is_flat(self, window: _Window) -> bool:
        """Whether the raise up to this load was not worth it."""
        lower = [p for p in self._curve.points() if p.load <= 0.75 * window.load]
        if not lower:
            return False
        reference = max(lower, key=lambda point: point.rate)
        raised = math.log(window.load / reference.load)
        return math.log(window.rate / reference.rate) < _WORTH * raised

    def _settle(self) -> None:
        """Goes to the knee where it was passed, else looks for it further down."""
        knee = self._curve.knee()
        if knee is None:
            self._hold(self._limit)
            return
        load, is_passed = knee
        if is_passed:
            self._hold(self._above(load))
            return
        best = max(point.rate for point in self._curve.points())
        self._base = (max(1, math.floor(load)), best)
        self._phase = _Phase.FALL
        self._go_to(math.floor(load * _FALL))

    def _judge(self) -> None:
        """An epoch under one limit is complete."""
        window, self._epoch = self._epoch, _Window()
        if self._phase is _Phase.FALL:
            self._judge_fall(window)
        elif self._phase is _Phase.PROBE:
            self._judge_probe(window)
        else:
            self._judge_hold(window)

    def _judge_fall(self, window: _Window) -> None:
        base, best = self._base or (self._limit, window.rate)
        if window.rate < _AS_GOOD * best:
            self._hold(self._above(base))
        elif self._limit == 1:
            self._hold(2)
        else:
            self._base = (self._limit, max(best, window.rate))
            self._go_to(int(self._limit * _FALL))

    def _judge_hold(self, window: _Window) -> None:
        self._held += 1
        if self._held < self._hold_epochs:
            return
        self._base = (self._limit, window.rate)
        self._base_departures = window.departures
        is_up = self._is_up_next or self._limit == 1
        self._is_up_next = not is_up
        if is_up and self._limit >= self._cap:
            # What capped it may have passed: the next attempt may go further.
            self._cap = self._ceiling
            self._held = 0
            return
        self._phase = _Phase.PROBE
        self._go_to(math.ceil(self._limit * 1.5) if is_up else math.floor(self._limit * _SHRINK))

    def _judge_probe(self, window: _Window) -> None:
        base, rate = self._base or (self._limit, window.rate)
        gain = math.log(window.rate / rate)
        seen = math.log(window.departures / self._base_departures)
        if self._limit > base:
            # Where requests queue, chance alone makes one of the two measures rise.
            worth = _WORTH * math.log(self._limit / base)
            is_better = gain >= worth and seen >= worth / 2
        else:
            is_free = gain >= math.log(_FREE)
            is_better = is_free or (gain >= math.log(_NEAR) and seen >= math.log(_FREE))
        if is_better:
            self._is_up_next = self._limit > base
            self._hold_epochs = 1
            self._hold(self._limit)
        else:
            self._hold_epochs = min(2 * self._hold_epochs, _LONGEST_HOLD_EPOCHS)
            self._hold(base)

    def _hold(self, limit: int) -> None:
        self._phase = _Phase.HOLD
        self._held = 0
        self._go_to(limit)

    # -- bookkeeping -------------------------------------------------------------------

    @staticmethod
    def _above(knee: float) -> int:
        return math.ceil(knee * _MARGIN) if knee > 1 else 2

    def _go_to(self, limit: int) -> None:
        """Sets the limit and counts only requests sent from now on."""
        self._level += 1
        self._epoch = _Window()
        self._set_limit(limit)

    def _set_limit(self, limit: int) -> None:
        self._limit = max(1, min(limit, self._cap, self._ceiling))

    def _integrate(self, now_s: float) -> None:
        if self._area_at_s is not None:
            self._area += self._under_way * max(0.0, now_s - self._area_at_s)
        self._area_at_s = now_s

    def _end(self, now_s: float) -> None:
        self._integrate(now_s)
        self._under_way = max(0, self._under_way - 1)
