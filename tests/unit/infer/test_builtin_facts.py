"""Facts that need no model: only said when they are true."""

from __future__ import annotations

import io
import math
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imageworks.infer.builtin_facts import (
    MONTHS,
    NIGHT_HOURS,
    NORTHERN_COUNTRIES,
    SEASONS,
    SOUTHERN_COUNTRIES,
    PictureFacts,
    camera_words,
    date_words,
    exposure_value,
    jpeg_size_px,
    read_facts,
    season_of,
)
from imageworks.stages import CaptureFacts, InferenceRequest, PixelFacts

ALL = ("camera", "date", "place")
MIDNIGHT = datetime(2023, 5, 4, 23, 30)  # noqa: DTZ001  # cameras record local time without a zone
NOON = datetime(2023, 5, 4, 12, 0)  # noqa: DTZ001  # likewise


def facts_of(
    pixels: PixelFacts | None = None,
    capture: CaptureFacts | None = None,
    *,
    jpeg: bytes = b"",
    asked: tuple[str, ...] = (),
) -> PictureFacts:
    request = InferenceRequest(
        path=Path("a.jpg"),
        jpeg=jpeg,
        pixels=pixels or PixelFacts(),
        capture=capture or CaptureFacts(),
    )
    return read_facts(request, asked)


def jpeg_bytes(size: tuple[int, int], **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def test_dark_picture_at_night_is_night() -> None:
    facts = facts_of(PixelFacts(mean_luma_ratio=0.2), CaptureFacts(taken_at=MIDNIGHT))

    assert facts.measured == ("night",)
    assert facts.is_night


@pytest.mark.parametrize(
    ("luma_ratio", "capture"),
    [
        (0.2, CaptureFacts(taken_at=NOON)),
        (0.2, CaptureFacts()),
        (0.5, CaptureFacts(taken_at=MIDNIGHT)),
    ],
)
def test_night_takes_darkness_and_the_clock(luma_ratio: float, capture: CaptureFacts) -> None:
    assert facts_of(PixelFacts(mean_luma_ratio=luma_ratio), capture).measured == ()


def test_dark_picture_with_a_long_high_iso_exposure_is_low_light() -> None:
    capture = CaptureFacts(taken_at=NOON, aperture=1.8, exposure_s=1 / 15, iso=6400)

    assert facts_of(PixelFacts(mean_luma_ratio=0.2), capture).measured == ("low light",)


@pytest.mark.parametrize(
    "capture",
    [
        CaptureFacts(aperture=8, exposure_s=1 / 250, iso=100),
        CaptureFacts(aperture=1.8, exposure_s=1 / 15, iso=6400, is_flash_fired=True),
        CaptureFacts(exposure_s=1 / 15, iso=6400),
    ],
)
def test_very_dark_picture_without_proof_of_low_light_is_only_low_key(
    capture: CaptureFacts,
) -> None:
    facts = facts_of(PixelFacts(mean_luma_ratio=0.1), capture)

    assert facts.measured == ("low key",)
    assert facts.is_dark


def test_exposure_value_of_full_daylight_is_fifteen() -> None:
    sunny_sixteen = CaptureFacts(aperture=16, exposure_s=1 / 125, iso=100)

    assert exposure_value(sunny_sixteen) == pytest.approx(15, abs=0.1)


@given(
    st.floats(allow_nan=True, allow_infinity=True) | st.none(),
    st.floats(allow_nan=True, allow_infinity=True) | st.none(),
    st.integers() | st.none(),
)
def test_impossible_exposures_never_fail(
    aperture: float | None, exposure_s: float | None, iso: int | None
) -> None:
    value = exposure_value(CaptureFacts(aperture=aperture, exposure_s=exposure_s, iso=iso))

    assert value is None or math.isfinite(value)


def test_picture_without_colour_is_black_and_white() -> None:
    facts = facts_of(PixelFacts(is_monochrome=True, dominant_colours=("grey",)))

    assert facts.measured == ("black and white",)


def test_nearly_black_picture_is_not_called_black_and_white() -> None:
    facts = facts_of(PixelFacts(is_monochrome=True, mean_luma_ratio=0.08))

    assert not facts.is_monochrome
    assert facts.measured == ("low key",)


@pytest.mark.parametrize(
    ("colours", "word"),
    [
        (("blue",), "blue"),
        (("blue", "white"), ""),
        (("grey",), ""),
        (("black",), ""),
        ((), ""),
    ],
)
def test_colour_is_said_only_when_it_stands_alone(colours: tuple[str, ...], word: str) -> None:
    facts = facts_of(PixelFacts(dominant_colours=colours))

    assert facts.main_colour == word
    assert facts.measured == ((word,) if word else ())


@pytest.mark.parametrize(
    ("size", "is_panorama"),
    [
        ((1024, 400), True),
        ((500, 100), False),
        ((1024, 473), False),
        ((400, 1024), False),
        ((1024, 683), False),
    ],
)
def test_panorama_is_wide_and_wider_than_any_camera_frame(
    size: tuple[int, int],
    is_panorama: bool,  # noqa: FBT001  # a table of test values
) -> None:
    facts = facts_of(jpeg=jpeg_bytes(size))

    assert facts.is_panorama is is_panorama
    assert ("panorama" in facts.measured) is is_panorama


@given(st.integers(1, 300), st.integers(1, 300), st.booleans())
def test_size_is_read_from_any_jpeg(width: int, height: int, is_progressive: bool) -> None:  # noqa: FBT001
    data = jpeg_bytes((width, height), progressive=is_progressive, comment=b"\xff\xc0 not a frame")

    assert jpeg_size_px(data) == (width, height)


@given(st.binary(max_size=200).map(lambda tail: b"\xff\xd8" + tail) | st.binary(max_size=200))
def test_size_of_garbage_never_fails(data: bytes) -> None:
    size = jpeg_size_px(data)

    assert size is None or min(size) > 0


def test_truncated_and_filled_headers_are_read_as_far_as_they_go() -> None:
    data = jpeg_bytes((30, 20))

    assert jpeg_size_px(data[:2] + b"\xff\xff" + data[2:]) == (30, 20)
    assert jpeg_size_px(data[:40]) is None


def test_camera_words_are_said_beyond_doubt() -> None:
    capture = CaptureFacts(
        focal_length_mm=300, exposure_s=2.5, is_flash_fired=True, lens="Sigma 105mm F2.8 Macro"
    )

    assert camera_words(capture) == ("telephoto", "long exposure", "flash", "macro lens")


@pytest.mark.parametrize(
    "capture",
    [
        CaptureFacts(),
        CaptureFacts(focal_length_mm=135, exposure_s=0.5, is_flash_fired=False),
        CaptureFacts(lens="Sigma 70-300mm F4-5.6 DG Macro"),
        CaptureFacts(lens="Lumix micro43 45mm"),
        CaptureFacts(focal_length_mm=math.inf, exposure_s=math.inf),
        CaptureFacts(focal_length_mm=math.nan, exposure_s=math.nan),
    ],
)
def test_ordinary_and_impossible_camera_data_say_nothing(capture: CaptureFacts) -> None:
    assert camera_words(capture) == ()


def test_date_gives_year_and_month_and_with_a_country_the_season() -> None:
    assert date_words(NOON, "") == ("2023", "May")
    assert date_words(NOON, "Lisbon, Portugal") == ("2023", "May", "spring")
    assert date_words(NOON, "Otago, New Zealand") == ("2023", "May", "autumn")


def test_clock_that_was_never_set_gives_no_date() -> None:
    unset = datetime(2000, 1, 1, 0, 0, 12)  # noqa: DTZ001  # likewise

    assert date_words(unset, "Spain") == ()
    assert date_words(unset.replace(hour=9), "") == ("2000", "January")


@given(st.sampled_from(sorted(NORTHERN_COUNTRIES)), st.sampled_from(sorted(SOUTHERN_COUNTRIES)))
def test_halves_of_the_earth_have_opposite_seasons(northern: str, southern: str) -> None:
    opposite = {"winter": "summer", "summer": "winter", "spring": "autumn", "autumn": "spring"}

    for month in range(1, 13):
        season = season_of(month, f"Somewhere, {northern.title()}")
        assert season in SEASONS
        assert season_of(month, southern.upper()) == opposite[season]
    assert season_of(1, northern) == season_of(12, northern) == "winter"
    assert season_of(3, northern) == "spring"


@pytest.mark.parametrize("place", ["", "Quito, Ecuador", "Portugal, Singapore", "Lisbon"])
def test_season_is_left_out_where_it_is_not_known(place: str) -> None:
    assert season_of(7, place) == ""


PIXELS = st.builds(
    PixelFacts,
    is_monochrome=st.booleans(),
    mean_luma_ratio=st.floats(0, 1),
    dominant_colours=st.lists(
        st.sampled_from(["red", "blue", "grey", "black", "white"]), max_size=3, unique=True
    ).map(tuple),
)
CAPTURES = st.builds(
    CaptureFacts,
    taken_at=st.datetimes() | st.none(),
    lens=st.text(max_size=30),
    exposure_s=st.floats() | st.none(),
    aperture=st.floats() | st.none(),
    iso=st.integers() | st.none(),
    focal_length_mm=st.floats() | st.none(),
    is_flash_fired=st.booleans() | st.none(),
)


@given(PIXELS, CAPTURES, st.sets(st.sampled_from(ALL)))
def test_facts_never_contradict_what_they_are_read_from(
    pixels: PixelFacts, capture: CaptureFacts, asked: set[str]
) -> None:
    facts = facts_of(pixels, capture, asked=tuple(asked))

    words = facts.measured + facts.recorded
    assert len(set(words)) == len(words)
    assert not facts.is_monochrome or pixels.is_monochrome
    if "night" in words:
        assert pixels.mean_luma_ratio <= 0.25
        assert capture.taken_at is not None
        assert capture.taken_at.hour in NIGHT_HOURS
    if facts.main_colour:
        assert pixels.dominant_colours == (facts.main_colour,)
        assert not pixels.is_monochrome
    if "camera" not in asked:
        assert not {"telephoto", "long exposure", "flash", "macro lens"} & set(words)
    if "date" not in asked:
        assert not set(MONTHS) & set(words)
