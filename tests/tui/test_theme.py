from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual.color import Color

from imageworks.errors import ConfigError
from imageworks.tui.theme import PLAIN, load_theme, own_themes_dir, theme_files
from tests.scenarios.drivers import workstation

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.review_library import ReviewLibrary

OWN = sorted(path.stem for path in own_themes_dir().glob("*.toml"))
COLOURED = [name for name in OWN if name != PLAIN]
GOOD = (own_themes_dir() / "darkroom.toml").read_text("utf-8")


def luminance(text: str) -> float:
    """WCAG 2.2, "relative luminance"."""
    channels = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in Color.parse(text).normalized
    ]
    return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]


def contrast(first: str, second: str) -> float:
    """WCAG 2.2, "contrast ratio"."""
    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def test_there_are_two_dark_ones_a_light_one_and_a_plain_one(tmp_path: Path) -> None:
    themes = {name: load_theme(name, tmp_path) for name in OWN}

    assert set(OWN) == {"darkroom", "midnight", "paper", "plain"}
    assert not themes["paper"].dark
    assert themes[PLAIN].ansi


@pytest.mark.parametrize("name", COLOURED)
def test_every_text_can_be_read_on_every_ground(name: str, tmp_path: Path) -> None:
    theme = load_theme(name, tmp_path)
    texts = [theme.foreground, theme.accent, *(theme.variables[f"tagger-{k}"] for k in
             ("quiet", "ready", "good", "bad"))]  # fmt: skip

    for ground in (theme.background, theme.surface, theme.panel):
        for text in texts:
            assert ground is not None
            assert text is not None
            assert contrast(text, ground) >= 4.5, (text, ground)


@pytest.mark.parametrize("name", OWN)
async def test_every_theme_draws(name: str, made: ReviewLibrary, tmp_path: Path) -> None:
    app = workstation(made, tmp_path, theme=name)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("?")

        assert app.theme == name


def test_users_theme_takes_the_place_of_ours(tmp_path: Path) -> None:
    (tmp_path / "darkroom.toml").write_text(GOOD.replace("#e8dfd0", "#ffffff"), "utf-8")

    assert load_theme("darkroom", tmp_path).foreground == "#ffffff"
    assert theme_files(tmp_path)["darkroom"].parent == tmp_path


def test_unknown_theme_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'dakroom'") as caught:
        load_theme("dakroom", tmp_path)
    assert "darkroom, midnight, paper, plain" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dark = [", "cannot be read"),
        ("dark = true", "no table"),
        (GOOD.replace("dark = true", 'dark = "yes"'), "dark = 'yes'"),
        (GOOD.replace("dark = true", "drak = true"), "unknown key 'drak'"),
        (GOOD.replace("quiet", "queit"), "unknown key 'queit'"),
        (GOOD.replace('"#e8dfd0"', '"white"'), "colour 'text'"),
        (GOOD.replace('text = "#e8dfd0"', ""), "no colour 'text'"),
        (GOOD.replace("dark = true", "ansi = true"), "colour 'background'"),
        ('colours = "red"', "no table"),
    ],
)
def test_wrong_theme_is_refused_with_file_and_key(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text, "utf-8")

    with pytest.raises(ConfigError, match=message) as caught:
        load_theme("mine", tmp_path)
    assert "mine.toml" in caught.value.message
    assert caught.value.hint


def test_no_colour_means_the_plain_theme(
    made: ReviewLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    assert workstation(made, tmp_path, theme="paper").theme == PLAIN
