"""`ptag pause`, `resume` and `stop` in this process, without an engine."""

from __future__ import annotations

import pytest

from imageworks.cli import main
from imageworks.engine import control
from imageworks.engine.client import EngineClient
from imageworks.store.library import Library


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(EngineClient, "ensure_running", lambda _client: None)
    path = tmp_path / "library.sqlite3"
    Library(path).close()
    return path


def opened(path):
    return Library(path)


def test_pause_and_resume_say_what_they_did(store, capsys):
    assert main(["pause", "--store", str(store)]) == 0
    library = opened(store)
    paused = control.current_pause(library)
    assert main(["resume", "--store", str(store)]) == 0
    assert main(["resume", "--store", str(store)]) == 0

    said = capsys.readouterr().out
    assert paused is not None
    assert "Paused: nothing more is asked" in said
    assert "Asking goes on." in said
    assert "It was not paused." in said
    assert control.current_pause(library) is None
    library.close()


@pytest.mark.parametrize(("words", "kind"), [([], "stop"), (["--now"], "stop-now")])
def test_stop_tells_the_engine_which_run(store, capsys, words, kind):
    library = opened(store)
    run = library.runs.create("batch", "{}")

    assert main(["stop", *words, "--store", str(store)]) == 0

    assert run.name in capsys.readouterr().out
    assert library.session.take_wishes() == [(kind, run.name)]
    library.close()


def test_without_a_batch_there_is_nothing_to_stop(store, capsys):
    assert main(["stop", "--store", str(store)]) == 0

    assert capsys.readouterr().out == "No batch is under way.\n"


def test_without_a_library_it_is_a_usage_error(tmp_path, capsys):
    assert main(["pause", "--store", str(tmp_path / "none.sqlite3")]) == 2

    assert "There is no library" in capsys.readouterr().err
