"""The README's first command: the whole loop on sample photographs, offline."""

from __future__ import annotations

import importlib.util

import pytest

from tests.e2e.conftest import ptag


def test_demo_tags_its_samples_and_harms_none(tmp_path):
    if any(importlib.util.find_spec(name) is None for name in ("skimage", "onnxruntime")):
        pytest.skip("the extra demo is not installed")

    result = ptag("demo", "--folder", tmp_path / "demo", cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    assert "Image data unchanged in 8 of 8 files." in result.stdout
    assert (tmp_path / "demo" / "results.jsonl").read_text().count("\n") == 8
