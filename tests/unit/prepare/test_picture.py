"""A photograph decoded once: upright, sRGB, bare of metadata, and every broken file told apart."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile

from imageworks.content import HEAD_BYTES, sniff_format
from imageworks.errors import DecodeError
from imageworks.models import ImageFormat
from imageworks.prepare import picture as picture_module
from imageworks.prepare.budget import PixelBudget
from imageworks.prepare.cache import PreviewCache
from imageworks.prepare.picture import prepare_image

CORPUS = Path(__file__).parents[4] / "shared" / "corpus"
BUDGET = PixelBudget()
# Red, green, blue and white quarters: any turn or mirroring shows.
QUARTERS = ("red", "lime", "blue", "white")


def quarters(width: int = 64, height: int = 32) -> Image.Image:
    picture = Image.new("RGB", (width, height))
    for index, colour in enumerate(QUARTERS):
        left, top = index % 2 * width // 2, index // 2 * height // 2
        picture.paste(colour, (left, top, left + width // 2, top + height // 2))
    return picture


def pixel(picture: Image.Image, x: int, y: int) -> tuple[int, int, int]:
    red, green, blue = picture.convert("RGB").crop((x, y, x + 1, y + 1)).tobytes()
    return red, green, blue


def corners(picture: Image.Image) -> list[str]:
    """The quarters' colours, row by row."""
    width, height = picture.size
    names = []
    for y in (height // 4, height * 3 // 4):
        for x in (width // 4, width * 3 // 4):
            red, green, blue = pixel(picture, x, y)
            bright = red > 128, green > 128, blue > 128
            names.append(
                {
                    (True, False, False): "red",
                    (False, True, False): "lime",
                    (False, False, True): "blue",
                    (True, True, True): "white",
                }.get(bright, str(bright))
            )
    return names


def prepared(path: Path, cache: PreviewCache, budget: PixelBudget = BUDGET):
    image_format = sniff_format(path.read_bytes()[:HEAD_BYTES], path.name)
    assert image_format is not None
    return prepare_image(path, image_format, cache, budget)


def reason_of(path: Path, cache: PreviewCache, image_format: ImageFormat | None = None) -> str:
    found = image_format or sniff_format(path.read_bytes()[:HEAD_BYTES], path.name)
    assert found is not None
    with pytest.raises(DecodeError) as caught:
        prepare_image(path, found, cache, BUDGET)
    assert path.name in caught.value.message or caught.value.reason == "unsupported-format"
    assert caught.value.hint
    assert list(cache.root.rglob("*.jpg")) == []
    return caught.value.reason


# -- upright ---------------------------------------------------------------------------------------

# How a camera stores an upright picture for each EXIF orientation: the inverse of what viewers do.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_becomes_upright(tmp_path, cache, orientation, suffix):
    turn = STORED[orientation]
    stored = quarters() if turn is None else quarters().transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    stored.save(path, exif=exif, quality=95)

    result = prepared(path, cache)

    assert (result.width_px, result.height_px) == (64, 32)
    for cached in (result.preview_path, result.thumbnail_path):
        with Image.open(cached) as image:
            assert image.size == (64, 32)
            assert corners(image) == list(QUARTERS)


def test_large_turned_photograph_is_decoded_reduced_and_turned(tmp_path, cache):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.jpg"
    quarters(3000, 2000).transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)

    result = prepared(path, cache)

    with Image.open(result.preview_path) as preview, Image.open(result.thumbnail_path) as thumbnail:
        assert (preview.size, thumbnail.size) == ((1008, 672), (320, 213))
        assert corners(preview) == list(QUARTERS)
    assert (result.width_px, result.height_px) == (3000, 2000)


def test_turning_the_original_by_its_tag_gives_another_preview(tmp_path, cache):
    path = tmp_path / "a.jpg"
    quarters().save(path)
    before = prepared(path, cache)
    exif = Image.Exif()
    exif[0x0112] = 3
    quarters().save(path, exif=exif)

    after = prepared(path, cache)

    assert after.content_id == before.content_id
    with Image.open(after.preview_path) as preview:
        assert corners(preview) == list(reversed(QUARTERS))
    with Image.open(before.preview_path) as preview:
        assert corners(preview) == list(QUARTERS)


def test_png_orientation_after_the_pixels_counts_too(tmp_path, cache):
    exif = Image.Exif()
    exif[0x0112] = 3
    plain = io.BytesIO()
    quarters().save(plain, "PNG")
    body = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = b"eXIf" + body
    late = struct.pack(">I", len(body)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path = tmp_path / "a.png"
    path.write_bytes(plain.getvalue()[:-12] + late + plain.getvalue()[-12:])

    result = prepared(path, cache)

    with Image.open(result.preview_path) as preview:
        assert corners(preview) == list(reversed(QUARTERS))


# -- colour and modes ------------------------------------------------------------------------------


def profile_with_primaries(*primaries: tuple[float, float, float]) -> bytes:
    """The sRGB profile with other red, green and blue XYZ values (ICC.1:2010, 9.2.31, 10.14)."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for entry in range(struct.unpack_from(">I", profile, 128)[0]):
        name, at, _ = struct.unpack_from(">4sII", profile, 132 + 12 * entry)
        if name in (b"rXYZ", b"gXYZ", b"bXYZ"):
            values = primaries[b"rgb".index(name[:1])]
            struct.pack_into(">3i", profile, at + 8, *(round(value * 65_536) for value in values))
    return bytes(profile)


# Adobe RGB (1998) adapted to D50, as its own profile has them.
ADOBE_PRIMARIES = (
    (0.60974, 0.31111, 0.01947),
    (0.20528, 0.62567, 0.06087),
    (0.14919, 0.06322, 0.74457),
)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_wide_gamut_photograph_is_converted_to_srgb(tmp_path, cache, suffix):
    path = tmp_path / f"a.{suffix}"
    profile = profile_with_primaries(*ADOBE_PRIMARIES)
    Image.new("RGB", (64, 64), (150, 180, 150)).save(path, icc_profile=profile, quality=100)

    result = prepared(path, cache)

    with Image.open(result.preview_path) as preview:
        red, green, blue = pixel(preview, 32, 32)
        assert "icc_profile" not in preview.info
    # By the matrices: linear (0.305, 0.456, 0.305) in Adobe's primaries is 0.245 of sRGB's red.
    assert abs(red - 136) <= 3
    assert abs(green - 180) <= 3
    assert abs(blue - 148) <= 3


@pytest.mark.parametrize("profile", [b"SECRET" * 40, bytes(128)])
def test_broken_profile_leaves_the_colours_alone(tmp_path, cache, profile):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (64, 64), (150, 180, 150)).save(path, icc_profile=profile, quality=100)

    result = prepared(path, cache)

    with Image.open(result.preview_path) as preview:
        assert all(
            abs(band - grey) <= 2
            for band, grey in zip(pixel(preview, 32, 32), (150, 180, 150), strict=True)
        )


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *(
            ("1", "png"),
            ("L", "png"),
            ("LA", "png"),
            ("P", "png"),
            ("RGBA", "png"),
            ("I;16", "png"),
        ),
        *(
            ("1", "tif"),
            ("L", "tif"),
            ("P", "tif"),
            ("RGBA", "tif"),
            ("CMYK", "tif"),
            ("LAB", "tif"),
        ),
        *(("I", "tif"), ("F", "tif"), ("I;16", "tif"), ("YCbCr", "tif"), ("L", "jpg")),
        *(("CMYK", "jpg"), ("RGBA", "webp"), ("RGBA", "avif"), ("L", "jp2"), ("RGBA", "jp2")),
    ],
)
def test_every_mode_is_prepared(tmp_path, cache, mode, suffix):
    white = Image.new("RGB", (40, 30), "white")
    if mode == "LAB":
        picture = Image.new("LAB", (40, 30), (255, 128, 128))
    elif mode.startswith(("I", "F")):
        picture = Image.new(mode, (40, 30), 65_535)
        picture.putpixel((0, 0), 0)
    else:
        picture = white.convert(mode)
    path = tmp_path / f"a.{suffix}"
    picture.save(path)

    result = prepared(path, cache)

    with Image.open(result.preview_path) as preview:
        assert (preview.mode, preview.size) == ("RGB", (40, 30))
        assert min(pixel(preview, 20, 15)) > 250


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (2, 3)])
def test_tiny_and_thin_pictures_work(tmp_path, cache, size):
    path = tmp_path / "a.png"
    Image.new("RGB", size, "red").save(path)

    result = prepared(path, cache)

    assert (result.width_px, result.height_px) == size
    assert result.pixels.dominant_colours == ("red",)


def test_very_long_panorama_works(tmp_path, cache):
    path = tmp_path / "a.png"
    Image.new("RGB", (30_000, 3), "red").save(path)

    result = prepared(path, cache)

    with Image.open(result.preview_path) as preview:
        assert preview.size == (1008, 1)


def test_first_picture_of_several_is_taken(tmp_path, cache):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    for suffix in ("tif", "webp", "png", "mpo"):
        path = tmp_path / f"a.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:])

        assert prepared(path, cache).pixels.dominant_colours == ("red",)


# -- nothing of the original leaks or changes ------------------------------------------------------


def test_preview_holds_no_metadata(tmp_path, cache):
    exif = Image.Exif()
    exif[0x010E] = "SECRET place"
    exif.get_ifd(0x8825)[2] = (51.0, 30.0, 0.0)
    path = tmp_path / "a.jpg"
    options: dict[str, Any] = {"comment": b"SECRET comment", "xmp": b"<x>SECRET</x>"}
    quarters().save(path, exif=exif, icc_profile=b"SECRET" * 40, **options)

    result = prepared(path, cache)

    for cached in (result.preview_path, result.thumbnail_path):
        assert b"SECRET" not in cached.read_bytes()
        with Image.open(cached) as image:
            assert not {"exif", "xmp", "icc_profile", "comment"} & image.info.keys()


def test_original_is_left_as_it_was(tmp_path, cache):
    path = tmp_path / "a.jpg"
    quarters().save(path)
    path.chmod(0o444)
    before = path.read_bytes(), path.stat().st_mtime_ns

    prepared(path, cache)

    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert {found.name for found in tmp_path.iterdir()} == {"a.jpg", "cache"}


# -- the cache -------------------------------------------------------------------------------------


def test_cached_picture_is_not_decoded_again(tmp_path, cache, monkeypatch):
    path = tmp_path / "a.jpg"
    quarters(400, 300).save(path)
    first = prepared(path, cache)

    def refuse(_self: object) -> None:
        message = "decoded"
        raise AssertionError(message)

    monkeypatch.setattr(ImageFile.ImageFile, "load", refuse)

    assert prepared(path, cache) == first


@pytest.mark.parametrize("which", ["preview_path", "thumbnail_path"])
def test_lost_cache_file_is_made_again(tmp_path, cache, which):
    path = tmp_path / "a.jpg"
    quarters().save(path)
    first = prepared(path, cache)
    lost = getattr(first, which)
    content = lost.read_bytes()
    lost.unlink()

    assert prepared(path, cache) == first
    assert lost.read_bytes() == content


def test_another_budget_is_another_preview_and_the_same_thumbnail(tmp_path, cache):
    path = tmp_path / "a.jpg"
    quarters(2000, 1500).save(path)

    small, detailed = prepared(path, cache), prepared(path, cache, PixelBudget(1536, 3_000_000))

    assert small.preview_path != detailed.preview_path
    assert small.thumbnail_path == detailed.thumbnail_path
    with Image.open(detailed.preview_path) as preview:
        assert preview.size == (1512, 1120)


# -- broken and hostile ----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif", "jp2"])
def test_truncated_file_is_told_not_shown(tmp_path, cache, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.effect_noise((300, 300), 80).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])

    assert reason_of(path, cache) in {"truncated", "corrupt"}


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_truncated_jpeg_and_png_are_called_truncated(tmp_path, cache, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.effect_noise((300, 300), 80).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    assert reason_of(path, cache) == "truncated"


def test_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(picture_module, "MAX_PIXELS", 10_000)
    path = tmp_path / "a.png"
    Image.new("1", (200, 200)).save(path)

    assert reason_of(path, cache) == "too-large"


def test_largest_picture_allowed_is_decoded(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(picture_module, "MAX_PIXELS", 40_000)
    path = tmp_path / "a.png"
    Image.new("1", (200, 200)).save(path)

    assert prepared(path, cache).width_px == 200


def test_file_that_is_gone_is_unreadable(tmp_path, cache):
    assert reason_of(tmp_path / "a.jpg", cache, ImageFormat.JPEG) == "unreadable"


def test_garbage_behind_a_good_start_is_corrupt(tmp_path, cache):
    path = tmp_path / "bad\x1b[31m.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(300))

    with pytest.raises(DecodeError) as caught:
        prepared(path, cache)

    assert caught.value.reason == "corrupt"
    assert "\x1b" not in str(caught.value)


def test_running_out_of_memory_costs_one_picture(tmp_path, cache, monkeypatch):
    path = tmp_path / "a.jpg"
    quarters().save(path)

    def exhaust(*_args: object, **_options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "transpose", exhaust)
    monkeypatch.setattr(picture_module, "flatten", exhaust)

    assert reason_of(path, cache) == "too-large"


@pytest.mark.parametrize("image_format", [ImageFormat.HEIF, ImageFormat.JXL])
def test_format_without_a_decoder_says_what_to_do(tmp_path, cache, image_format, monkeypatch):
    monkeypatch.setattr(picture_module, "_PILLOW_FORMATS", {image_format: ("NO-SUCH",)})
    path = tmp_path / "a.heic"
    path.write_bytes(bytes(100))

    assert reason_of(path, cache, image_format) == "unsupported-format"


def test_file_is_never_tried_as_another_format(tmp_path, cache):
    path = tmp_path / "a.jpg"
    quarters().save(path, "PNG")

    assert reason_of(path, cache, ImageFormat.JPEG) == "corrupt"


def small_file(pillow_format: str) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112], exif[0x0110] = 6, "Model"
    quarters(24, 16).save(buffer, pillow_format, exif=exif)
    return buffer.getvalue()


SMALL_FILES = {name: small_file(name) for name in ("JPEG", "PNG", "WEBP", "TIFF")}


@given(st.data(), st.sampled_from(sorted(SMALL_FILES)))
def test_damaged_file_is_prepared_or_told(tmp_path_factory, data, name):
    damaged = bytearray(SMALL_FILES[name])
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / "a"
    path.write_bytes(damaged)

    try:
        result = prepare_image(path, ImageFormat[name], PreviewCache(folder / "c", 1), BUDGET)
    except DecodeError as error:
        hint = error.hint
    else:
        hint = str(result.preview_path)
    assert hint


@pytest.mark.slow
def test_every_corpus_image_is_prepared_or_told(cache):
    if not CORPUS.is_dir():
        pytest.skip("the shared corpus is not here")
    reasons: dict[str, int] = {}
    hints = []
    for path in sorted(CORPUS.rglob("*")):
        if not path.is_file() or path.stat().st_size > 2_000_000:
            continue
        image_format = sniff_format(path.read_bytes()[:HEAD_BYTES], path.name)
        if image_format is None:
            continue
        try:
            result = prepare_image(path, image_format, cache, BUDGET)
        except DecodeError as error:
            reasons[error.reason] = reasons.get(error.reason, 0) + 1
            hints.append(error.hint)
        else:
            reasons["prepared"] = reasons.get("prepared", 0) + 1
            with Image.open(result.preview_path) as preview:
                preview.load()
                assert max(preview.size) <= 1024
                assert preview.width * preview.height <= BUDGET.max_pixels
    assert all(hints)
    assert reasons["prepared"] > 270
    assert set(reasons) <= {"prepared", "corrupt", "truncated", "unsupported-format", "no-preview"}
