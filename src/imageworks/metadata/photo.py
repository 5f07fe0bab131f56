"""A photograph as it is now: its bytes, its packets, its sidecars, and what they say."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.content import HEAD_BYTES, content_id, content_id_of_file, sniff_format
from imageworks.errors import MetadataError
from imageworks.metadata import exiv2, fields, iptc, jpeg, values
from imageworks.metadata.containers import (
    container_of,
    no_container,
    require_container,
    takes_xmp,
)
from imageworks.metadata.facts import Facts, combine_facts, exif_facts, packet_facts
from imageworks.metadata.iptc import IptcChange, IptcTexts
from imageworks.metadata.namespaces import LANGUAGE_ALTERNATIVES
from imageworks.metadata.packet import XmpPacket
from imageworks.metadata.reconcile import with_exif_description, with_iptc
from imageworks.metadata.refusal import refusal
from imageworks.metadata.source import MAX_SIZE_BYTES, Source, read_source
from imageworks.metadata.values import FieldValues
from imageworks.models import ImageFormat
from imageworks.text import clean_text, show_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from imageworks.models import ExistingMetadata

logger = logging.getLogger(__name__)

_MISSING = "exiv2-missing"
EXIF_DESCRIPTION = "Exif.Image.ImageDescription"


@dataclass(frozen=True, slots=True)
class EmbeddedXmp:
    """The XMP inside the image file.

    Attributes:
        packet: What is there; None when there is none, or none that we can read.
        raw: The packet's bytes; empty when there is none.
        obstacle: Why the file itself must not be changed; None when nothing stands against it.
        has_iptc: An IPTC-IIM block may be there.
        photoshop: The JPEG's Photoshop resources, which hold that block; empty when there are none.
        extended_bytes: Size of a JPEG's extended XMP; 0 when there is none.
        has_credentials: Content credentials (C2PA) are there; any change breaks their seal.
    """

    packet: XmpPacket | None = None
    raw: bytes = b""
    obstacle: MetadataError | None = None
    has_iptc: bool = False
    photoshop: bytes = b""
    extended_bytes: int = 0
    has_credentials: bool = False


@dataclass(frozen=True, slots=True)
class Sidecar:
    """An existing sidecar: its bytes and packet, or why it cannot be used."""

    path: Path
    source: Source | None = None
    packet: XmpPacket | None = None
    fault: MetadataError | None = None


@dataclass(frozen=True, slots=True)
class Photo:
    """A photograph with everything that a write has to consider.

    Attributes:
        source: The image file.
        format: What it is by its first bytes.
        embedded: The XMP inside.
        sidecars: The sidecars that exist.
        values: What all of it says together.
        facts: Rating, persons and the like, of all of it together.
        view: What Exiv2 sees in the image; None when it was not asked or could not tell.
        is_iptc_in_step: The older IPTC block is changed together with the XMP.
    """

    source: Source
    format: ImageFormat
    embedded: EmbeddedXmp
    sidecars: tuple[Sidecar, ...]
    values: FieldValues
    facts: Facts = field(default_factory=Facts)
    view: exiv2.Exiv2View | None = None
    is_iptc_in_step: bool = False

    @property
    def where(self) -> str:
        """Which places hold XMP: ``file``, ``sidecar``, both joined by ``+``, or empty."""
        places = [
            ("file", self.embedded.packet is not None),
            ("sidecar", any(sidecar.packet is not None for sidecar in self.sidecars)),
        ]
        return "+".join(name for name, is_there in places if is_there)

    def existing(self) -> ExistingMetadata:
        """What all of it says, in the form that review and prompts know."""
        told = values.existing_metadata(
            self.values, identity=self.source.identity, source=self.where
        )
        return replace(
            told,
            rating=self.facts.rating,
            label=self.facts.label,
            people=self.facts.people,
            taken_at=self.facts.taken_at,
            gps=self.facts.gps,
            has_credentials=self.embedded.has_credentials,
        )


def load_photo(
    path: Path,
    sidecar_paths: Iterable[Path],
    mapping: fields.FieldMapping,
    *,
    keeps_iptc: bool = True,
    may_embed: Callable[[EmbeddedXmp], bool] = lambda embedded: embedded.obstacle is None,
) -> Photo:
    """Reads a photograph and its sidecars.

    Args:
        path: The image; links are resolved.
        sidecar_paths: Its existing sidecars.
        mapping: Which texts to read besides the usual ones.
        keeps_iptc: An older IPTC block is to be kept in step, where that can be done.
        may_embed: Whether XMP is written into the file; else what stands beside it is later.

    Raises:
        MetadataError: The image cannot be read or is none. A sidecar that cannot be read is told in
            its `Sidecar.fault`, XMP inside that cannot be changed in `EmbeddedXmp.obstacle`.
    """
    source = read_source(path)
    image_format = sniff_format(source.data[:HEAD_BYTES], source.path.name)
    if image_format is None:
        message = f"{show_path(path)} is not an image that is known here."
        raise MetadataError(message, reason="not-an-image")
    embedded, view = _read_embedded(source, image_format)
    sidecars = tuple(_read_sidecar(sidecar) for sidecar in sidecar_paths)
    is_in_step = keeps_iptc and _can_change_iptc(source.data, embedded)
    own = FieldValues()
    if embedded.packet is not None:
        own = values.read_what_is_clear(embedded.packet, mapping)
    beside = _values_beside(sidecars, mapping)
    if takes_xmp(image_format) and may_embed(embedded):
        together = values.combine(own, beside, joins_lists=True)
    else:
        together = values.combine(beside, own, joins_lists=False)
    older, digest = _read_iptc(embedded, view)
    if sidecars and digest is iptc.Digest.STALE:
        digest = iptc.Digest.ABSENT  # it tells nothing about what stands beside the file
    together = with_iptc(together, older, digest, is_kept_in_step=is_in_step)
    if view is not None:
        together = with_exif_description(together, view.exif_text(EXIF_DESCRIPTION))
    facts = _facts(embedded, sidecars, view, older)
    return Photo(source, image_format, embedded, sidecars, together, facts, view, is_in_step)


def picture_id(photo: Photo) -> str:
    """The content id of the picture, as the rest of the program knows it."""
    if photo.source.is_whole:
        return content_id(photo.source.data, photo.format)
    return content_id_of_file(photo.source.path, photo.format)


def parse_embedded(data: bytes, image_format: ImageFormat) -> EmbeddedXmp:
    """The XMP inside an embeddable file, by our own eyes; see `EmbeddedXmp.obstacle`."""
    try:
        found = require_container(image_format).read_embedded(data)
    except MetadataError as error:
        return EmbeddedXmp(obstacle=error)
    obstacle: MetadataError | None = None
    if len(found.packets) > 1:
        because = "it holds more than one XMP packet"
        obstacle = refusal(reason="two-packets", because=because)
    raw = found.packets[0] if len(found.packets) == 1 else b""
    packet = None
    try:
        packet = XmpPacket.parse(raw) if raw.strip(b"\0 \t\r\n") else None
        _check_extended(found.extended)
    except MetadataError as error:
        obstacle = error
        packet = _utf16_packet(raw)
    return EmbeddedXmp(
        packet,
        raw,
        obstacle,
        found.has_iptc,
        found.photoshop,
        sum(len(part) for part in found.extended),
        found.has_credentials,
    )


def _utf16_packet(raw: bytes) -> XmpPacket | None:
    """A packet in UTF-16, which is read but never written (XMP Part 1, 7.1)."""
    codec = {b"\0<": "utf-16-be", b"<\0": "utf-16-le"}.get(raw[:2])
    try:
        return XmpPacket.parse(raw.decode(codec).encode("utf-8")) if codec else None
    except (MetadataError, UnicodeError):
        return None


def _read_embedded(
    source: Source, image_format: ImageFormat
) -> tuple[EmbeddedXmp, exiv2.Exiv2View | None]:
    """The XMP inside by our own eyes where we know the format, and all of it by Exiv2's."""
    if not source.is_whole:
        if not takes_xmp(image_format):
            return EmbeddedXmp(obstacle=no_container()), None
        because = f"it is larger than {MAX_SIZE_BYTES // 1_000_000:,} MB"
        return EmbeddedXmp(obstacle=refusal(reason="too-large", because=because)), None
    embedded = EmbeddedXmp(obstacle=no_container())
    if container_of(image_format) is not None:
        embedded = parse_embedded(source.data, image_format)
        if embedded.obstacle is not None and takes_xmp(image_format):
            return embedded, None  # what we do not trust could change Exiv2 for later files
    view = _view(source)
    if embedded.packet is None and not takes_xmp(image_format) and view is not None:
        embedded = replace(embedded, packet=_packet_by_exiv2(source, view))
    return embedded, view


def _view(source: Source) -> exiv2.Exiv2View | None:
    try:
        return exiv2.look(source.data)
    except MetadataError as error:
        if error.reason == _MISSING:
            raise
        logger.debug("%s: not read by Exiv2: %s", show_path(source.path), error.message)
        return None


def _packet_by_exiv2(source: Source, view: exiv2.Exiv2View) -> XmpPacket | None:
    """What Exiv2 makes of the XMP in a format that we only read."""
    try:
        return XmpPacket.parse(view.xmp.encode("utf-8")) if view.xmp else None
    except MetadataError as error:
        logger.debug("%s: no XMP read: %s", show_path(source.path), error.message)
        return None


def _read_sidecar(path: Path) -> Sidecar:
    try:
        source = read_source(path)
        return Sidecar(path, source, XmpPacket.parse(source.data))
    except MetadataError as error:
        logger.info("%s: not read: %s", show_path(path), error.message)
        return Sidecar(path, fault=error)


def _values_beside(sidecars: Iterable[Sidecar], mapping: fields.FieldMapping) -> FieldValues:
    beside = FieldValues()
    for sidecar in sidecars:
        if sidecar.packet is not None:
            found = values.read_what_is_clear(sidecar.packet, mapping)
            beside = values.combine(beside, found, joins_lists=True)
    return beside


def _read_iptc(
    embedded: EmbeddedXmp, view: exiv2.Exiv2View | None
) -> tuple[IptcTexts, iptc.Digest]:
    """The older block by our own eyes where it is sound, else as far as Exiv2 understands it."""
    try:
        if embedded.photoshop:
            return iptc.read_iptc(embedded.photoshop)
    except MetadataError as error:
        logger.debug("IPTC block not understood: %s", error.message)
    texts = {} if view is None else view.iptc_texts()

    def first(name: str, *, keep_newlines: bool = False) -> str:
        found = texts.get(f"Iptc.Application2.{name}", [""])
        return clean_text(found[0], keep_newlines=keep_newlines)

    keywords = (clean_text(text) for text in texts.get("Iptc.Application2.Keywords", ()))
    told = IptcTexts(
        title=first("ObjectName"),
        caption=first("Caption", keep_newlines=True),
        keywords=tuple(dict.fromkeys(text for text in keywords if text)),
        created=iptc.iso_date(first("DateCreated"), first("TimeCreated")),
    )
    return told, iptc.Digest.ABSENT


def _can_change_iptc(data: bytes, embedded: EmbeddedXmp) -> bool:
    """Whether the older block could be emptied, and so changed in any way."""
    if not embedded.photoshop or embedded.obstacle is not None or embedded.has_credentials:
        return False
    try:
        emptied = iptc.updated_block(embedded.photoshop, IptcChange((), title="", caption=""))
        jpeg.put_photoshop(data, emptied)
    except MetadataError:
        return False
    return True


def _facts(
    embedded: EmbeddedXmp,
    sidecars: Iterable[Sidecar],
    view: exiv2.Exiv2View | None,
    older: IptcTexts,
) -> Facts:
    """Facts as MWG asks: XMP first, but the moment of capture first from Exif, last from IPTC."""
    packets = [embedded.packet, *(sidecar.packet for sidecar in sidecars)]
    told = [packet_facts(packet) for packet in packets if packet is not None]
    exif = Facts() if view is None else exif_facts(view.exif)
    together = combine_facts(*told, exif, Facts(taken_at=older.created))
    return replace(together, taken_at=exif.taken_at or together.taken_at)


def _check_extended(packets: Iterable[bytes]) -> None:
    """Fields in the second part of a split packet would be hidden from any merge."""
    texts = fields.FieldMapping(tuple(LANGUAGE_ALTERNATIVES), ())
    names = values.managed_properties(texts)
    for raw in packets:
        packet = XmpPacket.parse(raw)
        if packet.foreign(()) != packet.foreign(names):
            because = "its fields stand in extended XMP, which is left as it is"
            raise refusal(reason="extended-xmp", because=because)
