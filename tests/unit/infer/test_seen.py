"""Whether a server can have seen the picture."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imageworks.infer.seen import jpeg_size, may_be_unseen

PROMPT = "Describe this picture in one sentence, in English. " * 20


def jpeg_of(width, height, **options):
    picture = io.BytesIO()
    Image.new("RGB", (width, height)).save(picture, "JPEG", **options)
    return picture.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": b"Exif\0\0" + b"x" * 999}])
def test_the_size_of_a_jpeg_is_in_its_frame_header(options):
    assert jpeg_size(jpeg_of(640, 427, **options)) == (640, 427)


@given(st.binary(max_size=60))
def test_other_bytes_have_no_size_or_some(content):
    size = jpeg_size(b"\xff\xd8" + content)

    assert size is None or min(size) >= 0


@pytest.mark.parametrize(
    ("prompt_tokens", "is_suspicious"),
    [
        (240 + 888, False),  # Qwen2.5-VL, 28 px grid
        (240 + 256, False),  # Gemma 3
        (240 + 25, True),  # the text and the chat template alone
        (None, False),
    ],
)
def test_too_few_tokens_for_a_picture_are_noticed(prompt_tokens, is_suspicious):
    assert may_be_unseen(jpeg_of(1024, 683), PROMPT, prompt_tokens) is is_suspicious


def test_a_small_picture_costs_too_little_to_tell():
    assert not may_be_unseen(jpeg_of(120, 80), PROMPT, 10)


def test_what_is_no_jpeg_is_not_judged():
    assert not may_be_unseen(b"", PROMPT, 10)
