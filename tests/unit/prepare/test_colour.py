"""Every mode becomes 8-bit sRGB as a person sees it."""

from __future__ import annotations

import math

import pytest
from PIL import Image, ImageCms

from imageworks.prepare.colour import flatten, to_srgb


def shades(mode: str, *values: float) -> Image.Image:
    image = Image.new(mode, (len(values), 1))
    for x, value in enumerate(values):
        image.putpixel((x, 0), value)
    return image


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_16_bit_grey_is_scaled_not_clipped(mode):
    flat = flatten(shades(mode, 0, 257 * 50, 32_768, 65_535))

    assert (flat.mode, list(flat.tobytes())) == ("L", [0, 50, 128, 255])


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [
        ("I", (0, 100, 255), [0, 100, 255]),
        ("I", (0, 32_768, 65_535), [0, 128, 255]),
        ("I", (-10, 0, 10), [0, 128, 255]),
        ("I", (0, 50_000, 100_000), [0, 128, 255]),
        ("I", (-3, -3, -3), [0, 0, 0]),
        ("F", (0.0, 0.5, 1.0), [0, 128, 255]),
        ("F", (0.25, 0.5, 0.5), [64, 128, 128]),
        ("F", (-1.0, 0.0, 1.0), [0, 128, 255]),
        ("F", (0.0, 500.0, 1000.0), [0, 128, 255]),
    ],
)
def test_32_bit_grey_is_fitted(mode, values, expected):
    assert list(flatten(shades(mode, *values)).tobytes()) == expected


def test_not_a_number_does_no_harm():
    assert flatten(shades("F", math.nan, math.nan)).mode == "L"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La"])
def test_transparency_lies_on_white(mode):
    clear = Image.new("RGBA" if "RGB" in mode or mode == "PA" else "LA", (4, 4), 0)
    flat = flatten(clear.convert(mode))

    assert set(flat.convert("L").tobytes()) == {255}


def test_half_transparency_blends():
    flat = flatten(Image.new("RGBA", (2, 2), (255, 0, 0, 128)))

    assert flat.getpixel((0, 0)) == (255, 127, 127)


def test_palette_with_one_transparent_colour():
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((1, 0), 1)
    picture.info["transparency"] = 0

    flat = flatten(picture)

    assert [flat.getpixel((x, 0)) for x in range(2)] == [(255, 255, 255), (0, 0, 255)]


def test_grey_with_one_transparent_shade():
    picture = shades("L", 0, 90)
    picture.info["transparency"] = 0

    assert list(flatten(picture).tobytes()) == [255, 90]


def test_deep_grey_with_a_transparent_shade_keeps_its_shades():
    picture = shades("I;16", 0, 65_535)
    picture.info["transparency"] = 0

    assert list(flatten(picture).tobytes()) == [0, 255]


@pytest.mark.parametrize(
    ("mode", "result"),
    [("1", "L"), ("P", "RGB"), ("YCbCr", "RGB"), ("HSV", "RGB"), ("L", "L"), ("CMYK", "CMYK")],
)
def test_other_modes_become_plain_ones(mode, result):
    assert flatten(Image.new("RGB", (3, 3), "white").convert(mode)).mode == result


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_pictures_without_a_profile_are_taken_as_srgb(mode):
    assert to_srgb(Image.new("RGB", (1, 1), "white").convert(mode), None).getpixel((0, 0)) == (
        255,
        255,
        255,
    )


def test_lab_becomes_rgb():
    lab = ImageCms.createProfile("LAB")
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
    picture = ImageCms.applyTransform(Image.new("RGB", (1, 1), (30, 60, 200)), to_lab)
    assert picture is not None

    back = to_srgb(picture, None).tobytes()

    assert all(abs(a - b) < 8 for a, b in zip(back, (30, 60, 200), strict=True))


def xyz_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()


@pytest.mark.parametrize("profile", [b"", b"no profile", bytes(200), xyz_profile()])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_broken_or_foreign_profile_is_passed_over(profile, mode):
    picture = Image.new("RGB", (1, 1), (200, 100, 50)).convert(mode)

    assert to_srgb(picture, profile).tobytes() == picture.convert("RGB").tobytes()


def test_srgb_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = Image.new("RGB", (1, 1), (200, 100, 50))

    assert all(
        abs(a - b) <= 1
        for a, b in zip(to_srgb(picture, profile).tobytes(), (200, 100, 50), strict=True)
    )
