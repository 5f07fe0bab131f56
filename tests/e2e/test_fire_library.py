"""The trial of `scripts/fire_library` in small: whatever goes wrong, all places tell the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from imageworks.models import DecisionKind, ImageState, Tags
from tests.e2e.conftest import CHECKOUT
from tests.support.library_truth import LibraryTruth
from tests.support.review_library import ReviewLibrary
from tests.support.under_fire import states


def fire(*flags: str) -> dict[str, Any]:
    command = [sys.executable, str(CHECKOUT / "scripts" / "fire_library"), "--time-limit", "100"]
    command += ["--writes", "36", "--images", "24", "--every", "4", *flags]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=115, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    if "skipped" in report:
        pytest.skip(str(report["skipped"]))
    return report


@pytest.mark.parametrize(
    "flags",
    [("--seed", "3", "--undo-kills", "2"), ("--seed", "4", "--trouble", "disk", "--every", "20")],
    ids=["kills", "full-disk"],
)
def test_store_journal_fields_and_bytes_agree_after_a_storm_and_all_is_undone(flags):
    report = fire(*flags)

    assert report["broken"] == {}
    assert report["undone"] == report["writes"] >= 36
    assert report["links_compared"] >= 36
    assert report["fields_compared"] > 0
    assert report["troubles"]


@pytest.fixture
def told(tmp_path: Path):
    """A library that says of ``a.jpg`` that it was written."""
    made = ReviewLibrary(tmp_path)
    photo = made.photos / "a.jpg"
    photo.write_bytes(b"first")
    made.add("a.jpg", Tags(caption="A boat"))
    truth = LibraryTruth(made.library, made.photos, states(made.photos), {})
    yield made, truth, photo
    made.library.close()


def test_a_change_that_no_entry_tells_of_is_seen(told):
    _, truth, photo = told
    photo.write_bytes(b"other")
    (photo.parent / ".a.jpg.ptag-1-0123abcd.tmp").touch()

    broken = truth.look([])

    assert broken["disk not in the journal"] == ["a.jpg"]
    assert broken["stray files"] == [".a.jpg.ptag-1-0123abcd.tmp"]


def test_a_lost_decision_and_a_write_without_an_entry_are_seen(told):
    made, truth, _ = told
    (image_id,) = made.library.images.ids()
    made.library.decisions.decide(image_id, made.run.id, DecisionKind.ACCEPT, by="person")
    open_write = truth.look([(image_id, "Never kept")])
    made.library.connection.execute("UPDATE decision SET write_state='written'")
    made.library.images.set_state(image_id, ImageState.WRITTEN)

    broken = truth.look([])

    assert open_write["decisions lost"] == [f"{image_id}: Never kept"]
    assert open_write["writes open"] == ["1: intended"]
    assert open_write["images on their way"] == ["a.jpg: accepted"]
    assert broken["written without an entry"] == ["1"]
