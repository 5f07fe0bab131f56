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
import shutil
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.metadata.draft import Draft, translated_errors
from imageworks.metadata.ending import outlasting
from imageworks.metadata.refusal import refusal
from imageworks.metadata.source import Source, identity_of
from imageworks.metadata.splice import Splice, spliced_pieces
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

    Confirm = Callable[[], Callable[[], None]]

logger = logging.getLogger(__name__)

_TEMPORARY = re.compile(r"\..*\.ptag-(\d+)-[0-9a-f]{8}\.tmp", re.DOTALL)
BACKUP_ENDING = "_original"
_TOLD_APART = 60
"""Characters of a file's name that a temporary file's certainly begins with."""
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
    folder = path.parent if root is None else mirrored(path.parent, root)
    return folder / (path.name + BACKUP_ENDING)


def mirrored(folder: Path, root: Path) -> Path:
    """Where first originals of a folder's files are below another one."""
    return root / folder.relative_to(folder.anchor)


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
    with staged_replacement(source, data, options) as confirm:
        confirm()()


def create_file(path: Path, data: bytes, like: os.stat_result) -> None:
    """Makes a new file; one that has appeared in the meantime is never overwritten.

    Args:
        path: The new file.
        data: Its bytes.
        like: Whose mode (without execution) and owner it takes, where that is permitted.

    Raises:
        MetadataError: Nothing changed. As for `replace_file`.
    """
    with staged_file(path, data, like) as confirm:
        confirm()()


@contextlib.contextmanager
def staged_replacement(
    source: Source, data: bytes, options: ReplaceOptions, begun: BegunDraft | None = None
) -> Iterator[Confirm]:
    """All of `replace_file` but its end: the new bytes are safe on the disk beside the file.

    Yields a call that waits until they were read back, and returns the last step. The temporary
    file is gone when the context ends, whether or not that step was taken.

    Args:
        source: The file as it was read.
        data: Its new bytes, proven.
        options: How it is replaced.
        begun: These bytes as they are being written already; None: write them now.

    Raises:
        MetadataError: As for `replace_file`; so do the two calls.
    """

    def take_place(temporary: Path) -> None:
        with translated_errors():
            _take_place(source, temporary, options, begun.seen() if begun else None)

    with begun.draft if begun else _replacement_draft(source, [data], options) as draft:
        draft.flush(data)
        yield lambda: partial(take_place, draft.finish())


def _replacement_draft(
    source: Source, pieces: Sequence[bytes | memoryview], options: ReplaceOptions
) -> Draft:
    def set_attributes(temporary: Path) -> None:
        _copy_attributes(source, temporary, options)

    return Draft(source.path, pieces, set_attributes)


@dataclass(frozen=True, slots=True)
class BegunDraft:
    """A file's draft on its way to the disk.

    Attributes:
        source: The file that it is to replace.
        splices: How it differs.
        draft: The draft.
        identity_after: The identity of its bytes, as `identity_of` would tell it.
        seen_unchanged: What `Source.seen_unchanged` finds meanwhile.
    """

    source: Source
    splices: tuple[Splice, ...]
    draft: Draft
    identity_after: Future[str]
    seen_unchanged: Future[os.stat_result | None]

    def is_of(self, source: Source, splices: Sequence[Splice]) -> bool:
        """Whether it is the draft of this change."""
        return self.source is source and self.splices == tuple(splices)

    def seen(self) -> os.stat_result | None:
        """How the file was seen unchanged; None where it has to be read again."""
        try:
            return self.seen_unchanged.result()
        except OSError:  # whoever reads it again will say so
            return None


class EarlyDraft:
    """A file's draft that is begun before anybody knows whether it will be needed.

    A context manager: a draft that nobody took is gone when the context ends.

    Args:
        options: How the file would be replaced.
    """

    def __init__(self, options: ReplaceOptions) -> None:
        self._options = options
        self._begun: BegunDraft | None = None

    def __enter__(self) -> EarlyDraft:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Discards what nobody took."""
        self._discard()

    def begin(self, source: Source, splices: Sequence[Splice]) -> None:
        """Starts to write the file as these edits would make it, in place of an earlier draft."""
        self._discard()
        pieces = spliced_pieces(source.data, splices)
        draft = _replacement_draft(source, pieces, self._options)
        draft.meanwhile(lambda: source.identity)
        after = draft.meanwhile(lambda: identity_of(*pieces))
        seen = draft.meanwhile(source.seen_unchanged)
        self._begun = BegunDraft(source, tuple(splices), draft, after, seen)

    def identity_after(self, source: Source, splices: Sequence[Splice]) -> str | None:
        """The identity of the new bytes; None where no draft of this change was begun."""
        begun = self._begun
        return begun.identity_after.result() if begun and begun.is_of(source, splices) else None

    def take(self, source: Source, splices: Sequence[Splice]) -> BegunDraft | None:
        """The draft of this change, now the caller's to end; None where none was begun."""
        begun = self._begun
        if begun is None or not begun.is_of(source, splices):
            return None
        self._begun = None
        return begun

    def _discard(self) -> None:
        if self._begun is not None:
            self._begun.draft.discard()
            self._begun = None


@contextlib.contextmanager
def staged_file(path: Path, data: bytes, like: os.stat_result) -> Iterator[Confirm]:
    """All of `create_file` but its end; see `staged_replacement`."""

    def set_attributes(temporary: Path) -> None:
        with contextlib.suppress(PermissionError):
            os.chown(temporary, like.st_uid, like.st_gid)
        temporary.chmod(like.st_mode & 0o666)

    def take_place(temporary: Path) -> None:
        with translated_errors():
            _give_name(temporary, path)
            sync_folder(path)

    with Draft(path, [data], set_attributes) as draft:
        draft.flush(data)
        yield lambda: partial(take_place, draft.finish())


def _take_place(
    source: Source, temporary: Path, options: ReplaceOptions, seen: os.stat_result | None
) -> None:
    backup = _keep_original(source, options.backup_root) if options.keeps_original else None
    with outlasting(source.path, source.status.st_dev):
        try:
            source.check_unchanged(seen)
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


def is_being_replaced(path: Path) -> bool:
    """Whether another process that is alive has new bytes for a file on the disk beside it."""
    stem = "." + path.name[:_TOLD_APART]
    try:
        with os.scandir(path.parent) as entries:
            owners = [_owner(entry.name) for entry in entries if entry.name.startswith(stem)]
    except OSError:  # whoever opens the file will say so
        return False
    return any(pid not in {None, os.getpid()} and not _is_gone(pid or 0) for pid in owners)


def _is_stale(name: str) -> bool:
    pid = _owner(name)
    return pid is not None and _is_gone(pid)


def _owner(name: str) -> int | None:
    """The process that made a temporary file; None for any other file."""
    found = _TEMPORARY.fullmatch(name)
    return None if found is None else int(found[1])


def _is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False


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

        with Draft(backup, [source.data], set_attributes) as copy:
            copy.flush(source.data)
            _give_name(copy.finish(), backup)
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
