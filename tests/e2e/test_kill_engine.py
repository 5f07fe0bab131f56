"""The trial of `scripts/kill_engine` in small: nothing is lost, whatever is killed."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.e2e.conftest import CHECKOUT


def test_nothing_is_lost_whatever_is_killed():
    command = [sys.executable, str(CHECKOUT / "scripts" / "kill_engine")]
    command += ["--kills", "6", "--images", "40", "--seed", "5"]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = json.loads(ended.stdout)
    assert report["broken"] == {}
    assert sum(report["killed"].values()) == 6
