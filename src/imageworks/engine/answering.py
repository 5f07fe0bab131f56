"""Gets a usable suggestion for one picture, asking another way after answers that are not."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from imageworks.engine.fitting import FittingEngine
from imageworks.errors import AnswerError
from imageworks.infer.failures import RESAMPLE_REASONS
from imageworks.models import Stage
from imageworks.suggest.builder import build_suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from imageworks.config import PersonalTaggerConfig
    from imageworks.infer.engine import BaseInferenceEngine
    from imageworks.models import Suggestion, Tags
    from imageworks.stages import InferenceRequest, InferenceResult

logger = logging.getLogger(__name__)

MAX_UNUSABLE = 2
"""How often an image is asked another way: first another sample, then in plain questions."""

UNUSABLE_REASONS = RESAMPLE_REASONS | {"refused", "unusable-answer", "thinking-only"}
"""Reasons of an `AnswerError` after which another way of asking may help."""

_VAIN_BEFORE_RESIGNED = 3


class Answering:
    """Asks an engine until an answer has all that was asked.

    A model that never gives, say, a description, or whose answers are always cut off, is asked
    again for a few pictures only; after that its answers are taken as they are.

    Args:
        engine: Answers.
        config: The run's settings.
        on_answer: Called after every exchange that the backend got through.
    """

    def __init__(
        self,
        engine: BaseInferenceEngine,
        config: PersonalTaggerConfig,
        *,
        on_answer: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._fitting = FittingEngine(engine)
        self._config = config
        self._on_answer = on_answer
        self._in_vain = 0

    async def answer(self, request: InferenceRequest) -> tuple[InferenceResult, Suggestion]:
        """The first answer with all that was asked, else the one with most of it.

        Raises:
            AnswerError: No answer could be used.
            BackendError: As `BaseInferenceEngine.infer`.
        """
        best: tuple[InferenceResult, Suggestion] | None = None
        failure: AnswerError | None = None
        for unusable in range(MAX_UNUSABLE + 1):
            try:
                found = await self._once(replace(request, unusable=unusable))
            except AnswerError as error:
                failure = error
                if error.reason not in UNUSABLE_REASONS:
                    break
                logger.debug("%s: asking another way after %s", request.path, error.reason)
                continue
            if _is_whole(*found, request.stages):
                self._in_vain = 0
                return found
            if best is None or _wealth(found[1].tags) > _wealth(best[1].tags):
                best = found
            if self._is_resigned:
                break
        if best is not None:
            self._in_vain += 1
            return best
        raise failure or AnswerError("The model gave no answer.", reason="empty-answer")

    async def _once(self, request: InferenceRequest) -> tuple[InferenceResult, Suggestion]:
        result = await self._fitting.infer(request)
        self._on_answer()
        suggestion = build_suggestion(
            result, max_keywords=self._config.max_keywords, language=self._config.language
        )
        return result, suggestion

    @property
    def _is_resigned(self) -> bool:
        """Whether asking again is known to bring no more; a classifier says the same again."""
        return self._in_vain >= _VAIN_BEFORE_RESIGNED or not self._engine.base_url


def _is_whole(result: InferenceResult, suggestion: Suggestion, stages: Collection[Stage]) -> bool:
    """Whether an answer gave all that was asked and came to its end."""
    tags = suggestion.tags
    got = {
        Stage.CAPTION: bool(tags.caption),
        Stage.KEYWORDS: bool(tags.keywords),
        Stage.DESCRIPTION: bool(tags.description),
    }
    is_cut = any(answer.is_truncated for answer in result.answers)
    return not is_cut and all(got[stage] for stage in stages)


def _wealth(tags: Tags) -> int:
    return sum(map(bool, (tags.caption, tags.keywords, tags.description)))
