"""Which pictures look alike to the built-in network."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image, ImageEnhance

pytest.importorskip("onnxruntime")

import numpy as np

from imageworks.errors import AnswerError
from imageworks.infer.builtin import (
    SIDE_PX,
    VECTOR_SIZE,
    Classifier,
    VectorIndex,
    _projection,
    load_classifier,
)
from imageworks.prepare.crops import rgb_whole

CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "photos"


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load_classifier()


def jpeg_of(picture: Image.Image, quality: int = 85) -> bytes:
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def corpus_picture(name: str) -> Image.Image:
    path = CORPUS / name
    if not path.exists():
        pytest.skip("the corpus is not here")
    return Image.open(path)


def test_the_same_scene_is_nearer_than_any_other(classifier):
    names = {
        "waterfall": "exif-samples--landscape_1.jpg",
        "flower": "test-assets--cyclamen_persicum.jpg",
        "street": "exif-samples--DSCN0029.jpg",
    }
    index = VectorIndex()
    for name, file in names.items():
        index.add(name, classifier.vector(rgb_whole(jpeg_of(corpus_picture(file)), SIDE_PX)))
    changed = ImageEnhance.Brightness(corpus_picture(names["flower"])).enhance(0.8)
    changed = changed.resize((640, 480))

    found = index.nearest(classifier.vector(rgb_whole(jpeg_of(changed, 60), SIDE_PX)), 3)

    assert found[0][0] == "flower"
    assert found[0][1] > 0.75
    assert all(cosine < 0.5 for _, cosine in found[1:])


def test_a_view_of_another_size_is_refused(classifier):
    with pytest.raises(AnswerError) as caught:
        classifier.vector(b"\0" * 300)

    assert caught.value.reason == "bad-crops"


def test_a_picture_without_any_feature_has_a_vector_that_is_like_none():
    index = VectorIndex()
    index.add("none", bytes(VECTOR_SIZE))

    assert index.nearest(b"\x01" * VECTOR_SIZE, 1) == [("none", 0.0)]


def test_the_projection_is_the_same_for_ever():
    """Stored vectors are compared with those of later versions."""
    signs = _projection(1280)

    assert signs.shape == (VECTOR_SIZE, 1280)
    digest = hashlib.sha256(signs.astype(np.int8).tobytes()).hexdigest()
    assert digest == "2a4f8947ddd815313ee77640737b60c6aa1d7b9613c3919ff4a2253f126eddc5"


def test_an_empty_index_finds_nothing():
    assert VectorIndex().nearest(bytes(VECTOR_SIZE), 5) == []


def test_the_nearest_are_those_of_a_full_comparison():
    rng = np.random.default_rng(5)
    vectors = rng.integers(-127, 128, (9000, VECTOR_SIZE), np.int8)  # more than one share
    index = VectorIndex()
    for number, vector in enumerate(vectors):
        index.add(str(number), vector.tobytes())
    wanted = vectors[8500].astype(np.float64)
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1) * np.linalg.norm(wanted)
    cosines = vectors.astype(np.float64) @ wanted / lengths

    found = index.nearest(vectors[8500].tobytes(), 6)

    assert [name for name, _ in found] == [str(row) for row in np.argsort(-cosines)[:6]]
    assert found[0][1] == pytest.approx(1.0, abs=1e-5)
    assert [cosine for _, cosine in found] == pytest.approx(sorted(cosines)[:-7:-1])


def test_a_name_added_again_is_compared_by_its_new_vector():
    index = VectorIndex()
    index.add("a", b"\x01" * VECTOR_SIZE)
    index.add("a", b"\xff" * VECTOR_SIZE)

    ((name, cosine),) = index.nearest(b"\x01" * VECTOR_SIZE, 5)

    assert (name, round(cosine, 5)) == ("a", -1.0)


def test_a_vector_of_another_size_is_refused():
    with pytest.raises(ValueError, match="256 bytes"):
        VectorIndex().add("a", b"\x01")
