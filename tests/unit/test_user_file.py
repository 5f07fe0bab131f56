"""The user's settings file: one setting changes, the rest of the file stays as it was written."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.config import (
    PersonalTaggerConfig,
    PersonalTaggerSettings,
    setting_default,
    setting_specs,
)
from imageworks.config.user_file import UserSettingsFile, text_of_value, value_of_text
from imageworks.errors import ConfigError

OWN_FILE = """\
# What I changed, and why.
model = "Qwen2.5-VL-3B"  # the big one is slow here

max-keywords = 20
[keymap]
accept = "a"
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "config" / "personal_tagger.toml"
    path.parent.mkdir()
    path.write_text(OWN_FILE)
    return UserSettingsFile(path)


def test_comments_order_and_spelling_stay(own):
    own.put("max_keywords", 30)

    assert own.path.read_text() == OWN_FILE.replace("max-keywords = 20", "max-keywords = 30")


def test_new_setting_is_not_lost_in_a_table(own):
    own.put("theme", "paper")

    read = tomllib.loads(own.path.read_text())
    assert read["theme"] == "paper"
    assert read["keymap"] == {"accept": "a"}
    assert "# the big one is slow here" in own.path.read_text()


def test_removed_setting_has_its_default_again(own):
    own.remove("max_keywords")
    own.remove("theme")

    assert own.path.read_text() == OWN_FILE.replace("max-keywords = 20\n", "")


def test_first_setting_makes_a_file_for_its_owner_only(tmp_path):
    own = UserSettingsFile(tmp_path / "new" / "personal_tagger.toml")

    own.put("base_url", ("http://localhost:1/v1", "http://localhost:2/v1"))

    assert stat.S_IMODE(own.path.stat().st_mode) == 0o600
    settings = PersonalTaggerSettings()
    settings.add_toml_file(own.path)
    assert settings.resolve().base_url == ("http://localhost:1/v1", "http://localhost:2/v1")


def test_link_to_a_file_elsewhere_stays_a_link(own, tmp_path):
    link = tmp_path / "link.toml"
    link.symlink_to(own.path)

    UserSettingsFile(link).put("theme", "paper")

    assert link.is_symlink()
    assert 'theme = "paper"' in own.path.read_text()


def test_broken_file_is_refused_and_stays(own):
    own.path.write_text("model = \n")

    with pytest.raises(ConfigError, match="cannot be read"):
        own.put("theme", "paper")

    assert own.path.read_text() == "model = \n"


@pytest.mark.parametrize(
    ("name", "text", "accepted"),
    [
        ("max_keywords", "many", "a whole number from 1 to 100"),
        ("max_keywords", "0", "a whole number from 1 to 100"),
        ("recursive", "perhaps", "true or false"),
        ("sidecar", "often", "one of: auto, always, never"),
        ("base_url", "localhost", "a list of texts"),
    ],
)
def test_wrong_value_is_refused_with_what_is_accepted(name, text, accepted):
    with pytest.raises(ConfigError) as refused:
        value_of_text(name, text)

    assert accepted in refused.value.hint


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in setting_specs()
        if name not in {"input_paths", "keymap"} and setting_default(name) is not None
    ],
)
def test_every_default_can_be_typed(name):
    default = getattr(PersonalTaggerConfig(), name)

    assert value_of_text(name, text_of_value(default)) == default


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_any_text_comes_back_from_the_file(tmp_path_factory, text):
    own = UserSettingsFile(tmp_path_factory.mktemp("own") / "personal_tagger.toml")

    own.put("model", text)

    assert tomllib.loads(own.path.read_text("utf-8")) == {"model": text}


def test_paths_are_typed_as_in_the_environment():
    assert value_of_text("input_paths", "/a:/b") == (Path("/a"), Path("/b"))
    assert text_of_value((Path("/a"), Path("/b"))) == "/a:/b"
