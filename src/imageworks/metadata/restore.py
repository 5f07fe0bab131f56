"""Puts back what a write has changed, exactly, from the journal's undo record."""

from __future__ import annotations

import contextlib
import os
from enum import Enum, auto
from typing import TYPE_CHECKING

from imageworks.errors import MetadataError
from imageworks.metadata.replace import (
    ReplaceOptions,
    backup_path,
    check_replaceable,
    replace_file,
    sync_folder,
)
from imageworks.metadata.source import has_bytes, identity_of_file, read_source
from imageworks.metadata.splice import FileUndo, undo_splice, unpack_undo
from imageworks.paths import app_paths
from imageworks.text import show_path

if TYPE_CHECKING:
    from pathlib import Path


class UndoState(Enum):
    """How the files of a write stand now."""

    BEFORE = auto()
    """As they were before the write."""
    AFTER = auto()
    """As the write left them."""
    HALF = auto()
    """Some as before, some as after: a write, or its undo, was cut off."""
    CHANGED = auto()
    """At least one was changed by somebody else since."""


def undo_state(packed: bytes) -> UndoState:
    """How the files of a write stand now; reads them whole.

    Raises:
        MetadataError: ``undo-damaged``, or a file cannot be read.
    """
    states = {_state_of(undo) for undo in unpack_undo(packed)}
    if UndoState.CHANGED in states:
        return UndoState.CHANGED
    return states.pop() if len(states) == 1 else UndoState.HALF


def restore(packed: bytes, *, preserves_mtime: bool) -> None:
    """Brings every file of a write back to its earlier bytes.

    A sidecar that the write made is removed, and so is the backup of an original that is now the
    same as the file. What is back already is left alone, so an undo that was cut off can be done
    again.

    Args:
        packed: The journal's record of the write; see `splice.pack_undo`.
        preserves_mtime: Set the earlier modification time again, too.

    Raises:
        MetadataError: ``changed-since``: somebody else changed a file; nothing was put back.
            Or a file cannot be written; the message names it.
    """
    undos = unpack_undo(packed)
    for undo in undos:
        if _state_of(undo) is UndoState.CHANGED:
            message = f"{show_path(undo.path)} was changed after it was written here."
            raise MetadataError(message, hint="", reason="changed-since")
    for undo in reversed(undos):
        if _state_of(undo) is UndoState.AFTER:
            _put_back(undo, preserves_mtime=preserves_mtime)


def _state_of(undo: FileUndo) -> UndoState:
    if not os.path.lexists(undo.path):
        return UndoState.CHANGED if undo.identity_before else UndoState.BEFORE
    with open(undo.path, "rb") as stream:  # noqa: PTH123  # read only
        digest = identity_of_file(stream)
    if digest == undo.identity_after:
        return UndoState.AFTER
    return UndoState.BEFORE if digest == undo.identity_before else UndoState.CHANGED


def _put_back(undo: FileUndo, *, preserves_mtime: bool) -> None:
    source = read_source(undo.path)
    restored = undo_splice(source.data, undo)
    if not undo.identity_before:
        undo.path.unlink()
        sync_folder(undo.path)
        return
    check_replaceable(source)
    replace_file(source, restored, ReplaceOptions(keeps_original=False, preserves_mtime=False))
    if preserves_mtime:
        os.utime(source.path, ns=(source.status.st_atime_ns, undo.mtime_ns))
    _drop_backup(source.path, restored)


def _drop_backup(path: Path, restored: bytes) -> None:
    """Removes the first original's copy once the file itself is that original again."""
    for root in (None, app_paths().originals_dir):
        backup = backup_path(path, root)
        with contextlib.suppress(FileNotFoundError):
            with open(backup, "rb") as stream:  # noqa: PTH123  # read only
                is_same = has_bytes(stream, restored)
            if is_same:
                backup.unlink()
