"""`ptag run` as a user or a script meets it: exit statuses, outputs, promises."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.client import EngineClient
from imageworks.paths import app_paths
from imageworks.store.library import Library
from tests.e2e.conftest import make_photos, ptag
from tests.support.openai_server import MODEL, OpenAIServer


def tree_digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def records(folder: Path) -> list[dict[str, Any]]:
    path = folder / "outputs/results/personal_tagger.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def server_flags(base_url: str) -> tuple[str, ...]:
    return ("--backend", "openai", "--base-url", base_url, "--model", MODEL)


def test_every_decodable_image_is_tagged_once_and_the_command_says_so(tmp_path, start_server):
    make_photos(tmp_path / "photos", 12)
    server = start_server()

    result = ptag(
        "run", "-i", tmp_path / "photos", *server_flags(server.base_url), "--json", cwd=tmp_path
    )

    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["counts"] == {"written": 12}
    assert len(server.asked()) == len(set(server.asked())) == 12
    records = [
        json.loads(line)
        for line in (tmp_path / "outputs/results/personal_tagger.jsonl").read_text().splitlines()
    ]
    assert all(r["schema_version"] == "2.0" and r["metadata_written"] for r in records)
    assert all(r["decision"]["by"] == "run" for r in records)
    assert "photo-0003" in (tmp_path / "outputs/summaries/personal_tagger_summary.md").read_text()
    assert (tmp_path / "outputs/summaries/personal_tagger_summary.html").exists()
    history = json.loads(
        (tmp_path / "outputs/metrics/personal_tagger_batch_metrics.json").read_text()
    )
    assert history["last"]["images"] == 12


def test_the_second_run_asks_nothing_and_changes_nothing(tmp_path, start_server):
    make_photos(tmp_path / "photos", 3)
    server = start_server()
    words = ("run", "-i", tmp_path / "photos", *server_flags(server.base_url), "--json")
    ptag(*words, cwd=tmp_path)
    after_first = tree_digest(tmp_path / "photos")

    result = ptag(*words, cwd=tmp_path)

    assert json.loads(result.stdout)["already_done"] == 3
    assert result.returncode == 0
    assert len(server.asked()) == 3
    assert tree_digest(tmp_path / "photos") == after_first


def test_a_text_file_called_jpg_fails_with_a_reason_and_the_rest_is_done(tmp_path, start_server):
    make_photos(tmp_path / "photos", 2)
    (tmp_path / "photos" / "notes.jpg").write_text("dear diary")
    server = start_server()

    result = ptag(
        "run", "-i", tmp_path / "photos", *server_flags(server.base_url), "--json", cwd=tmp_path
    )

    assert result.returncode == 1
    assert json.loads(result.stdout)["counts"] == {"failed": 1, "written": 2}
    assert "notes.jpg: not an image" in result.stderr
    assert (tmp_path / "photos" / "notes.jpg").read_text() == "dear diary"


def test_a_dead_port_is_exit_3_in_under_ten_seconds_with_the_next_thing_to_try(tmp_path):
    make_photos(tmp_path / "photos", 1)
    started = time.monotonic()

    result = ptag(
        "run", "-i", tmp_path / "photos", *server_flags("http://127.0.0.1:9/v1"), cwd=tmp_path
    )

    assert result.returncode == 3
    assert time.monotonic() - started < 10
    assert "http://127.0.0.1:9/v1" in result.stderr
    assert "hint:" in result.stderr
    assert "--backend builtin" in result.stderr


def test_a_bad_key_in_pyproject_is_exit_2_naming_file_and_key(tmp_path):
    make_photos(tmp_path / "photos", 1)
    (tmp_path / "pyproject.toml").write_text("[tool.imageworks.personal_tagger]\nmax_keyword = 3\n")

    result = ptag("run", "-i", tmp_path / "photos", cwd=tmp_path)

    assert result.returncode == 2
    assert "max_keyword" in result.stderr
    assert f"{tmp_path / 'pyproject.toml'}, line 2" in result.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("run",), "No folder was named"),
        (("run", "-i", "nowhere"), "nowhere"),
        (("run", "-i", ".", "--max-keywords", "many"), "max_keywords from flag --max-keywords"),
        (("run", "-i", ".", "--prompt-profile", "x", "--backend", "builtin"), "prompt profile"),
        (("run", "-i", ".", "--no-such-flag"), "--no-such-flag"),
        (("profiles", "show"), "needs a profile's name"),
        (("report",), "no run"),
    ],
)
def test_wrong_words_are_exit_2_with_one_clear_line(tmp_path, words, expected):
    result = ptag(*words, cwd=tmp_path)

    assert result.returncode == 2
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("flag", ["--dry-run", "--no-meta", "--review-later"])
def test_flags_that_promise_to_write_nothing_change_no_byte(tmp_path, start_server, flag):
    make_photos(tmp_path / "photos", 4)
    before = tree_digest(tmp_path / "photos")
    server = start_server()

    result = ptag(
        *("run", "-i", tmp_path / "photos", *server_flags(server.base_url), flag, "--json"),
        cwd=tmp_path,
    )

    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["counts"] == {"suggested": 4}
    assert tree_digest(tmp_path / "photos") == before


def test_a_later_run_uses_the_suggestions_of_a_dry_one(tmp_path, start_server):
    make_photos(tmp_path / "photos", 4)
    server = start_server()
    words = ("run", "-i", tmp_path / "photos", *server_flags(server.base_url), "--json")
    ptag(*words, "--dry-run", cwd=tmp_path)

    result = ptag(*words, cwd=tmp_path)

    assert json.loads(result.stdout)["counts"] == {"written": 4}
    assert len(server.asked()) == 4


def test_a_moved_file_keeps_its_suggestion_and_a_copy_is_not_asked_again(tmp_path, start_server):
    photos = make_photos(tmp_path / "photos", 2)
    server = start_server()
    words = ("run", "-i", tmp_path / "photos", *server_flags(server.base_url), "--json")
    ptag(*words, cwd=tmp_path)
    photos[0].rename(tmp_path / "photos" / "moved.jpg")
    (tmp_path / "photos" / "copy.jpg").write_bytes(photos[1].read_bytes())

    result = ptag(*words, cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    assert len(server.asked()) == 2


def test_redo_asks_again(tmp_path, start_server):
    make_photos(tmp_path / "photos", 2)
    server = start_server()
    words = ("run", "-i", tmp_path / "photos", *server_flags(server.base_url), "--review-later")
    ptag(*words, cwd=tmp_path)

    ptag(*words, "--redo", cwd=tmp_path)

    assert len(server.asked()) == 4


def test_limit_deals_with_so_many_images(tmp_path, start_server):
    make_photos(tmp_path / "photos", 6)
    server = start_server()

    result = ptag(
        *("run", "-i", tmp_path / "photos", *server_flags(server.base_url), "--limit", "2"),
        "--json",
        cwd=tmp_path,
    )

    assert json.loads(result.stdout)["counts"] == {"written": 2}


def test_interrupting_keeps_what_was_done_and_the_same_command_goes_on(tmp_path, start_server):
    make_photos(tmp_path / "photos", 30)
    server = start_server("--latency-ms", "150")
    words = ["run", "-i", str(tmp_path / "photos"), *server_flags(server.base_url)]
    process = subprocess.Popen(
        [sys.executable, "-m", "imageworks", *words, "--max-workers", "2"],
        cwd=tmp_path,
        env=os.environ.copy(),
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while len(server.asked()) < 6:
        assert time.monotonic() < deadline

    process.send_signal(2)
    _, errors = process.communicate(timeout=60)
    result = ptag(*words, "--max-workers", "2", "--json", cwd=tmp_path)

    assert process.returncode == 130, errors
    assert "The same command goes on from here" in errors
    assert "Traceback" not in errors
    assert json.loads(result.stdout)["counts"] == {"written": 30}
    assert len(server.asked()) <= 30 + 2


def test_two_runs_at_once_share_one_engine_at_a_time(tmp_path, start_server):
    make_photos(tmp_path / "one", 5)
    make_photos(tmp_path / "two", 5, seed=2)
    server = start_server("--latency-ms", "50")
    command = [sys.executable, "-m", "imageworks", "run", "--quiet", "-i"]
    started = [
        subprocess.Popen(
            [*command, str(tmp_path / name), *server_flags(server.base_url)],
            cwd=tmp_path,
            env=os.environ.copy(),
            stderr=subprocess.PIPE,
        )
        for name in ("one", "two")
    ]

    ended = [process.communicate(timeout=90)[1] for process in started]

    assert [process.returncode for process in started] == [0, 0], ended
    assert len(server.asked()) == len(set(server.asked())) == 10


def test_apply_writes_what_was_accepted(tmp_path, start_server):
    make_photos(tmp_path / "photos", 1)

    result = ptag("apply", cwd=tmp_path)

    assert result.returncode == 0
    assert "0 written, 0 failed" in result.stdout


def test_reports_are_written_again_from_the_library(tmp_path, start_server):
    make_photos(tmp_path / "photos", 2)
    server = start_server()
    ptag("run", "-i", tmp_path / "photos", *server_flags(server.base_url), cwd=tmp_path)

    result = ptag("report", "--output-jsonl", "again.jsonl", "--summary", "s.md", cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    first = (tmp_path / "outputs/results/personal_tagger.jsonl").read_text().splitlines()
    assert sorted((tmp_path / "again.jsonl").read_text().splitlines()) == sorted(first)
    assert "photo-0001" in (tmp_path / "s.md").read_text()


def test_status_tells_what_failed_in_words_and_as_json(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "\x1b[31mred.jpg").write_text("not a picture")
    empty = ptag("status", cwd=tmp_path)
    ptag("run", "-i", photos, "--backend", "builtin", cwd=tmp_path)

    shown = ptag("status", cwd=tmp_path)
    as_json = json.loads(ptag("status", "--json", cwd=tmp_path).stdout)

    assert "No library yet" in empty.stdout
    assert "not an image" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert as_json["images"] == {"failed": 1}
    assert as_json["engine"]["is_alive"] is False


def test_the_key_is_in_no_file_and_no_output(tmp_path):
    make_photos(tmp_path / "photos", 1)
    environment_home = Path(os.environ["HOME"])

    with OpenAIServer(api_key="sesame-9876") as server:
        result = ptag(
            *("run", "-i", tmp_path / "photos", *server_flags(server.base_url)),
            *("--api-key", "sesame-9876", "--json"),
            cwd=tmp_path,
        )

    assert result.returncode == 0, result.stderr
    assert "sesame" not in result.stdout + result.stderr
    written = [p for p in [*tmp_path.rglob("*"), *environment_home.rglob("*")] if p.is_file()]
    assert [path for path in written if b"sesame-9876" in path.read_bytes()] == []


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("--version",), "ptag 0.1.0"),
        (("--help",), "COMMAND"),
        (("profiles",), "alt_text"),
        (("profiles", "show", "default"), "caption"),
        (("models",), "Qwen2.5-VL-7B-AWQ"),
        (("list-registry",), "Roles"),
        (("metrics",), "No runs yet"),
        (("preflight", "--backend", "builtin"), "ok"),
    ],
)
def test_commands_that_only_tell(tmp_path, command, expected):
    result = ptag(*command, cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    assert expected in result.stdout


def test_review_without_a_terminal_is_refused_with_the_command_to_use(tmp_path):
    result = ptag(cwd=tmp_path)

    assert result.returncode == 2
    assert "needs a terminal" in result.stderr
    assert "ptag run" in result.stderr


def test_doctor_says_what_is_wrong_and_how_to_mend_it(tmp_path):
    result = ptag("doctor", "--base-url", "http://127.0.0.1:9/v1", cwd=tmp_path)

    assert result.returncode == 1
    assert "ok   exiv2" in result.stdout
    assert "LOOK backend" in result.stdout
    assert "hint:" in result.stdout


def test_roles_of_the_registry_choose_models(tmp_path, start_server):
    make_photos(tmp_path / "photos", 1)
    server = start_server()
    entry = {
        "name": MODEL,
        "backend": "openai",
        "base_url": server.base_url,
        "roles": ["caption", "keywords", "description"],
        "capabilities": ["vision"],
    }
    old = {**entry, "name": "old-model", "deprecated": True}
    source = json.loads((Path(__file__).parents[2] / "configs/model_registry.json").read_text())
    source[next(key for key, value in source.items() if isinstance(value, list))] = [old, entry]
    (tmp_path / "registry.json").write_text(json.dumps(source))

    result = ptag(
        *("run", "-i", tmp_path / "photos", "--use-registry", "--registry-path", "registry.json"),
        "--json",
        cwd=tmp_path,
    )

    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["counts"] == {"written": 1}


def test_a_run_beside_an_open_screen_is_done_by_the_screens_engine(tmp_path):
    make_photos(tmp_path / "photos", 3)
    library_path = tmp_path / "library.sqlite3"
    with OpenAIServer() as server:
        words = (
            *("run", "-i", tmp_path / "photos", "--store", library_path, "--json"),
            *server_flags(server.base_url),
        )
        library = Library(library_path)
        client = EngineClient(library, PersonalTaggerConfig(), tmp_path / "engine.log")
        client.attach()
        client.ensure_running()
        while not client.view().is_alive:
            pass

        first = ptag(*words, "--limit", "2", cwd=tmp_path)
        dead = ptag(
            *("run", "-i", tmp_path / "photos", "--store", library_path),
            *server_flags("http://127.0.0.1:9/v1"),
            cwd=tmp_path,
        )

        client.detach()
        library.close()
    assert json.loads(first.stdout)["counts"] == {"written": 2}
    assert first.returncode == 0, first.stderr
    assert dead.returncode == 3
    assert "127.0.0.1:9" in dead.stderr


def test_doctor_explains_a_file_and_writes_nothing(tmp_path):
    (photo,) = make_photos(tmp_path / "photos", 1)
    (tmp_path / "notes.txt").write_text("no picture")
    before = tree_digest(tmp_path)

    told = ptag("doctor", photo, "notes.txt", cwd=tmp_path)

    assert told.returncode == 1
    assert f"write to   file: {photo}" in told.stdout
    assert "notes.txt" in told.stdout
    assert tree_digest(tmp_path) == before


def test_the_persons_own_words_count_in_an_unattended_run(tmp_path, start_server):
    make_photos(tmp_path / "photos", 1)
    server = start_server()
    words = app_paths().vocabulary
    words.parent.mkdir(parents=True, exist_ok=True)
    command = ("run", "-i", tmp_path / "photos", *server_flags(server.base_url), "--redo")
    ptag(*command, "--review-later", cwd=tmp_path)
    (said,) = records(tmp_path)
    first, second = (keyword["keyword"] for keyword in said["keywords"][:2])
    words.write_text(f'banned = ["{first}"]\n[aliases]\n"{second}" = "own word"\n')

    result = ptag(*command, cwd=tmp_path)

    assert result.returncode == 0, result.stderr
    written = [keyword["keyword"] for keyword in records(tmp_path)[-1]["keywords"]]
    assert "own word" in written
    assert not {first, second} & set(written)


def test_vocabulary_that_cannot_be_read_stops_the_run_before_any_work(tmp_path, start_server):
    make_photos(tmp_path / "photos", 1)
    server = start_server()
    words = app_paths().vocabulary
    words.parent.mkdir(parents=True, exist_ok=True)
    words.write_text("banned = [")

    result = ptag("run", "-i", tmp_path / "photos", *server_flags(server.base_url), cwd=tmp_path)

    assert result.returncode == 2
    assert "vocabulary.toml" in result.stderr
    assert server.log.read_text() == ""
