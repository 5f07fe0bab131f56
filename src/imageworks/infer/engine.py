"""What every inference engine can do, whatever answers behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from imageworks.stages import InferenceRequest, InferenceResult


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The outcome of one preflight probe.

    Attributes:
        name: What was probed, such as ``models`` or ``vision completion``.
        is_ok: The probe found what it needs.
        message: One sentence for the person.
        hint: What to try; empty when all is well.
        latency_s: How long the probe took.
        reason: The error's short word; empty when all is well.
    """

    name: str
    is_ok: bool
    message: str
    hint: str = ""
    latency_s: float = 0.0
    reason: str = ""


class BaseInferenceEngine(ABC):
    """Answers what a picture shows.

    An engine belongs to one event loop and is closed with `aclose`.

    Attributes:
        backend: The backend's name as in the settings.
        base_url: The server's address, without credentials; empty when there is none.
    """

    backend: str
    base_url: str

    @abstractmethod
    def describe(self) -> str:
        """What the engine calls itself in every output."""

    @abstractmethod
    def models(self) -> Mapping[str, str]:
        """The model of each stage, by stage name."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of all that changes an answer.

        The same picture content under the same fingerprint is never asked about twice.
        """

    @abstractmethod
    def suggested_concurrency(self) -> int:
        """How many requests to keep under way at once; at least 1."""

    @property
    def limit(self) -> int:
        """How many requests may be under way at once now."""
        return self.suggested_concurrency()

    @property
    def under_way(self) -> int:
        """Requests sent and not ended; 0 where nobody counts."""
        return 0

    @property
    def keyword_samples(self) -> int:
        """How often keywords are to be asked, so that only what most answers name is kept."""
        return 1

    @property
    def verifies_keywords(self) -> bool:
        """Whether keywords are to be confirmed, yes or no, before they are kept."""
        return False

    @property
    def waiting(self) -> int:
        """Requests of a batch that wait for leave to be sent; 0 where none ever do."""
        return 0

    def hold_back(self, *, is_held: bool) -> None:  # noqa: B027  # nothing waits here
        """Sends no further request of a batch while held; what a person waits for still goes."""

    def follow(self, on_change: Callable[[], None]) -> None:  # noqa: B027  # nothing changes here
        """Has a function called on the loop whenever `limit` may have changed."""

    async def watch(self) -> None:  # noqa: B027  # nothing to watch here
        """Follows the backend's load and absence until cancelled; returns where there is none."""

    @abstractmethod
    async def preflight(self) -> tuple[ProbeResult, ...]:
        """Probes in order, ending with the first that failed; never raises for the backend."""

    @abstractmethod
    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """The answers about one picture; to ``request.verify`` alone where that is not empty.

        Raises:
            AnswerError: This picture got no usable answer; others may.
            TransientBackendError: The server does not answer now and the retries are used up.
            BackendError: The server cannot be used for this run.
        """

    @abstractmethod
    async def is_alive(self) -> bool:
        """Whether the backend answers at all; cheap enough to ask every few seconds."""

    @abstractmethod
    async def aclose(self) -> None:
        """Gives connections and memory back; safe to call twice."""
