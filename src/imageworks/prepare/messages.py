"""What `processes` asks of `worker`; Pillow stays out of the engine's process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imageworks.models import ImageFormat
from imageworks.prepare.budget import PixelBudget
from imageworks.prepare.cache import PreviewCache


@dataclass(frozen=True, slots=True)
class Request:
    """One picture to prepare."""

    path: Path
    format: ImageFormat
    cache: PreviewCache
    budget: PixelBudget
