"""What an engine says of itself: names, fingerprint, concurrency."""

from __future__ import annotations

import dataclasses

import pytest

from imageworks.config import PersonalTaggerConfig
from imageworks.errors import ConfigError
from imageworks.infer.chat import ChatEngine
from imageworks.infer.profiles import ProfileBook
from tests.support.openai_server import (
    MODEL,
)


def engine_for(profile="default", **settings):
    return ChatEngine(PersonalTaggerConfig(**settings), ProfileBook().get(profile))


def test_engine_names_backend_models_and_address():
    engine = engine_for(backend="vllm", base_url=("http://me:secret@box:8000/v1/",))

    assert engine.describe() == f"vllm {MODEL} at http://box:8000/v1"
    assert engine.models() == {"caption": MODEL, "keywords": MODEL, "description": MODEL}
    assert (engine.backend, engine.base_url) == ("vllm", "http://box:8000/v1")


@pytest.mark.parametrize(
    "settings",
    [
        {"caption_model": "x"},
        {"description_model": "x"},
        {"profile": "alt_text"},
        {"max_keywords": 3},
        {"max_new_tokens": 100},
        {"temperature": 0.3},
        {"top_p": 0.5},
        {"language": "de"},
        {"context": ("folder",)},
    ],
)
def test_fingerprint_changes_with_all_that_changes_an_answer(settings):
    assert engine_for(**settings).fingerprint() != engine_for().fingerprint()


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": ("http://other/v1",)},
        {"timeout": 9.0},
        {"max_workers": 3},
        {"api_key": "k"},
        {"dry_run": True},
        {"context": ("place", "camera", "date", "folder", "existing")},
    ],
)
def test_fingerprint_stays_with_what_changes_no_answer(settings):
    assert engine_for(**settings).fingerprint() == engine_for().fingerprint()


@pytest.mark.parametrize(
    ("backend", "max_workers", "expected"),
    [
        ("ollama", 0, 1),
        ("lmstudio", 0, 4),
        ("llamacpp", 0, 4),
        ("vllm", 0, 8),
        ("lmdeploy", 0, 8),
        ("openai", 0, 8),
        ("vllm", 3, 3),
        ("ollama", 16, 1),
    ],
)
def test_concurrency_starts_at_what_is_known_of_the_server(backend, max_workers, expected):
    engine = engine_for(backend=backend, max_workers=max_workers)

    assert engine.suggested_concurrency() == expected


def test_engine_with_a_wrong_address_is_refused_before_any_work():
    with pytest.raises(ConfigError):
        engine_for(base_url=("http://localhost:99999999/v1",))


def test_default_policy_never_waits_longer_than_the_timeout():
    engine = engine_for(timeout=7.0)

    assert engine._policy.total_s == 7.0
    assert dataclasses.replace(engine._policy).most_retries == 4
