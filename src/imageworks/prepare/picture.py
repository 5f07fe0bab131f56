"""Decodes a photograph once: the model's view, the thumbnail, the hash and the facts."""

from __future__ import annotations

import io
import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image

from imageworks.content import ByteSource, content_id_of_file
from imageworks.errors import DecodeError
from imageworks.models import ImageFormat
from imageworks.prepare.budget import PixelBudget, target_size
from imageworks.prepare.cache import CachedFacts
from imageworks.prepare.capture import capture_facts, orientation_of, read_exif, read_raw_exif
from imageworks.prepare.colour import flatten, to_srgb
from imageworks.prepare.faults import PILLOW_FAULTS, translated_faults
from imageworks.prepare.measure import perceptual_hash, pixel_facts
from imageworks.prepare.raw import RawPreview, find_previews
from imageworks.stages import CaptureFacts, PreparedImage
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from imageworks.prepare.cache import PreviewCache, PreviewFiles

logger = logging.getLogger(__name__)

MAX_PIXELS = 300_000_000
"""Largest picture decoded: 300 megapixels, twice what any camera makes in one shot."""

_THUMBNAIL = PixelBudget(long_edge_px=320, max_pixels=320 * 320, grid_px=1, jpeg_quality=80)

# Two thirds of bicubic's cost. The 2 dB it loses are far below what the JPEG loses: 53 dB against a
# full decode with Lanczos (mean of 67 photographs), where quality 85 alone leaves 40 dB.
_FILTER = Image.Resampling.HAMMING

# Pillow's own names; a file is never tried as anything but what its first bytes say.
_PILLOW_FORMATS: dict[ImageFormat, tuple[str, ...]] = {
    ImageFormat.JPEG: ("JPEG", "MPO"),
    ImageFormat.PNG: ("PNG",),
    ImageFormat.WEBP: ("WEBP",),
    ImageFormat.TIFF: ("TIFF",),
    ImageFormat.HEIF: ("HEIF",),
    ImageFormat.AVIF: ("AVIF",),
    ImageFormat.JXL: ("JXL",),
    ImageFormat.JP2: ("JPEG2000",),
    ImageFormat.PSD: ("PSD",),
}

# EXIF orientation: what turns the stored picture upright (CIPA DC-008, 4.6.5.1.12).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class _OpenPicture:
    """A picture whose header has been read.

    Attributes:
        orientation: What the file says; part of the cache's key.
        turn: What is left to do after decoding; 1 where Pillow turns the picture itself.
    """

    image: Image.Image
    orientation: int
    turn: int
    upright_px: tuple[int, int]
    capture: CaptureFacts


def prepare_image(
    path: Path,
    format: ImageFormat,  # noqa: A002  # its name in DiscoveredImage
    cache: PreviewCache,
    budget: PixelBudget,
) -> PreparedImage:
    """The picture, decoded once; after that from the cache, with a look at the file's header.

    The original is opened for reading only. Of RAW and DNG files the embedded preview is taken; of
    animations and many-page files the first picture.

    Raises:
        DecodeError: With one of the reasons of `faults`; the photograph cannot be shown.
    """
    with translated_faults(path, format), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd headers
        picture_id = content_id_of_file(path, format)
        with path.open("rb") as stream:
            return _prepare(path, picture_id, _open_pictures(stream, format), cache, budget)


def _prepare(
    path: Path,
    picture_id: str,
    pictures: Iterator[_OpenPicture],
    cache: PreviewCache,
    budget: PixelBudget,
) -> PreparedImage:
    """The first picture that decodes."""
    fault: BaseException | None = None
    for picture in pictures:
        files = cache.files(picture_id, budget, picture.orientation)
        facts = cache.load(files)
        if facts is None:
            try:
                facts = _decode(picture, files, cache, budget)
            except PILLOW_FAULTS as error:
                fault = error
                continue
        return PreparedImage(
            path=path,
            content_id=picture_id,
            preview_path=files.preview,
            thumbnail_path=files.thumbnail,
            width_px=picture.upright_px[0],
            height_px=picture.upright_px[1],
            perceptual_hash=facts.perceptual_hash,
            pixels=facts.pixels,
            capture=picture.capture,
        )
    if fault is not None:
        raise fault
    message = f"{show_path(path)} holds no preview that can be shown."
    hint = "export it as JPEG or TIFF; RAW data itself is not decoded here."
    raise DecodeError(message, hint=hint, reason="no-preview")


# -- opening ---------------------------------------------------------------------------------------


def _open_pictures(stream: BinaryIO, image_format: ImageFormat) -> Iterator[_OpenPicture]:
    if image_format in (ImageFormat.RAW, ImageFormat.DNG):
        for preview in find_previews(ByteSource(stream)):
            try:
                yield _open_preview(stream, preview)
            except PILLOW_FAULTS as error:
                logger.debug("An embedded preview cannot be opened: %s", error)
        return
    image = _open(stream, image_format)
    exif = read_exif(image)
    orientation = orientation_of(exif)
    turns_itself = image.format == "TIFF"  # its size is upright from the start (Pillow 12 on)
    turn = 1 if turns_itself else orientation
    yield _OpenPicture(image, orientation, turn, _turned(image.size, turn), capture_facts(exif))


def _open_preview(stream: BinaryIO, preview: RawPreview) -> _OpenPicture:
    image = _open(io.BytesIO(preview.jpeg), ImageFormat.JPEG)
    exif = read_exif(image)
    orientation = preview.orientation or 0
    if orientation not in range(1, 9):
        orientation = orientation_of(exif)
    capture = capture_facts(read_raw_exif(stream, preview.exif_blocks))
    if capture == CaptureFacts():
        capture = capture_facts(exif)
    size_px = _full_size(image.size, preview.sensor_px)
    return _OpenPicture(image, orientation, orientation, _turned(size_px, orientation), capture)


def _open(stream: BinaryIO, image_format: ImageFormat) -> Image.Image:
    """The picture's header, read; nothing decoded.

    Raises:
        DecodeError: No decoder is there for this format.
    """
    names = _PILLOW_FORMATS[image_format]
    if image_format is ImageFormat.HEIF and "HEIF" not in Image.OPEN:
        import pillow_heif  # noqa: PLC0415  # 20 ms that only HEIC pictures need

        pillow_heif.register_heif_opener()
    if not any(name in Image.OPEN for name in names):
        Image.init()
    known = [name for name in names if name in Image.OPEN]
    if not known:
        message = f"{image_format.value.upper()} pictures cannot be decoded here."
        raise DecodeError(message, hint="export it as JPEG.", reason="unsupported-format")
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow warns from here and refuses twice as many
    return Image.open(stream, formats=known)


def _turned(size_px: tuple[int, int], orientation: int) -> tuple[int, int]:
    return (size_px[1], size_px[0]) if orientation >= 5 else size_px


def _full_size(preview_px: tuple[int, int], sensor_px: tuple[int, int] | None) -> tuple[int, int]:
    """The RAW picture's size where it is larger than the preview and of the same shape."""
    if sensor_px is None or sensor_px[0] < preview_px[0]:
        return preview_px
    shapes = sensor_px[0] / sensor_px[1], preview_px[0] / preview_px[1]
    return sensor_px if abs(shapes[0] / shapes[1] - 1) < 0.05 else preview_px


# -- decoding --------------------------------------------------------------------------------------


def _decode(
    picture: _OpenPicture, files: PreviewFiles, cache: PreviewCache, budget: PixelBudget
) -> CachedFacts:
    with picture.image as image:
        preview = _upright_srgb(image, picture, budget)
    thumbnail = _reduced(preview, _THUMBNAIL)
    facts = CachedFacts(perceptual_hash(thumbnail), pixel_facts(thumbnail))
    cache.save(
        files,
        _jpeg(preview, budget.jpeg_quality),
        _jpeg(thumbnail, _THUMBNAIL.jpeg_quality),
        facts,
    )
    return facts


def _upright_srgb(image: Image.Image, picture: _OpenPicture, budget: PixelBudget) -> Image.Image:
    """The picture in RGB within the budget, without any metadata."""
    target = target_size(*image.size, budget)
    # Asking for the exact target lets libjpeg decode at 1/2, 1/4 or 1/8 of the size: three times
    # as fast, and any smaller picture would be too small.
    image.draft("RGB", target)
    image.load()
    turn = picture.turn
    if image.format == "PNG" and turn == 1:
        turn = orientation_of(image.getexif())  # may stand after the pixels
    icc_profile = image.info.get("icc_profile")
    flat = flatten(image)
    if flat.size != target:
        flat = flat.resize(target, _FILTER)
    upright = to_srgb(flat, icc_profile)
    if turn in _TURNS:
        upright = upright.transpose(_TURNS[turn])
    upright.info.clear()  # or the JPEG would carry the comment on
    return upright


def _reduced(picture: Image.Image, budget: PixelBudget) -> Image.Image:
    target = target_size(*picture.size, budget)
    if picture.size == target:
        return picture
    return picture.resize(target, _FILTER, reducing_gap=1.0)  # its quality is ample for 320 px


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()
