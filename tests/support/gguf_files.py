"""GGUF heads for tests: real bytes of the format, without weights."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key: str, value: Any) -> bytes:
    if isinstance(value, bool):
        return text(key) + struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return text(key) + struct.pack("<II", 4, value)
    if isinstance(value, float):
        return text(key) + struct.pack("<If", 6, value)
    if isinstance(value, list) and value and isinstance(value[0], str):
        items = b"".join(text(item) for item in value)
        return text(key) + struct.pack("<IIQ", 9, 8, len(value)) + items
    if isinstance(value, list):
        items = struct.pack(f"<{len(value)}i", *value)
        return text(key) + struct.pack("<IIQ", 9, 5, len(value)) + items
    return text(key) + struct.pack("<I", 8) + text(value)


def gguf_bytes(values: dict[str, Any], *, version: int = 3) -> bytes:
    """A head with these keys."""
    head = b"GGUF" + struct.pack("<IQQ", version, 0, len(values))
    return head + b"".join(pair(key, value) for key, value in values.items())


def write_model(
    path: Path, name: str = "Some VLM", more: Mapping[str, Any] | None = None, *, width: int = 128
) -> Path:
    """A language model's file."""
    values = {
        "general.architecture": "qwen2vl",
        "general.name": name,
        "general.file_type": 15,
        "qwen2vl.context_length": 8192,
        "qwen2vl.embedding_length": width,
        **(more or {}),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gguf_bytes(values))
    return path


def write_projector(path: Path, more: Mapping[str, Any] | None = None, *, width: int = 128) -> Path:
    """A projector's file."""
    values = {
        "general.architecture": "clip",
        "general.type": "mmproj",
        "clip.has_vision_encoder": True,
        "clip.projector_type": "qwen2vl_merger",
        "clip.vision.projection_dim": width,
        **(more or {}),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gguf_bytes(values))
    return path
