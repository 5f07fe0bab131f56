from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imageworks.config import PersonalTaggerConfig
from imageworks.errors import UsageError
from imageworks.model_loader import registry as registry_module
from imageworks.model_loader.registry import default_registry_path, load_registry

ENTRY = {"name": "m", "backend": "vllm", "roles": ["caption"], "capabilities": ["vision"]}


@pytest.fixture
def load(tmp_path):
    def load_document(document):
        path = tmp_path / "registry.json"
        text = document if isinstance(document, str) else json.dumps(document)
        path.write_text(text, "utf-8")
        return load_registry(path)

    return load_document


def test_first_entry_that_fits_is_taken(load):
    registry = load(
        {
            "models": [
                {**ENTRY, "name": "old", "deprecated": True},
                {**ENTRY, "name": "blind", "capabilities": ["text"]},
                {**ENTRY, "name": "other", "roles": ["keywords"]},
                {**ENTRY, "name": "right", "roles": ["keywords", "caption"]},
                {**ENTRY, "name": "late"},
            ]
        }
    )

    assert registry.resolve("caption").name == "right"
    assert registry.resolve("caption", needs=frozenset()).name == "blind"
    assert registry.roles() == ("caption", "keywords")


def test_unknown_role_names_the_role_and_the_roles_there_are(load):
    registry = load({"models": [ENTRY]})

    with pytest.raises(UsageError, match=r"'captoin'.*did you mean caption\?"):
        registry.resolve("captoin")
    with pytest.raises(UsageError, match="its roles: caption"):
        registry.resolve("zzz")


def test_role_without_the_capability_names_what_is_missing(load):
    registry = load({"models": [{**ENTRY, "capabilities": ["text"]}]})

    with pytest.raises(UsageError, match=r"'caption'.*has: vision.*of that role: m"):
        registry.resolve("caption")


def test_role_with_deprecated_models_only_says_so(load):
    registry = load({"models": [{**ENTRY, "deprecated": True}]})

    with pytest.raises(UsageError, match="deprecated") as caught:
        registry.resolve("caption")

    assert caught.value.reason == "deprecated"


def test_a_model_is_found_by_name_and_alias_in_any_case(load):
    registry = load({"models": [{**ENTRY, "aliases": ["Nick"], "deprecated": True}]})

    assert registry.find("M").name == "m"
    assert registry.find("nick").is_deprecated
    with pytest.raises(UsageError, match="it has: m"):
        registry.find("other")


def test_an_empty_registry_is_valid_but_resolves_nothing(load):
    registry = load({"models": []})

    with pytest.raises(UsageError, match="its roles: none"):
        registry.resolve("caption")
    with pytest.raises(UsageError, match="it has: none"):
        registry.find("m")


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("{", "not valid JSON"),
        ('{"models": [], "models": []}', "'models' stands twice"),
        ("[" * 100_000, "not valid JSON"),
        ([], "models must hold a list"),
        ({"models": {}}, "models must hold a list"),
        ({"models": [], "version": 1}, "version is not known"),
        ({"models": ["m"]}, "entry 1 is not an object"),
        ({"models": [{**ENTRY, "role": []}]}, r"entry 1 \(m\): role is not known; .* roles"),
        ({"models": [{**ENTRY, "zzzz": 1}]}, "zzzz is not known"),
        ({"models": [{"name": "m"}]}, r"entry 1 \(m\): backend is missing"),
        ({"models": [{**ENTRY, "name": ""}]}, "name must be a text of one line"),
        ({"models": [{**ENTRY, "name": "a\nb"}]}, "name must be a text of one line"),
        ({"models": [{**ENTRY, "name": 3}]}, "entry 1: name must be a text"),
        ({"models": [{**ENTRY, "backend": "auto"}]}, "backend must be one of: lmdeploy"),
        ({"models": [{**ENTRY, "roles": "caption"}]}, "roles must be a list of texts"),
        ({"models": [{**ENTRY, "capabilities": [1]}]}, "capabilities must be a list"),
        ({"models": [{**ENTRY, "deprecated": "no"}]}, "deprecated must be true or false"),
        ({"models": [{**ENTRY, "base_url": "localhost"}]}, "base_url must begin with http"),
        ({"models": [{**ENTRY, "notes": 1}]}, "notes must be a text"),
        ({"models": [ENTRY, ENTRY]}, r"entry 2 \(m\): name holds 'm', taken by entry 1"),
        (
            {"models": [ENTRY, {**ENTRY, "name": "n", "aliases": ["M"]}]},
            r"entry 2 \(n\): aliases holds 'M'",
        ),
    ],
)
def test_a_wrong_registry_is_refused_with_its_place(load, tmp_path, document, problem):
    with pytest.raises(UsageError, match=problem) as caught:
        load(document)

    assert str(tmp_path) in caught.value.message


def test_missing_and_undecodable_files_are_usage_errors(tmp_path):
    with pytest.raises(UsageError, match=r"none\.json cannot be read"):
        load_registry(tmp_path / "none.json")

    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not valid JSON"):
        load_registry(binary)


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["models", "name", "backend", "roles", "capabilities", "x"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_any_document_is_read_or_refused_with_a_usage_error(tmp_path_factory, document):
    path = tmp_path_factory.mktemp("any") / "registry.json"
    path.write_text(json.dumps(document), "utf-8")

    registry, refusal = None, None
    try:
        registry = load_registry(path)
    except UsageError as error:
        refusal = error

    if registry is None:
        assert path.name in refusal.message
    else:
        assert all(entry.name and entry.backend for entry in registry.entries)
        assert {role for entry in registry.entries for role in entry.roles} == set(registry.roles())


def test_the_example_serves_the_default_settings():
    registry = load_registry(default_registry_path())
    config = PersonalTaggerConfig()

    for role in (config.caption_role, config.keyword_role, config.description_role):
        entry = registry.resolve(role)
        assert entry.name == config.model
        assert entry.backend == config.backend
        assert entry.base_url == config.base_url[0]
    assert registry.resolve("description_v2").name == "Qwen3-VL-8B-Instruct"
    assert any(entry.is_deprecated for entry in registry.entries)


def test_without_a_checkout_the_packaged_registry_is_meant(monkeypatch, tmp_path):
    module = tmp_path / "site-packages" / "imageworks" / "model_loader" / "registry.py"
    monkeypatch.setattr(registry_module, "__file__", str(module))

    assert default_registry_path() == module.with_name("model_registry.json")
