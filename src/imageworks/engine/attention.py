"""What a person looks at, and how far ahead of them the engine should be."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imageworks.store.library import Library

_ATTENTION = "engine.attention"
MOST_LOOKED_AT = 64
"""So many images, from the cursor on, a screen tells the engine about."""

_LEAST_AHEAD = 3
_MOST_AHEAD = 32
_USUAL_REQUEST_S = 3.0
_USUAL_DECISION_S = 4.0


def look_at(library: Library, image_ids: Sequence[int]) -> None:
    """Tells the engine what a person looks at: the image under the cursor, then the next ones."""
    library.session.remember(_ATTENTION, json.dumps(list(image_ids[:MOST_LOOKED_AT])))


def current_attention(library: Library) -> tuple[int, ...]:
    """What a person looks at, as `look_at` told it last; empty when no screen is open."""
    value = library.session.recall(_ATTENTION)
    return tuple(int(image_id) for image_id in json.loads(value)) if value else ()


def review_depth(*, request_s: float | None, decision_s: float | None) -> int:
    """How many images to ask about ahead, so that a person finds each one answered.

    While one request runs, a person decides on so many images; one more is in hand, and one more
    still for a request that takes longer than most.

    Args:
        request_s: How long a request takes; None where not known yet.
        decision_s: How long a decision takes; None where not known yet.
    """
    seconds_a_decision = max(0.05, decision_s or _USUAL_DECISION_S)
    decisions_a_request = (request_s or _USUAL_REQUEST_S) / seconds_a_decision
    return max(_LEAST_AHEAD, min(_MOST_AHEAD, math.ceil(decisions_a_request) + 2))
