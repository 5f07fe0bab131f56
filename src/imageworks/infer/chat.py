"""The engine that asks a vision-language model over the OpenAI-compatible chat protocol."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from imageworks.errors import AnswerError, BackendError
from imageworks.infer.engine import BaseInferenceEngine, ProbeResult
from imageworks.infer.failures import UNSUPPORTED
from imageworks.infer.payload import Dialect, Sampling, chat_body, encode_picture
from imageworks.infer.preflight import Preflight
from imageworks.infer.prompts import Prompt, PromptWriter
from imageworks.infer.responses import usable_text
from imageworks.infer.retry import RetryPolicy
from imageworks.infer.servers import backend_of_owner, traits_of
from imageworks.infer.transport import ChatExchange, ServerConnection
from imageworks.models import InferenceResult, Stage, StageAnswer
from imageworks.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imageworks.config import PersonalTaggerConfig
    from imageworks.infer.profiles import PromptProfile
    from imageworks.models import InferenceRequest

logger = logging.getLogger(__name__)

_PROTOCOL_VERSION = 1
"""Raised when the way of asking changes so that answers kept from before no longer stand."""

_PROBE_TOKENS = 8
_PROSE_BEFORE_STAGES = 3
_ALIVE_TIMEOUT_S = 3.0
_ALIVE_REASONS = frozenset({"wrong-path", "not-authorised", "rate-limited", "request-refused"})
_TEXT_PROBE = Prompt("", "Answer with the word: ready")
_PICTURE_PROBE = Prompt("", "Name the main colour of this picture in one word.")


@dataclass(frozen=True, slots=True)
class _Question:
    """What to ask about one picture in one request.

    Attributes:
        stages: What it asks for.
        model: Whom it asks.
        prompt: In which words.
        picture: The encoded picture, the same bytes in every request about it.
        sample: As in `InferenceRequest`.
        schema: JSON schema of the answer; None asks for plain text.
    """

    stages: tuple[Stage, ...]
    model: str
    prompt: Prompt
    picture: bytes
    sample: int = 0
    schema: dict[str, Any] | None = None


class ChatEngine(BaseInferenceEngine):
    """Asks a model server.

    All three stages go into one structured request when one model answers them; otherwise each is
    asked by itself, back to back, so that the server finds the picture in its cache. A server that
    refuses a part of the request (a schema, a switch) is asked without it from then on.

    Args:
        config: Backend, addresses, models and sampling. Of several addresses one is used at a time:
            the first whose preflight succeeds, then the first alive when that one goes away.
        profile: The prompts.
        policy: When to ask again; None takes the settings' timeout as the limit.

    Raises:
        ConfigError: An address or the key cannot be used.
    """

    def __init__(
        self,
        config: PersonalTaggerConfig,
        profile: PromptProfile,
        *,
        policy: RetryPolicy | None = None,
    ) -> None:
        self.backend = config.backend
        self._config = config
        self._profile = profile
        self._models = {stage: config.models()[stage.value] for stage in Stage}
        self._writer = PromptWriter(profile, config.language, config.max_keywords)
        self._policy = policy or RetryPolicy(total_s=config.timeout)
        self._connections = tuple(
            ServerConnection(url, api_key=config.api_key, timeout_s=config.timeout)
            for url in config.base_url
        )
        self._use(self._connections[0])
        self._dialect = Dialect(thinking_off=traits_of(config.backend).thinking_off)
        self._sampling = Sampling(config.max_new_tokens, config.temperature, config.top_p)
        self._slots = traits_of(config.backend).concurrency
        self._prose_in_a_row = 0

    # -- what it is --------------------------------------------------------------------

    def describe(self) -> str:
        """Backend, models and address, such as ``vllm Qwen3-VL-8B at http://localhost:8000/v1``."""
        names = ", ".join(dict.fromkeys(self._models.values()))
        return f"{self.backend} {one_line(names, limit=200)} at {self.base_url}"

    def models(self) -> Mapping[str, str]:
        """The model of each stage, by stage name."""
        return {stage.value: model for stage, model in self._models.items()}

    def fingerprint(self) -> str:
        """Digest of models, prompts, sampling, language and context; the address does not count."""
        config = self._config
        parts = (
            _PROTOCOL_VERSION,
            self.models(),
            self._profile.answer_changing_parts(),
            config.max_keywords,
            config.max_new_tokens,
            config.temperature,
            config.top_p,
            config.language,
            sorted(config.context),
        )
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def suggested_concurrency(self) -> int:
        """What the server told in preflight, or what its kind can do; at most ``max_workers``."""
        ceiling = self._config.max_workers
        return min(self._slots, ceiling) if ceiling > 0 else self._slots

    # -- whether it can work -----------------------------------------------------------

    async def preflight(self) -> tuple[ProbeResult, ...]:
        """The probes of the first server that passes them all; of every server when none does."""
        failed: list[ProbeResult] = []
        for connection in self._connections:
            self._use(connection)
            probes = Preflight(
                connection,
                tuple(dict.fromkeys(self._models.values())),
                self._ask_probe,
                timeout_s=self._config.timeout,
                sleep=self._policy.sleep,
                clock=self._policy.clock,
            )
            results = await probes.run()
            if results[-1].is_ok:
                await self._learn_slots(backend_of_owner(probes.owner, self.backend))
                return results
            failed.extend(results)
        self._use(self._connections[0])
        return tuple(failed)

    async def is_alive(self) -> bool:
        """Whether the server answers at all; turns to another address when only that one does."""
        others = (c for c in self._connections if c is not self._connection)
        for connection in (self._connection, *others):
            try:
                await connection.page("/models", timeout_s=_ALIVE_TIMEOUT_S)
            except BackendError as error:
                if error.reason not in _ALIVE_REASONS:
                    continue
            if connection is not self._connection:
                logger.info("turning to %s", connection.base_url)
                self._use(connection)
            return True
        return False

    async def aclose(self) -> None:
        """Closes all connections; safe to call twice."""
        for connection in self._connections:
            await connection.aclose()

    def _use(self, connection: ServerConnection) -> None:
        self._connection = connection
        self.base_url = connection.base_url

    async def _learn_slots(self, backend: str) -> None:
        traits = traits_of(backend)
        if not traits.has_slots_page:
            return
        try:
            page = await self._connection.root_page("/props")
        except BackendError as error:
            logger.debug("no slots page: %s", error.reason)
            return
        slots = page.get("total_slots") if isinstance(page, dict) else None
        if isinstance(slots, int) and slots > 0:
            self._slots = slots

    async def _ask_probe(self, model: str, jpeg: bytes) -> None:
        prompt = _PICTURE_PROBE if jpeg else _TEXT_PROBE
        question = _Question((), model, prompt, encode_picture(jpeg))
        sampling = replace(self._sampling, max_tokens=_PROBE_TOKENS)
        await self._policy.run(lambda _: self._exchange(question, sampling))

    # -- asking ------------------------------------------------------------------------

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """The answers about one picture, in one exchange or one for each stage.

        Raises:
            AnswerError: This picture got no usable answer; others may.
            TransientBackendError: The server does not answer now and the retries are used up.
            BackendError: The server cannot be used for this run.
        """
        picture = encode_picture(request.jpeg)
        if self._asks_all_at_once(request):
            answer = await self._ask_all(request, picture)
            if answer is not None:
                return InferenceResult((answer,), notes=self._notes(answer))
        answers = [await self._ask_stage(stage, request, picture) for stage in request.stages]
        return InferenceResult(tuple(answers), notes=self._notes(*answers))

    def _asks_all_at_once(self, request: InferenceRequest) -> bool:
        is_one_model = len(set(self._models.values())) == 1
        is_prose_server = self._prose_in_a_row >= _PROSE_BEFORE_STAGES
        return is_one_model and not is_prose_server and set(request.stages) == set(Stage)

    async def _ask_all(self, request: InferenceRequest, picture: bytes) -> StageAnswer | None:
        """The answer to all stages at once, or None when it is prose instead of JSON."""
        question = _Question(
            stages=tuple(Stage),
            model=self._models[Stage.CAPTION],
            prompt=self._writer.for_all(request),
            picture=picture,
            sample=request.sample,
            schema=self._writer.answer_schema(),
        )
        answer = await self._ask(question)
        if "{" in answer.text:
            self._prose_in_a_row = 0
            return answer
        self._prose_in_a_row += 1
        if self._prose_in_a_row == _PROSE_BEFORE_STAGES:
            logger.info("%s does not answer in JSON: asking stage by stage", self.base_url)
        return None

    async def _ask_stage(
        self, stage: Stage, request: InferenceRequest, picture: bytes
    ) -> StageAnswer:
        question = _Question(
            stages=(stage,),
            model=self._models[stage],
            prompt=self._writer.for_stage(stage, request),
            picture=picture,
            sample=request.sample,
        )
        return await self._ask(question)

    async def _ask(self, question: _Question) -> StageAnswer:
        asked = question

        async def once(resample: int) -> tuple[ChatExchange, str]:
            nonlocal asked
            sampling = self._sampling.for_try(question.sample, resample)
            exchange = await self._exchange(asked, sampling)
            is_structured = asked.schema is not None and self._dialect.has_schema
            try:
                return exchange, usable_text(exchange.response, is_structured=is_structured)
            except AnswerError as error:
                if error.reason == "whitespace-loop":
                    # The grammar of the schema is what lets the model run away: leave it out.
                    asked = replace(asked, schema=None)
                raise

        (exchange, text), attempts = await self._policy.run(once)
        response = exchange.response
        return StageAnswer(
            stages=question.stages,
            model=question.model,
            system=question.prompt.system,
            user=question.prompt.user,
            text=text,
            duration_s=exchange.duration_s,
            prompt_tokens=response.prompt_tokens,
            completion_tokens=response.completion_tokens,
            is_truncated=response.is_truncated,
            attempts=attempts,
        )

    async def _exchange(self, question: _Question, sampling: Sampling) -> ChatExchange:
        """One exchange, in a simpler dialect when the server refuses a part of the request."""
        while True:
            dialect = self._dialect
            body = chat_body(
                question.model,
                question.prompt,
                question.picture,
                sampling,
                dialect,
                schema=question.schema,
            )
            try:
                return await self._connection.chat(body)
            except AnswerError as error:
                if error.reason != UNSUPPORTED or not self._simplify(dialect, error.message):
                    raise

    def _simplify(self, refused: Dialect, complaint: str) -> bool:
        """Leaves out what the server complained about; False when there is nothing to leave out."""
        if self._dialect != refused:
            return True  # another request met the same refusal first
        simpler = refused.without(complaint)
        if simpler is None:
            return False
        logger.info("%s: going on without a part of the request: %s", self.base_url, complaint)
        self._dialect = simpler
        return True

    def _notes(self, *answers: StageAnswer) -> tuple[str, ...]:
        if not any(answer.is_truncated for answer in answers):
            return ()
        limit = self._config.max_new_tokens
        return (f"The answer was cut off at its limit of {limit} tokens; raise --max-new-tokens.",)
