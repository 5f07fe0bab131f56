"""The settings screen: what is changed there is in the user's file and in force."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from imageworks.config import PersonalTaggerSettings
from imageworks.config.user_file import UserSettingsFile
from imageworks.review.session import ReviewSession
from imageworks.tui.screens.settings import SettingField, SettingsScreen
from imageworks.tui.workstation import Workstation
from tests.support.burst import burst
from tests.tui.conftest import screen_text

if TYPE_CHECKING:
    from pathlib import Path

    from textual.pilot import Pilot

    from tests.support.review_library import ReviewLibrary

SIZE = (110, 36)


@pytest.fixture
def own(tmp_path: Path) -> UserSettingsFile:
    path = tmp_path / "personal_tagger.toml"
    path.write_text("# mine\nmax_keywords = 20 # enough\n")
    return UserSettingsFile(path)


@pytest.fixture
def app(made: ReviewLibrary, own: UserSettingsFile, tmp_path: Path) -> Workstation:
    def reload() -> PersonalTaggerSettings:
        settings = PersonalTaggerSettings()
        settings.add_toml_file(own.path)
        settings.add_environment({"IMAGEWORKS_PERSONAL_TAGGER__TIMEOUT": "60"})
        return settings

    config = reload().resolve()
    return Workstation(
        library=made.library,
        session=ReviewSession(made.library, config),
        config=config,
        client=made.engine(),
        log_path=tmp_path / "screen.log",
        themes_dir=tmp_path / "themes",
        settings=(own, reload),
    )


async def open_setting(app: Workstation, pilot: Pilot[int], name: str) -> None:
    await burst(pilot, "S")
    await pilot.pause()
    assert isinstance(app.screen, SettingsScreen)
    await burst(pilot, "g")
    await burst(pilot, *("j" for _ in range(app.screen._names.index(name))))


async def test_typed_value_is_kept_and_in_force(app: Workstation, own: UserSettingsFile) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_setting(app, pilot, "max_keywords")
        assert "Most keywords to keep for an image." in screen_text(app)

        await burst(pilot, "enter", "7", "enter")

        assert own.path.read_text() == "# mine\nmax_keywords = 7 # enough\n"
        assert app.review.config.max_keywords == 7
        assert "max_keywords is 7." in screen_text(app)


async def test_wrong_value_stays_in_the_field(app: Workstation, own: UserSettingsFile) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_setting(app, pilot, "max_keywords")

        await burst(pilot, "enter", "q", "q", "enter")

        assert "use a whole number from 1 to 100" in screen_text(app)
        assert isinstance(app.focused, SettingField)
        assert app.focused.text == "qq"
        await burst(pilot, "escape")
        assert own.path.read_text() == "# mine\nmax_keywords = 20 # enough\n"


async def test_theme_changes_at_once_and_a_wrong_one_is_refused(
    app: Workstation, own: UserSettingsFile
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_setting(app, pilot, "theme")

        await burst(pilot, "enter", *"paper", "enter")
        assert app.theme == "paper"
        await burst(pilot, "enter", *"pape", "enter")

        assert "which does not exist" in screen_text(app)
        assert app.theme == "paper"
        assert tomllib.loads(own.path.read_text())["theme"] == "paper"


async def test_refused_value_leaves_the_file_as_it_was(
    app: Workstation, own: UserSettingsFile
) -> None:
    before = own.path.read_text()
    async with app.run_test(size=SIZE) as pilot:
        await open_setting(app, pilot, "theme")

        await burst(pilot, "enter", *"nowhere", "enter", "escape")

    assert own.path.read_text() == before


async def test_choice_goes_round_and_reset_brings_the_default_back(
    app: Workstation, own: UserSettingsFile
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_setting(app, pilot, "sidecar")

        await burst(pilot, "space")
        assert tomllib.loads(own.path.read_text())["sidecar"] == "always"
        assert app.review.config.sidecar == "always"
        await burst(pilot, "x")

        assert "sidecar" not in own.path.read_text()
        assert app.review.config.sidecar == "auto"


async def test_setting_without_a_default_is_taken_out_by_an_empty_field(
    app: Workstation, own: UserSettingsFile
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_setting(app, pilot, "store_path")
        await burst(pilot, "enter", *"/photos/library.sqlite3", "enter")
        assert "store_path" in own.path.read_text()

        await burst(pilot, "enter", "backspace", "enter")

        assert "store_path" not in own.path.read_text()


async def test_setting_that_is_outranked_says_so(app: Workstation) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_setting(app, pilot, "timeout")

        await burst(pilot, "enter", *"90", "enter")

        assert "has the last word on timeout" in screen_text(app)
        assert app.review.config.timeout == 60


async def test_key_of_the_server_is_never_shown(app: Workstation) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await open_setting(app, pilot, "api_key")

        await burst(pilot, "enter", *"sk-secret", "enter")

        assert app.review.config.api_key == "sk-secret"
        assert "sk-secret" not in screen_text(app)
        await burst(pilot, "enter")
        assert "sk-secret" not in screen_text(app)


async def test_theme_follows_its_file(app: Workstation, tmp_path: Path) -> None:
    async with app.run_test(size=SIZE) as pilot:
        themes = tmp_path / "themes"
        themes.mkdir()
        ours = app._theme_watch._look()
        assert ours is not None
        text = ours[0].read_text()
        background = tomllib.loads(text)["colours"]["background"]
        (themes / "darkroom.toml").write_text(text.replace(background, "#123456"))

        app._follow_theme_file()
        await pilot.pause()

        assert app.screen.styles.background.hex == "#123456"
        (themes / "darkroom.toml").write_text("dark = perhaps")
        app._follow_theme_file()
        assert "cannot be read" in app.review.message
