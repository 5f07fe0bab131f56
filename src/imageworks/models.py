"""The plain data that flows between the rooms: frozen, without behaviour that does I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


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


class MetadataTarget(StrEnum):
    """Where metadata went."""

    NONE = "none"
    FILE = "file"
    SIDECAR = "sidecar"
    BOTH = "file+sidecar"


@dataclass(frozen=True, slots=True)
class DecisionMark:
    """Who decided, and when."""

    by: str
    """``person`` or ``run``."""
    at: datetime


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
