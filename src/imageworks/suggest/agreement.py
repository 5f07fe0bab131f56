"""Keywords that several answers to the same question agree on.

What a model invents differs from sample to sample; what it sees comes back (facts on inference,
section 6). The share of answers that name a keyword is its score.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from imageworks.text import fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imageworks.models import Keyword


def agreed_by_samples(
    samples: Sequence[Sequence[Keyword]], *, max_keywords: int
) -> tuple[Keyword, ...]:
    """The keywords that more than half of the answers name, most agreed first.

    Among equals those of the earlier answer come first, in its order and spelling. A single answer
    agrees with itself: it is returned as it is, without a share for a score.

    Args:
        samples: The cleaned keywords of each answer, the main one first.
        max_keywords: Most keywords to keep.
    """
    if len(samples) < 2:
        return tuple(keyword for sample in samples for keyword in sample)[:max_keywords]
    spelling: dict[str, Keyword] = {}
    votes: Counter[str] = Counter()
    for sample in samples:
        for keyword in sample:
            spelling.setdefault(fold(keyword.text), keyword)
        votes.update({fold(keyword.text) for keyword in sample})
    order = {key: place for place, key in enumerate(spelling)}
    agreed = sorted(
        (key for key in votes if 2 * votes[key] > len(samples)),
        key=lambda key: (-votes[key], order[key]),
    )
    shares = {key: round(votes[key] / len(samples), 3) for key in agreed}
    return tuple(replace(spelling[key], score=shares[key]) for key in agreed)[:max_keywords]
