"""Settings: every source, their order, and errors that name where a value came from."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.config import (
    PersonalTaggerConfig,
    PersonalTaggerSettings,
    find_project_file,
    flag_name,
    load_settings,
    setting_default,
    setting_specs,
)
from imageworks.errors import ConfigError
from imageworks.paths import AppPaths

PREFIX = "IMAGEWORKS_PERSONAL_TAGGER__"


def paths_in(folder: Path) -> AppPaths:
    return AppPaths(folder / "c", folder / "d", folder / "k", folder / "l")


def load(folder: Path, *, user="", project="", environment=None, flags=None):
    paths = paths_in(folder)
    paths.config_dir.mkdir(exist_ok=True)
    paths.user_config.write_text(user, "utf-8")
    (folder / "pyproject.toml").write_text(project, "utf-8")
    inside = folder / "a" / "b"
    inside.mkdir(parents=True, exist_ok=True)
    return load_settings(
        paths, working_dir=inside, environment=environment or {}, flags=flags or {}
    )


def test_defaults_are_those_of_the_contract():
    config = PersonalTaggerConfig()

    assert config.backend == "lmdeploy"
    assert config.base_url == ("http://localhost:24001/v1",)
    assert config.api_key == "EMPTY"
    assert config.models() == dict.fromkeys(
        ("caption", "keywords", "description"), "Qwen2.5-VL-7B-AWQ"
    )
    assert (config.max_keywords, config.max_new_tokens, config.timeout) == (15, 512, 120)
    assert (config.temperature, config.top_p) == (0.2, 0.9)
    assert config.recursive
    assert config.preflight
    assert config.backup_originals
    assert not config.overwrite_metadata
    assert config.context == ("existing", "folder", "date", "camera", "place")
    assert str(config.output_jsonl) == "outputs/results/personal_tagger.jsonl"


def test_each_source_outranks_the_one_before(tmp_path):
    table = "[tool.imageworks.personal_tagger]\n"

    user = load(tmp_path, user="max_keywords = 1")
    project = load(tmp_path, user="max_keywords = 1", project=f"{table}max_keywords = 2")
    environment = load(
        tmp_path,
        user="max_keywords = 1",
        project=f"{table}max_keywords = 2",
        environment={f"{PREFIX}MAX_KEYWORDS": "3"},
    )
    flag = load(
        tmp_path,
        project=f"{table}max_keywords = 2",
        environment={f"{PREFIX}MAX_KEYWORDS": "3"},
        flags={"max_keywords": "4"},
    )

    found = [s.resolve().max_keywords for s in (user, project, environment, flag)]
    assert found == [1, 2, 3, 4]
    assert flag.source_of("max_keywords") == "flag --max-keywords"
    assert flag.source_of("theme") == "default"


def test_dashes_are_accepted_in_toml(tmp_path):
    settings = load(tmp_path, user="max-keywords = 7")

    assert settings.resolve().max_keywords == 7


def test_unknown_key_names_file_and_line_and_the_nearest_setting(tmp_path):
    project = "[project]\nname = 'x'\n[tool.imageworks.personal_tagger]\nmax_keyword = 3\n"

    with pytest.raises(ConfigError) as caught:
        load(tmp_path, project=project)

    assert "max_keyword" in caught.value.message
    assert f"{tmp_path / 'pyproject.toml'}, line 4" in caught.value.message
    assert "max_keywords" in caught.value.hint
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_keywords", '"3"'),
        ("max_keywords", "true"),
        ("max_keywords", "0"),
        ("max_keywords", "1.5"),
        ("recursive", '"yes"'),
        ("recursive", "1"),
        ("temperature", "3"),
        ("temperature", "nan"),
        ("backend", '"gpt"'),
        ("input_paths", '"folder"'),
        ("base_url", '"localhost:80"'),
        ("base_url", "[]"),
        ("context", '["weather"]'),
        ("output_jsonl", '""'),
        ("fields", '{ caption = "title" }'),
        ("fields", '{ colour = "dc:title" }'),
        ("keymap", "{ accept = 3 }"),
    ],
)
def test_wrong_value_in_a_file_names_key_place_value_and_what_is_accepted(tmp_path, name, value):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, user=f"theme = 'x'\n{name} = {value}\n")

    assert f"Setting {name} from" in caught.value.message
    assert "personal_tagger.toml, line 2" in caught.value.message
    assert caught.value.hint.startswith("use ")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("MAX_KEYWORDS", "9", 9),
        ("RECURSIVE", "off", False),
        ("RECURSIVE", "Yes", True),
        ("TEMPERATURE", "0.5", 0.5),
        ("IMAGE_EXTENSIONS", ".jpg, .png", (".jpg", ".png")),
        ("INPUT_PATHS", "/a:/b", (Path("/a"), Path("/b"))),
        ("BASE_URL", "http://h:1/v1", ("http://h:1/v1",)),
        ("KEYMAP", "accept=y,reject=n", {"accept": "y", "reject": "n"}),
    ],
)
def test_environment_values_are_read_as_their_kind(tmp_path, name, text, value):
    config = load(tmp_path, environment={f"{PREFIX}{name}": text}).resolve()

    assert getattr(config, name.lower()) == value


@pytest.mark.parametrize("text", ["maybe", "", "2"])
def test_wrong_environment_value_names_the_variable(tmp_path, text):
    with pytest.raises(ConfigError, match=f"{PREFIX}RECURSIVE"):
        load(tmp_path, environment={f"{PREFIX}RECURSIVE": text})


def test_a_wrong_key_value_is_never_shown():
    settings = PersonalTaggerSettings()

    with pytest.raises(ConfigError) as caught:
        settings.add_stored({"api_key": ["secret-1234"]}, "somewhere")

    assert "secret-1234" not in str(caught.value)


def test_broken_toml_names_file_and_line(tmp_path):
    with pytest.raises(ConfigError, match=r"personal_tagger\.toml is not valid TOML.*line 1"):
        load(tmp_path, user="max_keywords = = 3")


def test_a_folder_in_place_of_the_user_file_is_one_clear_error(tmp_path):
    paths = paths_in(tmp_path)
    paths.user_config.mkdir(parents=True)

    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(paths, working_dir=tmp_path, environment={}, flags={})


def test_table_that_is_no_table_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="not a table"):
        load(tmp_path, project="[tool]\nimageworks = 3\n")


def test_model_sets_the_stage_models_unless_named_beside_it(tmp_path):
    both = load(tmp_path, user="model = 'a'\nkeyword_model = 'b'").resolve()
    later = load(tmp_path, user="caption_model = 'x'", flags={"model": "y"}).resolve()

    assert both.models() == {"caption": "a", "keywords": "b", "description": "a"}
    assert later.caption_model == "y"


def test_repeated_flags_become_a_list(tmp_path):
    config = load(tmp_path, flags={"input_paths": ["one", "two"]}).resolve()

    assert config.input_paths == (Path("one"), Path("two"))


def test_an_input_folder_whose_name_holds_a_separator_is_one_folder(tmp_path):
    folder = tmp_path / "a:b"
    folder.mkdir()

    config = load(tmp_path, flags={"input_paths": [str(folder)]}).resolve()

    assert config.input_paths == (folder,)


def test_json_round_trip_keeps_all_but_the_key(tmp_path):
    config = load(
        tmp_path,
        flags={"input_paths": ["/photos/\udcff"], "api_key": "secret", "max_keywords": "3"},
        user='fields = { caption = "dc:title" }',
    ).resolve()

    text = config.to_json()
    again = PersonalTaggerConfig.from_json(text, api_key="other")

    assert "secret" not in text
    assert again.input_paths == config.input_paths
    assert again.fields == {"caption": "dc:title"}
    assert again.api_key == "other"


@given(st.integers(1, 100), st.booleans(), st.sampled_from(["auto", "always", "never"]))
def test_json_round_trip_is_exact(max_keywords, is_recursive, sidecar):
    config = PersonalTaggerConfig(
        max_keywords=max_keywords, recursive=is_recursive, sidecar=sidecar
    )

    assert PersonalTaggerConfig.from_json(config.to_json()) == config


def test_paths_become_absolute_without_resolving(tmp_path):
    config = PersonalTaggerConfig(input_paths=(Path("x/../y"),)).with_absolute_paths(tmp_path)

    assert config.input_paths == (tmp_path / "y",)
    assert config.output_jsonl.is_absolute()
    assert config.store_path is None


def test_nearest_project_file_is_found(tmp_path):
    (tmp_path / "pyproject.toml").touch()
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)

    assert find_project_file(deep) == tmp_path / "pyproject.toml"


def test_every_setting_has_help_that_is_a_sentence_and_a_default_that_passes_its_own_check():
    for name, spec in setting_specs().items():
        assert spec.help.endswith("."), name
        assert spec.accepts(), name
        settings = PersonalTaggerSettings()
        default = setting_default(name)
        if default is None:
            continue
        stored = PersonalTaggerConfig(**{name: default})
        settings.add_stored({}, "x")
        assert getattr(stored, name) == default
        assert flag_name(name)
