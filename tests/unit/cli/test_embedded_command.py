"""`ptag embedded` inside one process: what it prints, and where a fetched model goes."""

from __future__ import annotations

import argparse
import io
from types import SimpleNamespace
from typing import Any

import pytest

from imageworks.cli import embedded
from imageworks.infer import embedded_hub, embedded_models, embedded_server
from imageworks.infer.embedded_hub import HubFile, HubModel
from imageworks.paths import app_paths
from tests.support.gguf_files import write_model, write_projector
from tests.support.model_hub import ModelHub


def command(*words: str) -> Any:
    parser = argparse.ArgumentParser()
    embedded.add_arguments(parser)
    return SimpleNamespace(options=parser.parse_args(words), paths=app_paths())


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that holds one model, `tiny`."""
    content = {
        "m.gguf": write_model(tmp_path / "m", "Tiny VLM").read_bytes(),
        "p.gguf": write_projector(tmp_path / "p").read_bytes(),
    }
    files = tuple(HubFile(name, len(data)) for name, data in content.items())
    model = HubModel("tiny", "Tiny VLM", "for tests", "CC0-1.0", "us/tiny", "main", files)
    monkeypatch.setattr(embedded_hub, "recommended_models", lambda: (model,))
    with ModelHub(content) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def test_fetched_model_is_the_one_used_from_then_on(hub, capsys):
    status = embedded.run(command("get", "tiny"))

    told = capsys.readouterr()
    folder = embedded.models_folder(command())
    assert status == 0
    assert f"Tiny VLM is in {folder / 'tiny'}" in told.out
    assert "CC0-1.0" in told.err
    embedded.run(command("list"))
    assert "* Tiny VLM (Q4_K_M, 0.0 GB, ptag)" in capsys.readouterr().out
    (found,) = embedded_models.find_models(embedded_models.model_places(folder))
    assert found.source == "ptag"


def test_list_tells_what_cannot_be_used_and_what_is_missing(hub, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(embedded_server, "is_runtime_installed", lambda: False)
    odd = embedded_models.LocalModel(
        "gemma3:4b", tmp_path / "blob", None, "Ollama", 3_300_000_000, obstacle="not for us"
    )
    monkeypatch.setattr(embedded_models, "find_models", lambda _places: (odd,))

    assert embedded.run(command()) == 0

    told = capsys.readouterr().out
    assert "  gemma3:4b (3.3 GB, Ollama)\n" in told
    assert "not for us" in told
    assert "tiny" in told
    assert "llama.cpp is not installed" in told


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_live_line_on_a_terminal(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(embedded, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    stream = Terminal()
    progress = embedded._Progress(stream)

    for second in range(4):
        clock[0] = float(second)
        progress.note(second * 250_000_000, 1_000_000_000)
    progress.note(750_000_001, 1_000_000_000)
    progress.note(1_000_000_000, 1_000_000_000)
    progress.finish()

    shown = stream.getvalue().split("\r\x1b[K")
    assert shown[1:] == [
        "0.25 of 1.00 GB  250.0 MB/s  0:03 left",
        "0.50 of 1.00 GB  250.0 MB/s  0:02 left",
        "0.75 of 1.00 GB  250.0 MB/s  0:01 left",
        "1.00 of 1.00 GB\n",
    ]


def test_progress_is_a_line_now_and_then_elsewhere(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(embedded, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    stream = io.StringIO()
    progress = embedded._Progress(stream)

    for second in range(25):
        clock[0] = float(second)
        progress.note(second * 1_000_000, 1_000_000_000)
    progress.finish()

    lines = stream.getvalue().splitlines()
    assert [line.split("  ")[0] for line in lines] == ["0.01 of 1.00 GB", "0.02 of 1.00 GB"]
