"""Keeps every test away from the real home, the environment's settings and proxies."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from imageworks.store.library import Library

if TYPE_CHECKING:
    from collections.abc import Iterator

settings.register_profile("dev", max_examples=40, deadline=None)
settings.register_profile("ci", max_examples=60, deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

_WITH_PROCESSES = ("e2e", "integration", "scenarios", "tui")

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives tests that wait for processes of their own a second try, which the report names.

    A machine shared with others can starve a process past any deadline. What is wrong fails twice.
    """
    folder = Path(__file__).parent
    for item in items:
        if item.path.relative_to(folder).parts[0] in _WITH_PROCESSES:
            item.add_marker(pytest.mark.flaky(reruns=1))


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


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """The program's log as it was; a command run in this process sends it elsewhere."""
    logger = logging.getLogger("imageworks")
    handlers, level, propagates = list(logger.handlers), logger.level, logger.propagate
    yield
    for added in set(logger.handlers) - set(handlers):
        added.close()
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logger.propagate = propagates


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """An empty library in the test's folder."""
    opened = Library(tmp_path / "library.sqlite3")
    yield opened
    opened.close()


@pytest.fixture
def corpus() -> Path:
    """The shared corpus of real and awkward files; skips where it is absent."""
    folder = SHARED / "corpus"
    if not folder.is_dir():
        pytest.skip("the shared corpus is not here")
    return folder
