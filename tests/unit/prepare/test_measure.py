"""Hash and facts measured on the pixels."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageDraw, ImageEnhance

from imageworks.prepare.measure import perceptual_hash, pixel_facts


def scene(seed: int = 0) -> Image.Image:
    picture = Image.new("RGB", (300, 200), "skyblue")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 120, 300, 200), fill="forestgreen")
    draw.ellipse((40 + seed, 20, 120 + seed, 100), fill="gold")
    draw.rectangle((180, 60 + seed // 2, 240, 160), fill="saddlebrown")
    return picture


def jpeg_copy(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def test_hash_bits_say_where_it_gets_brighter():
    ramp = Image.linear_gradient("L").rotate(90).convert("RGB")

    assert {perceptual_hash(ramp), perceptual_hash(ramp.rotate(180))} == {0, 2**64 - 1}


def test_hash_survives_recompression_brightening_and_resizing():
    original = perceptual_hash(scene())
    brighter = ImageEnhance.Brightness(scene()).enhance(1.1)

    for copy in (jpeg_copy(scene(), 40), brighter, scene().resize((150, 100))):
        assert (perceptual_hash(copy) ^ original).bit_count() <= 6


def test_hash_tells_other_pictures_apart():
    turned = scene().transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    assert (perceptual_hash(scene()) ^ perceptual_hash(turned)).bit_count() > 10


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ("black", "black"),
        ("white", "white"),
        ("gray", "grey"),
        ("#303030", "black"),
        ("red", "red"),
        ("#e00018", "red"),
        ("orange", "orange"),
        ("saddlebrown", "brown"),
        ("yellow", "yellow"),
        ("forestgreen", "green"),
        ("teal", "teal"),
        ("skyblue", "blue"),
        ("navy", "blue"),
        ("purple", "purple"),
        ("indigo", "purple"),
        ("hotpink", "pink"),
        ("#ffc0cb", "pink"),
        ("#302a2a", "black"),
    ],
)
def test_plain_colours_have_plain_names(colour, name):
    assert pixel_facts(Image.new("RGB", (30, 20), colour)).dominant_colours == (name,)


def test_dominant_colours_come_largest_first_and_small_ones_not_at_all():
    picture = Image.new("RGB", (100, 100), "green")
    picture.paste("red", (0, 0, 100, 30))
    picture.paste("blue", (0, 0, 20, 20))

    assert pixel_facts(picture).dominant_colours == ("green", "red")


@pytest.mark.parametrize("quality", [95, 30])
def test_grey_photograph_is_monochrome_even_as_a_coarse_colour_jpeg(quality):
    grey = Image.effect_noise((200, 150), 70).convert("RGB")
    facts = pixel_facts(jpeg_copy(grey, quality))

    assert facts.is_monochrome
    assert facts.dominant_colours == ("grey",)


def test_colour_photograph_is_not_monochrome():
    assert not pixel_facts(scene()).is_monochrome


@pytest.mark.parametrize(("shade", "luma"), [(0, 0.0), (255, 1.0), (128, 0.502)])
def test_mean_luma_is_a_ratio(shade, luma):
    assert pixel_facts(Image.new("RGB", (9, 9), (shade,) * 3)).mean_luma_ratio == luma
