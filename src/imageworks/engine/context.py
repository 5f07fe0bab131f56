"""Facts about a file that the prompt may mention (setting ``context``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imageworks.text import clean_text, show_path

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from imageworks.models import ExistingMetadata
    from imageworks.stages import CaptureFacts

_MAX_KEYWORDS = 20
_MAX_CHARACTERS = 200


def context_facts(
    kinds: Collection[str], path: Path, capture: CaptureFacts, existing: ExistingMetadata
) -> dict[str, str]:
    """Labelled facts of the kinds asked for; names of places, never coordinates."""
    facts = {
        "existing title": existing.title if "existing" in kinds else "",
        "existing keywords": (
            ", ".join(existing.keywords[:_MAX_KEYWORDS]) if "existing" in kinds else ""
        ),
        "folder": show_path(path.parent.name) if "folder" in kinds else "",
        "date": (
            f"{capture.taken_at:%d %B %Y, %H:%M}" if "date" in kinds and capture.taken_at else ""
        ),
        "camera": _camera(capture) if "camera" in kinds else "",
        "place": existing.place if "place" in kinds else "",
    }
    cleaned = {label: clean_text(fact)[:_MAX_CHARACTERS] for label, fact in facts.items()}
    return {label: fact for label, fact in cleaned.items() if fact}


def _camera(capture: CaptureFacts) -> str:
    parts = [capture.camera, capture.lens]
    if capture.focal_length_mm:
        parts.append(f"{capture.focal_length_mm:g} mm")
    return ", ".join(part for part in parts if part)
