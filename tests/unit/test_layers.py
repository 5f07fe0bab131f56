"""Every contract about imports is seen to fire on a breach, and none fires on the program."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

BREACHES = {
    "a stage that imports a stage": ("suggest/builder.py", "import imageworks.infer.engine"),
    "a room that imports upwards": ("store/library.py", "import imageworks.review.session"),
    "a new room without a layer": ("helpers.py", "X = 1"),
    "Textual below the face": ("engine/runner.py", "import textual"),
    "a screen that calls the model": ("tui/app.py", "import imageworks.infer.engine"),
    "a screen that writes files": ("tui/app.py", "import imageworks.metadata.writer"),
    "a second door to httpx": ("report/jsonl.py", "import httpx"),
    "a second door to pyexiv2": ("prepare/picture.py", "import pyexiv2"),
    "a second door to Pillow": ("metadata/jpeg.py", "import PIL"),
    "a second door to SQLite": ("review/session.py", "import sqlite3"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(CHECKOUT / "src", folder / "src", ignore=shutil.ignore_patterns("*.onnx"))
    shutil.copy(CHECKOUT / "pyproject.toml", folder)
    return folder


def test_the_program_keeps_its_layers(copy):
    result = lint(copy)

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_reported(copy, breach):
    name, line = BREACHES[breach]
    path = copy / "src" / "imageworks" / name
    before = path.read_text("utf-8") if path.exists() else None
    path.write_text(f"{before or ''}\n{line}\n", "utf-8")

    result = lint(copy)

    if before is None:
        path.unlink()
    else:
        path.write_text(before, "utf-8")
    assert result.returncode != 0, result.stdout
