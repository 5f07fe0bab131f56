"""One file explained: what is in it, where a write would go, and why. Nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imageworks.errors import MetadataError
from imageworks.metadata import inventory
from imageworks.metadata.plan import Planner
from imageworks.metadata.replace import check_folder, check_replaceable
from imageworks.metadata.sidecar import SidecarNames
from imageworks.models import ExistingMetadata, MetadataTarget
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from imageworks.config import PersonalTaggerConfig
    from imageworks.metadata.photo import Photo


@dataclass(frozen=True, slots=True)
class Explanation:
    """What there is to know about one file before it is written.

    Attributes:
        path: The file itself; links are resolved.
        format: What it is by its first bytes.
        size_bytes: Its size.
        parts: What is inside, such as ``("XMP", "4,012 bytes")``, in a fixed order.
        sidecars: The sidecars that exist.
        target: Where a write would go; none where it would be refused.
        target_paths: The files that a write would change or make.
        reason: Why there and not elsewhere, one sentence.
        obstacles: What stands against writing into the image, or into a sidecar; as a rule nothing.
        remarks: What else a person should know, such as an Exif text that others show first.
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
    remarks: tuple[str, ...]
    existing: ExistingMetadata


def explain(path: Path, config: PersonalTaggerConfig) -> Explanation:
    """What is in a file and where a write would go; see `Explanation`.

    Works in the calling process, as the writers do; see `MetadataProcess.explain`.

    Raises:
        MetadataError: The file cannot be read or is not an image.
    """
    from imageworks.metadata.writer import local_now  # noqa: PLC0415  # writer imports no explain

    return explain_with(Planner(config, local_now, SidecarNames()), config, path)


def explain_with(planner: Planner, config: PersonalTaggerConfig, path: Path) -> Explanation:
    """The same with a planner that is there already."""
    photo = planner.load(path)
    into_image = _obstacle_inside(planner, config, photo)
    beside = _obstacle_beside(planner, config, photo)
    target, reason = _target(config, photo, into_image, beside)
    paths: list[Path] = []
    if target in {MetadataTarget.FILE, MetadataTarget.BOTH}:
        paths.append(photo.source.path)
    if target in {MetadataTarget.SIDECAR, MetadataTarget.BOTH}:
        paths += planner.sidecar_paths(photo)
    return Explanation(
        path=photo.source.path,
        format=photo.format.value,
        size_bytes=photo.source.status.st_size,
        parts=inventory.parts(photo),
        sidecars=tuple(sidecar.path for sidecar in photo.sidecars),
        target=target,
        target_paths=tuple(paths),
        reason=reason,
        obstacles=tuple(text for text in (into_image, beside) if text),
        remarks=inventory.remarks(photo),
        existing=photo.existing(),
    )


def _obstacle_inside(planner: Planner, config: PersonalTaggerConfig, photo: Photo) -> str:
    """Why the image itself would not be written; empty where it would be."""
    if config.sidecar == "always":
        return "sidecars are chosen for every file (setting sidecar)"
    obstacle = planner.obstacle(photo)
    if obstacle is not None:
        return obstacle.message
    return _said(lambda: check_replaceable(photo.source))


def _obstacle_beside(planner: Planner, config: PersonalTaggerConfig, photo: Photo) -> str:
    """Why its sidecars would not be written; empty where they would be."""
    if config.sidecar == "never":
        return "sidecars are switched off (setting sidecar)"
    for sidecar in photo.sidecars:
        if sidecar.source is None or sidecar.packet is None:
            because = "it cannot be read" if sidecar.fault is None else sidecar.fault.message
            return f"its sidecar {show_path(sidecar.path.name)} stays as it is: {because}"
        source = sidecar.source
        if because := _said(lambda source=source: check_replaceable(source)):  # type: ignore[misc]  # bound now
            return f"its sidecar {show_path(sidecar.path.name)}: {because}"
    if not photo.sidecars:
        return _said(lambda: check_folder(planner.sidecar_paths(photo)[0].parent))
    return ""


def _target(
    config: PersonalTaggerConfig, photo: Photo, into_image: str, beside: str
) -> tuple[MetadataTarget, str]:
    has_sidecars = bool(photo.sidecars) and config.sidecar != "never"
    if has_sidecars and beside:
        return MetadataTarget.NONE, f"Nothing would be written: {beside}."
    if not into_image:
        if has_sidecars:
            return MetadataTarget.BOTH, "Into the file, and its sidecar is kept in step."
        return MetadataTarget.FILE, "Into the file: nothing stands against it."
    if beside:
        return MetadataTarget.NONE, f"Nothing would be written: {into_image}, and {beside}."
    if config.on_hazard == "refuse" and is_hazard(config, photo):
        return MetadataTarget.NONE, f"Nothing would be written (setting on_hazard): {into_image}."
    return MetadataTarget.SIDECAR, f"Beside the file: {into_image}."


def is_hazard(config: PersonalTaggerConfig, photo: Photo) -> bool:
    """Whether the way into the image is barred by its state rather than by a policy."""
    return False


def _said(check: Callable[[], None]) -> str:
    try:
        check()
    except MetadataError as error:
        return error.message
    return ""
