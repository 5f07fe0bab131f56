"""Puts back what a write has changed, exactly, from the journal's undo record."""

from __future__ import annotations

import contextlib
import os
import time
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.errors import MetadataError
from imageworks.metadata.draft import translated_errors
from imageworks.metadata.replace import (
    ReplaceOptions,
    backup_path,
    check_replaceable,
    is_being_replaced,
    replace_file,
    sync_folder,
)
from imageworks.metadata.source import (
    has_bytes,
    identity_of_file,
    open_regular,
    read_source,
)
from imageworks.metadata.splice import FileUndo, undo_splice, unpack_undo
from imageworks.paths import app_paths
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Iterator

_WRITER_PATIENCE_S = 10.0
_WRITER_LOOK_S = 0.02


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


def await_writer(packed: bytes, *, patience_s: float = _WRITER_PATIENCE_S) -> None:
    """Returns once no other process is about to change the files of a write.

    An engine that is killed leaves its metadata process behind, which ends the replacement that it
    was allowed to make; it knows of the end of its parent only when it next listens.

    Args:
        packed: The journal's record of the write.
        patience_s: Longest wait; the number of a process may belong to another one by now.

    Raises:
        MetadataError: ``undo-damaged``.
    """
    paths = [undo.path for undo in unpack_undo(packed)]
    deadline = time.monotonic() + patience_s
    while any(map(is_being_replaced, paths)) and time.monotonic() < deadline:
        time.sleep(_WRITER_LOOK_S)


def restore(packed: bytes, *, preserves_mtime: bool) -> None:
    """Brings every file of a write back to its earlier bytes.

    A sidecar that the write made is removed, and so is the backup of an original that is now the
    same as the file. Bytes that are back already are left alone, so an undo that was cut off can be
    done again.

    Args:
        packed: The journal's record of the write; see `splice.pack_undo`.
        preserves_mtime: Set the earlier modification time again, too.

    Raises:
        MetadataError: ``changed-since``: somebody else changed a file; nothing was put back.
            Or a file cannot be read or written; the message names it.
    """
    undos = unpack_undo(packed)
    states = [_state_of(undo) for undo in undos]
    for undo, state in zip(undos, states, strict=True):
        if state is UndoState.CHANGED:
            message = f"{show_path(undo.path)} was changed after it was written here."
            raise MetadataError(message, hint="", reason="changed-since")
    for undo, state in reversed([*zip(undos, states, strict=True)]):
        with _named_errors(undo.path):
            if state is UndoState.AFTER:
                _put_back(undo)
            if undo.identity_before:
                _settle(undo, preserves_mtime=preserves_mtime)


def _state_of(undo: FileUndo) -> UndoState:
    if not os.path.lexists(undo.path):
        return UndoState.CHANGED if undo.identity_before else UndoState.BEFORE
    with _named_errors(undo.path), open_regular(undo.path) as stream:
        digest = identity_of_file(stream)
    if digest == undo.identity_after:
        return UndoState.AFTER
    return UndoState.BEFORE if digest == undo.identity_before else UndoState.CHANGED


@contextlib.contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Turns the system's errors into ours, and names the file in what names none."""
    try:
        with translated_errors():
            yield
    except MetadataError as error:
        if show_path(path) in error.message:
            raise
        message = f"{show_path(path)} was not put back: {error.message.rstrip('.')}."
        raise MetadataError(message, hint=error.hint, reason=error.reason) from error


def _put_back(undo: FileUndo) -> None:
    source = read_source(undo.path)
    restored = undo_splice(source.data, undo)
    if not undo.identity_before:
        undo.path.unlink()
        sync_folder(undo.path)
        return
    check_replaceable(source)
    replace_file(source, restored, ReplaceOptions(keeps_original=False, preserves_mtime=False))


def _settle(undo: FileUndo, *, preserves_mtime: bool) -> None:
    """What follows the bytes that are back: their time, and the end of their backup."""
    status = undo.path.stat()
    if preserves_mtime and status.st_mtime_ns != undo.mtime_ns:
        os.utime(undo.path, ns=(status.st_atime_ns, undo.mtime_ns))
    real = Path(os.path.realpath(undo.path))
    for root in (None, app_paths().originals_dir):
        backup = backup_path(real, root)
        with contextlib.suppress(FileNotFoundError):
            if backup.stat().st_size == status.st_size and _is_same(backup, real):
                backup.unlink()


def _is_same(backup: Path, path: Path) -> bool:
    with open_regular(backup) as stream:
        return has_bytes(stream, path.read_bytes())
