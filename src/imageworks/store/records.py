"""What the library hands out: rows as frozen data, and their JSON columns."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from imageworks.models import (
    ExistingMetadata,
    ImageFormat,
    ImageState,
    Keyword,
    MetadataTarget,
    Origin,
    Stage,
    StageAnswer,
    Suggestion,
    Tags,
)
from imageworks.text import show_path

if TYPE_CHECKING:
    import sqlite3


class ImageRow(NamedTuple):
    """An image as a list shows it.

    Attributes:
        caption: Of the decision, else of the latest suggestion; empty before there is one.
        reason: Short word for why it failed or was skipped, and ``reason_text`` in words.
        taken_at: When the camera took it, where known.
        preview_path: The upright picture in the cache, or None when it is not there yet.
        group_size: How many pictures of a burst or near-duplicates it is one of; 1 when of none.
        followers: Files that share its card: the RAW beside a JPEG.
        is_asked_again: Another suggestion was asked for, and the engine has not heard of it yet.
    """

    id: int
    path: Path
    state: ImageState
    caption: str
    reason: str
    reason_text: str
    content_id: str
    width_px: int
    height_px: int
    taken_at: datetime | None
    preview_path: Path | None
    thumbnail_path: Path | None
    suggestion_id: int | None
    decision_id: int | None
    note: str
    group_size: int = 1
    followers: int = 0
    is_asked_again: bool = False

    @property
    def trouble(self) -> str:
        """`reason_text` for where the file's name stands beside it: its path is not said again."""
        return self.reason_text.replace(show_path(self.path), "the file")


class Standing(NamedTuple):
    """What an image's newest suggestion and decision are, where it has any."""

    suggestion_id: int | None
    decision_id: int | None


class FoundImage(NamedTuple):
    """What the library knew about a file that discovery came upon."""

    id: int
    format: ImageFormat
    state: ImageState
    is_new: bool
    is_changed: bool
    is_queued: bool
    content_id: str
    fingerprint: str
    """Of the latest suggestion; empty where there is none."""
    decided_by: str
    """``person``, ``run`` or empty."""
    is_decided: bool


@dataclass(frozen=True, slots=True)
class WorkItem:
    """An image claimed from the queue."""

    image_id: int
    run_id: int
    path: Path
    format: ImageFormat
    attempts: int
    hint: str
    is_redo: bool
    is_inspected: bool = True
    """Somebody has looked at its bytes; until then its format is a guess by its name."""
    stage: Stage | None = None
    """The one field to ask for; None for all."""


class StoredSuggestion(NamedTuple):
    """A suggestion with all that is known about how it came to be."""

    id: int
    image_id: int
    run_id: int
    created_at: datetime
    suggestion: Suggestion
    content_id: str
    fingerprint: str
    backend: str
    base_url: str
    models: Mapping[str, str]
    prompt_profile: str
    answers: tuple[StageAnswer, ...]
    existing: ExistingMetadata
    timing_s: Mapping[str, float]
    duration_s: float


@dataclass(frozen=True, slots=True)
class NewSuggestion:
    """A suggestion on its way into the library; the fields are those of `StoredSuggestion`."""

    suggestion: Suggestion
    content_id: str
    fingerprint: str
    backend: str
    base_url: str
    models: Mapping[str, str]
    prompt_profile: str
    answers: tuple[StageAnswer, ...] = ()
    existing: ExistingMetadata = field(default_factory=ExistingMetadata)
    timing_s: Mapping[str, float] = field(default_factory=dict)
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody decided to have in the file; see `stages.WriteRequest`."""

    tags: Tags = field(default_factory=Tags)
    is_caption_edited: bool = False
    is_description_edited: bool = False
    removed_keywords: tuple[str, ...] = ()


class PendingWrite(NamedTuple):
    """An accepted image whose metadata is not yet on disk."""

    decision_id: int
    image_id: int
    run_id: int
    made_by: str
    path: Path
    content_id: str
    choice: Choice
    reviewed: ExistingMetadata | None
    """What the file said when the suggestion was made."""


class JournalEntry(NamedTuple):
    """One write in the journal.

    Attributes:
        path: The photograph.
        target_path: The file that was written; None when nothing had to be.
        before: What the file said before the write.
        choice: What was accepted.
        undo: The way back; see `metadata.splice.pack_undo`.
        state: See `store.journal`.
        undo_note: What an undo could not put back, or why it failed.
    """

    id: int
    decision_id: int
    image_id: int
    run_id: int
    made_by: str
    path: Path
    at: datetime
    target: MetadataTarget
    target_path: Path | None
    before: ExistingMetadata
    choice: Choice
    undo: bytes
    state: str
    undo_note: str


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What one run is asked to do besides its settings.

    Attributes:
        is_redo: Ask about every image again.
        limit: Deal with at most so many images.
        until_ms: End at this moment, in milliseconds since the epoch; what is left waits.
        is_background: Nobody's terminal waits for it: whichever engine is alive goes on with it.
        is_watch: Go on looking for new files until stopped.
        retry_failed: Only images that have failed, for this reason; ``any`` for all of them,
            empty for every image.
    """

    is_redo: bool = False
    limit: int | None = None
    until_ms: int | None = None
    is_background: bool = False
    is_watch: bool = False
    retry_failed: str = ""


class RunRow(NamedTuple):
    """A run: a batch or a review session. ``status``: pending, running, finished, interrupted."""

    id: int
    name: str
    kind: str
    status: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    worked_s: float
    config: str
    options: RunOptions
    totals: Mapping[str, Any]
    message: str


class Lease(NamedTuple):
    """The engine that works on this library, as it last said of itself."""

    pid: int
    host: str
    started_at: datetime
    heartbeat_ms: int
    activity: str


def stored_path(folder: bytes, name: bytes) -> Path:
    """A file's path from its two columns."""
    return Path(os.fsdecode(os.path.join(folder, name)))  # noqa: PTH118  # bytes, not text


def cache_path(value: bytes | None) -> Path | None:
    """An optional path column."""
    return None if value is None else Path(os.fsdecode(value))


def time_of(value_ms: int | None) -> datetime | None:
    """An optional time column."""
    return None if value_ms is None else moment(value_ms)


def moment(value_ms: int) -> datetime:
    """A time column."""
    return datetime.fromtimestamp(value_ms / 1000, tz=UTC)


def keywords_to_json(keywords: tuple[Keyword, ...]) -> str:
    """Keywords as their column holds them."""
    rows = [
        {"keyword": k.text, "score": k.score, "origin": str(k.origin), "path": list(k.path)}
        for k in keywords
    ]
    return json.dumps(rows, ensure_ascii=False)


def keywords_from_json(text: str) -> tuple[Keyword, ...]:
    """The opposite of `keywords_to_json`."""
    return tuple(
        Keyword(row["keyword"], row["score"], Origin(row["origin"]), tuple(row["path"]))
        for row in json.loads(text)
    )


def tags_to_json(tags: Tags) -> str:
    """Caption, keywords and description as one column."""
    return json.dumps(
        {
            "caption": tags.caption,
            "keywords": json.loads(keywords_to_json(tags.keywords)),
            "description": tags.description,
        },
        ensure_ascii=False,
    )


def tags_from_json(text: str) -> Tags:
    """The opposite of `tags_to_json`."""
    row = json.loads(text)
    keywords = keywords_from_json(json.dumps(row["keywords"]))
    return Tags(row["caption"], keywords, row["description"])


def choice_of_row(row: sqlite3.Row) -> Choice:
    """What a decision's row wants in the file."""
    return Choice(
        tags=tags_from_json(row["tags"]),
        is_caption_edited=bool(row["is_caption_edited"]),
        is_description_edited=bool(row["is_description_edited"]),
        removed_keywords=tuple(json.loads(row["removed"])),
    )


def answers_to_json(answers: tuple[StageAnswer, ...]) -> str:
    """Exchanges with a model as one column, without the probabilities of single tokens."""
    kept = (asdict(replace(answer, token_logprobs=())) for answer in answers)
    return json.dumps(list(kept), ensure_ascii=False)


def answers_from_json(text: str) -> tuple[StageAnswer, ...]:
    """The opposite of `answers_to_json`."""
    return tuple(
        StageAnswer(
            **{**row, "stages": tuple(Stage(s) for s in row["stages"]), "token_logprobs": ()}
        )
        for row in json.loads(text)
    )


def existing_to_json(existing: ExistingMetadata) -> str:
    """A file's metadata as one column."""
    return json.dumps(asdict(existing), ensure_ascii=False)


def existing_from_json(text: str) -> ExistingMetadata:
    """The opposite of `existing_to_json`."""
    row = json.loads(text)
    known = {f.name: row[f.name] for f in fields(ExistingMetadata) if f.name in row}
    for name in ("keywords", "hierarchical_keywords", "people"):
        known[name] = tuple(known.get(name, ()))
    if known.get("gps") is not None:
        known["gps"] = tuple(known["gps"])
    return ExistingMetadata(**known)
