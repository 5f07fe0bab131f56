"""What a run does with a file that it came upon: a table of rules without I/O."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from imageworks.engine.keeping import unhinted
from imageworks.models import ImageState

if TYPE_CHECKING:
    from imageworks.store.records import FoundImage

_DECIDED = frozenset({ImageState.WRITTEN, ImageState.REJECTED, ImageState.SKIPPED})


class Plan(Enum):
    """What to do with one image."""

    ASK = auto()
    """Prepare it and, unless the same was asked before, ask the model."""
    ACCEPT = auto()
    """Its suggestion is there; the run accepts it."""
    RETRY_WRITE = auto()
    """Its accepted metadata could not be written; try again."""
    AWAIT_WRITE = auto()
    """It is accepted, and its write is on the list already."""
    LEAVE = auto()
    """Nothing about it has changed."""


def plan_for(found: FoundImage, *, fingerprint: str, writes_metadata: bool, is_redo: bool) -> Plan:
    """What a run does with one image (contract, section 4).

    Args:
        found: What the library knew of it.
        fingerprint: How this run asks; see `BaseInferenceEngine.fingerprint`.
        writes_metadata: The run accepts and writes what it gets.
        is_redo: The person wants every image asked again.
    """
    if found.state is ImageState.ACCEPTED:
        return Plan.AWAIT_WRITE
    if is_redo:
        return Plan.ASK
    if found.state is ImageState.FAILED and found.is_decided:
        return Plan.RETRY_WRITE if writes_metadata else Plan.LEAVE
    is_same_question = unhinted(found.fingerprint) == fingerprint and not found.is_changed
    if found.state is ImageState.SUGGESTED and is_same_question:
        return Plan.ACCEPT if writes_metadata else Plan.LEAVE
    if found.state in _DECIDED:
        # A person's decision outranks a run; its own earlier work a run may do again.
        is_settled = is_same_question or (found.decided_by == "person" and not found.is_changed)
        return Plan.LEAVE if is_settled else Plan.ASK
    return Plan.ASK
