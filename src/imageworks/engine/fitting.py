"""Sends a picture smaller where it does not fit the model's context, and the next ones at once."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from imageworks.errors import AnswerError
from imageworks.infer.seen import jpeg_size
from imageworks.prepare.shrinking import smaller_jpeg

if TYPE_CHECKING:
    from imageworks.infer.engine import BaseInferenceEngine
    from imageworks.stages import InferenceRequest, InferenceResult

logger = logging.getLogger(__name__)

SHRINKABLE_REASONS = frozenset({"context-overflow", "too-large"})
"""Reasons of an `AnswerError` that a smaller picture may cure."""

NOTE_SMALLER = "the picture was sent smaller: it did not fit the model's context"

_STEP = 0.7
_SMALLEST_PX = 224
"""No vision tower looks at less (CLIP's own input side)."""


class FittingEngine:
    """Asks an engine, with pictures as large as its server takes them.

    Args:
        engine: Answers.
    """

    def __init__(self, engine: BaseInferenceEngine) -> None:
        self._engine = engine
        self._most_pixels = math.inf

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        """The answers about one picture, made smaller step by step while it does not fit.

        Raises:
            AnswerError: As `BaseInferenceEngine.infer`; also when it does not fit at its smallest.
            BackendError: As `BaseInferenceEngine.infer`.
        """
        size_px = jpeg_size(request.jpeg)
        if size_px is None:
            return await self._engine.infer(request)
        ratio = min(1.0, math.sqrt(self._most_pixels / math.prod(size_px)))
        result = None
        while result is None:
            try:
                result = await self._engine.infer(await _scaled(request, ratio))
            except AnswerError as error:
                ratio *= _STEP
                is_small = min(size_px) * ratio < _SMALLEST_PX
                if error.reason not in SHRINKABLE_REASONS or is_small:
                    raise
                logger.info("%s Sending it at %.0f %%.", error.message, 100 * ratio)
        if ratio == 1.0:
            return result
        self._most_pixels = min(self._most_pixels, math.prod(size_px) * ratio**2)
        return replace(result, notes=(*result.notes, NOTE_SMALLER))


async def _scaled(request: InferenceRequest, ratio: float) -> InferenceRequest:
    if ratio == 1.0:
        return request
    return replace(request, jpeg=await asyncio.to_thread(smaller_jpeg, request.jpeg, ratio))
