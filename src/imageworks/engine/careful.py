"""Asks for keywords several times and keeps what the answers agree on (profile `careful`)."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from imageworks.engine.answering import Answering
from imageworks.errors import AnswerError
from imageworks.models import Stage
from imageworks.suggest.agreement import agreed_by_samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from imageworks.config import PersonalTaggerConfig
    from imageworks.infer.engine import BaseInferenceEngine
    from imageworks.models import InferenceRequest, InferenceResult, Keyword, Suggestion

logger = logging.getLogger(__name__)

NOTHING_AGREED = "the model's answers agree on no keyword"
# Far from the samples that a person's wishes for another answer take.
_FIRST_SAMPLE = 1000


class CarefulAnswering(Answering):
    """An `Answering` that asks for the keywords again, the picture being in the server's cache.

    Each further answer costs one short call: the picture's tokens are cached where the server
    caches at all, and only keywords are written.

    Args:
        engine: Answers.
        config: The run's settings.
        samples: Answers about keywords in all; 1 is an ordinary `Answering`.
        on_answer: As in `Answering`.
    """

    def __init__(
        self,
        engine: BaseInferenceEngine,
        config: PersonalTaggerConfig,
        *,
        samples: int,
        on_answer: Callable[[], None],
    ) -> None:
        super().__init__(engine, config, on_answer=on_answer)
        self._samples = samples

    async def answer(self, request: InferenceRequest) -> tuple[InferenceResult, Suggestion]:
        """As `Answering.answer`, with the keywords that most of the answers name.

        Raises:
            AnswerError: The first answer could not be used.
            BackendError: As `BaseInferenceEngine.infer`.
        """
        result, suggestion = await super().answer(request)
        if self._samples < 2 or not suggestion.tags.keywords:
            return result, suggestion
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
        notes = suggestion.notes if keywords else (*suggestion.notes, NOTHING_AGREED)
        tags = replace(suggestion.tags, keywords=keywords)
        return replace(result, answers=tuple(answers)), replace(suggestion, tags=tags, notes=notes)
