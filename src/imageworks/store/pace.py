"""How fast a person reviews, from the times of their decisions."""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imageworks.store.library import Library

_DECISIONS = 200
_LEAST_GAPS = 5
_LOOKED_BACK = 20_000
# Shorter ones are acts on many images, longer ones a person who was away.
_SHORTEST_S = 0.05
_LONGEST_S = 300.0


def review_pace_s(library: Library) -> float | None:
    """Median seconds between a person's latest decisions; None while there are too few."""
    rows = library.connection.execute(
        "SELECT at FROM decision WHERE id > (SELECT max(id) FROM decision) - ?"
        " AND made_by='person' AND kind<>'undo' ORDER BY id DESC LIMIT ?",
        (_LOOKED_BACK, _DECISIONS),
    )
    moments_ms = [int(row[0]) for row in rows]
    gaps_s = [(later - earlier) / 1000 for later, earlier in pairwise(moments_ms)]
    real_s = [gap_s for gap_s in gaps_s if _SHORTEST_S <= gap_s <= _LONGEST_S]
    return median(real_s) if len(real_s) >= _LEAST_GAPS else None
