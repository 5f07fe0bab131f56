"""The built-in engine on real photographs, with and without its classifier."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from imageworks.config import PersonalTaggerConfig
from imageworks.errors import AnswerError, BackendError, DecodeError
from imageworks.infer import builtin, builtin_words
from imageworks.infer.builtin import MODEL_NAME, NOTHING_FOUND, BuiltinEngine
from imageworks.infer.builtin_words import Thresholds
from imageworks.models import Stage
from imageworks.prepare.crops import rgb_crops
from imageworks.stages import CaptureFacts, InferenceRequest, PixelFacts

CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "photos"
NOON = datetime(2024, 6, 1, 12)  # noqa: DTZ001  # cameras record local time without a zone


def jpeg_of(picture: Image.Image) -> bytes:
    upright = ImageOps.exif_transpose(picture).convert("RGB")
    upright.thumbnail((1024, 1024))
    buffer = io.BytesIO()
    upright.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def samples() -> Path:
    skimage = pytest.importorskip("skimage")
    return Path(skimage.__file__).parent / "data"


@pytest.fixture(scope="module")
def engine() -> BuiltinEngine:
    pytest.importorskip("onnxruntime")
    return BuiltinEngine(PersonalTaggerConfig(), rgb_crops)


@pytest.fixture
def bare_engine(monkeypatch: pytest.MonkeyPatch) -> BuiltinEngine:
    monkeypatch.setattr(builtin, "is_runtime_installed", lambda: False)
    return BuiltinEngine(PersonalTaggerConfig(), unexpected_pixels)


def unexpected_pixels(jpeg: bytes, side_px: int) -> list[bytes]:
    raise AssertionError


def request_for(path: Path, **facts: Any) -> InferenceRequest:
    with Image.open(path) as picture:
        return InferenceRequest(path=path, jpeg=jpeg_of(picture), **facts)


async def ask(engine: BuiltinEngine, request: InferenceRequest) -> dict[str, Any]:
    result = await engine.infer(request)
    (answer,) = result.answers
    return dict(json.loads(answer.text))


def words_of(answer: dict[str, Any]) -> list[str]:
    return [keyword["keyword"] for keyword in answer["keywords"]]


async def test_cat_is_found_with_its_hierarchy_and_probability(
    engine: BuiltinEngine, samples: Path
) -> None:
    answer = await ask(engine, request_for(samples / "chelsea.png"))

    assert answer["caption"] == "Probably a cat."
    cat, mammal, animal = answer["keywords"]
    assert cat["path"] == ["animal", "mammal", "cat"]
    assert mammal["path"] == ["animal", "mammal"]
    assert animal["path"] == ["animal"]
    assert 0.9 < cat["score"] <= mammal["score"] <= animal["score"] < 1
    assert answer["description"].startswith(
        "Found by the built-in object classifier (ImageNet objects): cat 9"
    )


async def test_espresso_is_found_in_a_cup_of_coffee(engine: BuiltinEngine, samples: Path) -> None:
    answer = await ask(engine, request_for(samples / "coffee.png"))

    assert words_of(answer)[:2] == ["espresso", "drink"]
    assert answer["caption"] == "Probably an espresso."


async def test_motorcycle_is_not_narrowed_to_the_one_kind_the_network_knows(
    engine: BuiltinEngine, samples: Path
) -> None:
    answer = await ask(engine, request_for(samples / "motorcycle_left.png"))

    assert words_of(answer) == ["motorcycle", "vehicle"]


@pytest.mark.parametrize(
    "name", ["astronaut.png", "brick.png", "gravel.png", "coins.png", "page.png", "moon.png"]
)
async def test_nothing_is_said_about_what_the_classifier_does_not_know(
    engine: BuiltinEngine, samples: Path, name: str
) -> None:
    result = await engine.infer(request_for(samples / name))

    answer = json.loads(result.answers[0].text)
    assert answer == {"caption": "", "keywords": [], "description": ""}
    assert result.notes == (NOTHING_FOUND,)


async def test_lower_thresholds_would_call_the_astronaut_a_helmet(samples: Path) -> None:
    pytest.importorskip("onnxruntime")
    bold = BuiltinEngine(PersonalTaggerConfig(), rgb_crops, Thresholds(0.1, 0.1))

    answer = await ask(bold, request_for(samples / "astronaut.png"))

    assert "football helmet" in words_of(answer)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("exif-samples--Kodak_CX7530.jpg", "lizard"),
        ("exif-samples--DSCN0027.jpg", "building"),
        ("exif-samples--sony-powershota5.jpg", "jack-o'-lantern"),
        ("exifr--iptc-independent-photographer-example.jpg", "mountain"),
        ("test-assets--empty_gps.jpg", "mammal"),
        ("test-assets--japanese-shop.jpg", "shop"),
    ],
)
async def test_photographs_of_strangers_get_a_true_keyword(
    engine: BuiltinEngine, name: str, word: str
) -> None:
    if not CORPUS.is_dir():
        pytest.skip("no corpus here")

    answer = await ask(engine, request_for(CORPUS / name))

    assert word in words_of(answer)


async def test_answer_is_one_exchange_that_names_the_model_and_has_honest_scores(
    engine: BuiltinEngine, samples: Path
) -> None:
    result = await engine.infer(request_for(samples / "chelsea.png"))

    (answer,) = result.answers
    assert result.has_honest_scores
    assert result.notes == ()
    assert (answer.model, answer.system, answer.user) == (MODEL_NAME, "", "")
    assert answer.stages == tuple(Stage)
    assert answer.duration_s > 0


async def test_only_the_stages_asked_are_answered(engine: BuiltinEngine, samples: Path) -> None:
    request = request_for(samples / "coffee.png", stages=(Stage.DESCRIPTION,))

    result = await engine.infer(request)

    assert result.answers[0].stages == (Stage.DESCRIPTION,)
    assert list(json.loads(result.answers[0].text)) == ["description"]


async def test_two_asks_give_the_same_answer(engine: BuiltinEngine, samples: Path) -> None:
    request = request_for(samples / "chelsea.png")

    assert await ask(engine, request) == await ask(engine, request)


async def test_classifier_loads_again_after_closing(samples: Path) -> None:
    pytest.importorskip("onnxruntime")
    engine = BuiltinEngine(PersonalTaggerConfig(), rgb_crops)
    request = request_for(samples / "coffee.png")
    first = await ask(engine, request)

    await engine.aclose()
    await engine.aclose()

    assert engine._loaded is None
    assert await ask(engine, request) == first


async def test_pictures_are_classified_off_the_event_loop(samples: Path) -> None:
    pytest.importorskip("onnxruntime")
    threads = []

    def pixels(jpeg: bytes, side_px: int) -> list[bytes]:
        threads.append(threading.current_thread())
        return rgb_crops(jpeg, side_px)

    await ask(BuiltinEngine(PersonalTaggerConfig(), pixels), request_for(samples / "coffee.png"))

    assert threads
    assert threading.main_thread() not in threads


async def test_undecodable_picture_fails_as_that_picture(engine: BuiltinEngine) -> None:
    with pytest.raises(DecodeError):
        await engine.infer(InferenceRequest(path=Path("a.jpg"), jpeg=b"no picture"))


@pytest.mark.parametrize("crops", [[], [b"short"]])
async def test_views_of_the_wrong_size_fail_as_that_picture(crops: list[bytes]) -> None:
    pytest.importorskip("onnxruntime")
    engine = BuiltinEngine(PersonalTaggerConfig(), lambda _jpeg, _side_px: crops)

    with pytest.raises(AnswerError) as caught:
        await engine.infer(InferenceRequest(path=Path("a.jpg"), jpeg=b""))

    assert caught.value.reason == "bad-crops"


async def test_without_onnxruntime_the_facts_remain(bare_engine: BuiltinEngine) -> None:
    request = InferenceRequest(
        path=Path("a.jpg"),
        jpeg=b"",
        pixels=PixelFacts(is_monochrome=True, dominant_colours=("grey",)),
        capture=CaptureFacts(taken_at=NOON, focal_length_mm=400),
    )

    result = await bare_engine.infer(request)

    answer = json.loads(result.answers[0].text)
    assert answer["caption"] == "A black-and-white picture."
    assert words_of(answer) == ["black and white", "telephoto", "2024", "June"]
    assert {keyword["score"] for keyword in answer["keywords"]} == {None}
    assert result.answers[0].model == "pixel and camera facts"
    assert any("not installed" in note for note in result.notes)
    assert NOTHING_FOUND not in result.notes


async def test_without_onnxruntime_it_says_so_everywhere(bare_engine: BuiltinEngine) -> None:
    (probe,) = await bare_engine.preflight()

    assert "not installed" in bare_engine.describe()
    assert probe.is_ok
    assert "not installed" in probe.message
    assert "imageworks-personal-tagger[builtin]" in probe.hint
    assert set(bare_engine.models().values()) == {"pixel and camera facts"}


async def test_preflight_loads_the_classifier_and_tells_what_it_is(engine: BuiltinEngine) -> None:
    (probe,) = await engine.preflight()

    assert probe.is_ok
    assert "ImageNet" in probe.message
    assert engine._loaded is not None
    assert await engine.is_alive()


async def test_damaged_network_stops_the_run_at_preflight(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    read_bytes = builtin_words._read_bytes
    monkeypatch.setattr(
        builtin_words,
        "_read_bytes",
        lambda name: read_bytes(name) + (b"x" if name.endswith(".onnx") else b""),
    )

    (probe,) = await BuiltinEngine(PersonalTaggerConfig(), rgb_crops).preflight()

    assert not probe.is_ok
    assert "efficientnet_lite0_fp16.onnx is damaged" in probe.message
    assert probe.reason == "builtin-data"


def test_runtime_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(BackendError) as caught:
        builtin.Classifier(b"")

    assert caught.value.reason == "builtin-runtime"


def test_network_that_the_runtime_refuses_is_a_backend_error() -> None:
    pytest.importorskip("onnxruntime")

    with pytest.raises(BackendError) as caught:
        builtin.Classifier(b"no network")

    assert caught.value.reason == "builtin-runtime"


def test_network_that_fails_on_a_picture_fails_that_picture_only() -> None:
    pytest.importorskip("onnxruntime")
    classifier = builtin.Classifier(builtin_words.read_data(builtin_words.MODEL_FILE))
    failure = classifier._failures[0]

    class Broken:
        def run(self, *_arguments: object) -> None:
            raise failure

    classifier._session = Broken()

    with pytest.raises(AnswerError) as caught:
        classifier.probabilities([bytes(224 * 224 * 3)])

    assert caught.value.reason == "classifier-failed"


def test_installed_runtime_is_seen_without_loading_it() -> None:
    pytest.importorskip("onnxruntime")
    code = (
        "import sys; from imageworks.infer import builtin; found = builtin.is_runtime_installed();"
        "print(found, 'onnxruntime' in sys.modules, 'numpy' in sys.modules)"
    )

    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # fixed

    assert done.stdout.split() == ["True", "False", "False"]


@pytest.mark.parametrize(
    ("language", "extra", "note"),
    [
        ("pt-BR", {}, builtin.ENGLISH_ONLY),
        ("en-GB", {"hint": "my aunt's garden"}, builtin.NO_HINTS),
        ("EN", {"sample": 2}, builtin.ONE_ANSWER),
    ],
)
async def test_what_it_cannot_do_is_noted(
    monkeypatch: pytest.MonkeyPatch, language: str, extra: dict[str, Any], note: str
) -> None:
    monkeypatch.setattr(builtin, "is_runtime_installed", lambda: False)
    engine = BuiltinEngine(PersonalTaggerConfig(language=language), unexpected_pixels)

    result = await engine.infer(InferenceRequest(path=Path("a.jpg"), jpeg=b"", **extra))

    assert result.notes == (builtin.NOT_INSTALLED, note)


def test_fingerprint_changes_with_all_that_changes_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("onnxruntime")
    base = PersonalTaggerConfig()
    prints = [
        BuiltinEngine(base, rgb_crops).fingerprint(),
        BuiltinEngine(PersonalTaggerConfig(context=("camera",)), rgb_crops).fingerprint(),
        BuiltinEngine(PersonalTaggerConfig(language="de"), rgb_crops).fingerprint(),
        BuiltinEngine(base, rgb_crops, Thresholds(0.6, 0.7)).fingerprint(),
        BuiltinEngine(base, rgb_crops, Thresholds(0.5, 0.8)).fingerprint(),
    ]
    monkeypatch.setattr(builtin, "RULES_VERSION", builtin.RULES_VERSION + 1)
    prints.append(BuiltinEngine(base, rgb_crops).fingerprint())
    monkeypatch.setattr(builtin, "is_runtime_installed", lambda: False)
    prints.append(BuiltinEngine(base, rgb_crops).fingerprint())

    assert len(set(prints)) == len(prints)


def test_fingerprint_ignores_what_changes_no_answer() -> None:
    one = PersonalTaggerConfig(context=("folder", "date", "camera"), timeout=5)
    other = PersonalTaggerConfig(context=("camera", "date"), temperature=1.0)

    assert (
        BuiltinEngine(one, rgb_crops).fingerprint() == BuiltinEngine(other, rgb_crops).fingerprint()
    )


def test_concurrency_is_the_number_of_processors_unless_capped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 6)

    assert BuiltinEngine(PersonalTaggerConfig(), rgb_crops).suggested_concurrency() == 6
    capped = BuiltinEngine(PersonalTaggerConfig(max_workers=2), rgb_crops)
    assert capped.suggested_concurrency() == 2


async def test_camera_and_date_are_said_only_where_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "is_runtime_installed", lambda: False)
    capture = CaptureFacts(taken_at=NOON, focal_length_mm=400, exposure_s=2.0)
    request = InferenceRequest(
        path=Path("a.jpg"), jpeg=b"", capture=capture, context={"place": "Lisbon, Portugal"}
    )
    expected = {
        (): [],
        ("camera",): ["telephoto", "long exposure"],
        ("date",): ["2024", "June"],
        ("date", "place"): ["2024", "June", "summer"],
    }

    for context, words in expected.items():
        engine = BuiltinEngine(PersonalTaggerConfig(context=context), unexpected_pixels)

        assert words_of(await ask(engine, request)) == words
