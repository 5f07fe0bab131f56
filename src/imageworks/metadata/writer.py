"""The writers: one that writes, one that only says what it would write."""

from __future__ import annotations

import contextlib
import logging
from datetime import datetime
from typing import TYPE_CHECKING

from imageworks.errors import MetadataError
from imageworks.metadata.explain import explain_file
from imageworks.metadata.plan import FileChange, Planner, WritePlan
from imageworks.metadata.refusal import refusal
from imageworks.metadata.replace import (
    EarlyDraft,
    ReplaceOptions,
    replace_file,
    staged_file,
    staged_replacement,
)
from imageworks.metadata.sidecar import SidecarNames
from imageworks.metadata.source import Source, identity_of, read_source
from imageworks.metadata.splice import FileUndo, invert_splices, pack_undo
from imageworks.models import ExistingMetadata, MetadataTarget
from imageworks.paths import app_paths
from imageworks.stages import WriteOutcome, WriteRequest
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from imageworks.config import PersonalTaggerConfig
    from imageworks.metadata.explain import Explanation
    from imageworks.metadata.replace import Confirm

logger = logging.getLogger(__name__)

_CURABLE_BY_SIDECAR = frozenset({"read-only", "owner", "attributes"})
"""What only the attempt shows about an image file; a file beside it may still be possible."""


def local_now() -> datetime:
    """The present moment in the machine's own time zone."""
    return datetime.now().astimezone()


class PersonalMetadataWriter:
    """Writes accepted fields into files and sidecars, each proven first and replaced in one step.

    Works in the calling process, which should have no other use for pyexiv2; see `MetadataProcess`.

    Args:
        config: How to merge and where to write.
        clock: The present moment with its time zone, for ``xmp:MetadataDate``.
    """

    def __init__(
        self, config: PersonalTaggerConfig, clock: Callable[[], datetime] = local_now
    ) -> None:
        self._planner = Planner(config, clock, SidecarNames())
        self._can_use_sidecar = config.sidecar != "never"
        self._options = ReplaceOptions(
            keeps_original=config.backup_originals,
            preserves_mtime=config.preserve_mtime,
            backup_root=app_paths().originals_dir if config.backup_place == "folder" else None,
        )

    def read(self, path: Path) -> ExistingMetadata:
        """What the file and its sidecars say now; see `MetadataWriter.read`."""
        return _read(self._planner, path)

    def explain(self, path: Path) -> Explanation:
        """What is in a file and where a write would go; see `explain_file`."""
        return explain_file(self._planner, path)

    def write(
        self, request: WriteRequest, announce: Callable[[WriteOutcome], None] = lambda _intent: None
    ) -> WriteOutcome:
        """Writes the accepted fields; see `MetadataWriter.write`.

        Args:
            request: What was accepted.
            announce: Told what is about to be written, proven and not yet on disk, so that a
                journal can hold the way back before the first byte changes.
        """
        with EarlyDraft(self._options) as early:
            plan = self._planner.plan(request, begin=early.begin)
            try:
                return self._carry_out(plan, announce, early)
            except MetadataError as error:
                is_image = any(change.is_image for change in plan.changes)
                if not (is_image and self._can_use_sidecar and error.reason in _CURABLE_BY_SIDECAR):
                    raise _not_written(request.path, error) from error
                obstacle = error
        with EarlyDraft(self._options) as none_needed:
            plan = self._planner.plan(request, obstacle=obstacle)
            try:
                return self._carry_out(plan, announce, none_needed)
            except MetadataError as error:
                raise _not_written(request.path, error) from error

    def _carry_out(
        self, plan: WritePlan, announce: Callable[[WriteOutcome], None], early: EarlyDraft
    ) -> WriteOutcome:
        """Brings all new bytes to the disk, has them announced, lets them take their places.

        What was flushed is read back while a journal takes the announcement down.
        """
        outcome = _outcome(plan, early)  # first, while the early draft is written
        with contextlib.ExitStack() as stage:
            confirmations = [
                stage.enter_context(self._staged(change, plan.photo.source, early))
                for change in plan.changes
            ]
            if plan.changes:
                announce(outcome)
            _take_places(plan.changes, [confirm() for confirm in confirmations])
        return outcome

    def _staged(
        self, change: FileChange, image: Source, early: EarlyDraft
    ) -> contextlib.AbstractContextManager[Confirm]:
        if change.source is None:
            return staged_file(change.path, change.data, image.status)
        begun = early.take(change.source, change.splices)
        return staged_replacement(change.source, change.data, self._options, begun)


class DryRunMetadataWriter:
    """Reads, merges and proves like `PersonalMetadataWriter`, and never writes a byte.

    Args:
        config: How to merge and where to write.
        clock: The present moment with its time zone.
    """

    def __init__(
        self, config: PersonalTaggerConfig, clock: Callable[[], datetime] = local_now
    ) -> None:
        self._planner = Planner(config, clock, SidecarNames())

    def read(self, path: Path) -> ExistingMetadata:
        """What the file and its sidecars say now; see `MetadataWriter.read`."""
        return _read(self._planner, path)

    def explain(self, path: Path) -> Explanation:
        """What is in a file and where a write would go; see `explain_file`."""
        return explain_file(self._planner, path)

    def write(
        self,
        request: WriteRequest,
        announce: Callable[[WriteOutcome], None] = lambda _intent: None,  # noqa: ARG002  # no intent
    ) -> WriteOutcome:
        """What a write would do: ``is_changed`` and ``target_path`` tell; ``target`` is none."""
        plan = self._planner.plan(request)
        return _outcome(plan, None)


def _read(planner: Planner, path: Path) -> ExistingMetadata:
    return planner.load(path).existing()


def _outcome(plan: WritePlan, early: EarlyDraft | None) -> WriteOutcome:
    """What a write does; without a way back where it is only to be told."""
    first = plan.changes[0] if plan.changes else None
    undo = [_undo(change, early) for change in plan.changes] if early else []
    return WriteOutcome(
        target=plan.target if early else MetadataTarget.NONE,
        is_changed=first is not None,
        notes=plan.notes,
        before=plan.before,
        target_path=first.path if first else None,
        identity_before=first.source.identity if first and first.source else "",
        identity_after=undo[0].identity_after if undo else "",
        undo=pack_undo(undo) if undo else b"",
    )


def _undo(change: FileChange, early: EarlyDraft) -> FileUndo:
    before, after = change.source, None
    if before is not None:
        after = early.identity_after(before, change.splices)
    return FileUndo(
        path=change.path,
        identity_before="" if before is None else before.identity,
        identity_after=after or identity_of(change.data),
        mtime_ns=0 if before is None else before.status.st_mtime_ns,
        splices=invert_splices(b"" if before is None else before.data, change.splices),
    )


def _take_places(changes: Sequence[FileChange], last_steps: Sequence[Callable[[], None]]) -> None:
    """All changes or none: what was already replaced is put back when a later one fails."""
    done: list[FileChange] = []
    try:
        for change, take_place in zip(changes, last_steps, strict=True):
            take_place()
            logger.info("%s: metadata written", show_path(change.path))
            done.append(change)
    except MetadataError as error:
        for change in reversed(done):
            _put_back(change, error)
        raise


def _put_back(change: FileChange, cause: MetadataError) -> None:
    """Takes one change back after a later one of the same photograph failed.

    Only bytes that we wrote ourselves are taken back; the backup of the original stays.
    """
    try:
        present = read_source(change.path)
        if change.source is None or present.data != change.data:
            because = "another program changed it in the meantime"
            raise refusal(reason="changed-meanwhile", because=because)
        options = ReplaceOptions(keeps_original=False, preserves_mtime=False)
        replace_file(present, change.source.data, options)
    except MetadataError as error:
        message = f"{show_path(change.path)} was written, but its sidecar was not: {cause.message}."
        logger.exception("%s: cannot be put back: %s", show_path(change.path), error.message)
        raise MetadataError(message, hint="accept it again.", reason="half-written") from cause


def _not_written(path: Path, error: MetadataError) -> MetadataError:
    """The error as a sentence that names the file, unless it does already."""
    message = error.message
    if show_path(path) not in message:
        message = f"{show_path(path)} was not written: {message.rstrip('.')}."
    return MetadataError(message, hint=error.hint, reason=error.reason)
