"""Walks folders and yields what it finds while it walks."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.discover.inspect import (
    format_of_extension,
    inspect_file,
    inspect_listed,
    is_own_or_system_file,
)
from imageworks.models import IMAGE_EXTENSIONS
from imageworks.stages import DiscoveredImage, FolderListing, KnownFolder, ListedFile, SkippedPath
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

logger = logging.getLogger(__name__)

Entry = ListedFile | DiscoveredImage | SkippedPath
"""What a folder's listing tells of one file."""

FileKey = tuple[int, int]
"""Device and inode: the same file or folder under any name."""

# Folders of other programs, full of thumbnails or of files that only they may change: Synology and
# QNAP indexes, recycle bins, macOS archives, Apple Photos and Lightroom packages.
_PROGRAM_FOLDERS = frozenset(
    ("@eadir", "#recycle", "@recycle", "$recycle.bin", "system volume information", "__macosx")
)
_PROGRAM_FOLDER_ENDINGS = (".photoslibrary", ".aplibrary", ".photolibrary", ".lrdata")


def discover_images(
    inputs: Sequence[Path],
    *,
    is_recursive: bool = True,
    extensions: Collection[str] = IMAGE_EXTENSIONS,
) -> Iterator[DiscoveredImage | SkippedPath]:
    """Every image under the inputs once, and what was passed over with its reason.

    Each file is opened to see what it is; `list_folders` takes them by their names.

    Args:
        inputs: Files and folders; a file is taken whatever its extension if it is an image.
        is_recursive: Folders within folders too, links to folders included.
        extensions: Endings looked at in folders, in any case; the dot may be missing.
    """
    for listing in list_folders(inputs, is_recursive=is_recursive, extensions=extensions):
        for entry in listing.entries:
            if isinstance(entry, ListedFile):
                yield inspect_listed(listing.path, entry)
            else:
                yield entry


def list_folders(
    inputs: Sequence[Path],
    *,
    is_recursive: bool = True,
    extensions: Collection[str] = IMAGE_EXTENSIONS,
    known: Mapping[str, KnownFolder] | None = None,
) -> Iterator[FolderListing]:
    """The folders under the inputs with their images, and what was passed over with its reason.

    Inputs come in their order; within a folder its files come first, by name without regard to
    case, then its folders likewise. Nothing is held but one folder's listing and the folders' keys,
    so the first image comes at once and a million cost no memory. Files of other kinds, sidecars,
    backups and this program's temporary files are not mentioned. A file among the inputs comes as
    a listing of its folder that holds it alone, with a time of 0.

    Args:
        inputs: Files and folders; a file is taken whatever its extension if it is an image.
        is_recursive: Folders within folders too, links to folders included.
        extensions: Endings looked at in folders, in any case; the dot may be missing.
        known: Folders by path that are left out while their own time stands; those below them are
            taken from here, too.
    """
    endings = frozenset("." + ending.lower().removeprefix(".") for ending in extensions)
    paths = [Path(os.path.abspath(path)) for path in inputs]  # noqa: PTH100  # keeps links
    walk = _Walk(is_recursive, endings, known or {})
    for path in paths:
        if path.is_dir():
            walk.roots.append(Path(os.path.realpath(path)))
        else:
            walk.note_given_file(path)
    for path in paths:
        if path.is_dir():
            yield from walk.folder(path)
        else:
            yield FolderListing(path.parent, 0, (walk.given_file(path),))


_TAKEN = partial(tuple.__new__, ListedFile)
"""Makes a `ListedFile` in half the time: a walk makes a million of them."""


@dataclass(slots=True)
class _Walk:
    """What one walk has to remember."""

    is_recursive: bool
    endings: frozenset[str]
    known: Mapping[str, KnownFolder] = field(default_factory=dict)
    formats: dict[str, str | None] = field(default_factory=dict)
    wanted: set[str] = field(default_factory=set)
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

    def given_file(self, path: Path) -> DiscoveredImage | SkippedPath:
        """A file among the inputs."""
        if is_own_or_system_file(path.name):
            return SkippedPath(path, "a backup or temporary file")
        try:
            status = path.stat()
        except OSError as error:
            return SkippedPath(path, f"cannot be read: {error.strerror}", is_failure=True)
        if _key(status) in self.taken:
            return SkippedPath(path, "given twice")
        self.taken.add(_key(status))
        return inspect_file(path, status)

    def folder(self, root: Path) -> Iterator[FolderListing]:
        """A folder among the inputs and, when asked for, all below it."""
        waiting = [os.fspath(root)]
        while waiting:
            folder = waiting.pop()
            listing, below = self._list(folder)
            if listing is not None:
                yield listing
            if self.is_recursive:
                waiting.extend(reversed(below))

    def _list(self, folder: str) -> tuple[FolderListing | None, Sequence[str]]:
        """One folder's listing, None while it is as it was known; and the folders to walk in it."""
        path = Path(folder)
        try:
            status = os.stat(folder)  # noqa: PTH116  # a million folders
            if _key(status) in self.visited:
                return _passed_over(path, "folder already visited"), ()
            self.visited.add(_key(status))
            known = self.known.get(folder)
            if known is not None and known.mtime_ns == status.st_mtime_ns:
                return None, known.below
            with _opened(folder) as place, os.scandir(place) as listing:
                files, folders = self._sorted(listing)
                entries = self._files(path, files)
                below: list[str] = []
                for entry in folders if self.is_recursive else ():
                    if reason := self._reason_against(path, entry):
                        entries.append(SkippedPath(path / entry.name, reason))
                    else:
                        below.append(os.path.join(folder, entry.name))  # noqa: PTH118  # a million
        except OSError as error:
            return _passed_over(path, f"folder cannot be read: {error.strerror}"), ()
        return FolderListing(path, status.st_mtime_ns, tuple(entries)), below

    def _sorted(
        self, listing: Iterator[os.DirEntry[str]]
    ) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
        """The files that may be images, and the folders; by name without regard to case."""
        files: list[os.DirEntry[str]] = []
        folders: list[os.DirEntry[str]] = []
        is_wanted = self._is_wanted
        for entry in listing:
            is_file = is_wanted(entry.name)
            try:
                is_folder = entry.is_dir()
            except OSError:
                is_folder = not is_file  # nobody knows; its name is the best guess
            if is_folder:
                folders.append(entry)
            elif is_file:
                files.append(entry)
        return _in_order(files), _in_order(folders)

    def _files(self, folder: Path, files: list[os.DirEntry[str]]) -> list[Entry]:
        """What to say of each file. Most are plain, so they go the short way through this loop.

        Empties the list on the way: with its status kept in it, an entry of a listing takes ten
        times the memory of what is said of it.
        """
        entries: list[Entry] = []
        files.reverse()
        formats, is_any_given = self.formats, bool(self.given)
        while files:
            file = files.pop()
            name = file.name
            try:
                status = file.stat()
            except OSError as error:
                entries.append(_unreadable(folder, file, error))
                continue
            image_format, size_bytes = formats[name[name.rfind(".") :]], status.st_size
            if (
                image_format is not None
                and size_bytes
                and stat.S_ISREG(status.st_mode)
                and not (name[0] == "." or is_any_given or file.is_symlink())
            ):
                found = (name, image_format, size_bytes, status.st_mtime_ns, status.st_ino)
                entries.append(_TAKEN(found))
            elif (entry := self._odd_file(folder, file, status)) is not None:
                entries.append(entry)
        return entries

    def _odd_file(
        self, folder: Path, file: os.DirEntry[str], status: os.stat_result
    ) -> Entry | None:
        """What to say of a file that needs a second look; nothing of one among the inputs."""
        path = folder / file.name
        if file.name.startswith("."):
            return SkippedPath(path, "hidden")
        if _key(status) in self.given:
            return None
        if file.is_symlink():
            return self._linked_file(path, status)
        return inspect_file(path, status)

    def _is_wanted(self, name: str) -> bool:
        # Not `splitext`, to which a name of dots alone before its ending has none.
        ending = name[name.rfind(".") :]
        if ending not in self.formats:
            self._learn(ending)
        return ending in self.wanted and not (name[0] == "." and is_own_or_system_file(name))

    def _learn(self, ending: str) -> None:
        """Looks at an ending once, as it is written: a folder has few, and many files of each."""
        lower = ending.lower()
        known = format_of_extension(lower)
        self.formats[ending] = None if known is None else known.value
        if lower in self.endings and not is_own_or_system_file(ending[1:]):
            self.wanted.add(ending)

    def _linked_file(self, path: Path, status: os.stat_result) -> DiscoveredImage | SkippedPath:
        target = Path(os.path.realpath(path))
        if self._reaches(target.parent) and self._is_reached_name(target.name):
            return SkippedPath(path, "link to a file that is found itself")
        if _key(status) in self.taken:
            return SkippedPath(path, "another link to a file already taken")
        self.taken.add(_key(status))
        return inspect_file(path, status)

    def _is_reached_name(self, name: str) -> bool:
        return self._is_wanted(name) and not name.startswith(".")

    def _reason_against(self, folder: Path, entry: os.DirEntry[str]) -> str:
        try:
            entry.is_dir()
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        if entry.name.startswith("."):
            return "hidden"
        if _is_program_folder(entry.name):
            return "another program's folder"
        if entry.is_symlink() and self._reaches(Path(os.path.realpath(folder / entry.name))):
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


@contextlib.contextmanager
def _opened(folder: str) -> Iterator[int | str]:
    """A folder in whose listing each file is found by its name alone, if the system knows how.

    By its whole path a file takes a sixth longer to look at, below many folders still longer. The
    listing's entries may be used only until the folder is closed.
    """
    if os.scandir not in os.supports_fd:
        yield folder
        return
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield place
    finally:
        os.close(place)


def _in_order(entries: Sequence[os.DirEntry[str]]) -> list[os.DirEntry[str]]:
    """Entries by name without regard to case."""
    folded = "\0".join([entry.name for entry in entries]).casefold().split("\0")
    by_name = dict(zip(folded, entries, strict=False))  # of no entries there is one empty name
    if len(by_name) == len(entries):  # as a rule; sorting bare names takes a third of the time
        return [by_name[name] for name in sorted(by_name)]
    return sorted(entries, key=lambda entry: (entry.name.casefold(), entry.name))


def _is_program_folder(name: str) -> bool:
    folded = name.lower()
    return folded in _PROGRAM_FOLDERS or folded.endswith(_PROGRAM_FOLDER_ENDINGS)


def _unreadable(folder: Path, file: os.DirEntry[str], error: OSError) -> SkippedPath:
    is_broken = file.is_symlink()
    reason = "broken link" if is_broken else f"cannot be read: {error.strerror}"
    return SkippedPath(folder / file.name, reason, is_failure=not is_broken)


def _passed_over(folder: Path, reason: str) -> FolderListing:
    return FolderListing(folder, 0, (SkippedPath(folder, reason),))


def _key(status: os.stat_result) -> FileKey:
    return status.st_dev, status.st_ino
