"""Many different writes over many kinds of files, all taken back."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.under_fire import State, differences

SCRIPT = Path(__file__).parents[3] / "scripts" / "undo_corpus"


@pytest.mark.parametrize("more", [[], ["--preserve-mtime"]])
def test_undoing_all_writes_over_the_corpus_leaves_every_file_as_it_was(corpus, more):
    command = [sys.executable, str(SCRIPT), str(corpus), "--most", "48", "--seed", "7", *more]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    figures = json.loads(done.stdout)
    assert done.returncode == 0, figures
    assert not figures["is_harmed"]
    assert figures["undone"] >= 60
    assert figures["files_changed_in_between"] >= 20
    assert figures["files_made_in_between"] >= 20


def test_what_an_undo_would_leave_is_seen():
    """The comparison itself: a changed byte, a stray file, a lost file, a wrong time."""
    before = {name: State(b"a", 5) for name in ("same", "byte", "lost", "time")}
    after = {
        "same": State(b"a", 5),
        "byte": State(b"b", 5),
        "time": State(b"a", 6),
        "stray": State(b"a", 5),
    }

    found = differences(before, after, {"same"}, since_ns=0)
    later = differences(before, after, {"same"}, since_ns=6)

    assert found == {
        "bytes_differ": ["byte"],
        "missing": ["lost"],
        "left_over": ["stray"],
        "times_wrong": ["time"],
    }
    assert later["times_wrong"] == ["same", "time"]
