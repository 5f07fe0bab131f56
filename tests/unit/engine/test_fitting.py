"""A picture that does not fit the model's context is sent smaller, and the next ones at once."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imageworks.engine.fitting import NOTE_SMALLER, FittingEngine
from imageworks.errors import AnswerError, DecodeError
from imageworks.infer.seen import jpeg_size
from imageworks.prepare.shrinking import smaller_jpeg
from imageworks.stages import InferenceRequest, InferenceResult


def jpeg_of(width: int, height: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 60)).save(content, "JPEG")
    return content.getvalue()


class Server:
    """Takes pictures up to so many pixels."""

    def __init__(self, most_pixels: int, reason: str = "context-overflow") -> None:
        self.most_pixels = most_pixels
        self.reason = reason
        self.sizes: list[tuple[int, int]] = []

    async def infer(self, request: InferenceRequest) -> InferenceResult:
        size = jpeg_size(request.jpeg) or (0, 0)
        self.sizes.append(size)
        if size[0] * size[1] > self.most_pixels:
            message = "The picture and the prompt do not fit."
            raise AnswerError(message, reason=self.reason)
        return InferenceResult((), notes=("as told",))


def engine_for(server: Server) -> FittingEngine:
    engine: Any = server
    return FittingEngine(engine)


def request_of(width: int, height: int) -> InferenceRequest:
    return InferenceRequest(Path("a.jpg"), jpeg_of(width, height))


@pytest.mark.parametrize("reason", ["context-overflow", "too-large"])
async def test_a_picture_that_does_not_fit_is_sent_smaller_with_a_note(reason):
    server = Server(500 * 500, reason)

    result = await engine_for(server).infer(request_of(1000, 800))

    assert server.sizes == [(1000, 800), (700, 560), (490, 392)]
    assert result.notes == ("as told", NOTE_SMALLER)


async def test_the_next_pictures_are_sent_at_the_size_that_fitted():
    server = Server(500 * 500)
    engine = engine_for(server)
    await engine.infer(request_of(1000, 800))
    server.sizes.clear()

    await engine.infer(request_of(800, 1000))
    small = await engine.infer(request_of(400, 300))

    assert server.sizes == [(392, 490), (400, 300)]
    assert small.notes == ("as told",)


async def test_a_picture_that_fits_is_sent_as_it_is():
    server = Server(10**9)
    request = request_of(1000, 800)

    result = await engine_for(server).infer(request)

    assert server.sizes == [(1000, 800)]
    assert result.notes == ("as told",)


async def test_what_no_model_could_recognise_is_not_tried():
    server = Server(0)

    with pytest.raises(AnswerError, match="do not fit"):
        await engine_for(server).infer(request_of(1000, 800))

    assert server.sizes == [(1000, 800), (700, 560), (490, 392), (343, 274)]


async def test_other_refusals_are_no_reason_to_send_it_smaller():
    server = Server(0, "request-refused")

    with pytest.raises(AnswerError):
        await engine_for(server).infer(request_of(1000, 800))

    assert len(server.sizes) == 1


async def test_what_is_no_jpeg_goes_as_it_is():
    server = Server(10**9)

    await engine_for(server).infer(InferenceRequest(Path("a.jpg"), b"no picture"))

    assert server.sizes == [(0, 0)]


@given(st.integers(1, 300), st.integers(1, 300), st.floats(0.01, 0.99))
def test_a_smaller_picture_has_its_sides_in_proportion(width, height, ratio):
    size = jpeg_size(smaller_jpeg(jpeg_of(width, height), ratio))

    assert size == (max(1, round(width * ratio)), max(1, round(height * ratio)))


@pytest.mark.parametrize("content", [b"", b"no picture", jpeg_of(300, 200)[:200]])
def test_a_damaged_preview_is_told_as_such(content):
    with pytest.raises(DecodeError) as caught:
        smaller_jpeg(content, 0.5)

    assert caught.value.reason == "preview-damaged"
