"""Turns any mode of picture into plain 8-bit sRGB as a person would see it."""

from __future__ import annotations

import io
import logging
import math
from functools import lru_cache

from PIL import Image, ImageCms

logger = logging.getLogger(__name__)

_ALPHA_MODES = frozenset(("RGBA", "LA", "PA", "RGBa", "La"))
# The modes that ImageCms can take as they are (littlecms pixel types, PIL/_imagingcms.c).
_MANAGED_MODES = frozenset(("L", "RGB", "CMYK", "LAB"))


def flatten(image: Image.Image) -> Image.Image:
    """The picture in 8 bits without transparency: mode L, RGB, CMYK or LAB.

    Transparency is laid on white. Deep grey is scaled, not clipped.
    """
    mode = image.mode
    if mode in _ALPHA_MODES or "transparency" in image.info:
        return _on_white(image)
    if mode == "1":
        return image.convert("L")
    if mode in ("I", "F") or mode.startswith("I;16"):
        return _deep_grey_to_8_bit(image)
    return image if mode in _MANAGED_MODES else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    is_grey = image.mode in ("L", "LA", "La", "1")
    if image.mode.startswith("I"):  # 16-bit grey with one transparent value (PNG): no alpha channel
        return _deep_grey_to_8_bit(image)
    with_alpha = image.convert("LA" if is_grey else "RGBA")
    base = "L" if is_grey else "RGB"
    flat = Image.new(base, image.size, "white")
    flat.paste(with_alpha.convert(base), mask=with_alpha.getchannel("A"))
    return flat


def _deep_grey_to_8_bit(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits: the whole 16-bit range where it fits, else stretched to its own."""
    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    low, high = _extrema(image)
    if image.mode == "I" and low >= 0 and high <= 65_535:
        low, high = (0.0, 255.0) if high <= 255 else (0.0, 65_535.0)
    elif image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    scale = 255 / (high - low) if high > low else 0.0
    offset = -low * scale + (0.5 if scale else 0.0)
    return image.convert("F").point(lambda value: value * scale + offset).convert("L")


def _extrema(image: Image.Image) -> tuple[float, float]:
    low, high = image.getextrema()
    if isinstance(low, tuple) or isinstance(high, tuple):  # several bands: never these modes
        return 0.0, 255.0
    return (0.0, 1.0) if math.isnan(low + high) else (float(low), float(high))


def to_srgb(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    """The picture in sRGB; a profile that is broken or of another kind of picture is passed over.

    Args:
        image: As `flatten` gives it; best reduced first.
        icc_profile: The file's own profile.
    """
    try:
        if image.mode == "LAB":
            return _apply(_lab_transform(), image)
        if icc_profile:
            return _apply(_transform(bytes(icc_profile), image.mode), image)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        logger.debug("ICC profile passed over: %s", error)
    return image.convert("RGB") if image.mode != "LAB" else image.getchannel("L").convert("RGB")


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    return transform.apply(image)


@lru_cache(maxsize=16)
def _transform(icc_profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
    return ImageCms.ImageCmsTransform(
        source,
        _srgb_profile(),
        mode,
        "RGB",
        intent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


@lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    return ImageCms.ImageCmsTransform(lab, _srgb_profile(), "LAB", "RGB")


@lru_cache(maxsize=1)
def _srgb_profile() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
