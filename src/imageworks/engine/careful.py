"""Keywords that several answers agree on and the model then confirms (profile `careful`)."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from imageworks.engine.answering import Answering
from imageworks.errors import AnswerError, TransientBackendError
from imageworks.models import Stage
from imageworks.suggest.agreement import agreed_by_samples
from imageworks.suggest.verification import read_verdicts, unverified

if TYPE_CHECKING:
    from collections.abc import Callable

    from imageworks.config import PersonalTaggerConfig
    from imageworks.infer.engine import BaseInferenceEngine
    from imageworks.models import Keyword, Suggestion
    from imageworks.stages import InferenceRequest, InferenceResult

logger = logging.getLogger(__name__)

NOTHING_AGREED = "the model's answers agree on no keyword"
NOT_VERIFIED = "the keywords are not verified: the model gave no usable answer to that"
# Far from the samples that a person's wishes for another answer take.
_FIRST_SAMPLE = 1000
# The server took the question and failed on it; it is not away.
_FAILED_AT_IT = frozenset({"server-error", "timeout", "not-json"})


class CarefulAnswering(Answering):
    """An `Answering` that asks about the keywords again, the picture being in the server's cache.

    Each further question costs one short call: the picture's tokens are cached where the server
    caches at all, and little is written.

    Args:
        engine: Answers.
        config: The run's settings.
        samples: Answers about keywords in all.
        verifies: Keywords are to be confirmed; without that, one sample is an ordinary `Answering`.
        on_answer: As in `Answering`.
    """

    def __init__(
        self,
        engine: BaseInferenceEngine,
        config: PersonalTaggerConfig,
        *,
        samples: int,
        on_answer: Callable[[], None],
        verifies: bool = False,
    ) -> None:
        super().__init__(engine, config, on_answer=on_answer)
        self._samples = samples
        self._verifies = verifies

    async def answer(self, request: InferenceRequest) -> tuple[InferenceResult, Suggestion]:
        """As `Answering.answer`, with the keywords that most answers name and the model confirms.

        Raises:
            AnswerError: The first answer could not be used.
            BackendError: As `BaseInferenceEngine.infer`.
        """
        found = await super().answer(request)
        if self._samples > 1 and found[1].tags.keywords:
            found = await self._agreed(request, *found)
        if self._verifies and found[1].tags.keywords:
            found = await self._verified(request, *found)
        return found

    async def _agreed(
        self, request: InferenceRequest, result: InferenceResult, suggestion: Suggestion
    ) -> tuple[InferenceResult, Suggestion]:
        """The keywords that most of several answers name."""
        answers = [*result.answers]
        samples: list[tuple[Keyword, ...]] = [suggestion.tags.keywords]
        for number in range(1, self._samples):
            sample = request.sample + _FIRST_SAMPLE * number
            try:
                found = await self._once(replace(request, stages=(Stage.KEYWORDS,), sample=sample))
            except AnswerError as error:
                logger.debug("%s: sample %d is left out: %s", request.path, number, error.reason)
                continue
            # Before the first answer, which is the one that a record tells.
            answers[:0] = found[0].answers
            samples.append(found[1].tags.keywords)
        keywords = agreed_by_samples(samples, max_keywords=self._config.max_keywords)
        notes = () if keywords else (NOTHING_AGREED,)
        return replace(result, answers=tuple(answers)), _with(suggestion, keywords, *notes)

    async def _verified(
        self, request: InferenceRequest, result: InferenceResult, suggestion: Suggestion
    ) -> tuple[InferenceResult, Suggestion]:
        """The keywords that the model does not deny; all of them where it gives no usable answer.

        Raises:
            BackendError: The server is away, so that the image is to be asked about again.
        """
        keywords = suggestion.tags.keywords
        wanted = tuple(keyword.text for keyword in keywords)
        try:
            told = await self._fitting.infer(replace(request, stages=(), verify=wanted))
        except AnswerError as error:
            logger.debug("%s: keywords are not verified: %s", request.path, error.reason)
            return result, _with(suggestion, unverified(keywords), NOT_VERIFIED)
        except TransientBackendError as error:
            if error.reason not in _FAILED_AT_IT:
                raise
            logger.info("%s: keywords are not verified: %s", request.path, error)
            return result, _with(suggestion, unverified(keywords), NOT_VERIFIED)
        self._on_answer()
        result = replace(result, answers=(*result.answers, *told.answers))
        verdict = read_verdicts(keywords, told.answers[-1])
        notes = []
        if verdict.unanswered == len(keywords):
            notes.append(NOT_VERIFIED)
        elif verdict.unanswered:
            notes.append(f"{verdict.unanswered} of {len(keywords)} keywords are not verified")
        if verdict.denied:
            denied = ", ".join(keyword.text for keyword in verdict.denied)
            notes.append(f"left out, as the model does not confirm it: {denied}")
        return result, _with(suggestion, verdict.keywords, *notes)


def _with(suggestion: Suggestion, keywords: tuple[Keyword, ...], *notes: str) -> Suggestion:
    """The suggestion with other keywords and further notes."""
    tags = replace(suggestion.tags, keywords=keywords)
    return replace(suggestion, tags=tags, notes=(*suggestion.notes, *notes))
