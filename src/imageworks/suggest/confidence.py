"""How sure a model was of each keyword, from the probabilities of the tokens that spell it.

The least likely token of a keyword predicts an invented one about as well as asking again does
(facts on inference, section 6). It is not calibrated: a hint for the eye, never a verdict.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imageworks.models import Keyword, StageAnswer

_KEYWORDS_BEGIN = re.compile(r'"(?:keywords|tags)"\s*:', re.IGNORECASE)


def with_probabilities(
    keywords: Sequence[Keyword], answer: StageAnswer | None
) -> tuple[Keyword, ...]:
    """The keywords, each found again in its answer with the probability of its likeliest mistake.

    Args:
        keywords: As cleaned.
        answer: The exchange that asked for them, or None.

    A keyword that has a score keeps it; one that is not spelled in the answer gets none. So does
    every keyword of a server that gives no probabilities, or whose tokens do not spell its answer.
    """
    if answer is None or not answer.token_logprobs:
        return tuple(keywords)
    text = "".join(token for token, _ in answer.token_logprobs)
    if text.strip() != answer.text.strip():
        return tuple(keywords)
    ends = list(accumulate(len(token) for token, _ in answer.token_logprobs))
    begin = _KEYWORDS_BEGIN.search(text)
    position = begin.end() if begin else 0
    scored = []
    for keyword in keywords:
        found = _whole_word(keyword.text).search(text, position)
        score = keyword.score
        if found and score is None:
            score = least_probability(answer.token_logprobs, ends, found.start(), found.end())
        scored.append(replace(keyword, score=score))
    return tuple(scored)


def _whole_word(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)", re.IGNORECASE)


def least_probability(
    tokens: Sequence[tuple[str, float]], ends: Sequence[int], start: int, end: int
) -> float | None:
    """The smallest probability of the tokens that reach into a span of the text.

    Args:
        tokens: Tokens with their natural log-probabilities.
        ends: Where each of them ends in the text that they spell.
        start: First character of the span.
        end: The one behind its last.

    Returns:
        0 to 1; None where nothing reliable is known.
    """
    logprobs = [
        logprob
        for (token, logprob), token_end in zip(tokens, ends, strict=True)
        if token and token_end > start and token_end - len(token) < end
    ]
    if not logprobs or any(math.isnan(logprob) for logprob in logprobs):
        return None
    return round(math.exp(min(0.0, *logprobs)), 4)
