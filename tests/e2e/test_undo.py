"""`ptag undo`: the earlier metadata comes back, bit for bit where nobody else wrote since."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from imageworks.paths import app_paths
from imageworks.store.library import Library
from tests.e2e.conftest import make_photos, ptag
from tests.support.openai_server import MODEL, OpenAIServer

ANSWER = {"caption": "A red boat", "keywords": ["boat", "harbour"], "description": "It floats."}


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def make_mixed(folder: Path) -> None:
    make_photos(folder, 3)
    picture = Image.new("RGB", (60, 40), (9, 120, 200))
    picture.save(folder / "drawing.png")
    picture.save(folder / "scan.tif")
    picture.save(folder / "web.webp", lossless=True)
    picture.save(folder / "modern.avif")


def run(tmp_path: Path, server: OpenAIServer, *flags: str) -> None:
    result = ptag(
        *("run", "-i", tmp_path / "photos", "--backend", "openai", "--base-url"),
        *(server.base_url, "--model", MODEL, *flags),
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr


@pytest.fixture
def written(tmp_path):
    """A folder of mixed files, tagged by a run, with the digests from before."""
    make_mixed(tmp_path / "photos")
    before = digests(tmp_path / "photos")
    with OpenAIServer(lambda _request: ANSWER) as server:
        run(tmp_path, server)
        yield tmp_path, before, server


def test_every_file_comes_back_bit_for_bit_and_backups_and_new_sidecars_go(written):
    folder, before, _ = written
    assert digests(folder / "photos") != before

    result = ptag("undo", "--run", "last", cwd=folder)

    assert result.returncode == 0, result.stderr
    assert "7 undone, 0 failed" in result.stdout
    assert digests(folder / "photos") == before


def test_what_was_undone_can_be_written_again_and_undone_again(written):
    folder, before, _ = written
    ptag("undo", "--run", "last", cwd=folder)

    again = ptag("undo", "--redo", cwd=folder)
    keywords = subprocess.run(
        ["exiftool", "-s3", "-XMP-dc:Subject", str(folder / "photos" / "drawing.png")],
        capture_output=True,
        text=True,
        check=False,
    )
    back = ptag("undo", folder / "photos", cwd=folder)

    assert "7 written again, 0 failed" in again.stdout
    if shutil.which("exiftool"):
        assert keywords.stdout.strip() == "boat, harbour"
    assert "7 undone" in back.stdout
    assert digests(folder / "photos") == before


def test_only_our_changes_go_when_another_program_wrote_since(written):
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    folder, _, _ = written
    photo = folder / "photos" / "photo-0000.jpg"
    edit = ["exiftool", "-q", "-overwrite_original", "-XMP-dc:Subject+=mine", "-XMP-xmp:Rating=4"]
    subprocess.run([*edit, "-XMP-dc:Title=My own title", str(photo)], check=True)

    result = ptag("undo", photo, cwd=folder)

    shown = subprocess.run(
        ["exiftool", "-s", "-XMP-dc:all", "-XMP-xmp:Rating", str(photo)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "1 undone" in result.stdout
    assert "changed since" in result.stdout
    assert "caption was changed by another program" in result.stdout
    assert "mine" in shown
    assert "boat" not in shown
    assert "My own title" in shown
    assert "It floats" not in shown
    assert "Rating" in shown


def test_an_undo_that_was_cut_off_is_gone_on_with_and_counted(written):
    folder, before, _ = written
    library = Library(app_paths().library)
    library.journal.request_undo(library.journal.undoable()[:3])
    library.close()

    result = ptag("undo", folder / "photos", cwd=folder)

    assert "7 undone, 0 failed" in result.stdout
    assert digests(folder / "photos") == before


def test_the_last_writes_are_listed_and_undone_newest_first(written):
    folder, before, _ = written

    listed = ptag("undo", "--list", cwd=folder)
    result = ptag("undo", "--last", "2", cwd=folder)

    assert "7 writes can be undone" in listed.stdout
    assert "2 undone" in result.stdout
    now = digests(folder / "photos")
    assert sum(now.get(name) == digest for name, digest in before.items()) >= 2


def test_two_writes_to_one_file_are_undone_in_order(written):
    folder, before, server = written
    other = {**ANSWER, "keywords": ["sea"]}
    server.script = lambda _request: other
    with OpenAIServer(lambda _request: other) as second:
        run(folder, second, "--redo")

    result = ptag("undo", folder / "photos", cwd=folder)

    assert result.returncode == 0, result.stdout
    assert digests(folder / "photos") == before


def test_undo_of_a_read_only_file_says_why_it_failed(written):
    folder, _, _ = written
    photo = folder / "photos" / "photo-0001.jpg"
    os.link(photo, folder / "second-name.jpg")

    result = ptag("undo", photo, cwd=folder)

    assert result.returncode == 1
    assert "1 failed" in result.stdout
    assert "photo-0001.jpg" in result.stdout


def test_undo_without_saying_what_is_refused(tmp_path):
    result = ptag("undo", cwd=tmp_path)

    assert result.returncode == 2
    assert "--list" in result.stderr
