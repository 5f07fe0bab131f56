"""The engine that asks a vision-language model over the OpenAI-compatible chat protocol."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from imageworks.errors import AnswerError, BackendError
from imageworks.infer.courier import Courier
from imageworks.infer.engine import BaseInferenceEngine, ProbeResult
from imageworks.infer.failures import UNSUPPORTED
from imageworks.infer.lane import Lane
from imageworks.infer.memory import ServerMemory, server_key
from imageworks.infer.payload import Dialect, Sampling, chat_body, encode_picture
from imageworks.infer.preflight import Preflight
from imageworks.infer.prompts import Prompt, PromptWriter
from imageworks.infer.responses import usable_text
from imageworks.infer.retry import RetryPolicy
from imageworks.infer.seen import NOTE_NOT_SEEN, may_be_unseen
from imageworks.infer.server_pool import ServerPool
from imageworks.infer.servers import backend_of_owner, traits_of
from imageworks.infer.transport import ChatExchange, ServerConnection
from imageworks.models import Stage, StageAnswer
from imageworks.stages import InferenceResult
from imageworks.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from imageworks.config import PersonalTaggerConfig
    from imageworks.infer.profiles import PromptProfile
    from imageworks.stages import InferenceRequest

logger = logging.getLogger(__name__)

_PROTOCOL_VERSION = 1
"""Raised when the way of asking changes so that answers kept from before no longer stand."""

_PROBE_TOKENS = 8
_PROSE_BEFORE_STAGES = 3
_UNUSABLE_BEFORE_STAGES = 2
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
        unusable: Likewise.
        is_interactive: Likewise.
        schema: JSON schema of the answer; None asks for plain text.
        is_compact: The answer leaves no room for blanks, where the server can be told so.
        pattern: Regular expression of the answer without such room.
        grammar: Grammar of such an answer, for servers that take one.
        sampling: How to choose tokens; None as the settings say.
    """

    stages: tuple[Stage, ...]
    model: str
    prompt: Prompt
    picture: bytes
    sample: int = 0
    unusable: int = 0
    is_interactive: bool = False
    schema: dict[str, Any] | None = None
    is_compact: bool = False
    pattern: str = ""
    grammar: str = ""
    sampling: Sampling | None = None

    @property
    def verifies(self) -> bool:
        """Whether it asks for yes or no to a schema of its own, made of a model's words."""
        return not self.stages and self.schema is not None

    def without_blanks(self, dialect: Dialect) -> _Question:
        """The question after an answer that ran full of blanks.

        The grammar that servers make of a schema is what lets a model run away.
        """
        if dialect.has_pattern and not self.is_compact:
            return replace(self, is_compact=True)
        return replace(self, schema=None, is_compact=False)


@dataclass(frozen=True, slots=True)
class _Answered:
    answer: StageAnswer
    lane: Lane


class ChatEngine(BaseInferenceEngine):
    """Asks a model server.

    All three stages go into one structured request when one model answers them; otherwise each is
    asked by itself, back to back, so that the server finds the picture in its cache. A server that
    refuses a part of the request (a schema, a switch) is asked without it from then on.

    Args:
        config: Backend, addresses, models and sampling. Several addresses share the work, each
            as much as it is good for; one that goes away is left out until it is back.
        profile: The prompts.
        policy: When to ask again; None takes the settings' timeout as the limit.
        memory: What servers were found to take; None remembers nothing.

    Raises:
        ConfigError: An address or the key cannot be used.
    """

    def __init__(
        self,
        config: PersonalTaggerConfig,
        profile: PromptProfile,
        *,
        policy: RetryPolicy | None = None,
        memory: ServerMemory | None = None,
    ) -> None:
        self.backend = config.backend
        self._config = config
        self._profile = profile
        self._models = {stage: config.models()[stage.value] for stage in Stage}
        self._writer = PromptWriter(profile, config.language, config.max_keywords)
        self._policy = policy or RetryPolicy(total_s=config.timeout)
        self._memory = memory or ServerMemory(None)
        self._pool = ServerPool([self._lane(url) for url in config.base_url])
        self._courier = Courier(self._pool, timeout_s=config.timeout)
        self.base_url = self._pool.lanes[0].connection.base_url
        self._sampling = Sampling(config.max_new_tokens, config.temperature, config.top_p)
        self._prose_in_a_row = 0

    def _lane(self, url: str) -> Lane:
        config = self._config
        traits = traits_of(config.backend)
        lane = Lane(
            ServerConnection(url, api_key=config.api_key, timeout_s=config.timeout),
            Dialect(
                thinking_off=traits.thinking_off,
                has_logprobs=traits.has_logprobs,
                has_pattern=traits.has_pattern,
                has_grammar=traits.has_grammar,
            ),
            hint=traits.concurrency,
            ceiling=config.max_workers,
        )
        lane.look_every_s = traits.look_every_s
        lane.streams_batch = traits.streams_batch
        return lane

    # -- what it is --------------------------------------------------------------------

    def describe(self) -> str:
        """Backend, models and address, such as ``vllm Qwen3-VL-8B at http://localhost:8000/v1``."""
        names = ", ".join(dict.fromkeys(self._models.values()))
        return f"{self.backend} {one_line(names, limit=200)} at {self.base_url}"

    def models(self) -> Mapping[str, str]:
        """The model of each stage, by stage name."""
        return {stage.value: model for stage, model in self._models.items()}

    @property
    def keyword_samples(self) -> int:
        """As the profile says."""
        return self._profile.keyword_samples

    @property
    def verifies_keywords(self) -> bool:
        """As the profile says."""
        return bool(self._profile.verify)

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
        hint = sum(lane.hint for lane in self._pool.lanes if lane.is_open)
        ceiling = self._config.max_workers * len(self._pool.lanes)
        return max(1, min(hint, ceiling) if ceiling > 0 else hint)

    @property
    def limit(self) -> int:
        """Requests allowed at once now, all servers together."""
        return self._pool.limit

    @property
    def under_way(self) -> int:
        """Requests sent and not ended."""
        return self._pool.under_way

    @property
    def waiting(self) -> int:
        """Requests of a batch that wait for leave to be sent."""
        return self._pool.waiting

    def hold_back(self, *, is_held: bool) -> None:
        """Sends no further request of a batch while held; what a person waits for still goes."""
        self._pool.hold_back(is_held=is_held)

    def follow(self, on_change: Callable[[], None]) -> None:
        """Has a function called on the loop whenever `limit` may have changed."""
        self._pool.on_change = on_change

    async def watch(self) -> None:
        """Follows the servers' load and absence until cancelled."""
        await self._pool.watch()

    # -- whether it can work -----------------------------------------------------------

    async def preflight(self) -> tuple[ProbeResult, ...]:
        """The probes of the first server that passes them all; of every server when none does.

        Servers that fail are left out until they answer.
        """
        results = await asyncio.gather(*(self._probe(lane) for lane in self._pool.lanes))
        probed = zip(self._pool.lanes, results, strict=True)
        passed = [lane for lane, probes in probed if _ok(probes)]
        if not passed:
            return tuple(probe for probes in results for probe in probes)
        for lane in self._pool.lanes:
            lane.is_open = lane in passed
        self.base_url = passed[0].connection.base_url
        self._pool.nudge()
        return next(probes for probes in results if _ok(probes))

    async def _probe(self, lane: Lane) -> tuple[ProbeResult, ...]:
        async def ask(model: str, jpeg: bytes) -> None:
            if not jpeg:
                await self._recall(lane)
            prompt = _PICTURE_PROBE if jpeg else _TEXT_PROBE
            question = _Question((), model, prompt, encode_picture(jpeg))
            sampling = replace(self._sampling, max_tokens=_PROBE_TOKENS)
            await self._policy.run(lambda _: self._exchange(lane, question, sampling))

        probes = Preflight(
            lane.connection,
            tuple(dict.fromkeys(self._models.values())),
            ask,
            timeout_s=self._config.timeout,
            sleep=self._policy.sleep,
            clock=self._policy.clock,
        )
        results = await probes.run()
        if results[-1].is_ok:
            await self._learn(lane, backend_of_owner(probes.owner, self.backend))
        return results

    async def is_alive(self) -> bool:
        """Whether a server answers at all; those that do are taken into use again."""
        alive = await asyncio.gather(*(lane.is_alive() for lane in self._pool.lanes))
        for lane, is_alive in zip(self._pool.lanes, alive, strict=True):
            if is_alive:
                self._pool.reopen(lane)
        return any(alive)

    async def aclose(self) -> None:
        """Closes all connections; safe to call twice."""
        for lane in self._pool.lanes:
            await lane.connection.aclose()

    async def _recall(self, lane: Lane) -> None:
        """Leaves out from the start what this version of the server refused before."""
        version = await lane.version()
        if version:
            models = "+".join(sorted(set(self._models.values())))
            lane.memory_key = server_key(lane.connection.base_url, models, version)
            lane.dialect = self._memory.recall(lane.memory_key, lane.dialect)

    @staticmethod
    async def _learn(lane: Lane, backend: str) -> None:
        """What the server tells about its slots."""
        traits = traits_of(backend)
        lane.look_every_s = traits.look_every_s
        lane.streams_batch = traits.streams_batch
        if traits.has_slots_page:
            try:
                page = await lane.connection.root_page("/props")
            except BackendError as error:
                logger.debug("no slots page: %s", error.reason)
            else:
                slots = page.get("total_slots") if isinstance(page, dict) else None
                if isinstance(slots, int) and slots > 0:
                    lane.told_slots(slots)
                    return
        lane.expect(traits.concurrency)

    # -- asking ------------------------------------------------------------------------

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """The answers about one picture, in one exchange or one for each stage.

        Keywords are confirmed in one exchange, too, behind the same picture.

        Raises:
            AnswerError: This picture got no usable answer; others may.
            TransientBackendError: The server does not answer now and the retries are used up.
            BackendError: The server cannot be used for this run.
        """
        picture = encode_picture(request.jpeg)
        if request.verify:
            return self._result(request, await self._ask_verdicts(request, picture))
        if self._asks_all_at_once(request):
            answered = await self._ask_all(request, picture)
            if answered is not None:
                return self._result(request, answered)
        answers = [await self._ask_stage(stage, request, picture) for stage in request.stages]
        return self._result(request, *answers)

    def _result(self, request: InferenceRequest, *answered: _Answered) -> InferenceResult:
        answers = tuple(found.answer for found in answered)
        url = answered[-1].lane.connection.base_url if answered else self.base_url
        return InferenceResult(answers, notes=self._notes(request, *answers), base_url=url)

    def _asks_all_at_once(self, request: InferenceRequest) -> bool:
        is_one_model = len(set(self._models.values())) == 1
        is_prose_server = self._prose_in_a_row >= _PROSE_BEFORE_STAGES
        is_worn_out = is_prose_server or request.unusable >= _UNUSABLE_BEFORE_STAGES
        return is_one_model and not is_worn_out and set(request.stages) == set(Stage)

    async def _ask_all(self, request: InferenceRequest, picture: bytes) -> _Answered | None:
        """The answer to all stages at once, or None when it is prose instead of JSON."""
        question = _Question(
            stages=tuple(Stage),
            model=self._models[Stage.CAPTION],
            prompt=self._writer.for_all(request),
            picture=picture,
            sample=request.sample,
            unusable=request.unusable,
            is_interactive=request.is_interactive,
            schema=self._writer.answer_schema(),
            pattern=self._writer.answer_pattern(),
        )
        answered = await self._ask(question)
        if "{" in answered.answer.text:
            self._prose_in_a_row = 0
            return answered
        self._prose_in_a_row += 1
        if self._prose_in_a_row == _PROSE_BEFORE_STAGES:
            logger.info("%s does not answer in JSON: asking stage by stage", self.base_url)
        return None

    async def _ask_stage(
        self, stage: Stage, request: InferenceRequest, picture: bytes
    ) -> _Answered:
        question = _Question(
            stages=(stage,),
            model=self._models[stage],
            prompt=self._writer.for_stage(stage, request),
            picture=picture,
            sample=request.sample,
            unusable=request.unusable,
            is_interactive=request.is_interactive,
            sampling=self._sampling_of(stage, request),
        )
        return await self._ask(question)

    def _sampling_of(self, stage: Stage, request: InferenceRequest) -> Sampling | None:
        """A short limit for the first answer to what a person waits for; None as the settings say.

        A thinking model may need more, and gets it when it is asked another way.
        """
        if not _is_short(request):
            return None
        most = min(self._sampling.max_tokens, self._writer.short_tokens(stage))
        return replace(self._sampling, max_tokens=most)

    async def _ask_verdicts(self, request: InferenceRequest, picture: bytes) -> _Answered:
        """Yes or no to each keyword; the likeliest word counts, whatever the settings say."""
        keywords = request.verify
        most = min(self._sampling.max_tokens, self._writer.verdict_tokens(keywords))
        question = _Question(
            stages=(),
            model=self._models[Stage.KEYWORDS],
            prompt=self._writer.for_verification(keywords),
            picture=picture,
            is_interactive=request.is_interactive,
            schema=self._writer.verdict_schema(keywords),
            pattern=self._writer.verdict_pattern(keywords),
            grammar=self._writer.verdict_grammar(keywords),
            sampling=replace(self._sampling, max_tokens=most, temperature=0.0),
        )
        return await self._ask(question)

    async def _ask(self, question: _Question) -> _Answered:
        asked = question
        sampling_asked = question.sampling or self._sampling

        async def once(resample: int) -> tuple[ChatExchange, Lane, str]:
            nonlocal asked
            now_asked = asked
            sampling = sampling_asked.for_try(question.sample, question.unusable + resample)
            exchange, lane = await self._courier.deliver(
                lambda lane: self._exchange(lane, now_asked, sampling),
                is_interactive=question.is_interactive,
            )
            is_structured = asked.schema is not None and lane.dialect.has_schema
            try:
                return exchange, lane, usable_text(exchange.response, is_structured=is_structured)
            except AnswerError as error:
                if error.reason == "whitespace-loop":
                    asked = asked.without_blanks(lane.dialect)
                raise

        (exchange, lane, text), attempts = await self._policy.run(once)
        # Where the cure helped once, it is taken from the start: some models loop every third time.
        lane.runs_into_blanks |= asked.is_compact
        response = exchange.response
        answer = StageAnswer(
            stages=question.stages,
            model=question.model,
            system=question.prompt.system,
            user=question.prompt.user,
            text=text,
            duration_s=exchange.duration_s,
            ttft_s=exchange.ttft_s,
            longest_stall_s=exchange.longest_stall_s,
            prompt_tokens=response.prompt_tokens,
            completion_tokens=response.completion_tokens,
            is_truncated=response.is_truncated,
            attempts=attempts,
            token_logprobs=response.token_logprobs,
        )
        return _Answered(answer, lane)

    async def _exchange(self, lane: Lane, question: _Question, sampling: Sampling) -> ChatExchange:
        """One exchange, in a simpler dialect when the server refuses a part of the request."""
        while True:
            dialect = lane.dialect
            is_streamed = question.is_interactive or lane.streams_batch
            body = chat_body(
                question.model,
                question.prompt,
                question.picture,
                sampling,
                dialect,
                schema=question.schema,
                pattern=self._pattern(question, lane),
                grammar=question.grammar if question.schema is not None else "",
                is_streamed=is_streamed,
            )
            try:
                if is_streamed:
                    most = sampling.max_tokens
                    return await lane.connection.stream_chat(body, most_tokens=most)
                return await lane.connection.chat(body)
            except AnswerError as error:
                if error.reason != UNSUPPORTED:
                    raise
                if question.verifies and dialect.loses_schema(error.message):
                    # The odd keyword is at fault, not the server: all else goes on as before.
                    question = replace(question, schema=None)
                elif not self._simplify(lane, dialect, error.message):
                    raise

    @staticmethod
    def _pattern(question: _Question, lane: Lane) -> str:
        is_wanted = question.is_compact or lane.runs_into_blanks
        return question.pattern if is_wanted and question.schema is not None else ""

    def _simplify(self, lane: Lane, refused: Dialect, complaint: str) -> bool:
        """Leaves out what the server complained about; False when there is nothing to leave out."""
        if lane.dialect != refused:
            return True  # another request met the same refusal first
        simpler = refused.without(complaint)
        if simpler is None:
            return False
        url = lane.connection.base_url
        logger.info("%s: going on without a part of the request: %s", url, complaint)
        lane.dialect = simpler
        if lane.memory_key:
            self._memory.note(lane.memory_key, simpler)
        return True

    def _notes(self, request: InferenceRequest, *answers: StageAnswer) -> tuple[str, ...]:
        notes = []
        cut = [answer for answer in answers if answer.is_truncated]
        # One cut off at a short limit is asked for in full, not the person for a longer one.
        if any(len(answer.stages) > 1 or not _is_short(request) for answer in cut):
            limit = self._config.max_new_tokens
            notes.append(
                f"The answer was cut off at its limit of {limit} tokens; raise --max-new-tokens."
            )
        if any(
            may_be_unseen(request.jpeg, answer.system + answer.user, answer.prompt_tokens)
            for answer in answers
        ):
            notes.append(NOTE_NOT_SEEN)
        return tuple(notes)


def _is_short(request: InferenceRequest) -> bool:
    """Whether answers to single stages are given no more room than they need."""
    return request.is_interactive and not request.unusable


def _ok(probes: tuple[ProbeResult, ...]) -> bool:
    return probes[-1].is_ok
