"""One file explained: what is in it, where a write would go, and why. Nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.errors import MetadataError
from imageworks.metadata import inventory
from imageworks.models import ExistingMetadata, Keyword, MetadataTarget, Tags
from imageworks.stages import WriteRequest
from imageworks.text import fold

if TYPE_CHECKING:
    from imageworks.metadata.photo import Photo
    from imageworks.metadata.plan import Planner, WritePlan

_PROBE = "ptag doctor"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What there is to know about one file before it is written.

    Attributes:
        path: The file itself; links are resolved.
        format: What it is by its first bytes.
        size_bytes: Its size.
        parts: What is inside, such as ``("XMP", "4,012 bytes")``.
        sidecars: The sidecars that exist.
        target: Where a write would go; none where it would be refused.
        target_paths: The files that a write would change or make.
        reason: Why there, in one sentence.
        obstacles: What stands against writing into the image itself; as a rule nothing.
        notes: What the person would be told after a write.
        existing: What it says now.
    """

    path: Path
    format: str
    size_bytes: int
    parts: tuple[tuple[str, str], ...]
    sidecars: tuple[Path, ...]
    target: MetadataTarget
    target_paths: tuple[Path, ...]
    reason: str
    obstacles: tuple[str, ...]
    notes: tuple[str, ...]
    existing: ExistingMetadata


def explain_file(planner: Planner, path: Path) -> Explanation:
    """What is in a file and where a write would go.

    The answer is a trial: one more keyword is merged, spliced and proven in memory, so that what is
    told is what would happen, short of what only the disk can refuse.

    Raises:
        MetadataError: The file cannot be read or is not an image.
    """
    photo = planner.load(path)
    obstacle = planner.obstacle(photo)
    plan: WritePlan | None = None
    try:
        plan = planner.plan(WriteRequest(path, Tags(keywords=(Keyword(_probe(photo)),))))
        reason = _reason(plan, obstacle, is_by_choice=planner.is_always_beside)
    except MetadataError as error:
        reason = error.message
    return Explanation(
        path=photo.source.path,
        format=photo.format.value,
        size_bytes=photo.source.status.st_size,
        parts=inventory.parts(photo),
        sidecars=tuple(sidecar.path for sidecar in photo.sidecars),
        target=MetadataTarget.NONE if plan is None else plan.target,
        target_paths=() if plan is None else tuple(change.path for change in plan.changes),
        reason=reason,
        obstacles=() if obstacle is None else (obstacle.message,),
        notes=() if plan is None else plan.notes,
        existing=photo.existing(),
    )


def _probe(photo: Photo) -> str:
    """A keyword that the file does not have."""
    present = {fold(text) for text in photo.values.keywords}
    probe = _PROBE
    while fold(probe) in present:
        probe += " again"
    return probe


def _reason(plan: WritePlan, obstacle: MetadataError | None, *, is_by_choice: bool) -> str:
    if plan.target is MetadataTarget.FILE:
        return "Into the file: everything else in it stays as it is."
    if plan.target is MetadataTarget.BOTH:
        return "Into the file, and its sidecar is kept in step."
    if is_by_choice:
        return "Beside the file: setting sidecar asks for it."
    told = next((note for note in plan.notes if note.startswith("Written beside")), "")
    if told:
        return told.replace("Written beside", "Beside", 1)
    return "Beside the file." if obstacle is None else f"Beside the file: {obstacle.message}."
