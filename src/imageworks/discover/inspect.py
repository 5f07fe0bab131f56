"""Looks at one file: an image to take, a file to pass over with its reason, or nothing to say."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

from imageworks.content import HEAD_BYTES, sniff_format
from imageworks.models import FORMAT_EXTENSIONS, ImageFormat
from imageworks.stages import DiscoveredImage, ListedFile, SkippedPath

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

# Written by this program: `NAME.EXT_original` (contract, section 7) and its temporary files.
_BACKUP_ENDING = "_original"
_OWN_TEMPORARY = re.compile(r"\..+\.ptag-[^.]*\.tmp")
_APPLE_DOUBLE_PREFIX = "._"  # RFC 1740's "AppleDouble header file" as macOS names it on other disks
_FORMAT_BY_EXTENSION: Mapping[str, ImageFormat] = {
    extension: image_format
    for image_format, extensions in FORMAT_EXTENSIONS.items()
    for extension in extensions
}


def is_own_or_system_file(name: str) -> bool:
    """A backup, a temporary file or macOS's attribute store: never a photograph of its own."""
    if not name.startswith("."):
        return name.endswith(_BACKUP_ENDING)
    return (
        name.startswith(_APPLE_DOUBLE_PREFIX)
        or name.endswith(_BACKUP_ENDING)
        or _OWN_TEMPORARY.fullmatch(name) is not None
    )


def format_of_extension(extension: str) -> ImageFormat | None:
    """What a file is by its extension, in lower case with its dot; None when that tells nothing."""
    return _FORMAT_BY_EXTENSION.get(extension)


def inspect_file(path: Path, status: os.stat_result) -> DiscoveredImage | SkippedPath:
    """What a file is, by its first bytes; only a regular file is opened.

    Args:
        path: The file, absolute.
        status: Its status, links followed.
    """
    if not stat.S_ISREG(status.st_mode):
        return SkippedPath(path, "not a regular file")
    if status.st_size == 0:
        return SkippedPath(path, "empty file", is_failure=_claims_image(path))
    return _sniff(path, status.st_size, status.st_mtime_ns, status.st_ino)


def inspect_listed(folder: Path, file: ListedFile) -> DiscoveredImage | SkippedPath:
    """What a file is that a walk took by its name, by its first bytes."""
    return _sniff(folder / file.name, file.size_bytes, file.mtime_ns, file.inode)


def _sniff(path: Path, size_bytes: int, mtime_ns: int, inode: int) -> DiscoveredImage | SkippedPath:
    claims_image = _claims_image(path)
    try:
        with path.open("rb", buffering=0) as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        return SkippedPath(path, f"cannot be read: {error.strerror}", is_failure=claims_image)
    image_format = sniff_format(head, path.name)
    if image_format is None:
        return SkippedPath(path, f"not an image: {_describe(head)}", is_failure=claims_image)
    note = _extension_note(path.suffix.lower(), image_format)
    return DiscoveredImage(path, image_format, size_bytes, mtime_ns, inode, note)


def _claims_image(path: Path) -> bool:
    return path.suffix.lower() in _FORMAT_BY_EXTENSION


def _extension_note(extension: str, image_format: ImageFormat) -> str:
    if _FORMAT_BY_EXTENSION.get(extension) == image_format:
        return ""
    article = "an" if image_format is ImageFormat.AVIF else "a"
    kind = "camera RAW" if image_format is ImageFormat.RAW else image_format.value.upper()
    return f"is {article} {kind} by content"


# What is most often found under an image's name when a download, a copy or a card went wrong.
_OTHER_CONTENT: tuple[tuple[bytes, str], ...] = (
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "an XML file"),
    (b"<svg", "an SVG drawing"),
    (b"gif8", "a GIF"),
    (b"bm", "a Windows bitmap"),
    (b"%pdf", "a PDF"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"version https://git-lfs", "a Git LFS pointer, its content is elsewhere"),
)


def _describe(head: bytes) -> str:
    if not head.strip(b"\x00"):
        return "only zero bytes"
    start = head.lstrip().lower()
    known = (kind for prefix, kind in _OTHER_CONTENT if start.startswith(prefix))
    return next(known, "its first bytes are of no picture format known here")
