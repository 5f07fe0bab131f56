from pathlib import Path

import pytest

from imageworks.metadata import exiv2


@pytest.fixture(scope="session")
def corpus():
    folder = Path(__file__).parents[4] / "shared" / "corpus"
    if not folder.is_dir():
        pytest.skip("the shared corpus is not here")
    return folder


@pytest.fixture(autouse=True)
def clean_namespaces():
    """No test leaves the process-wide state of Exiv2 changed."""
    yield
    assert exiv2.has_clean_namespaces()


@pytest.fixture
def uncounted(monkeypatch):
    """Keeps coverage out of children that are killed or may not write: it could not be read."""
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(name, raising=False)
