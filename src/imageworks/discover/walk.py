"""Walks folders and yields what it finds while it walks."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.discover.inspect import inspect_file, is_own_or_system_file
from imageworks.errors import UsageError
from imageworks.models import IMAGE_EXTENSIONS, DiscoveredImage, SkippedPath
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Sequence

logger = logging.getLogger(__name__)

FileKey = tuple[int, int]
"""Device and inode: the same file or folder under any name."""

# Folders of other programs, full of thumbnails or of files that only they may change: Synology and
# QNAP indexes, recycle bins, macOS archives, Apple Photos and Lightroom packages.
_PROGRAM_FOLDERS = frozenset(
    ("@eadir", "#recycle", "@recycle", "$recycle.bin", "system volume information", "__macosx")
)
_PROGRAM_FOLDER_ENDINGS = (".photoslibrary", ".aplibrary", ".photolibrary", ".lrdata")


def check_inputs(inputs: Sequence[Path]) -> tuple[Path, ...]:
    """The inputs as absolute paths, links not resolved, each once, in their order.

    Raises:
        UsageError: One is missing, cannot be read, or is neither a file nor a folder.
    """
    absolute = dict.fromkeys(Path(os.path.abspath(path)) for path in inputs)  # noqa: PTH100  # keeps links
    for path in absolute:
        try:
            _try_reading(path)
        except OSError as error:
            message = f"{show_path(path)} cannot be read: {error.strerror}."
            raise UsageError(message, hint="check the input path.", reason="input") from error
    return tuple(absolute)


def _try_reading(path: Path) -> None:
    if path.is_dir():
        with os.scandir(path):
            return
    path.stat()  # missing: says so
    if not path.is_file():
        message = f"{show_path(path)} is neither a file nor a folder."
        raise UsageError(message, hint="give photographs or folders.", reason="input")
    with path.open("rb"):
        return


def discover_images(
    inputs: Sequence[Path],
    *,
    is_recursive: bool = True,
    extensions: Collection[str] = IMAGE_EXTENSIONS,
) -> Iterator[DiscoveredImage | SkippedPath]:
    """Every image under the inputs once, and what was passed over with its reason.

    Inputs come in their order; within a folder its files come first, by name without regard to
    case, then its folders likewise. Nothing is held but one folder's listing and the folders' keys,
    so the first image comes at once and a million cost no memory. Files of other kinds, sidecars,
    backups and this program's temporary files are not mentioned.

    Args:
        inputs: Files and folders; a file is taken whatever its extension if it is an image.
        is_recursive: Folders within folders too, links to folders included.
        extensions: Endings looked at in folders, in any case; the dot may be missing.
    """
    endings = frozenset("." + ending.lower().removeprefix(".") for ending in extensions)
    paths = [Path(os.path.abspath(path)) for path in inputs]  # noqa: PTH100  # keeps links
    walk = _Walk(is_recursive, endings)
    for path in paths:
        if path.is_dir():
            walk.roots.append(Path(os.path.realpath(path)))
        else:
            walk.note_given_file(path)
    for path in paths:
        yield from walk.folder(path) if path.is_dir() else walk.given_file(path)


@dataclass(slots=True)
class _Walk:
    """What one walk has to remember."""

    is_recursive: bool
    endings: frozenset[str]
    roots: list[Path] = field(default_factory=list)
    given: set[FileKey] = field(default_factory=set)
    taken: set[FileKey] = field(default_factory=set)
    visited: set[FileKey] = field(default_factory=set)

    def note_given_file(self, path: Path) -> None:
        """Remembers a file among the inputs, so that the folders leave it out."""
        try:
            self.given.add(_key(path.stat()))
        except OSError as error:  # gone since it was checked; reported in its turn
            logger.debug("Input %s: %s", show_path(path), error)

    def given_file(self, path: Path) -> Iterator[DiscoveredImage | SkippedPath]:
        """A file among the inputs."""
        if is_own_or_system_file(path.name):
            yield SkippedPath(path, "a backup or temporary file")
            return
        try:
            status = path.stat()
        except OSError as error:
            yield SkippedPath(path, f"cannot be read: {error.strerror}", is_failure=True)
            return
        if _key(status) in self.taken:
            yield SkippedPath(path, "given twice")
            return
        self.taken.add(_key(status))
        yield inspect_file(path, status)

    def folder(self, root: Path) -> Iterator[DiscoveredImage | SkippedPath]:
        """A folder among the inputs and, when asked for, all below it."""
        waiting = [root]
        while waiting:
            folder = waiting.pop()
            try:
                key = _key(folder.stat())
                if key in self.visited:
                    yield SkippedPath(folder, "folder already visited")
                    continue
                self.visited.add(key)
                with os.scandir(folder) as listing:
                    entries = sorted(listing, key=_by_name)
            except OSError as error:
                yield SkippedPath(folder, f"folder cannot be read: {error.strerror}")
                continue
            yield from self._files(entries)
            if self.is_recursive:
                below = yield from self._folders(entries)
                waiting.extend(reversed(below))

    def _files(self, entries: list[os.DirEntry[str]]) -> Iterator[DiscoveredImage | SkippedPath]:
        for entry in entries:
            if not self._is_wanted(entry.name):
                continue
            path = Path(entry.path)
            try:
                if entry.is_dir():
                    continue
                status = entry.stat()
            except OSError as error:
                is_broken = entry.is_symlink()
                reason = "broken link" if is_broken else f"cannot be read: {error.strerror}"
                yield SkippedPath(path, reason, is_failure=not is_broken)
                continue
            if entry.name.startswith("."):
                yield SkippedPath(path, "hidden")
            elif _key(status) not in self.given:
                yield self._file(path, status, is_link=entry.is_symlink())

    def _is_wanted(self, name: str) -> bool:
        # Not `splitext`, to which a name of dots alone before its ending has none.
        ending = name[name.rfind(".") :].lower() if "." in name else ""
        return ending in self.endings and not is_own_or_system_file(name)

    def _file(
        self, path: Path, status: os.stat_result, *, is_link: bool
    ) -> DiscoveredImage | SkippedPath:
        if is_link:
            target = Path(os.path.realpath(path))
            if self._reaches(target.parent) and self._is_reached_name(target.name):
                return SkippedPath(path, "link to a file that is found itself")
            if _key(status) in self.taken:
                return SkippedPath(path, "another link to a file already taken")
            self.taken.add(_key(status))
        return inspect_file(path, status)

    def _is_reached_name(self, name: str) -> bool:
        return self._is_wanted(name) and not name.startswith(".")

    def _folders(self, entries: list[os.DirEntry[str]]) -> Generator[SkippedPath, None, list[Path]]:
        """Reports the folders passed over; returns those to walk."""
        below = []
        for entry in entries:
            try:
                if not entry.is_dir():
                    continue
                reason = self._reason_against(entry)
            except OSError as error:
                reason = f"cannot be read: {error.strerror}"
            if reason:
                yield SkippedPath(Path(entry.path), reason)
            else:
                below.append(Path(entry.path))
        return below

    def _reason_against(self, entry: os.DirEntry[str]) -> str:
        if entry.name.startswith("."):
            return "hidden"
        if _is_program_folder(entry.name):
            return "another program's folder"
        if entry.is_symlink() and self._reaches(Path(os.path.realpath(entry.path))):
            return "link to a folder that is walked itself"
        return ""

    def _reaches(self, folder: Path) -> bool:
        """Whether the walk comes to a folder by its real path."""
        for root in self.roots:
            if folder == root:
                return True
            if self.is_recursive and folder.is_relative_to(root):
                names = folder.relative_to(root).parts
                if not any(name.startswith(".") or _is_program_folder(name) for name in names):
                    return True
        return False


def _is_program_folder(name: str) -> bool:
    folded = name.lower()
    return folded in _PROGRAM_FOLDERS or folded.endswith(_PROGRAM_FOLDER_ENDINGS)


def _by_name(entry: os.DirEntry[str]) -> tuple[str, str]:
    return entry.name.casefold(), entry.name


def _key(status: os.stat_result) -> FileKey:
    return status.st_dev, status.st_ino
