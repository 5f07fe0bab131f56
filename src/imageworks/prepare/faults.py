"""Turns what Pillow raises on broken, hostile or strange files into one `DecodeError`.

Reasons: ``unreadable`` (the system would not let it be read), ``truncated``, ``corrupt``,
``too-large``, ``unsupported-format``; ``no-preview`` and ``cache-unwritable`` are raised where they
are found, ``decoder-crash`` and ``decode-timeout`` by `processes`.
"""

from __future__ import annotations

import errno
import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from imageworks.errors import DecodeError
from imageworks.text import one_line, show_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from imageworks.models import ImageFormat

# Pillow's decoders are Python and C of thirty years; hostile files make them raise all of these.
PILLOW_FAULTS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    Image.DecompressionBombError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
_TRUNCATION_WORDS = ("truncated", "unexpected end", "not enough data", "broken data stream", "eof")


@contextmanager
def translated_faults(path: Path, image_format: ImageFormat) -> Iterator[None]:
    """Whatever goes wrong inside is raised as a `DecodeError` that names the file."""
    try:
        yield
    except PILLOW_FAULTS as error:
        raise _decode_error(path, image_format, error) from error


def _decode_error(path: Path, image_format: ImageFormat, error: Exception) -> DecodeError:
    name, kind = show_path(path), image_format.value.upper()
    cause = one_line(str(error) or type(error).__name__, limit=200).rstrip(".")
    if isinstance(error, UnidentifiedImageError):  # its text names the stream, not the cause
        cause = "its header is broken"
    # EINVAL is Pillow seeking to where a broken header points, not the disk.
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        message, hint = (
            f"{name} cannot be read: {error.strerror}.",
            "check the disk and its rights.",
        )
        return DecodeError(message, hint=hint, reason="unreadable")
    if isinstance(error, (Image.DecompressionBombError, MemoryError)):
        hint = "export a smaller version of it."
        return DecodeError(
            f"{name} is too large to decode: {cause}.", hint=hint, reason="too-large"
        )
    if isinstance(error, EOFError) or any(word in cause.lower() for word in _TRUNCATION_WORDS):
        hint = "copy it again from the card or a backup."
        return DecodeError(f"{name} is cut short: {cause}.", hint=hint, reason="truncated")
    hint = "open it in an image editor and save it anew, or restore it from a backup."
    return DecodeError(
        f"{name} is no {kind} that can be decoded: {cause}.", hint=hint, reason="corrupt"
    )
