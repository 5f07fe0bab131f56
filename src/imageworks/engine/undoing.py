"""Takes a write back: exactly where nothing else has changed since, else only what was ours."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from imageworks.errors import MetadataError
from imageworks.metadata.restore import UndoState, restore, undo_state
from imageworks.models import Keyword, Origin, Tags
from imageworks.review.merge import current_texts
from imageworks.stages import WriteRequest
from imageworks.text import fold

if TYPE_CHECKING:
    from pathlib import Path

    from imageworks.config import PersonalTaggerConfig
    from imageworks.metadata.process import MetadataProcess
    from imageworks.models import ExistingMetadata
    from imageworks.store.library import Library
    from imageworks.store.records import JournalEntry

logger = logging.getLogger(__name__)


async def undo_write(
    library: Library, entry: JournalEntry, config: PersonalTaggerConfig, process: MetadataProcess
) -> None:
    """Undoes one write and says so in the journal; a failure is said there as well.

    Raises:
        MetadataError: ``disk-full``: it is to be tried again, once there is room.

    Args:
        library: The library.
        entry: The write.
        config: The settings that the write was made with.
        process: Writes where the exact way back is barred.
    """
    try:
        note = await _undo(entry, config, process)
    except MetadataError as error:
        if error.reason == "disk-full":
            raise
        logger.warning("%s", error)
        library.journal.record_undo_failed(entry, str(error))
        return
    # An exact way back leaves what was there before; a gentle one what others have made of it.
    present = await present_metadata(entry.path, process) if note else entry.before
    with library.transaction(is_durable=True):
        library.journal.record_undone(entry, note=note)
        if present is not None:
            library.suggestions.record_present(entry.image_id, present)
        library.images.record_rewritten(entry.image_id, entry.path)


async def _undo(entry: JournalEntry, config: PersonalTaggerConfig, process: MetadataProcess) -> str:
    state = await asyncio.to_thread(undo_state, entry.undo)
    if state is not UndoState.CHANGED:
        await asyncio.to_thread(restore, entry.undo, preserves_mtime=config.preserve_mtime)
        return ""
    present = await process.read(entry.path)
    request, kept = gentle_request(entry, present, config)
    await process.write(request)
    note = "the file was changed since, so only what this program had added was taken back"
    return "; ".join([note, *kept])


async def present_metadata(path: Path, process: MetadataProcess) -> ExistingMetadata | None:
    """What a file says now, to compare the next edit with; None when it cannot be read.

    The write itself is done by then: the next one asks the person where it finds a difference. So
    a process that was killed meanwhile gets a second try, lest they hear of another program.
    """
    for is_last in (False, True):
        try:
            return await process.read(path)
        except MetadataError as error:
            logger.warning("%s", error)
            if is_last or error.reason != "metadata-crash":
                break
    return None


def gentle_request(
    entry: JournalEntry, present: ExistingMetadata, config: PersonalTaggerConfig
) -> tuple[WriteRequest, tuple[str, ...]]:
    """The write that takes back what is still ours, and what cannot be taken back, in words.

    A text is put back where it still is what was written; keywords that the write added go, and
    those that it took out come back. What others have written since stays.
    """
    choice = entry.choice
    before = current_texts(entry.before, config)
    now = current_texts(present, config)
    meant = (
        (choice.tags.caption, choice.is_caption_edited),
        (choice.tags.description, choice.is_description_edited),
    )
    texts, edited, kept = ["", ""], [False, False], []
    for index, name in enumerate(("caption", "description")):
        text, is_edited = meant[index]
        replaces = is_edited or config.overwrite_metadata
        written = text if (replaces and text) or not before[index] else before[index]
        if written == before[index]:
            continue
        if now[index] == written:
            texts[index], edited[index] = before[index], True
        else:
            kept.append(f"the {name} was changed by another program and stays")
    had = {fold(text) for text in entry.before.keywords}
    added = tuple(k.text for k in choice.tags.keywords if fold(k.text) not in had)
    gone = tuple(
        Keyword(text, origin=Origin.PERSON)
        for text in entry.before.keywords
        if fold(text) not in {fold(now_text) for now_text in present.keywords}
        and (config.overwrite_metadata or text in choice.removed_keywords)
    )
    request = WriteRequest(
        path=entry.path,
        tags=Tags(texts[0], gone, texts[1]),
        is_caption_edited=edited[0],
        is_description_edited=edited[1],
        removed_keywords=added,
    )
    return request, tuple(kept)
