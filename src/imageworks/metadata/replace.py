"""New bytes under an old name, so that at any moment there is either the old file or the new one.

A temporary file in the same folder, written, flushed and read back, takes the name in one step. A
full disk, a kill or a power cut at any point leaves the original as it was.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.metadata.refusal import refusal
from imageworks.metadata.source import has_bytes
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imageworks.errors import MetadataError
    from imageworks.metadata.source import Source

logger = logging.getLogger(__name__)

_TEMPORARY = re.compile(r"\..*\.ptag-(\d+)-[0-9a-f]{8}\.tmp", re.DOTALL)
_MAX_NAME_BYTES = 255
_SPARE_BYTES = 4 * 1024 * 1024
BACKUP_ENDING = "_original"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_PERMITTED = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


@dataclass(frozen=True, slots=True)
class ReplaceOptions:
    """How files are replaced.

    Attributes:
        keeps_original: The first original is kept; see `backup_path`.
        preserves_mtime: The modification time stays.
        backup_root: The folder for first originals; None: beside the file.
    """

    keeps_original: bool
    preserves_mtime: bool
    backup_root: Path | None = None


def backup_path(path: Path, root: Path | None = None) -> Path:
    """Where a file's first original is kept: ``NAME.EXT_original``, which no scanner takes up.

    Args:
        path: The file, absolute.
        root: A folder that mirrors the files' own folders; None: beside the file.
    """
    folder = path.parent if root is None else root / path.parent.relative_to(path.anchor)
    return folder / (path.name + BACKUP_ENDING)


def check_replaceable(source: Source) -> None:
    """Finds what stands in the way of replacing a file before anything is written.

    Raises:
        MetadataError: ``hard-link``, ``read-only``, ``read-only-folder``.
    """
    links = source.status.st_nlink
    if links > 1 and not (links == 2 and _is_own_backup(source)):
        because = f"it has {links} names (hard links), and the others would not follow"
        raise refusal(reason="hard-link", because=because)
    if not os.access(source.path, os.W_OK):
        hint = "change its permissions to have the metadata inside."
        raise refusal(reason="read-only", because="it is read-only", hint=hint)
    check_folder(source.path.parent)


def check_folder(folder: Path) -> None:
    """Finds out whether files can be made in a folder.

    Raises:
        MetadataError: ``read-only-folder``.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        hint = "change the folder's permissions."
        raise refusal(reason="read-only-folder", because="its folder is read-only", hint=hint)


def replace_file(source: Source, data: bytes, options: ReplaceOptions) -> None:
    """Gives a file new bytes; mode, owner, extended attributes and access lists stay.

    Raises:
        MetadataError: Nothing changed. ``disk-full``, ``disk-error``, ``read-only``, ``owner``,
            ``attributes``, ``changed-meanwhile`` or ``write-failed``.
    """
    with staged_replacement(source, data, options) as take_place:
        take_place()


def create_file(path: Path, data: bytes, like: os.stat_result) -> None:
    """Makes a new file; one that has appeared in the meantime is never overwritten.

    Args:
        path: The new file.
        data: Its bytes.
        like: Whose mode (without execution) and owner it takes, where that is permitted.

    Raises:
        MetadataError: Nothing changed. As for `replace_file`.
    """
    with staged_file(path, data, like) as take_place:
        take_place()


@contextlib.contextmanager
def staged_replacement(
    source: Source, data: bytes, options: ReplaceOptions
) -> Iterator[Callable[[], None]]:
    """All of `replace_file` but its last step: the new bytes are safe on the disk beside the file.

    Yields the last step. The temporary file is gone when the context ends, whether or not the step
    was taken.

    Raises:
        MetadataError: As for `replace_file`; so does the last step.
    """

    def set_attributes(temporary: Path) -> None:
        _copy_attributes(source, temporary, options)

    def take_place() -> None:
        with _translated():
            _take_place(source, temporary, options)

    with _temporary_file(source.path, data, set_attributes) as temporary:
        yield take_place


@contextlib.contextmanager
def staged_file(path: Path, data: bytes, like: os.stat_result) -> Iterator[Callable[[], None]]:
    """All of `create_file` but its last step; see `staged_replacement`."""

    def set_attributes(temporary: Path) -> None:
        with contextlib.suppress(PermissionError):
            os.chown(temporary, like.st_uid, like.st_gid)
        temporary.chmod(like.st_mode & 0o666)

    def take_place() -> None:
        with _translated():
            _give_name(temporary, path)
            sync_folder(path)

    with _temporary_file(path, data, set_attributes) as temporary:
        yield take_place


def _take_place(source: Source, temporary: Path, options: ReplaceOptions) -> None:
    backup = _keep_original(source, options.backup_root) if options.keeps_original else None
    try:
        source.check_unchanged()
        temporary.replace(source.path)
    except BaseException:
        if backup is not None:
            backup.unlink()
        raise
    sync_folder(source.path)


def sweep_leftovers(folder: Path) -> list[Path]:
    """Removes temporary files that a killed writer left in a folder; returns what was removed.

    Only names made here count, and only those whose process is gone.
    """
    removed: list[Path] = []
    try:
        with os.scandir(folder) as entries:
            stale = [folder / entry.name for entry in entries if _is_stale(entry.name)]
    except OSError as error:
        logger.warning("leftovers cannot be looked for: %s", error.strerror)
        return removed
    for path in stale:
        try:
            path.unlink()
        except OSError as error:
            logger.warning("a leftover cannot be removed: %s", error.strerror)
        else:
            removed.append(path)
    return removed


def _is_stale(name: str) -> bool:
    found = _TEMPORARY.fullmatch(name)
    if found is None:
        return False
    try:
        os.kill(int(found[1]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False


@contextlib.contextmanager
def _temporary_file(
    target: Path, data: bytes, set_attributes: Callable[[Path], None]
) -> Iterator[Path]:
    """A hidden file beside the target, flushed and read back; gone again unless renamed."""
    ending = f".ptag-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    stem = os.fsencode(target.name)[: _MAX_NAME_BYTES - 1 - len(ending)]
    path = target.with_name(f".{os.fsdecode(stem)}{ending}")
    try:
        with _translated():
            _check_space(target.parent, len(data))
            _fill(path, data, set_attributes)
        yield path
    finally:
        _discard(path)


def _discard(temporary: Path) -> None:
    """Removes a temporary file; what stands in its way must not hide why it is to go."""
    try:
        temporary.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("%s cannot be removed: %s", show_path(temporary), error.strerror)


def _fill(path: Path, data: bytes, set_attributes: Callable[[Path], None]) -> None:
    """Makes a file with these bytes; one flush takes both them and its attributes to the disk."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as stream:
        written = 0
        while written < len(data):
            written += stream.write(memoryview(data)[written:])
        set_attributes(path)
        os.fsync(descriptor)
        if not has_bytes(stream, data):
            because = "the disk gave back other bytes than were written"
            raise refusal(reason="disk-error", because=because, hint="check the disk.")


def _copy_attributes(source: Source, temporary: Path, options: ReplaceOptions) -> None:
    """Owner first, for a change of owner clears mode bits; then mode, times and the rest."""
    wanted = source.status
    made = temporary.stat()
    if (made.st_uid, made.st_gid) != (wanted.st_uid, wanted.st_gid):
        try:
            os.chown(temporary, wanted.st_uid, wanted.st_gid)
        except PermissionError as error:
            because = "it belongs to another owner or group, which cannot be kept"
            raise refusal(reason="owner", because=because) from error
    shutil.copystat(source.path, temporary)
    if not options.preserves_mtime:
        os.utime(temporary)
    if _attributes(source.path) - _attributes(temporary):
        because = "its extended attributes cannot be kept"
        raise refusal(reason="attributes", because=because)


def _attributes(path: Path) -> set[tuple[str, bytes]]:
    """Extended attributes that belong to the user, and access lists; none where unsupported."""
    if not hasattr(os, "listxattr"):
        return set()
    try:
        names = [n for n in os.listxattr(path) if n.startswith(("user.", "system.posix_acl"))]
        return {(name, os.getxattr(path, name)) for name in names}
    except OSError as error:
        if error.errno in {errno.ENOTSUP, errno.ENODATA}:
            return set()
        raise


def _keep_original(source: Source, root: Path | None) -> Path | None:
    """Gives the original its second name; None where there is one already.

    Beside the file the original itself is kept, not a copy: the replacement is a new file, so the
    old one lives on under the backup's name alone, its times and attributes with it.
    """
    backup = backup_path(source.path, root)
    if os.path.lexists(backup):
        return None
    if root is not None:
        backup.parent.mkdir(parents=True, exist_ok=True)
    if root is not None or not _is_linked(source.path, backup):

        def set_attributes(copy: Path) -> None:
            shutil.copystat(source.path, copy)

        with _temporary_file(backup, source.data, set_attributes) as copy:
            _give_name(copy, backup)
    sync_folder(backup)
    return backup


def _is_linked(path: Path, backup: Path) -> bool:
    """Makes the second name; False where the file system has no hard links."""
    try:
        os.link(path, backup)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True


def _is_own_backup(source: Source) -> bool:
    """Whether the second name is the backup, as a kill between backup and replacement leaves it."""
    try:
        status = backup_path(source.path).lstat()
    except OSError:
        return False
    return os.path.samestat(status, source.status)


def _give_name(temporary: Path, target: Path) -> None:
    """Renames without overwriting, even where another program makes the target just now."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        because = f"{show_path(target.name)} has appeared beside it"
        raise refusal(reason="changed-meanwhile", because=because) from None
    except OSError as error:
        if error.errno not in _NO_LINKS or os.path.lexists(target):
            raise
        temporary.rename(target)


def _check_space(folder: Path, size_bytes: int) -> None:
    if shutil.disk_usage(folder).free < size_bytes + _SPARE_BYTES:
        raise _no_room()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Makes a rename durable; it has happened, so a failure here is no failure of the write."""
    try:
        _sync(path.parent)
    except OSError as error:
        logger.warning("%s: its folder cannot be flushed: %s", show_path(path), error.strerror)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turns the system's errors into ours."""
    try:
        yield
    except OSError as error:
        raise _translation(error) from error


def _translation(error: OSError) -> MetadataError:
    if error.errno in _NO_ROOM:
        return _no_room()
    if error.errno in _NOT_PERMITTED:
        because = f"the system does not permit it ({error.strerror})"
        return refusal(reason="read-only", because=because)
    if error.errno == errno.ENOENT:
        because = "it was moved or removed in the meantime"
        return refusal(reason="changed-meanwhile", because=because)
    if error.errno == errno.EIO:
        because = "the disk reports an error"
        return refusal(reason="disk-error", because=because, hint="check the disk.")
    return refusal(reason="write-failed", because=f"the system refused: {error.strerror}")


def _no_room() -> MetadataError:
    return refusal(
        reason="disk-full", because="the disk is full", hint="free some space, then retry."
    )
