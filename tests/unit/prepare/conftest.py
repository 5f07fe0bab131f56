"""What the tests of this room share."""

from __future__ import annotations

import pytest

from imageworks.prepare.cache import PreviewCache


@pytest.fixture
def cache(tmp_path):
    return PreviewCache(tmp_path / "cache", max_bytes=10_000_000)
