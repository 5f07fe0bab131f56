"""The classifier's four crops."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from imageworks.errors import DecodeError
from imageworks.prepare.crops import rgb_crops

SIDE = 32


def striped(width: int, height: int) -> bytes:
    """Red, green and blue thirds along the long side."""
    picture = Image.new("RGB", (width, height))
    for index, colour in enumerate(("red", "lime", "blue")):
        if width > height:
            picture.paste(colour, (index * width // 3, 0, (index + 1) * width // 3, height))
        else:
            picture.paste(colour, (0, index * height // 3, width, (index + 1) * height // 3))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def mean(crop: bytes) -> tuple[int, ...]:
    return tuple(sum(crop[band::3]) // (SIDE * SIDE) for band in range(3))


@pytest.mark.parametrize("size", [(480, 160), (160, 480)])
def test_crops_are_centre_whole_and_both_ends(size):
    centre, whole, first, last = rgb_crops(striped(*size), SIDE)

    assert {len(crop) for crop in (centre, whole, first, last)} == {SIDE * SIDE * 3}
    assert mean(centre)[1] > 240
    assert mean(first)[0] > 240
    assert mean(last)[2] > 240
    assert all(60 < band < 110 for band in mean(whole))


def test_centre_crop_leaves_the_margin_out():
    picture = Image.new("RGB", (200, 200), "red")
    picture.paste("blue", (30, 30, 170, 170))  # 70 % of the side; the crop takes 64 / 96 of it
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95, subsampling=0)

    centre = rgb_crops(buffer.getvalue(), 64)[0]

    assert max(centre[0::3]) < 40


def test_one_pixel_is_enough():
    assert len(rgb_crops(striped(1, 1), SIDE)) == 4


@pytest.mark.parametrize("jpeg", [b"", b"no picture", striped(90, 30)[:-40]])
def test_damaged_preview_is_told(jpeg):
    with pytest.raises(DecodeError) as caught:
        rgb_crops(jpeg, SIDE)

    assert caught.value.reason == "preview-damaged"
