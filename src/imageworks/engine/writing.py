"""Writes what was accepted, in the order of the decisions, one file at a time."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.undoing import present_metadata, undo_write
from imageworks.errors import MetadataError
from imageworks.metadata.process import MetadataProcess
from imageworks.metadata.replace import mirrored, sweep_leftovers
from imageworks.metadata.restore import UndoState, await_writer, undo_state
from imageworks.models import ExistingMetadata, ImageState, Origin, Tags
from imageworks.paths import app_paths
from imageworks.review.merge import current_texts
from imageworks.stages import WriteOutcome, WriteRequest
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from imageworks.store.library import Library
    from imageworks.store.records import PendingWrite

logger = logging.getLogger(__name__)

_UNDO_WINDOW_LOOK_S = 0.1
_ROOM_LOOK_S = 10.0
_LOOK_AT_LEAST_EVERY_S = 5.0


class WriteLoop:
    """Carries out the writes that decisions intend, whoever made them.

    A write follows the settings of the run or session in which its decision was made.

    Args:
        start_process: Makes a metadata process for some settings.
        pause: Returns after some seconds, or sooner when the library has changed.
    """

    def __init__(
        self,
        library: Library,
        *,
        start_process: Callable[[PersonalTaggerConfig], MetadataProcess] = MetadataProcess,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._library = library
        self._start_process = start_process
        self._pause = pause
        self._processes: dict[str, MetadataProcess] = {}
        self._config_of_run: dict[int, str] = {}
        self._is_ending = False
        self._retry_at_s = float("-inf")
        self.trouble = ""
        self._is_writing = asyncio.Lock()

    async def run(self) -> None:
        """Writes whatever is due, until closed."""
        while not self._is_ending:
            if time.monotonic() < self._retry_at_s:
                await asyncio.sleep(_UNDO_WINDOW_LOOK_S)
            elif self._library.decisions.has_due_writes():
                await self.write_due()
            elif self._library.journal.count_undos():
                await self.undo_due()
            elif self._library.decisions.count_intended():
                await self._pause(_UNDO_WINDOW_LOOK_S)  # their time comes without a change
            else:
                await self._pause(_LOOK_AT_LEAST_EVERY_S)

    async def recover(self) -> None:
        """Finishes or forgets the writes that an engine which was killed had begun.

        What was journalled as intended and is on the disk is written; all else is done again.
        """
        await asyncio.to_thread(sweep_folders, self._touched_folders())
        for entry in self._library.journal.intents():
            state = await _state_on_disk(entry.undo, awaits_writer=True)
            if state is UndoState.AFTER:
                present = await present_metadata(entry.path, self._settings_of(entry.run_id)[1])
                with self._library.transaction(is_durable=True):
                    self._library.journal.finish_intent(entry)
                    self._library.decisions.mark_written(entry.decision_id)
                    if present is not None:
                        self._library.suggestions.record_present(entry.image_id, present)
                    self._library.images.record_rewritten(entry.image_id, entry.path)
                    self._library.outcomes.record(entry.run_id, entry.image_id, ImageState.WRITTEN)
            elif state is UndoState.HALF:
                # Kept, so that an undo takes back the half that was done, too.
                self._library.journal.finish_intent(entry)
            else:
                self._library.journal.drop_intents(entry.decision_id)
        self._library.decisions.reopen_interrupted()

    def _touched_folders(self) -> set[Path]:
        """Where a write or an undo that was cut off may have left a temporary file."""
        folders = {Path(os.fsdecode(f)) for f in self._library.decisions.intended_folders()}
        begun = {Path(os.path.realpath(path)).parent for path in self._library.journal.begun()}
        originals = app_paths().originals_dir
        return {*folders, *begun, *(mirrored(folder, originals) for folder in begun)}

    async def undo_due(self) -> int:
        """Undoes all that is to be undone now; how many writes there were."""
        count = 0
        async with self._is_writing:
            while self._may_write() and (entry := self._library.journal.next_undo()):
                config, process = self._settings_of(entry.run_id)
                try:
                    await undo_write(self._library, entry, config, process)
                except MetadataError as error:
                    self._note_full_disk(entry.path, error)
                    break
                self.trouble = ""
                count += 1
        return count

    async def write_due(self) -> int:
        """Writes all that is due now; how many there were."""
        count = 0
        async with self._is_writing:
            while self._may_write() and (writes := self._library.decisions.begin_writes(1)):
                for write in writes:
                    await self._write(write)
                count += len(writes)
        return count

    def _may_write(self) -> bool:
        return not self._is_ending and time.monotonic() >= self._retry_at_s

    async def aclose(self) -> None:
        """Finishes the write under way and ends the metadata processes."""
        self._is_ending = True
        async with self._is_writing:
            pass
        for process in self._processes.values():
            await process.aclose()
        self._processes.clear()

    async def _write(self, write: PendingWrite) -> None:
        config, process = self._settings_of(write.run_id)
        intended: list[WriteOutcome] = []

        def announce(intent: WriteOutcome) -> None:
            self._library.journal.intend(write, intent)
            intended.append(intent)

        try:
            outcome = await process.write(write_request(write, config), announce)
        except MetadataError as error:
            done = await self._end_early(write, process, error, intended)
            if done is None:
                return
            outcome = done
        present = outcome.before
        if outcome.is_changed:
            present = await present_metadata(write.path, process) or present
        self.trouble = ""
        with self._library.transaction(is_durable=True):
            self._library.decisions.record_written(write, outcome)
            self._library.suggestions.record_present(write.image_id, present)
            self._library.images.record_rewritten(write.image_id, write.path)
            self._library.outcomes.record(write.run_id, write.image_id, ImageState.WRITTEN)

    async def _end_early(
        self,
        write: PendingWrite,
        process: MetadataProcess,
        error: MetadataError,
        intended: list[WriteOutcome],
    ) -> WriteOutcome | None:
        """What an error left: the write, where it is on the disk in spite of it; else None.

        A process that dies with its answer on its lips has written the file all the same.
        """
        state = await _state_on_disk(intended[-1].undo) if intended else UndoState.BEFORE
        if state is UndoState.AFTER:
            logger.warning("%s It is written as accepted, though.", error.message)
            return intended[-1]
        if error.reason == "conflict":
            await self._ask_again(write, process, error)
        elif error.reason == "disk-full":
            self._wait_for_room(write, error)
        else:
            self._record_failed(write, error, is_half_done=state is UndoState.HALF)
        return None

    def _record_failed(
        self, write: PendingWrite, error: MetadataError, *, is_half_done: bool = False
    ) -> None:
        logger.warning("%s", error)
        with self._library.transaction():
            if is_half_done:  # kept, so that an undo takes back the half that was done, too
                self._library.journal.keep_intents(write.decision_id)
            self._library.decisions.record_write_failed(
                write, reason=error.reason, reason_text=str(error)
            )
            self._library.outcomes.record(
                write.run_id, write.image_id, ImageState.FAILED, reason=error.reason
            )

    def _wait_for_room(self, write: PendingWrite, error: MetadataError) -> None:
        """Puts a write back to where it was, to be tried again in a while."""
        self._note_full_disk(write.path, error)
        self._library.journal.drop_intents(write.decision_id)
        self._library.decisions.reopen_interrupted()

    def _note_full_disk(self, path: Path, error: MetadataError) -> None:
        if not self.trouble:
            logger.warning("%s Writing waits for room.", error)
        self.trouble = f"the disk of {show_path(path.parent)} is full; writing waits for room"
        self._retry_at_s = time.monotonic() + _ROOM_LOOK_S

    async def _ask_again(
        self, write: PendingWrite, process: MetadataProcess, error: MetadataError
    ) -> None:
        """Puts a field that file and person both changed before the reviewer, with their text."""
        try:
            present = await process.read(write.path)
        except MetadataError as unread:
            self._record_failed(write, unread)
            return
        self._library.decisions.record_conflict(write, present, reason_text=str(error))
        logger.info("%s", error)

    def _settings_of(self, run_id: int) -> tuple[PersonalTaggerConfig, MetadataProcess]:
        if run_id not in self._config_of_run:
            config = PersonalTaggerConfig.from_json(self._library.runs.get(run_id).config)
            self._config_of_run[run_id] = write_settings(config).to_json()
        key = self._config_of_run[run_id]
        config = PersonalTaggerConfig.from_json(key)
        if key not in self._processes:
            self._processes[key] = self._start_process(config)
        return config, self._processes[key]


def sweep_folders(folders: Iterable[Path]) -> None:
    """Removes temporary files whose process is gone from those folders that are there."""
    for folder in filter(Path.is_dir, folders):
        for leftover in sweep_leftovers(folder):
            logger.info("Removed %s, left by a write that was cut off.", show_path(leftover))


async def _state_on_disk(undo: bytes, *, awaits_writer: bool = False) -> UndoState:
    """How a write's files stand; as changed where that cannot be told.

    Args:
        undo: The journal's record of the write.
        awaits_writer: The process that was to do it may still be about to: its engine was killed.
    """
    try:
        if awaits_writer:
            await asyncio.to_thread(await_writer, undo)
        return await asyncio.to_thread(undo_state, undo)
    except MetadataError as error:
        logger.warning("%s", error)
        return UndoState.CHANGED


def write_settings(config: PersonalTaggerConfig) -> PersonalTaggerConfig:
    """The settings that matter to a write; all others at their defaults."""
    return replace(
        PersonalTaggerConfig(),
        backup_originals=config.backup_originals,
        overwrite_metadata=config.overwrite_metadata,
        backup_place=config.backup_place,
        sidecar=config.sidecar,
        on_hazard=config.on_hazard,
        content_credentials=config.content_credentials,
        dng=config.dng,
        write_iptc=config.write_iptc,
        preserve_mtime=config.preserve_mtime,
        fields=config.fields,
        hierarchy=config.hierarchy,
        digikam_tags=config.digikam_tags,
        language=config.language,
    )


def write_request(write: PendingWrite, config: PersonalTaggerConfig) -> WriteRequest:
    """What the metadata room gets to write for a decision."""
    tags = write.choice.tags
    if not config.overwrite_metadata:
        # What is the file's own counts as it is at the moment of the write, not as reviewed.
        own = tuple(k for k in tags.keywords if k.origin is not Origin.EXISTING)
        caption, description = current_texts(write.reviewed or ExistingMetadata(), config)
        tags = Tags(
            caption="" if tags.caption == caption else tags.caption,
            keywords=own,
            description="" if tags.description == description else tags.description,
        )
    return WriteRequest(
        path=write.path,
        tags=tags,
        is_caption_edited=write.choice.is_caption_edited,
        is_description_edited=write.choice.is_description_edited,
        removed_keywords=write.choice.removed_keywords,
        expected_content_id=write.content_id,
        reviewed=write.reviewed,
    )
