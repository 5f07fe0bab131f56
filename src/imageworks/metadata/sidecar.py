"""Which XMP sidecars belong to a photograph, and what a new one is called.

``IMG.xmp`` (Lightroom, Capture One, Photo Mechanic) or ``IMG.CR2.xmp`` (darktable, digiKam). One
that exists is used; where several images share a stem, ``IMG.xmp`` belongs to the RAW file alone.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from imageworks.models import FORMAT_EXTENSIONS, IMAGE_EXTENSIONS, ImageFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_ENDINGS = (".xmp", ".XMP")
_EMBEDDABLE = (ImageFormat.JPEG, ImageFormat.PNG, ImageFormat.WEBP, ImageFormat.TIFF)
_STYLE_AGE_S = 60.0
_MAX_FOLDERS = 256


class SidecarNames:
    """Finds and names sidecars; remembers for a minute how a folder's sidecars are named.

    Args:
        clock: Seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._styles: dict[Path, tuple[float, bool]] = {}

    def existing(self, path: Path) -> tuple[Path, ...]:
        """The sidecars of an image that exist, the fullest name first."""
        found = [name for name in _spellings(path, path.name) if _is_file(name)]
        short = [name for name in _spellings(path, path.stem) if _is_file(name)]
        if short and owns_stem(path):
            found += short
        return tuple(
            name
            for index, name in enumerate(found)
            if not any(_is_same_file(name, other) for other in found[:index])
        )

    def new(self, path: Path) -> Path:
        """What a new sidecar of this image is called: as its neighbours, else as Lightroom does."""
        is_full = not owns_stem(path) or self._has_full_names(path.parent)
        return path.with_name((path.name if is_full else path.stem) + ".xmp")

    def _has_full_names(self, folder: Path) -> bool:
        known = self._styles.get(folder)
        now = self._clock()
        if known is not None and now - known[0] < _STYLE_AGE_S:
            return known[1]
        try:
            with os.scandir(folder) as entries:
                has_full = _shows_full_names([entry.name for entry in entries])
        except PermissionError:  # a folder can be open for its files and closed for listing
            has_full = False
        if len(self._styles) >= _MAX_FOLDERS:
            self._styles.clear()
        self._styles[folder] = (now, has_full)
        return has_full


def owns_stem(path: Path) -> bool:
    """Whether ``IMG.xmp`` belongs to this image rather than to another one of the same stem.

    RAW before DNG before other formats that need a sidecar before the rest; equals share nothing.
    """
    own_rank = _rank(path.suffix)
    return all(_rank(other.suffix) > own_rank for other in _siblings(path))


def _spellings(path: Path, base: str) -> list[Path]:
    return [path.with_name(base + ending) for ending in _ENDINGS]


def _siblings(path: Path) -> list[Path]:
    """Other images with the same stem, by their usual spellings; folders are too large to list."""
    names = {
        path.stem + spelled
        for extension in IMAGE_EXTENSIONS
        for spelled in (extension, extension.upper())
    }
    folder = os.fspath(path.parent)
    # As plain text, for it is asked for close to a hundred names of which hardly one exists.
    present = (name for name in names - {path.name} if _is_file(os.path.join(folder, name)))  # noqa: PTH118
    others = map(path.with_name, sorted(present))
    return [other for other in others if not _is_same_file(path, other)]


def _rank(suffix: str) -> int:
    suffix = suffix.lower()
    image_format = next((f for f, names in FORMAT_EXTENSIONS.items() if suffix in names), None)
    if image_format is ImageFormat.RAW:
        return 0
    if image_format is ImageFormat.DNG:
        return 1
    return 3 if image_format in _EMBEDDABLE else 2


def _shows_full_names(names: Sequence[str]) -> bool:
    """Whether a sidecar is named in full though its image could have had the short name."""
    ranks: dict[str, list[int]] = defaultdict(list)
    full: list[tuple[str, int]] = []
    for name in names:
        stem, ending = os.path.splitext(name)  # noqa: PTH122  # a name, not a path
        if ending.lower() in IMAGE_EXTENSIONS:
            ranks[stem].append(_rank(ending))
        elif ending.lower() == ".xmp":
            image_stem, image_ending = os.path.splitext(stem)  # noqa: PTH122  # as above
            if image_ending.lower() in IMAGE_EXTENSIONS:
                full.append((image_stem, _rank(image_ending)))
    return any(_leads(rank, ranks.get(stem, [])) for stem, rank in full)


def _leads(rank: int, present: Sequence[int]) -> bool:
    """Whether an image of this rank comes before all others of its stem; it may be gone itself."""
    best = sorted(present)[:2]
    return not best or rank < best[0] or (rank == best[0] and best[1:] != [rank])


def _is_file(path: Path | str) -> bool:
    """False as well where the name would be too long to exist."""
    return os.path.isfile(path)  # noqa: PTH113  # Path.is_file raises for such a name


def _is_same_file(first: Path, second: Path) -> bool:
    """One file under two spellings, as on file systems that ignore case."""
    try:
        return os.path.samestat(first.lstat(), second.lstat())
    except OSError:
        return False
