"""A prepared picture made smaller, for a model whose context it does not fit."""

from __future__ import annotations

import io

from PIL import Image

from imageworks.errors import DecodeError

_QUALITY = 85


def smaller_jpeg(jpeg: bytes, ratio: float) -> bytes:
    """The picture with its sides multiplied by a ratio between 0 and 1, at least 1 px each.

    Raises:
        DecodeError: The bytes are no whole picture.
    """
    try:
        with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as opened:
            width, height = (max(1, round(side * ratio)) for side in opened.size)
            smaller = opened.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        message = "A prepared picture cannot be read back."
        hint = "delete the preview cache; it is made again."
        raise DecodeError(message, hint=hint, reason="preview-damaged") from error
    content = io.BytesIO()
    smaller.save(content, "JPEG", quality=_QUALITY)
    return content.getvalue()
