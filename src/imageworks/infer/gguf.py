"""What the head of a GGUF model file says, read without trusting a byte of it.

Source: the GGUF specification, ggml-org/ggml ``docs/gguf.md`` ("File Structure"), versions 2 and 3,
little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from imageworks.errors import ConfigError
from imageworks.text import clean_text, show_path

MAGIC = b"GGUF"
NOT_GGUF = "not-gguf"
"""Reason of the error for a file that is no model."""

_VERSIONS = (2, 3)
_MOST_PAIRS = 65_536
_LONGEST_KEY_BYTES = 65_535
_LONGEST_TEXT_BYTES = 16 * 1024 * 1024
_MOST_ITEMS = 8_000_000
_MOST_READ_BYTES = 64 * 1024 * 1024
_LONGEST_NAME = 120

# enum gguf_metadata_value_type: struct format of each scalar; 8 is a string, 9 an array.
_SCALARS = {
    **dict(enumerate(("<B", "<b", "<H", "<h", "<I", "<i", "<f", "<?"))),
    **dict(enumerate(("<Q", "<q", "<d"), 10)),
}
_STRING = 8
_ARRAY = 9

# general.file_type (docs/gguf.md, "General metadata"; later ones from llama.h, enum llama_ftype).
_FILE_TYPES = {
    **dict(enumerate(("F32", "F16", "Q4_0", "Q4_1"))),
    **dict(enumerate(("Q8_0", "Q5_0", "Q5_1", "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L"), 7)),
    **dict(enumerate(("Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K"), 14)),
    30: "IQ4_XS",
    32: "BF16",
}

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class GgufFacts:
    """A GGUF file as its head describes it.

    Attributes:
        path: The file.
        size_bytes: Its whole size.
        values: Single values by key; arrays, the tokenizer and whatever follows it are left out.
    """

    path: Path
    size_bytes: int
    values: Mapping[str, Value] = field(repr=False)

    @property
    def architecture(self) -> str:
        """Such as ``qwen2vl`` or ``gemma3``; ``clip`` for a projector."""
        return self._text("general.architecture")

    @property
    def name(self) -> str:
        """The model's own name, cleaned; empty when it has none."""
        return clean_text(self._text("general.name"))[:_LONGEST_NAME].strip()

    @property
    def quantization(self) -> str:
        """Such as ``Q4_K_M``; empty when it does not say."""
        return _FILE_TYPES.get(self._number("general.file_type", -1), "")

    @property
    def is_projector(self) -> bool:
        """It is the part that sees, to be used beside a language model."""
        return self.architecture == "clip" or self._text("general.type") == "mmproj"

    @property
    def has_vision(self) -> bool:
        """A projector for pictures, not only for sound."""
        return self.is_projector and self.values.get("clip.has_vision_encoder", True) is True

    @property
    def has_own_vision(self) -> bool:
        """The language model's file holds its vision part, as Ollama's own conversions do."""
        return f"{self.architecture}.vision.block_count" in self.values

    @property
    def context_tokens(self) -> int:
        """Longest context that the model was trained for; 0 when it does not say."""
        return self._number(f"{self.architecture}.context_length", 0)

    @property
    def width(self) -> int:
        """Width of the language model's embeddings, or of what a projector makes; 0 if unknown."""
        if self.is_projector:
            return self._number("clip.vision.projection_dim", 0)
        return self._number(f"{self.architecture}.embedding_length", 0)

    @property
    def projector_type(self) -> str:
        """The kind of a projector, such as ``qwen2vl_merger``."""
        return self._text("clip.projector_type")

    def _text(self, key: str) -> str:
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def _number(self, key: str, otherwise: int) -> int:
        value = self.values.get(key)
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return int(value) if value is not None and is_number else otherwise


def read_gguf(path: Path) -> GgufFacts:
    """The facts of a GGUF file; reads at most 64 MiB of it, as a rule a few KiB.

    Raises:
        ConfigError: No such file, or it is no GGUF file; reason ``model-missing`` or ``not-gguf``.
    """
    try:
        with path.open("rb") as stream:
            size_bytes = stream.seek(0, 2)
            stream.seek(0)
            return GgufFacts(path, size_bytes, _Head(stream, size_bytes).read())
    except OSError as error:
        message = f"The model file {show_path(path)} cannot be read: {error.strerror}."
        hint = "check the path; `ptag embedded list` shows the models on this disk."
        raise ConfigError(message, hint=hint, reason="model-missing") from error
    except _NotGgufError as error:
        message = f"{show_path(path)} is not a GGUF model file: {error}."
        hint = "name a .gguf file; `ptag embedded list` shows those on this disk."
        raise ConfigError(message, hint=hint, reason=NOT_GGUF) from error


class _NotGgufError(ValueError):
    """The bytes break the format or one of our bounds."""


class _Head:
    """Reads key-value pairs from a stream, within bounds."""

    def __init__(self, stream: BinaryIO, size_bytes: int) -> None:
        self._stream = stream
        self._size_bytes = size_bytes
        self._left_bytes = _MOST_READ_BYTES

    def read(self) -> dict[str, Value]:
        if self._take(4) != MAGIC:
            message = "it does not begin with GGUF"
            raise _NotGgufError(message)
        version = int(self._scalar(4))
        if version not in _VERSIONS:
            message = f"version {version} is not known"
            raise _NotGgufError(message)
        self._scalar(10)  # number of tensors
        pairs = int(self._scalar(10))
        if pairs > _MOST_PAIRS:
            message = f"{pairs} keys are too many"
            raise _NotGgufError(message)
        return self._pairs(pairs)

    def _pairs(self, count: int) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for _ in range(count):
            key = self._text(_LONGEST_KEY_BYTES)
            if key.startswith("tokenizer.") and "general.architecture" in values:
                break  # hundreds of thousands of tokens; what counts here is written before them
            kind = int(self._scalar(4))
            if kind == _ARRAY:
                self._skip_array()
            elif kind == _STRING:
                values[key] = self._text(_LONGEST_TEXT_BYTES)
            else:
                values[key] = self._scalar(kind)
        return values

    def _skip_array(self) -> None:
        kind, count = int(self._scalar(4)), int(self._scalar(10))
        if count > _MOST_ITEMS:
            message = f"an array of {count} items is too long"
            raise _NotGgufError(message)
        if kind == _STRING:
            for _ in range(count):
                self._skip(int(self._scalar(10)))
        else:
            self._skip(count * struct.calcsize(self._format(kind)))

    def _scalar(self, kind: int) -> int | float | bool:
        layout = self._format(kind)
        value: int | float | bool = struct.unpack(layout, self._take(struct.calcsize(layout)))[0]
        return value

    @staticmethod
    def _format(kind: int) -> str:
        if kind not in _SCALARS:
            message = f"value type {kind} is not known"
            raise _NotGgufError(message)
        return _SCALARS[kind]

    def _text(self, longest_bytes: int) -> str:
        length = int(self._scalar(10))
        if length > longest_bytes:
            message = f"a text of {length} bytes is too long"
            raise _NotGgufError(message)
        return self._take(length).decode("utf-8", "replace")

    def _take(self, count: int) -> bytes:
        self._left_bytes -= count
        if self._left_bytes < 0:
            message = "its head is too long"
            raise _NotGgufError(message)
        data = self._stream.read(count)
        if len(data) < count:
            message = "it ends in its head"
            raise _NotGgufError(message)
        return data

    def _skip(self, count: int) -> None:
        if self._stream.tell() + count > self._size_bytes:
            message = "it ends in its head"
            raise _NotGgufError(message)
        self._stream.seek(count, 1)
