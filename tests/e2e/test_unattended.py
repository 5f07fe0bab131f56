"""The commands around an unattended batch, each as a program of its own."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from imageworks.engine.lease import is_engine_alive
from imageworks.paths import app_paths
from tests.e2e.conftest import make_photos, ptag
from tests.support.openai_answers import MODEL


def status(cwd):
    return json.loads(ptag("status", "--json", cwd=cwd).stdout)


def until(is_true, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_detached_batch_is_paused_resumed_stopped_and_gone_on_with(tmp_path, start_server):
    make_photos(tmp_path / "photos", 40)
    server = start_server("--latency-ms", "250")
    run = ["run", "-i", tmp_path / "photos", "--review-later", "--backend", "openai"]
    run += ["--base-url", server.base_url, "--model", MODEL, "--max-workers", "2", "--detach"]

    started = ptag(*run, cwd=tmp_path)
    until(lambda: len(server.asked()) > 2)
    lease = status(tmp_path)["engine"]
    session_of_the_engine = os.getsid(lease["pid"])
    niceness = os.getpriority(os.PRIO_PROCESS, lease["pid"])
    rank = Path(f"/proc/{lease['pid']}/autogroup")
    rank_of_the_session = rank.read_text("ascii").split()[-1] if rank.exists() else str(niceness)
    paused = ptag("pause", cwd=tmp_path)
    until(lambda: "paused since" in status(tmp_path)["engine"]["activity"])
    until(lambda: status(tmp_path)["images"].get("inferring", 0) <= 4)
    time.sleep(0.6)
    asked = len(server.asked())
    time.sleep(0.6)
    asked_while_paused = len(server.asked()) - asked
    shown = ptag("status", cwd=tmp_path).stdout
    resumed = ptag("resume", cwd=tmp_path)
    until(lambda: len(server.asked()) > asked)
    stopped = ptag("stop", "--now", cwd=tmp_path)
    until(lambda: status(tmp_path)["batch"]["status"] == "stopped")
    nothing_to_stop = ptag("stop", cwd=tmp_path)
    done_before = status(tmp_path)["images"]["suggested"]
    ended = ptag(*run[:-1], "--json", cwd=tmp_path)
    report = ptag("report", cwd=tmp_path)

    assert started.returncode == 0, started.stderr
    assert "ptag stop" in started.stdout
    assert str(app_paths().log_dir) in started.stdout
    assert session_of_the_engine == lease["pid"]
    assert niceness > os.getpriority(os.PRIO_PROCESS, 0) or niceness == 19
    assert rank_of_the_session == str(niceness)
    assert paused.returncode == resumed.returncode == stopped.returncode == 0
    assert asked_while_paused == 0
    assert "paused since" in shown
    assert "No batch is under way" in nothing_to_stop.stdout
    assert 0 < done_before < 40
    assert ended.returncode == 0, ended.stderr
    assert status(tmp_path)["images"] == {"suggested": 40}
    assert "Review   40 wait for you; no pace yet" in report.stdout
    until(lambda: not is_engine_alive(app_paths().library))


def test_a_run_until_a_time_of_day_says_what_is_left(tmp_path, start_server):
    make_photos(tmp_path / "photos", 3)
    wrong = ptag("run", "-i", tmp_path / "photos", "--until", "25:00", cwd=tmp_path)

    assert wrong.returncode == 2
    assert "--until" in wrong.stderr


def test_control_without_a_library_is_a_usage_error(tmp_path):
    for command in ("pause", "resume", "stop"):
        ended = ptag(command, "--store", tmp_path / "none.sqlite3", cwd=tmp_path)

        assert ended.returncode == 2
        assert "no library" in ended.stderr
