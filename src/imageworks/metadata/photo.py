"""A photograph as it is now: its bytes, its packets, its sidecars, and what they say."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.content import HEAD_BYTES, content_id, content_id_of_file, sniff_format
from imageworks.errors import MetadataError
from imageworks.metadata import exiv2, fields, values
from imageworks.metadata.containers import container_of, no_container, require_container
from imageworks.metadata.namespaces import LANGUAGE_ALTERNATIVES
from imageworks.metadata.packet import XmpPacket
from imageworks.metadata.refusal import refusal
from imageworks.metadata.source import MAX_SIZE_BYTES, Source, read_source
from imageworks.metadata.values import FieldValues
from imageworks.models import ImageFormat
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger(__name__)

_MISSING = "exiv2-missing"


@dataclass(frozen=True, slots=True)
class EmbeddedXmp:
    """The XMP inside the image file.

    Attributes:
        packet: What is there; None when there is none, or none that we can read.
        raw: The packet's bytes; empty when there is none.
        obstacle: Why the file itself must not be changed; None when nothing stands against it.
        has_iptc: An IPTC-IIM block may be there.
    """

    packet: XmpPacket | None = None
    raw: bytes = b""
    obstacle: MetadataError | None = None
    has_iptc: bool = False


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
    """

    source: Source
    format: ImageFormat
    embedded: EmbeddedXmp
    sidecars: tuple[Sidecar, ...]
    values: FieldValues

    @property
    def where(self) -> str:
        """Which places hold XMP: ``file``, ``sidecar``, both joined by ``+``, or empty."""
        places = [
            ("file", self.embedded.packet is not None),
            ("sidecar", any(sidecar.packet is not None for sidecar in self.sidecars)),
        ]
        return "+".join(name for name, is_there in places if is_there)


def load_photo(path: Path, sidecar_paths: Iterable[Path], mapping: fields.FieldMapping) -> Photo:
    """Reads a photograph and its sidecars.

    Args:
        path: The image; links are resolved.
        sidecar_paths: Its existing sidecars.
        mapping: Which texts to read besides the usual ones.

    Raises:
        MetadataError: The image cannot be read or is none. A sidecar that cannot be read is told in
            its `Sidecar.fault`, XMP inside that cannot be changed in `EmbeddedXmp.obstacle`.
    """
    source = read_source(path)
    image_format = sniff_format(source.data[:HEAD_BYTES], source.path.name)
    if image_format is None:
        message = f"{show_path(path)} is not an image that is known here."
        raise MetadataError(message, reason="not-an-image")
    embedded = _read_embedded(source, image_format)
    sidecars = tuple(_read_sidecar(sidecar) for sidecar in sidecar_paths)
    own = FieldValues() if embedded.packet is None else _read_values(embedded.packet, mapping)
    beside = FieldValues()
    for sidecar in sidecars:
        if sidecar.packet is not None:
            found = _read_values(sidecar.packet, mapping)
            beside = values.combine(beside, found, joins_lists=True)
    if container_of(image_format) is None:
        together = values.combine(beside, own, joins_lists=False)
    else:
        together = values.combine(own, beside, joins_lists=True)
    complete = _with_iptc(together, source, embedded)
    return Photo(source, image_format, embedded, sidecars, complete)


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
    if found.has_credentials:
        because = "it carries content credentials (C2PA), which any change would break"
        obstacle = refusal(reason="credentials", because=because)
    if len(found.packets) > 1:
        because = "it holds more than one XMP packet"
        obstacle = refusal(reason="two-packets", because=because)
    raw = found.packets[0] if len(found.packets) == 1 else b""
    try:
        packet = XmpPacket.parse(raw) if raw.strip(b"\0 \t\r\n") else None
        _check_extended(found.extended)
    except MetadataError as error:
        return EmbeddedXmp(raw=raw, obstacle=error, has_iptc=False)
    return EmbeddedXmp(packet, raw, obstacle, found.has_iptc)


def _read_embedded(source: Source, image_format: ImageFormat) -> EmbeddedXmp:
    if container_of(image_format) is not None:
        if source.is_whole:
            return parse_embedded(source.data, image_format)
        because = f"it is larger than {MAX_SIZE_BYTES // 1_000_000:,} MB"
        return EmbeddedXmp(obstacle=refusal(reason="too-large", because=because))
    packet = _packet_by_exiv2(source) if source.is_whole else None
    return EmbeddedXmp(packet, obstacle=no_container())


def _packet_by_exiv2(source: Source) -> XmpPacket | None:
    """What Exiv2 makes of the XMP in a format that we only read."""
    try:
        text = exiv2.look(source.data).xmp
        return XmpPacket.parse(text.encode("utf-8")) if text else None
    except MetadataError as error:
        if error.reason == _MISSING:
            raise
        logger.debug("%s: no XMP read: %s", show_path(source.path), error.message)
        return None


def _read_sidecar(path: Path) -> Sidecar:
    try:
        source = read_source(path)
        return Sidecar(path, source, XmpPacket.parse(source.data))
    except MetadataError as error:
        logger.info("%s: not read: %s", show_path(path), error.message)
        return Sidecar(path, fault=error)


def _read_values(packet: XmpPacket, mapping: fields.FieldMapping) -> FieldValues:
    try:
        return values.read_values(packet, mapping)
    except MetadataError as error:
        logger.info("a field was not read: %s", error.message)
        return FieldValues()


def _with_iptc(together: FieldValues, source: Source, embedded: EmbeddedXmp) -> FieldValues:
    """Fills what XMP leaves empty from the older block, so that it is not lost from the review."""
    is_full = bool(together.keywords and together.text(fields.DESCRIPTION))
    if not embedded.has_iptc or is_full:
        return together
    try:
        view = exiv2.look(source.data)
    except MetadataError as error:
        if error.reason == _MISSING:
            raise
        logger.debug("%s: no IPTC read: %s", show_path(source.path), error.message)
        return together
    return values.combine(together, values.iptc_values(view.iptc_texts()), joins_lists=False)


def _check_extended(packets: Iterable[bytes]) -> None:
    """Fields in the second part of a split packet would be hidden from any merge."""
    texts = fields.FieldMapping(tuple(LANGUAGE_ALTERNATIVES), ())
    names = values.managed_properties(texts)
    for raw in packets:
        packet = XmpPacket.parse(raw)
        if packet.foreign(()) != packet.foreign(names):
            because = "its fields stand in extended XMP, which is left as it is"
            raise refusal(reason="extended-xmp", because=because)
