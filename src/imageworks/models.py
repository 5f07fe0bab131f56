"""The plain data that flows between the rooms: frozen, without behaviour that does I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple


class ImageState(StrEnum):
    """Where an image is on its way (contract, section 4)."""

    DISCOVERED = "discovered"
    QUEUED = "queued"
    INFERRING = "inferring"
    SUGGESTED = "suggested"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    WRITTEN = "written"
    FAILED = "failed"
    SKIPPED = "skipped"


class ImageFormat(StrEnum):
    """What a file is by its first bytes, whatever its name says."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    TIFF = "tiff"
    DNG = "dng"
    RAW = "raw"
    HEIF = "heif"
    AVIF = "avif"
    JXL = "jxl"
    JP2 = "jp2"
    PSD = "psd"


class Stage(StrEnum):
    """One of the three things asked about a picture."""

    CAPTION = "caption"
    KEYWORDS = "keywords"
    DESCRIPTION = "description"


VERIFY = "verify"
"""What outputs call an exchange in which keywords were to be confirmed."""


class Origin(StrEnum):
    """Where a keyword comes from."""

    MODEL = "model"
    EXISTING = "existing"
    VOCABULARY = "vocabulary"
    PERSON = "person"
    LIBRARY = "library"
    """A person accepted it before, on similar photographs."""


class DecisionKind(StrEnum):
    """What was decided about an image; ``UNDO`` takes back the one before."""

    ACCEPT = "accept"
    REJECT = "reject"
    SKIP = "skip"
    UNDO = "undo"


class Priority:
    """Order of the work queue: higher first."""

    BATCH = 0
    REVIEW_AHEAD = 10
    REVIEWER_WAITS = 20


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
    format: ImageFormat
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
class ExistingMetadata:
    """What the file (or its sidecar) says now.

    Attributes:
        title: ``dc:title``, x-default; empty when absent.
        description: ``dc:description``, x-default; empty when absent.
        keywords: ``dc:subject`` in file order.
        hierarchical_keywords: ``lr:hierarchicalSubject`` in file order, levels joined by ``|``.
        alt_text: ``Iptc4xmpCore:AltTextAccessibility``, x-default.
        extended_description: ``Iptc4xmpCore:ExtDescrAccessibility``, x-default.
        place: City, region and country as the file names them; never coordinates.
        identity: Digest of the file's bytes when it was read, hex; empty when not read.
        source: ``file``, ``sidecar`` or both joined by ``+``; empty when it holds no XMP.
        rating: ``xmp:Rating``, -1 (rejected) to 5; None when absent.
        label: ``xmp:Label``, a colour or a word.
        people: Names of persons in the picture: face regions and ``Iptc4xmpExt:PersonInImage``.
        taken_at: When the picture was taken, as the file says it (ISO 8601); empty when absent.
        gps: Latitude and longitude in degrees; for the person, never for a prompt.
        has_credentials: The file carries content credentials (C2PA).
    """

    title: str = ""
    description: str = ""
    keywords: tuple[str, ...] = ()
    hierarchical_keywords: tuple[str, ...] = ()
    alt_text: str = ""
    extended_description: str = ""
    place: str = ""
    identity: str = ""
    source: str = ""
    rating: int | None = None
    label: str = ""
    people: tuple[str, ...] = ()
    taken_at: str = ""
    gps: tuple[float, float] | None = None
    has_credentials: bool = False


@dataclass(frozen=True, slots=True)
class Keyword:
    """One keyword.

    Attributes:
        text: As it will be written.
        score: 0..1 where the engine gives an honest probability, else None.
        origin: Who says so.
        path: From the broadest term to this one, ``("animal", "bird", "heron")``; empty when flat.
    """

    text: str
    score: float | None = None
    origin: Origin = Origin.MODEL
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tags:
    """The three things the program writes: what a person accepts."""

    caption: str = ""
    keywords: tuple[Keyword, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What an engine proposes for one image, cleaned and ready for review."""

    tags: Tags
    notes: tuple[str, ...] = ()


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
class StageAnswer:
    """One exchange with a model.

    Attributes:
        stages: What was asked in this exchange: one stage, or all in one structured request; none
            where keywords were to be confirmed.
        model: The model that answered.
        system: The system prompt as sent.
        user: The user prompt as sent, without the picture.
        text: The raw answer.
        duration_s: From sending to the last byte, retries left out.
        ttft_s: Time to the first token, where known.
        prompt_tokens: As the server counts, where known.
        completion_tokens: As the server counts, where known.
        is_truncated: The answer ran into its token limit.
        attempts: 1 plus the retries that it took.
        token_logprobs: Tokens with their natural log-probabilities, where the server tells them;
            not kept in the library.
        longest_stall_s: Longest wait between two pieces of the answer, where it was streamed.
    """

    stages: tuple[Stage, ...]
    model: str
    system: str
    user: str
    text: str
    duration_s: float
    ttft_s: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    is_truncated: bool = False
    attempts: int = 1
    token_logprobs: tuple[tuple[str, float], ...] = ()
    longest_stall_s: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What was asked, as outputs call it: stages by name, else ``verify``."""
        return tuple(stage.value for stage in self.stages) or (VERIFY,)


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


class MetadataTarget(StrEnum):
    """Where metadata went."""

    NONE = "none"
    FILE = "file"
    SIDECAR = "sidecar"
    BOTH = "file+sidecar"


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
class DecisionMark:
    """Who decided, and when."""

    by: str
    """``person`` or ``run``."""
    at: datetime


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


FORMAT_EXTENSIONS: Mapping[ImageFormat, tuple[str, ...]] = {
    ImageFormat.JPEG: (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    ImageFormat.PNG: (".png",),
    ImageFormat.WEBP: (".webp",),
    ImageFormat.TIFF: (".tif", ".tiff"),
    ImageFormat.DNG: (".dng",),
    ImageFormat.RAW: (
        *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".erf", ".fff", ".iiq", ".kdc", ".mef"),
        *(".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2"),
        *(".srf", ".srw", ".x3f"),
    ),
    ImageFormat.HEIF: (".heic", ".heif", ".hif"),
    ImageFormat.AVIF: (".avif",),
    ImageFormat.JXL: (".jxl",),
    ImageFormat.JP2: (".jp2", ".j2k", ".jpf", ".jpx"),
    ImageFormat.PSD: (".psd", ".psb"),
}
"""File name endings by format, lower case, of every format of the contract's section 7."""

IMAGE_EXTENSIONS: tuple[str, ...] = tuple(
    extension for extensions in FORMAT_EXTENSIONS.values() for extension in extensions
)
