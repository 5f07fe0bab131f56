"""One file: taken, passed over with a reason, or a failure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from imageworks.discover.inspect import inspect_file, is_own_or_system_file
from imageworks.models import ImageFormat
from imageworks.stages import DiscoveredImage, SkippedPath


def save(path: Path, pillow_format: str = "JPEG") -> Path:
    Image.new("RGB", (20, 10), "teal").save(path, pillow_format)
    return path


def inspect(path: Path) -> DiscoveredImage | SkippedPath:
    return inspect_file(path, path.stat())


def test_image_is_taken_with_what_the_store_needs(tmp_path):
    path = save(tmp_path / "a.JPG")
    status = path.stat()

    assert inspect(path) == DiscoveredImage(
        path, ImageFormat.JPEG, status.st_size, status.st_mtime_ns, status.st_ino
    )


@pytest.mark.parametrize(
    ("name", "pillow_format", "image_format", "note"),
    [
        ("a.jpg", "PNG", ImageFormat.PNG, "is a PNG by content"),
        ("a.tif", "AVIF", ImageFormat.AVIF, "is an AVIF by content"),
        ("a.jpg", "TIFF", ImageFormat.TIFF, "is a TIFF by content"),
        ("noending", "WEBP", ImageFormat.WEBP, "is a WEBP by content"),
        ("a.jpeg", "JPEG", ImageFormat.JPEG, ""),
        ("a.mpo", "JPEG", ImageFormat.JPEG, ""),
        ("a.nef", "TIFF", ImageFormat.RAW, ""),
    ],
)
def test_content_wins_over_the_extension(tmp_path, name, pillow_format, image_format, note):
    found = inspect(save(tmp_path / name, pillow_format))

    assert isinstance(found, DiscoveredImage)
    assert (found.format, found.note) == (image_format, note)


def test_raw_under_another_name_is_called_a_camera_raw(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"FUJIFILMCCD-RAW 0201".ljust(200, b"\x00"))

    found = inspect(path)

    assert isinstance(found, DiscoveredImage)
    assert found.note == "is a camera RAW by content"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (bytes(5000), "not an image: only zero bytes"),
        (b"\n <!DOCTYPE HTML><title>404</title>", "not an image: a web page"),
        (b"<?xml version='1.0'?>", "not an image: an XML file"),
        (b"GIF89a", "not an image: a GIF"),
        (b"version https://git-lfs.github.com/spec/v1", "not an image: a Git LFS pointer"),
        (b"\x01\x02\x03", "not an image: its first bytes"),
    ],
)
def test_file_that_only_claims_to_be_an_image_is_a_failure(tmp_path, content, reason):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)

    found = inspect(path)

    assert isinstance(found, SkippedPath)
    assert found.reason.startswith(reason)
    assert found.is_failure


def test_other_file_is_passed_over_without_a_failure(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello")

    found = inspect(path)

    assert isinstance(found, SkippedPath)
    assert not found.is_failure


def test_fifo_is_never_opened(tmp_path):
    path = tmp_path / "a.jpg"
    os.mkfifo(path)  # opening it would wait for ever

    assert inspect(path) == SkippedPath(path, "not a regular file")


def test_file_that_cannot_be_read_is_a_failure_with_the_systems_words(tmp_path, monkeypatch):
    path = save(tmp_path / "a.jpg")
    status = path.stat()

    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)

    expected = SkippedPath(path, "cannot be read: Permission denied", is_failure=True)
    assert inspect_file(path, status) == expected


@pytest.mark.parametrize(
    ("name", "is_own"),
    [
        ("IMG_1.jpg_original", True),
        (".IMG_1.jpg.ptag-8f3a.tmp", True),
        ("._IMG_1.jpg", True),
        ("IMG_1.jpg", False),
        (".hidden.jpg", False),
        ("ptag-1.tmp", False),
    ],
)
def test_own_and_system_files_are_known_by_their_names(name, is_own):
    assert is_own_or_system_file(name) is is_own
