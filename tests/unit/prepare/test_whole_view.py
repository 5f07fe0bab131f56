"""The one view by which photographs are compared."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from imageworks.errors import DecodeError
from imageworks.prepare.crops import rgb_crops, rgb_whole


def test_the_whole_view_is_the_second_of_the_crops():
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((90, 60)).convert("RGB").save(buffer, "JPEG")

    assert rgb_whole(buffer.getvalue(), 32) == rgb_crops(buffer.getvalue(), 32)[1]


def test_what_is_no_picture_is_named_as_damaged():
    with pytest.raises(DecodeError) as caught:
        rgb_whole(b"no picture", 32)

    assert caught.value.reason == "preview-damaged"
