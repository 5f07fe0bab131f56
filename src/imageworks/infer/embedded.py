"""The engine that brings its own model server: llama.cpp as a child process, on this disk's model.

What it asks and how it reads the answers is `ChatEngine`'s. This engine keeps the server alive: one
that ends is started again, and the pictures that were under way are asked about once more, one at a
time, so that a picture that brings the server down is found out and fails alone.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import logging
import time
from typing import TYPE_CHECKING

from imageworks.errors import AnswerError, BackendError, ImageworksError, UsageError
from imageworks.infer.chat import ChatEngine
from imageworks.infer.embedded_models import LOOPBACK_URL, named_model
from imageworks.infer.embedded_server import ServerPlan
from imageworks.infer.engine import BaseInferenceEngine, ProbeResult
from imageworks.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from imageworks.config import PersonalTaggerConfig
    from imageworks.infer.embedded_server import EmbeddedServers
    from imageworks.infer.profiles import PromptProfile
    from imageworks.stages import InferenceRequest, InferenceResult

logger = logging.getLogger(__name__)

_DYING_TIME_S = 1.0


class EmbeddedEngine(BaseInferenceEngine):
    """Asks a llama.cpp server that it starts and ends itself.

    Args:
        config: The settings with the model's files filled in (`with_embedded_model`).
        profile: The prompts.
        servers: The servers of this process.

    Raises:
        ConfigError: The model's files cannot be used.
        UsageError: The files are not filled in.
    """

    def __init__(
        self, config: PersonalTaggerConfig, profile: PromptProfile, servers: EmbeddedServers
    ) -> None:
        if config.embedded_model is None:
            message = "The embedded backend's model has to be chosen before it is used."
            raise UsageError(message, hint="name one with --embedded-model.", reason="no-model")
        self.backend = "embedded"
        self.base_url = LOOPBACK_URL
        self._model = named_model(config.embedded_model, config.embedded_mmproj)
        self._config = dataclasses.replace(config, backend="llamacpp", base_url=(LOOPBACK_URL,))
        self._profile = profile
        self._servers = servers
        self._plan = ServerPlan.for_machine(self._model)
        self._server = servers.borrow(self._plan)
        self._is_closed = False
        self._chat = ChatEngine(self._config, profile)
        self._generation = 0
        self._on_change: Callable[[], None] = lambda: None
        self._opening = asyncio.Lock()
        self._alone = asyncio.Lock()
        self._calm = asyncio.Event()
        self._calm.set()
        self._suspects = 0

    # -- what it is --------------------------------------------------------------------

    def describe(self) -> str:
        """Such as ``embedded Qwen3 VL 4B Instruct``."""
        return f"embedded {one_line(self._model.name, limit=200)}"

    def models(self) -> Mapping[str, str]:
        """The model of each stage, by stage name."""
        return self._chat.models()

    def fingerprint(self) -> str:
        """Digest of all that changes an answer, the model's form included."""
        model = self._model
        parts = (self._chat.fingerprint(), model.quantization, str(model.size_bytes))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def suggested_concurrency(self) -> int:
        """The server's slots; at most ``max_workers``."""
        ceiling = self._config.max_workers
        return min(self._plan.slots, ceiling) if ceiling else self._plan.slots

    @property
    def limit(self) -> int:
        """Requests allowed at once now."""
        return self._chat.limit if self._generation else self.suggested_concurrency()

    @property
    def under_way(self) -> int:
        """Requests sent and not ended."""
        return self._chat.under_way

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return self._chat.waiting

    @property
    def keyword_samples(self) -> int:
        """How many answers a picture's keywords are taken from."""
        return self._chat.keyword_samples

    @property
    def verifies_keywords(self) -> bool:
        """As the profile says."""
        return self._chat.verifies_keywords

    def hold_back(self, *, is_held: bool) -> None:
        """Sends nothing more for the batch, or goes on."""
        self._chat.hold_back(is_held=is_held)

    def follow(self, on_change: Callable[[], None]) -> None:
        """Has a function called on the loop whenever `limit` may have changed."""
        self._on_change = on_change
        self._chat.follow(on_change)

    async def watch(self) -> None:
        """Follows the server's load, and starts it again when it ends, until cancelled."""
        while True:
            chat, generation = await self._open()
            following = asyncio.create_task(chat.watch())
            try:
                await self._server.wait_for_end(generation)
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    # -- whether it can work -----------------------------------------------------------

    async def preflight(self) -> tuple[ProbeResult, ...]:
        """Starts the server, then probes it."""
        began_s = time.monotonic()
        try:
            chat, _ = await self._open()
        except ImageworksError as error:
            return (
                ProbeResult(
                    "embedded server",
                    is_ok=False,
                    message=error.message,
                    hint=error.hint,
                    latency_s=time.monotonic() - began_s,
                    reason=error.reason,
                ),
            )
        message = f"llama.cpp runs {self._model.describe()} in {self._plan.slots} slots."
        latency_s = time.monotonic() - began_s
        started = ProbeResult("embedded server", is_ok=True, message=message, latency_s=latency_s)
        return (started, *await chat.preflight())

    async def is_alive(self) -> bool:
        """Whether the server answers; one that has ended is started again."""
        try:
            chat, _ = await self._open()
        except BackendError as error:
            logger.warning("%s", error)
            return False
        return await chat.is_alive()

    async def aclose(self) -> None:
        """Ends the server, unless another engine of this process uses it; safe to call twice."""
        if not self._is_closed:
            self._is_closed = True
            await self._chat.aclose()
            await self._servers.give_back(self._server)

    async def _open(self) -> tuple[ChatEngine, int]:
        """The engine for the server as it runs now, and the server's generation.

        Raises:
            BackendError: The server does not start, or ends again and again.
        """
        async with self._opening:
            if self._is_closed:
                message = "The embedded engine has been closed."
                raise BackendError(message, reason="closed")
            generation = await self._server.ensure()
            if generation != self._generation:
                await self._take(generation)
            return self._chat, generation

    async def _take(self, generation: int) -> None:
        """Turns to a server that has just been started."""
        before = self._chat
        is_first = self._generation == 0
        config = dataclasses.replace(
            self._config, base_url=(self._server.url,), api_key=self._server.api_key
        )
        self._chat = ChatEngine(config, self._profile)
        self._chat.follow(self._on_change)
        self._generation = generation
        self.base_url = self._chat.base_url
        before.follow(lambda: None)
        await before.aclose()
        if not is_first:
            await self._chat.preflight()  # tells how many slots there are
        self._on_change()

    # -- asking ------------------------------------------------------------------------

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """The answers about one picture; asked once more when the server ended meanwhile.

        Raises:
            AnswerError: This picture got no usable answer, or brings the server down.
            TransientBackendError: The server does not answer now and the retries are used up.
            BackendError: The server cannot be used for this run.
        """
        await self._calm.wait()
        chat, generation = await self._open()
        try:
            result = await chat.infer(request)
        except BackendError:
            if not await self._server.has_ended(generation, within_s=_DYING_TIME_S):
                raise
            logger.info("Asking about %s again: the embedded server had ended.", request.path)
            return await self._infer_alone(request)
        self._server.answered()
        return result

    async def _infer_alone(self, request: InferenceRequest) -> InferenceResult:
        """The answers about a picture that was under way when the server ended."""
        self._suspects += 1
        self._calm.clear()
        try:
            async with self._alone:
                chat, generation = await self._open()
                try:
                    result = await chat.infer(request)
                except BackendError as error:
                    if not await self._server.has_ended(generation, within_s=_DYING_TIME_S):
                        raise
                    message = "The model server ended twice while it looked at this picture."
                    hint = "try another model with --embedded-model."
                    raise AnswerError(message, hint=hint, reason="server-crash") from error
                self._server.answered()
                return result
        finally:
            self._suspects -= 1
            if not self._suspects:
                self._calm.set()
