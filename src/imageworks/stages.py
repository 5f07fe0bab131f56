"""What the stages hand to one another, from a found file to its written metadata.

Apart from `models`, as the screen needs none of it: what it shows it reads from the library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from imageworks.models import (
    DecisionMark,
    ExistingMetadata,
    ImageFormat,
    ImageState,
    MetadataTarget,
    Stage,
    StageAnswer,
    Tags,
)


@dataclass(frozen=True, slots=True)
class DiscoveredImage:
    """A picture file found on disk.

    Attributes:
        path: Absolute path as found; links are not resolved.
        format: Sniffed from the first bytes.
        size_bytes: Size when found.
        mtime_ns: Modification time when found, in nanoseconds since the epoch.
        inode: Inode number, 0 where there is none.
        note: What is odd about it, such as a wrong extension; empty when nothing is.
    """

    path: Path
    format: ImageFormat
    size_bytes: int
    mtime_ns: int
    inode: int
    note: str = ""


class ListedFile(NamedTuple):
    """A file that is an image by its name; nobody has opened it yet.

    A tuple, because a walk makes a million of them.
    """

    name: str
    format: str  # a value of `ImageFormat`: a plain text goes into the library in half the time
    size_bytes: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class FolderListing:
    """What one folder holds, its files first, by name.

    Attributes:
        path: Absolute, as walked.
        mtime_ns: The folder's own modification time before it was listed, in nanoseconds since the
            epoch. It changes with every name that comes or goes, not with what a file holds.
        entries: Images by name alone, images that had to be opened, and what was passed over.
    """

    path: Path
    mtime_ns: int
    entries: tuple[ListedFile | DiscoveredImage | SkippedPath, ...]


@dataclass(frozen=True, slots=True)
class KnownFolder:
    """A folder as it was when it was listed last.

    Attributes:
        mtime_ns: Its own modification time; None when it cannot be relied on.
        below: The folders in it that were walked.
    """

    mtime_ns: int | None
    below: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SkippedPath:
    """A file or folder that was not taken, and why."""

    path: Path
    reason: str
    is_failure: bool = False
    """True for a file that claims to be an image but is not one: it ends up ``failed``."""


@dataclass(frozen=True, slots=True)
class CaptureFacts:
    """What the camera recorded; None or empty where it did not."""

    taken_at: datetime | None = None
    camera: str = ""
    lens: str = ""
    exposure_s: float | None = None
    aperture: float | None = None
    iso: int | None = None
    focal_length_mm: float | None = None
    is_flash_fired: bool | None = None


@dataclass(frozen=True, slots=True)
class PixelFacts:
    """What the pixels themselves show, measured on the thumbnail.

    Attributes:
        is_monochrome: No colour worth the name.
        mean_luma_ratio: Average brightness, 0 (black) to 1 (white).
        dominant_colours: Plain names, largest share first, at most three.
    """

    is_monochrome: bool = False
    mean_luma_ratio: float = 0.5
    dominant_colours: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """A picture decoded once: the model's JPEG, the thumbnail, the hashes and the facts.

    Attributes:
        path: The original.
        content_id: Hex digest of the picture data; an XMP write does not change it.
        preview_path: Upright sRGB JPEG without metadata, within the pixel budget; the model's view.
        thumbnail_path: The same, at most 320 px on its long side.
        width_px: Width of the upright original.
        height_px: Height of the upright original.
        perceptual_hash: 64-bit dHash of the thumbnail.
    """

    path: Path
    content_id: str
    preview_path: Path
    thumbnail_path: Path
    width_px: int
    height_px: int
    perceptual_hash: int
    pixels: PixelFacts = field(default_factory=PixelFacts)
    capture: CaptureFacts = field(default_factory=CaptureFacts)


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """One picture to ask about.

    Attributes:
        path: The original, for messages only; its bytes are never sent.
        jpeg: The prepared picture, sent as it is.
        context: Labelled facts for the prompt, e.g. ``{"folder": "2024 Lisbon"}``; may be empty.
        stages: What to ask; all three unless a person asks one field again.
        pixels: For engines that look at the facts instead of asking a model.
        capture: Likewise.
        hint: What the person typed for this one picture; empty as a rule.
        sample: 0 the first time; raised to get another answer to the same question.
        unusable: Answers to this question that could not be used; the next is asked another way.
        is_interactive: A person waits for the answer.
        verify: Keywords to confirm or deny, in this order; nothing else is asked then.
    """

    path: Path
    jpeg: bytes
    context: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[Stage, ...] = tuple(Stage)
    pixels: PixelFacts = field(default_factory=PixelFacts)
    capture: CaptureFacts = field(default_factory=CaptureFacts)
    hint: str = ""
    sample: int = 0
    unusable: int = 0
    is_interactive: bool = False
    verify: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InferenceResult:
    """All exchanges about one picture.

    Attributes:
        answers: In the order asked.
        has_honest_scores: Scores in the answers are probabilities, not words of a model.
        notes: What the person should know, e.g. that an answer was cut off.
        base_url: The server that answered; empty where there is none.
    """

    answers: tuple[StageAnswer, ...]
    has_honest_scores: bool = False
    notes: tuple[str, ...] = ()
    base_url: str = ""


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """What a person accepted for one file.

    Attributes:
        path: The original.
        tags: The fields as accepted; keywords in the order to write.
        is_caption_edited: A person changed the caption, so it replaces the one in the file.
        is_description_edited: Likewise for the description.
        removed_keywords: Keywords of the file that the person took out (compared with `text.fold`).
        expected_content_id: Content id of the picture that was reviewed; empty: not checked.
        reviewed: What the file said when it was reviewed; None: not known, so nothing to compare.
    """

    path: Path
    tags: Tags
    is_caption_edited: bool = False
    is_description_edited: bool = False
    removed_keywords: tuple[str, ...] = ()
    expected_content_id: str = ""
    reviewed: ExistingMetadata | None = None


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """What a write did.

    Attributes:
        target: Where the metadata is now; ``none`` when nothing was written.
        is_changed: False when the file already said all of it, so nothing was touched.
        notes: For the person, e.g. why a sidecar was used.
        before: The metadata's earlier values.
        target_path: The file that was written, or None.
        identity_before: Digest of that file before, hex; empty when it is new.
        identity_after: Digest of that file after, hex.
        undo: What puts the earlier state back exactly, opaque to all but `metadata`; may be empty.
    """

    target: MetadataTarget
    is_changed: bool
    notes: tuple[str, ...] = ()
    before: ExistingMetadata = field(default_factory=ExistingMetadata)
    target_path: Path | None = None
    identity_before: str = ""
    identity_after: str = ""
    undo: bytes = b""


@dataclass(frozen=True, slots=True)
class PersonalTaggerRecord:
    """One image's outcome in a run: a line of the JSONL output (contract, section 6).

    ``reason`` is the short word for a failure.
    """

    image: Path
    state: ImageState
    run_id: str
    created_at: datetime
    content_id: str = ""
    tags: Tags = field(default_factory=Tags)
    backend: str = ""
    base_url: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    prompt_profile: str = ""
    answers: tuple[StageAnswer, ...] = ()
    timing_s: Mapping[str, float] = field(default_factory=dict)
    decision: DecisionMark | None = None
    is_metadata_written: bool = False
    metadata_target: MetadataTarget = MetadataTarget.NONE
    notes: tuple[str, ...] = ()
    duration_s: float = 0.0
    thumbnail_path: Path | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run as a whole, for the head of its reports.

    Attributes:
        counts: Images per outcome of this run, e.g. ``{"written": 38, "failed": 1}``.
        failures: Images per failure reason.
        ended_at: None while it runs or when it was interrupted.
        images_per_s: Finished images per second of working time.
        engine_note: What the engine calls itself where that matters to a reader.
    """

    run_id: str
    started_at: datetime
    ended_at: datetime | None
    backend: str
    base_url: str
    models: Mapping[str, str]
    prompt_profile: str
    counts: Mapping[str, int]
    failures: Mapping[str, int]
    images_per_s: float
    engine_note: str = ""
