"""What `processes` and `worker` say to each other; Pillow stays out of the engine's process."""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass
from pathlib import Path

from imageworks.models import ImageFormat
from imageworks.prepare.budget import PixelBudget
from imageworks.prepare.cache import PreviewCache

LENGTH = struct.Struct("<I")
"""Before each message: how many bytes of pickle follow."""


@dataclass(frozen=True, slots=True)
class Request:
    """One picture to prepare."""

    path: Path
    format: ImageFormat
    cache: PreviewCache
    budget: PixelBudget


def encode(message: object) -> bytes:
    """A message as it goes over the pipe."""
    body = pickle.dumps(message)
    return LENGTH.pack(len(body)) + body
