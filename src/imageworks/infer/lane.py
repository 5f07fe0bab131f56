"""One model server as the pool sees it: how much it gets, how fast it is, whether it is there."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imageworks.errors import BackendError
from imageworks.infer.concurrency import ConcurrencyController, Ticket
from imageworks.infer.latency import LatencyTracker
from imageworks.infer.queue_guide import QueueGuide, margin_for
from imageworks.infer.server_load import read_load
from imageworks.text import one_line

if TYPE_CHECKING:
    from imageworks.infer.payload import Dialect
    from imageworks.infer.transport import ServerConnection

logger = logging.getLogger(__name__)

FAILURES_BEFORE_PAUSE = 5
"""Failures in a row that look like a server's own trouble, after which it gets a rest."""

_REFUSALS = frozenset({"rate-limited", "busy"})
_TROUBLES = frozenset({"connection-lost", "gateway", "server-error", "timeout", "not-json"})
_OUTCOMES = 20
_OVERLOAD_RATIO = 0.25
_IN_A_ROW = 3
_LOOK_TIMEOUT_S = 2.0
_ALIVE_TIMEOUT_S = 3.0
_ALIVE_REASONS = frozenset({"wrong-path", "not-authorised", "rate-limited", "request-refused"})
_VERSION_PAGES = (("/version", "version"), ("/api/version", "version"), ("/props", "build_info"))
"""Where vLLM, Ollama and llama.cpp tell their versions."""
RESERVED_S = 5.0
"""How long after a person's request the next one finds a free slot."""


@dataclass(slots=True, eq=False)
class Permit:
    """Leave to have one request under way at a lane; given back to the pool once.

    Attributes:
        lane: The server.
        ticket: Its controller's.
        is_interactive: A person waits for the answer.
        interrupt: Ends the request under way; set by whoever sends it.
    """

    lane: Lane
    ticket: Ticket
    is_interactive: bool
    interrupt: Callable[[], object] | None = None

    def preempt(self) -> None:
        """Ends the request, which gives the permit back."""
        if self.interrupt is not None:
            self.interrupt()


class Lane:
    """One server; see the module.

    Args:
        connection: How to reach it.
        dialect: Which fields it takes, as far as known.
        hint: Requests to keep under way until something better is known.
        ceiling: Most requests ever; 0 leaves it to what is learned.
    """

    def __init__(
        self, connection: ServerConnection, dialect: Dialect, *, hint: int, ceiling: int
    ) -> None:
        self.connection = connection
        self.dialect = dialect
        self.hint = hint
        self.ceiling = ceiling
        self.is_open = True
        self.has_load_page: bool | None = None
        self.look_every_s = 0.0
        self.streams_batch = False
        self.runs_into_blanks = False
        self.memory_key = ""
        self.latency = LatencyTracker()
        self.permits: list[Permit] = []
        self.reserved_until_s = float("-inf")
        self.controller = ConcurrencyController(hint, ceiling=ceiling)
        self.guide: QueueGuide | None = None
        self._told_slots = 0
        self._outcomes: deque[bool] = deque(maxlen=_OUTCOMES)
        self._in_a_row = 0
        self._failures = 0

    @property
    def limit(self) -> int:
        """Requests allowed at once."""
        return self.guide.limit if self.guide else self.controller.limit

    @property
    def slots(self) -> int:
        """Requests that it works on at once, as far as known."""
        told = (self.guide.slots if self.guide else 0) or self._told_slots
        return min(told, self.limit) if told else self.limit

    @property
    def under_way(self) -> int:
        """Requests sent and not ended."""
        return len(self.permits)

    def has_room(self, now_s: float) -> bool:
        """Whether a request of the batch may go."""
        return len(self._batch()) < self._batch_limit(now_s)

    def superfluous(self, now_s: float) -> list[Permit]:
        """The batch's newest permits that are in the way of a person's request."""
        return self._batch()[self._batch_limit(now_s) :]

    def _batch(self) -> list[Permit]:
        return [permit for permit in self.permits if not permit.is_interactive]

    def _batch_limit(self, now_s: float) -> int:
        """Requests of the batch allowed at once: one slot stays free for a person's next request.

        A server with a single slot works on the batch between such requests.
        """
        interactive = len(self.permits) - len(self._batch())
        if now_s >= self.reserved_until_s:
            return self.limit - interactive
        if self.slots == 1 and not interactive:
            return 1
        return max(0, self.slots - max(1, interactive))

    def expected_s(self) -> float:
        """Seconds until another answer, roughly; for comparing lanes."""
        crowd = (self.under_way + 1) / max(1, self.limit)
        return (self.latency.typical_s or 1.0) * crowd

    # -- what comes back ---------------------------------------------------------------

    def succeeded(self, duration_s: float) -> None:
        """An answer came in one try."""
        self._failures = self._in_a_row = 0
        self._outcomes.append(False)
        self.latency.add(duration_s)

    def judge(self, reason: str) -> bool:
        """Notes a failure; whether it says, with those before it, that the server has too much."""
        is_load = reason in _REFUSALS or reason == "timeout"
        self._outcomes.append(reason in _REFUSALS)
        self._in_a_row = self._in_a_row + 1 if is_load else 0
        if reason in _TROUBLES:
            self._failures += 1
        is_overload = (
            self._in_a_row >= _IN_A_ROW or sum(self._outcomes) >= _OVERLOAD_RATIO * _OUTCOMES
        )
        if is_overload:
            self._outcomes.clear()
            self._in_a_row = 0
            if self.guide:
                self.guide.overloaded()
        if reason == "unreachable" or self._failures >= FAILURES_BEFORE_PAUSE:
            self.is_open = False
        return is_overload

    def reopen(self) -> None:
        """The server is back."""
        self.is_open = True
        self._failures = self._in_a_row = 0
        self._outcomes.clear()

    async def is_alive(self) -> bool:
        """Whether the server answers at all."""
        try:
            await self.connection.page("/models", timeout_s=_ALIVE_TIMEOUT_S)
        except BackendError as error:
            return error.reason in _ALIVE_REASONS
        return True

    async def version(self) -> str:
        """The server's version in its own words; empty when it tells none."""
        for path, name in _VERSION_PAGES:
            try:
                page = await self.connection.root_page(path)
            except BackendError as error:
                if error.reason in {"unreachable", "timeout", "connection-lost"}:
                    return ""
                continue
            told = page.get(name) if isinstance(page, dict) else None
            if isinstance(told, str) and told:
                return one_line(told, limit=100)
        return ""

    # -- what the server tells ---------------------------------------------------------

    def told_slots(self, slots: int) -> None:
        """Notes the number of slots that the server names itself."""
        self._told_slots = slots
        wanted = slots + margin_for(slots)
        ceiling = min(wanted, self.ceiling) if self.ceiling > 0 else wanted
        self.hint = slots
        self.controller = ConcurrencyController(wanted, ceiling=ceiling)

    def expect(self, hint: int) -> None:
        """Starts at another number, before the first request."""
        self.hint = hint
        self.controller.restart(hint)

    async def look(self) -> None:
        """Asks the server for its load, and follows it from then on."""
        sent = self.under_way
        try:
            text = await self.connection.root_text("/metrics", timeout_s=_LOOK_TIMEOUT_S)
        except BackendError as error:
            logger.debug("%s: no metrics: %s", self.connection.base_url, error.reason)
            if self.has_load_page is None and error.reason != "timeout":
                self.has_load_page = False
            return
        load = read_load(text)
        if load is None:
            self.has_load_page = False
            return
        self.has_load_page = True
        if self.guide is None:
            self.guide = QueueGuide(self.limit, ceiling=self.ceiling)
        self.guide.told(load, min(sent, self.under_way))
