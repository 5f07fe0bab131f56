"""Simple rendered scenes with the words that are true of them: what the toy model was trained on.

The drawing and the order of its random draws are part of the model's training set
(`scripts/toy_vlm_train.py`): a change here needs a newly trained model in `tests/assets/toyvlm`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, ...]

SKIES: dict[str, tuple[str, Colour]] = {
    "blue": ("day", (120, 180, 240)),
    "orange": ("sunset", (250, 150, 70)),
    "black": ("night", (12, 14, 35)),
    "grey": ("clouds", (165, 170, 178)),
    "pink": ("dawn", (250, 190, 205)),
}
GROUNDS: dict[str, Colour] = {
    "grass": (70, 150, 60),
    "sand": (225, 200, 140),
    "water": (30, 80, 150),
    "snow": (240, 244, 250),
    "road": (90, 90, 95),
}
COLOURS: dict[str, Colour] = {
    "red": (205, 35, 40),
    "yellow": (245, 215, 50),
    "white": (250, 250, 250),
    "green": (30, 110, 50),
    "purple": (130, 60, 160),
    "brown": (120, 75, 40),
}
KINDS = {
    "house": "building",
    "tree": "plant",
    "boat": "vehicle",
    "ball": "toy",
    "car": "vehicle",
    "tower": "building",
    "flower": "plant",
}
POSITIONS = {"left": 0.22, "center": 0.5, "right": 0.78}


@dataclass(frozen=True, slots=True)
class Truth:
    """What a scene shows."""

    thing: str
    colour: str
    ground: str
    sky: str
    position: str

    @property
    def moment(self) -> str:
        return SKIES[self.sky][0]

    @property
    def caption(self) -> str:
        where = "in" if self.ground == "snow" else "on"
        return f"A {self.colour} {self.thing} {where} the {self.ground} under a {self.sky} sky."

    @property
    def keywords(self) -> list[str]:
        return [self.thing, KINDS[self.thing], self.colour, self.ground, "sky", self.moment]

    @property
    def description(self) -> str:
        at = "in the center" if self.position == "center" else f"at the {self.position}"
        return (
            f"The photo shows a {self.colour} {self.thing} {at} of the frame. The ground is"
            f" {self.ground} and the sky is {self.sky}, as at {self.moment}."
        )


def scene(source: random.Random, width: int = 280, height: int = 196) -> tuple[Image.Image, Truth]:
    """A scene and its truth; the same source gives the same scenes."""
    sky, ground = source.choice(list(SKIES)), source.choice(list(GROUNDS))
    thing, colour = source.choice(list(KINDS)), source.choice(list(COLOURS))
    truth = Truth(thing, colour, ground, sky, source.choice(list(POSITIONS)))
    horizon = int(height * source.uniform(0.5, 0.68))
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    _draw_sky(draw, source, truth.sky, (width, horizon))
    earth = _varied(GROUNDS[ground], source)
    for y in range(horizon, height):
        depth = (y - horizon) / (height - horizon)
        draw.line([(0, y), (width, y)], fill=_shaded(earth, 1 - 0.18 * depth))
    _draw_details(draw, source, truth, (width, horizon, height), earth)
    size = min(width, height) * source.uniform(0.16, 0.25)
    x = width * POSITIONS[truth.position] + source.uniform(-0.04, 0.04) * width
    foot = horizon + (height - horizon) * source.uniform(0.25, 0.6)
    _draw_thing(draw, thing, (x, foot, size), _varied(COLOURS[colour], source, 8))
    if source.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(source.uniform(0, 0.8)))
    return image, truth


def _varied(colour: Colour, source: random.Random, by: int = 14) -> Colour:
    return tuple(max(0, min(255, part + source.randint(-by, by))) for part in colour)


def _shaded(colour: Colour, by: float) -> Colour:
    return tuple(int(part * by) for part in colour)


def _draw_sky(
    draw: ImageDraw.ImageDraw, source: random.Random, sky: str, size: tuple[int, int]
) -> None:
    width, horizon = size
    colour = SKIES[sky][1]
    top = _varied(colour, source)
    bottom = _varied(tuple(min(255, int(part * 1.12) + 6) for part in colour), source)
    for y in range(horizon):
        depth = y / horizon
        mixed = tuple(
            int(high + (low - high) * depth) for high, low in zip(top, bottom, strict=True)
        )
        draw.line([(0, y), (width, y)], fill=mixed)


def _draw_details(
    draw: ImageDraw.ImageDraw,
    source: random.Random,
    truth: Truth,
    size: tuple[int, int, int],
    earth: Colour,
) -> None:
    """Waves, stars and clouds."""
    width, horizon, height = size
    for _ in range(26 if truth.ground == "water" else 0):
        x, y = source.randint(0, width), source.randint(horizon, height)
        wave = tuple(min(255, part + 45) for part in earth)
        draw.line([(x, y), (x + width // 10, y)], fill=wave, width=max(1, height // 110))
    for _ in range(30 if truth.sky == "black" else 0):
        x, y = source.randint(0, width), source.randint(0, horizon)
        draw.point((x, y), fill=(255, 255, 240))
    for _ in range(5 if truth.sky == "grey" else 0):
        x, y = source.randint(0, width), source.randint(0, horizon * 2 // 3)
        box = [x - width // 6, y - height // 20, x + width // 6, y + height // 20]
        draw.ellipse(box, fill=(208, 211, 216))


def _draw_thing(
    draw: ImageDraw.ImageDraw, thing: str, place: tuple[float, float, float], colour: Colour
) -> None:
    x, y, s = place
    dark = _shaded(colour, 0.55)

    def box(left: float, top: float, right: float, bottom: float) -> list[float]:
        return [x + s * left, y + s * top, x + s * right, y + s * bottom]

    def shape(*corners: tuple[float, float]) -> list[tuple[float, float]]:
        return [(x + s * across, y + s * down) for across, down in corners]

    match thing:
        case "house":
            draw.rectangle(box(-1, -1, 1, 0), fill=colour)
            draw.polygon(shape((-1.25, -1), (0, -1.9), (1.25, -1)), fill=dark)
            draw.rectangle(box(-0.2, -0.6, 0.2, 0), fill=(40, 30, 25))
        case "tree":
            draw.rectangle(box(-0.16, -0.9, 0.16, 0), fill=(95, 60, 30))
            draw.ellipse(box(-0.85, -2.2, 0.85, -0.6), fill=colour)
        case "boat":
            hull = shape((-1.3, -0.45), (1.3, -0.45), (0.8, 0), (-0.8, 0))
            draw.polygon(hull, fill=colour)
            draw.polygon(shape((0, -2), (0, -0.5), (0.9, -0.5)), fill=(235, 235, 230))
        case "ball":
            draw.ellipse(box(-1, -2, 1, 0), fill=colour)
        case "car":
            _draw_car(draw, box, colour)
        case "tower":
            draw.rectangle(box(-0.4, -2.6, 0.4, 0), fill=colour)
            draw.polygon(shape((-0.55, -2.6), (0, -3.3), (0.55, -2.6)), fill=dark)
        case _:
            _draw_flower(draw, box, colour)


def _draw_car(draw: ImageDraw.ImageDraw, box: Callable[..., list[float]], colour: Colour) -> None:
    draw.rectangle(box(-1.5, -0.8, 1.5, -0.2), fill=colour)
    draw.rectangle(box(-0.8, -1.35, 0.8, -0.8), fill=colour)
    for wheel in (-0.85, 0.85):
        draw.ellipse(box(wheel - 0.32, -0.5, wheel + 0.32, 0.12), fill=(20, 20, 20))


def _draw_flower(
    draw: ImageDraw.ImageDraw, box: Callable[..., list[float]], colour: Colour
) -> None:
    draw.rectangle(box(-0.07, -1.3, 0.07, 0), fill=(30, 100, 40))
    for across, down in ((0, -0.42), (0.42, 0), (0, 0.42), (-0.42, 0)):
        draw.ellipse(box(across - 0.38, down - 1.88, across + 0.38, down - 1.12), fill=colour)
    draw.ellipse(box(-0.25, -1.75, 0.25, -1.25), fill=(250, 190, 30))
