"""The first originals that writes have kept: finds them, puts them back, removes them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.errors import MetadataError
from imageworks.metadata.replace import (
    BACKUP_ENDING,
    ReplaceOptions,
    check_replaceable,
    replace_file,
    sync_folder,
)
from imageworks.metadata.source import has_bytes, read_source
from imageworks.models import IMAGE_EXTENSIONS
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_KEPT_FOR = (*IMAGE_EXTENSIONS, ".xmp")


@dataclass(frozen=True, slots=True)
class Backup:
    """One first original.

    Attributes:
        path: The backup.
        original: The file that it is the first original of; it may be gone.
        size_bytes: Disk space that it takes.
    """

    path: Path
    original: Path
    size_bytes: int


def find_backups(places: Sequence[Path], backup_root: Path) -> Iterator[Backup]:
    """The backups of files in or below some folders, beside them and in the backup folder.

    Args:
        places: Folders or photographs, absolute.
        backup_root: Where setting ``backup_place = "folder"`` keeps them.
    """
    for place in places:
        mirrored = backup_root / place.relative_to(place.anchor)
        if place.is_dir() or mirrored.is_dir():
            yield from _below(place, None)
            yield from _below(mirrored, backup_root)
        else:
            for path in (place, mirrored):
                backup = path.with_name(path.name + BACKUP_ENDING)
                if backup.is_file():
                    yield Backup(backup, place, backup.stat().st_size)


def restore_backup(backup: Backup) -> None:
    """Brings the file back to its first original, with its times, and removes the backup.

    Raises:
        MetadataError: The file cannot be replaced; both are as they were.
    """
    kept = read_source(backup.path)
    if os.path.lexists(backup.original):
        present = read_source(backup.original)
        check_replaceable(present)
        options = ReplaceOptions(keeps_original=False, preserves_mtime=False)
        replace_file(present, kept.data, options)
        os.utime(present.path, ns=(kept.status.st_atime_ns, kept.status.st_mtime_ns))
    else:
        message = f"{show_path(backup.original)} is gone, so its backup was left."
        hint = "rename the backup yourself if you want the photograph back."
        raise MetadataError(message, hint=hint, reason="not-found")
    remove_backup(backup)


def remove_backup(backup: Backup) -> None:
    """Removes one backup.

    Raises:
        MetadataError: It cannot be removed.
    """
    try:
        backup.path.unlink()
    except OSError as error:
        message = f"{show_path(backup.path)} cannot be removed: {error.strerror}."
        raise MetadataError(message, hint="check its folder.", reason="read-only-folder") from error
    sync_folder(backup.path)


def is_superfluous(backup: Backup) -> bool:
    """Whether the file has the bytes of its first original again."""
    try:
        with open(backup.original, "rb") as stream:  # noqa: PTH123  # read only
            return has_bytes(stream, read_source(backup.path).data)
    except (OSError, MetadataError):
        return False  # nothing that cannot be compared is called superfluous


def _below(folder: Path, root: Path | None) -> Iterator[Backup]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            original = name.removesuffix(BACKUP_ENDING)
            if original == name or not original.lower().endswith(_KEPT_FOR):
                continue
            path = Path(parent, name)
            own = Path(parent) if root is None else Path("/") / Path(parent).relative_to(root)
            yield Backup(path, own / original, path.lstat().st_size)
