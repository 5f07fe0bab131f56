"""What can be said about a picture without recognising anything in it.

From its pixels, its shape and what the camera recorded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from imageworks.stages import CaptureFacts, InferenceRequest, PixelFacts

DARK_LUMA_RATIO = 0.25
VERY_DARK_LUMA_RATIO = 0.15
NIGHT_HOURS = frozenset({21, 22, 23, 0, 1, 2, 3, 4})
LOW_LIGHT_EV100 = 4.0
# Wider than any camera's or telephone's own frame (21:9 is 2.33): stitched or cropped to be one.
PANORAMA_RATIO = 2.4
PANORAMA_WIDTH_PX = 900  # of the prepared picture; what is smaller is a banner or a logo
LONG_EXPOSURE_S = 1.0
TELEPHOTO_MM = 200.0  # a long lens on every film and sensor size; shorter ones depend on the crop
COLOURLESS = frozenset({"black", "white", "grey", "gray"})
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
SEASONS = ("winter", "spring", "summer", "autumn")  # northern, meteorological: from December
# Countries that lie (nearly) wholly in one temperate zone: nearer the equator the four seasons
# say nothing.
NORTHERN_COUNTRIES = frozenset(
    {
        *(
            "albania",
            "armenia",
            "austria",
            "azerbaijan",
            "belarus",
            "belgium",
            "bulgaria",
            "canada",
        ),
        *("croatia", "cyprus", "czech republic", "czechia", "denmark", "england", "estonia"),
        *("finland", "france", "georgia", "germany", "greece", "hungary", "iceland", "ireland"),
        *("italy", "japan", "kazakhstan", "kosovo", "latvia", "liechtenstein", "lithuania"),
        *("luxembourg", "malta", "moldova", "monaco", "mongolia", "montenegro", "netherlands"),
        *("north macedonia", "northern ireland", "norway", "poland", "portugal", "romania"),
        *("russia", "scotland", "serbia", "slovakia", "slovenia", "south korea", "spain", "sweden"),
        *("switzerland", "the netherlands", "turkey", "türkiye", "uk", "ukraine", "usa"),
        *("united kingdom", "united states", "united states of america", "wales"),
    }
)
SOUTHERN_COUNTRIES = frozenset(
    {"argentina", "australia", "chile", "lesotho", "new zealand", "south africa", "uruguay"}
)


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """Facts that hold whether or not an object is recognised.

    They carry no score: a measured value against a fixed limit is not a probability.

    Attributes:
        is_monochrome: No colour, and bright enough to tell.
        is_dark: Dark as a whole.
        is_night: Dark, and taken in the night by the camera's clock.
        is_panorama: Much wider than high.
        main_colour: The one colour that dominates; empty when there is none.
        measured: Keywords from pixels and shape.
        recorded: Keywords from the camera's data.
    """

    is_monochrome: bool
    is_dark: bool
    is_night: bool
    is_panorama: bool
    main_colour: str
    measured: tuple[str, ...]
    recorded: tuple[str, ...]


def read_facts(request: InferenceRequest, asked: Collection[str]) -> PictureFacts:
    """All facts about a picture.

    Args:
        request: The picture with its pixel and camera facts.
        asked: Kinds of context the person wants used: ``camera``, ``date``, ``place``.
    """
    pixels, capture = request.pixels, request.capture
    is_panorama = _is_panorama(request.jpeg)
    # Next to black there is no telling colour from grey: a starry sky is not black and white.
    is_monochrome = pixels.is_monochrome and pixels.mean_luma_ratio > VERY_DARK_LUMA_RATIO
    main_colour = _main_colour(pixels)
    light = _light_word(pixels, capture)
    measured = [
        *(["black and white"] if is_monochrome else []),
        *([light] if light else []),
        *([main_colour] if main_colour else []),
        *(["panorama"] if is_panorama else []),
    ]
    recorded = camera_words(capture) if "camera" in asked else ()
    if "date" in asked and capture.taken_at is not None:
        place = request.context.get("place", "") if "place" in asked else ""
        recorded += date_words(capture.taken_at, place)
    return PictureFacts(
        is_monochrome=is_monochrome,
        is_dark=pixels.mean_luma_ratio <= VERY_DARK_LUMA_RATIO,
        is_night=light == "night",
        is_panorama=is_panorama,
        main_colour=main_colour,
        measured=tuple(measured),
        recorded=recorded,
    )


def _main_colour(pixels: PixelFacts) -> str:
    """The colour when it is the only one with a notable share; grey and its ends are no colour."""
    if pixels.is_monochrome or len(pixels.dominant_colours) != 1:
        return ""
    (colour,) = pixels.dominant_colours
    return "" if colour in COLOURLESS else colour


def _light_word(pixels: PixelFacts, capture: CaptureFacts) -> str:
    """``night``, ``low light``, ``low key`` or nothing.

    A dark picture alone is only that (low key); night takes the clock, low light the exposure.
    """
    if pixels.mean_luma_ratio > DARK_LUMA_RATIO:
        return ""
    if capture.taken_at is not None and capture.taken_at.hour in NIGHT_HOURS:
        return "night"
    value = exposure_value(capture)
    if value is not None and value <= LOW_LIGHT_EV100 and not capture.is_flash_fired:
        return "low light"
    return "low key" if pixels.mean_luma_ratio <= VERY_DARK_LUMA_RATIO else ""


def exposure_value(capture: CaptureFacts) -> float | None:
    """The exposure as EV at ISO 100; None when the camera's data are incomplete or impossible.

    Source: Exif 2.32 (CIPA DC-008), annex C, APEX: Av + Tv = log2(N²/t), Sv relative to ISO 100.
    """
    aperture, exposure_s, iso = capture.aperture, capture.exposure_s, capture.iso
    if aperture is None or exposure_s is None or iso is None:
        return None
    if not (0 < aperture < math.inf and 0 < exposure_s < math.inf and iso > 0):
        return None
    return 2 * math.log2(aperture) - math.log2(exposure_s) - math.log2(iso / 100)


def camera_words(capture: CaptureFacts) -> tuple[str, ...]:
    """Keywords for how the picture was taken, where the camera says so beyond doubt."""
    words = []
    if capture.focal_length_mm is not None and TELEPHOTO_MM <= capture.focal_length_mm < math.inf:
        words.append("telephoto")
    if capture.exposure_s is not None and LONG_EXPOSURE_S <= capture.exposure_s < math.inf:
        words.append("long exposure")
    if capture.is_flash_fired:
        words.append("flash")
    if _is_macro_prime(capture.lens):
        words.append("macro lens")
    return tuple(words)


def _is_macro_prime(lens: str) -> bool:
    """A fixed lens named macro; many zooms carry the word without magnifying much."""
    words = lens.casefold().replace("/", " ").split()
    is_macro = any(word in {"macro", "micro", "micro-nikkor"} for word in words)
    return is_macro and not any("-" in word and word[0].isdigit() for word in words)


def date_words(taken_at: datetime, place: str) -> tuple[str, ...]:
    """Year and month, and the season where the place tells which half of the earth it was.

    The first hour of a 1 January is taken for a camera whose clock was never set: no words.
    """
    if (taken_at.month, taken_at.day, taken_at.hour) == (1, 1, 0):
        return ()
    season = season_of(taken_at.month, place)
    words = (str(taken_at.year), MONTHS[taken_at.month - 1])
    return (*words, season) if season else words


def season_of(month: int, place: str) -> str:
    """The meteorological season; nothing where the country (the place's last part) is not known.

    Args:
        month: 1 to 12.
        place: ``City, Region, Country``.
    """
    country = place.rsplit(",", 1)[-1].strip().casefold()
    quarter = month % 12 // 3
    if country in NORTHERN_COUNTRIES:
        return SEASONS[quarter]
    if country in SOUTHERN_COUNTRIES:
        return SEASONS[(quarter + 2) % 4]
    return ""


def _is_panorama(jpeg: bytes) -> bool:
    size = jpeg_size_px(jpeg)
    if size is None:
        return False
    width_px, height_px = size
    return width_px >= PANORAMA_WIDTH_PX and width_px > PANORAMA_RATIO * height_px


def jpeg_size_px(jpeg: bytes) -> tuple[int, int] | None:
    """Width and height out of a JPEG's frame header; None when there is no whole one.

    Source: ITU-T T.81, B.1.1.3 (markers; SOF0..15 without DHT, JPG, DAC), B.2.2 (frame header).
    """
    if jpeg[:2] != b"\xff\xd8":
        return None
    offset = 2
    while offset + 9 <= len(jpeg) and jpeg[offset] == 0xFF:
        marker = jpeg[offset + 1]
        if marker == 0xFF:  # a fill byte before the marker
            offset += 1
        elif marker in range(0xC0, 0xD0) and marker not in {0xC4, 0xC8, 0xCC}:
            height_px = int.from_bytes(jpeg[offset + 5 : offset + 7])
            width_px = int.from_bytes(jpeg[offset + 7 : offset + 9])
            return (width_px, height_px) if width_px and height_px else None
        else:
            offset += 2 + max(2, int.from_bytes(jpeg[offset + 2 : offset + 4]))
    return None
