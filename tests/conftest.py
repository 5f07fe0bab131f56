"""Keeps every test away from the real home, the environment's settings and proxies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=150, deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own; programs that it starts see it too."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        is_setting = name.startswith(("IMAGEWORKS_", "XDG_"))
        if is_setting or name.lower().endswith("_proxy") or name in {"NO_COLOR", "TMUX"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def corpus() -> Path:
    """The shared corpus of real and awkward files; skips where it is absent."""
    folder = SHARED / "corpus"
    if not folder.is_dir():
        pytest.skip("the shared corpus is not here")
    return folder
