from __future__ import annotations

import fcntl
import json
import logging
import multiprocessing
import os

import pytest

from imageworks.errors import StoreError
from imageworks.report.metrics_history import MetricsHistory
from imageworks.report.table import comparison_table, model_of, runs_table


def _run(number=1, **more):
    return {
        "run_id": f"run-{number}",
        "started_at": "2026-11-22T12:00:00Z",
        "models": {"caption": "qwen", "keywords": "qwen"},
        "prompt_profile": "default",
        "images": 100,
        "images_per_s": 2.0,
        "tokens_per_s": 120.0,
        "ttft": {"p50": 0.2},
        "stall": {"count": 4, "max": 0.75},
        "stages": {"caption": {"p50": 1.0, "p95": 2.0}, "keywords": {"p50": 0.5, "p95": 1.0}},
        "concurrency": {"avg": 3.5, "max": 8},
        "retries": 2,
        "failures": {"timeout": 3, "decode": 1},
        **more,
    }


@pytest.fixture
def history(tmp_path):
    return MetricsHistory(tmp_path / "metrics" / "history.json")


@pytest.fixture
def history_path(tmp_path):
    return tmp_path / "metrics" / "history.json"


def test_a_history_that_does_not_exist_is_empty(history, history_path):
    assert history.load() == ()
    assert not history_path.parent.exists()


def test_runs_are_kept_in_order_with_the_last_one_named(history, history_path):
    history.append(_run(1))
    history.append(_run(2))

    document = json.loads(history_path.read_text("utf-8"))
    assert list(document) == ["history", "last"]
    assert [run["run_id"] for run in document["history"]] == ["run-1", "run-2"]
    assert document["last"] == document["history"][1]
    assert [run["run_id"] for run in history.load()] == ["run-1", "run-2"]


def test_a_run_that_is_added_again_replaces_itself(history):
    history.append(_run(1))
    history.append(_run(2))
    history.append(_run(1, images=7))

    assert [(run["run_id"], run["images"]) for run in history.load()] == [
        ("run-1", 7),
        ("run-2", 100),
    ]


def test_runs_without_an_id_are_never_taken_for_the_same(history):
    history.append({"images": 1})
    history.append({"images": 2})

    assert len(history.load()) == 2


def test_numbers_that_json_cannot_say_become_null(history):
    history.append({"a": float("nan"), "b": [float("inf"), 1.5], "c": {"d": (2, "x")}})

    assert history.load() == ({"a": None, "b": [None, 1.5], "c": {"d": [2, "x"]}},)


@pytest.mark.parametrize(
    "content",
    [b"{", b"\xff\xfe", b"[]", b'{"history": {}}', b'{"history": [1]}', b"", b"[" * 100_000],
)
def test_a_corrupt_history_is_kept_aside_and_said_so(history, history_path, caplog, content):
    history_path.parent.mkdir()
    history_path.write_bytes(content)
    (history_path.parent / "history.json.corrupt-1").write_text("an older one")

    with caplog.at_level(logging.WARNING):
        history.append(_run())

    aside = history_path.parent / "history.json.corrupt-2"
    assert history.kept_aside == aside
    assert aside.read_bytes() == content
    assert (history_path.parent / "history.json.corrupt-1").read_text() == "an older one"
    assert "history.json.corrupt-2" in caplog.text
    assert len(history.load()) == 1


def test_looking_at_a_corrupt_history_changes_nothing(history, history_path):
    history_path.parent.mkdir()
    history_path.write_text("{")

    with pytest.raises(StoreError, match="no metrics history") as caught:
        history.load()

    assert caught.value.reason == "corrupt"
    assert list(history_path.parent.iterdir()) == [history_path]


def test_a_history_that_cannot_be_read_is_not_taken_for_corrupt(tmp_path):
    with pytest.raises(StoreError, match="Is a directory"):
        MetricsHistory(tmp_path).load()
    with pytest.raises(StoreError, match="Is a directory"):
        MetricsHistory(tmp_path).append(_run())

    assert tmp_path.is_dir()


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="cannot be written"):
        MetricsHistory(tmp_path / "file" / "history.json").append(_run())


def test_a_corrupt_history_that_cannot_be_moved_stays(history, history_path, monkeypatch):
    history_path.parent.mkdir()
    history_path.write_text("{")

    def fail(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(StoreError, match="not permitted"):
        history.append(_run())

    assert history_path.read_text() == "{"


def test_a_full_disk_leaves_the_history_as_it_was(history, history_path, monkeypatch):
    history.append(_run(1))
    before = history_path.read_bytes()

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match="No space left"):
        history.append(_run(2))

    assert history_path.read_bytes() == before


def test_a_photograph_is_never_taken_for_the_history(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8\xff")

    with pytest.raises(StoreError, match="named like a photograph"):
        MetricsHistory(path).append(_run())

    assert list(tmp_path.iterdir()) == [path]


def test_a_file_system_without_locks_will_do(history, monkeypatch):
    def fail(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)

    history.append(_run())

    assert len(history.load()) == 1


def _append_runs(path, first):
    for number in range(first, first + 10):
        MetricsHistory(path).append(_run(number))


def test_two_programs_do_not_lose_each_others_runs(history, history_path):
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_append_runs, args=(history_path, first)) for first in (0, 100)
    ]

    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert len({run["run_id"] for run in history.load()}) == 20


def test_the_table_shows_one_line_per_run():
    table = runs_table([_run(1), _run(2, review={"acceptance_ratio": 0.925})])

    head, rule, first, second = table.splitlines()
    assert head.split()[:6] == ["started", "model", "profile", "images", "failed", "img/s"]
    assert set(rule) == {"─", " "}
    assert "2026-11-22 12:00  qwen   default     100       4   2.00  120.0 " in first
    assert "0.20 s     0.75 s     1.50 s     3.00 s" in first
    assert second.endswith("92 %")


def test_a_run_without_streams_has_no_stall():
    table = runs_table([_run(1, stall={"count": 0, "max": 0.0})])

    assert "0.20 s          –     1.50 s" in table  # noqa: RUF001  # the sign for "no figure"


def test_phase_infer_counts_for_the_time_of_an_image():
    stages = {"infer": {"p50": 4.0, "p95": 5.0}, "caption": {"p50": 1.0, "p95": 2.0}}
    joined = {"caption+keywords": {"p50": 6.0, "p95": 7.0}, "prepare": {"p50": 9.0}}

    assert "4.00 s     5.00 s" in runs_table([_run(stages=stages)])
    assert "6.00 s     7.00 s" in runs_table([_run(stages=joined)])


@pytest.mark.parametrize(
    "run",
    [
        {},
        {"models": [], "stages": [], "failures": [], "images": "x", "started_at": 3, "ttft": 1},
        {"stages": {"caption": {}}, "images": True, "review": None},
    ],
)
def test_a_run_that_lacks_figures_still_has_a_line(run):
    assert len(runs_table([run]).splitlines()) == 3
    assert len(comparison_table([run]).splitlines()) == 3


def test_no_runs_are_said_so():
    assert runs_table([]) == "No runs yet."
    assert comparison_table([]) == "No runs yet."


def test_models_and_profiles_are_compared_by_images():
    review = {"acceptance_ratio": 0.5, "edit_distance": 4, "keywords_kept": 10}
    runs = [
        _run(1, images=300, images_per_s=1.0, review=review),
        _run(2, images=100, images_per_s=5.0),
        _run(3, models={"caption": "qwen", "keywords": "gemma"}),
    ]

    _, _, first, second = comparison_table(runs).splitlines()

    assert first.split()[:6] == ["qwen", "default", "2", "400", "8", "2.00"]
    assert " 50 %    4.0       10 " in first
    assert second.startswith("qwen + gemma  default     1")


def test_names_of_models_cannot_disturb_the_terminal():
    table = runs_table([_run(models={"caption": "evil\x1b[31m\n"}), _run(model="x", models=None)])

    assert "\x1b" not in table
    assert len(table.splitlines()) == 4


def test_columns_stay_in_line_with_wide_and_long_names():
    names = ["模型模型", "e\u0301" * 5, "x" * 80, "模" * 60]
    lines = runs_table([_run(models={"caption": name}) for name in names]).splitlines()

    def columns_before_profile(line):
        import unicodedata  # noqa: PLC0415  # only here

        shown = line[: line.index("default")]
        return sum(
            0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
            for c in shown
        )

    assert len({columns_before_profile(line) for line in lines[2:]}) == 1
    assert "x…" in lines[4]


def test_the_model_of_a_run():
    assert model_of({"model": "a"}) == "a"
    assert model_of({"models": {"caption": "a", "keywords": "b", "x": "a"}}) == "a + b"
    assert model_of({"models": {"caption": 3}}) == "–"  # noqa: RUF001  # the sign for "no figure"
