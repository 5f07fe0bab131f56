"""First originals: kept once, listed with their size, put back or removed; beside or apart."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests.e2e.conftest import make_photos, ptag
from tests.support.openai_server import MODEL, OpenAIServer

ANSWER = {"caption": "A red boat", "keywords": ["boat"], "description": "It floats."}


def digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.suffix == ".jpg"
    }


@pytest.fixture(params=["beside", "folder"])
def tagged(request, tmp_path):
    """A tagged folder, with the digests from before, for each place of backups."""
    make_photos(tmp_path / "photos", 3)
    before = digests(tmp_path / "photos")
    with OpenAIServer(lambda _request: ANSWER) as server:
        result = ptag(
            *("run", "-i", tmp_path / "photos", "--backend", "openai", "--model", MODEL),
            *("--base-url", server.base_url, "--backup-place", request.param),
            cwd=tmp_path,
        )
    assert result.returncode == 0, result.stderr
    return tmp_path, before, request.param


def test_backups_are_where_the_setting_says_and_are_listed(tagged):
    folder, _, place = tagged

    listed = ptag("backups", "photos", cwd=folder)

    beside = list((folder / "photos").glob("*_original"))
    apart = list(Path(os.environ["HOME"]).rglob("*_original"))
    assert (len(beside), len(apart)) == ((3, 0) if place == "beside" else (0, 3))
    assert "3 backups kept" in listed.stdout
    assert "photo-0001.jpg_original" in listed.stdout


def test_originals_are_put_back_and_their_backups_go(tagged):
    folder, before, _ = tagged
    assert digests(folder / "photos") != before

    result = ptag("backups", "--restore", "photos", cwd=folder)

    assert "3 backups restored" in result.stdout, result.stdout + result.stderr
    assert digests(folder / "photos") == before
    assert "0 backups kept" in ptag("backups", "photos", cwd=folder).stdout


def test_one_backup_is_removed_and_the_photograph_stays(tagged):
    folder, _, _ = tagged
    after = digests(folder / "photos")

    result = ptag("backups", "--remove", "photos/photo-0000.jpg", cwd=folder)

    assert "1 backups removed" in result.stdout
    assert digests(folder / "photos") == after
    assert "2 backups kept" in ptag("backups", "photos", cwd=folder).stdout


def test_undo_removes_backups_wherever_they_are(tagged):
    folder, before, _ = tagged

    ptag("undo", "photos", cwd=folder)

    assert digests(folder / "photos") == before
    assert "0 backups kept" in ptag("backups", "photos", cwd=folder).stdout


def test_a_backup_of_a_lost_photograph_is_left_and_said(tagged):
    folder, _, _ = tagged
    (folder / "photos" / "photo-0002.jpg").unlink()

    result = ptag("backups", "--restore", "photos", cwd=folder)

    assert result.returncode == 1
    assert "photo-0002.jpg is gone" in result.stdout
    assert "1 backups kept" in ptag("backups", "photos", cwd=folder).stdout


def test_removing_without_saying_what_is_refused(tmp_path):
    assert ptag("backups", "--remove", cwd=tmp_path).returncode == 2
