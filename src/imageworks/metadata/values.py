"""What a photograph's XMP packets say, as values; and what they shall say."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from imageworks.errors import MetadataError
from imageworks.metadata import fields, merge
from imageworks.metadata.namespaces import LANGUAGE_ALTERNATIVES, clark
from imageworks.models import ExistingMetadata
from imageworks.text import clean_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from imageworks.config import PersonalTaggerConfig
    from imageworks.metadata.packet import XmpPacket
    from imageworks.stages import WriteRequest

logger = logging.getLogger(__name__)

_LOCATION_LEVELS = ("Iptc4xmpExt:City", "Iptc4xmpExt:ProvinceState", "Iptc4xmpExt:CountryName")


@dataclass(frozen=True, slots=True)
class FieldValues:
    """The fields of one packet, or of several taken together.

    Attributes:
        texts: Text by property name; absent and empty mean the same.
        keywords: ``dc:subject`` in order.
        hierarchy: ``lr:hierarchicalSubject`` in order, levels joined by ``|``.
        digikam_tags: ``digiKam:TagsList`` in order, levels joined by ``/``.
        place: City, region and country, joined by commas.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    keywords: tuple[str, ...] = ()
    hierarchy: tuple[str, ...] = ()
    digikam_tags: tuple[str, ...] = ()
    place: str = ""

    def text(self, name: str) -> str:
        """One text; empty when absent."""
        return self.texts.get(name, "")


def read_values(packet: XmpPacket, mapping: fields.FieldMapping) -> FieldValues:
    """The values of one packet.

    Raises:
        MetadataError: ``unusual-xmp``: a field stands there in a form that we do not know.
    """
    return _read(packet, mapping, lambda look, _otherwise: look())


def read_what_is_clear(packet: XmpPacket, mapping: fields.FieldMapping) -> FieldValues:
    """The values of one packet, those in an unknown form left out."""
    return _read(packet, mapping, _tolerant)


def _read(
    packet: XmpPacket, mapping: fields.FieldMapping, attempt: Callable[..., Any]
) -> FieldValues:
    names = dict.fromkeys((*fields.TEXTS_READ, *mapping.properties))
    found = {name: attempt(partial(packet.text, name), "").strip() for name in names}
    return FieldValues(
        texts={name: text for name, text in found.items() if text},
        keywords=attempt(partial(packet.items, fields.KEYWORDS), ()),
        hierarchy=attempt(partial(packet.items, fields.HIERARCHY), ()),
        digikam_tags=attempt(partial(packet.items, fields.DIGIKAM_TAGS), ()),
        place=_tolerant(partial(_place, packet), ""),
    )


def _tolerant(look: Callable[[], Any], otherwise: object) -> Any:  # noqa: ANN401  # as looked at
    try:
        return look()
    except MetadataError as error:
        logger.info("a field was not read: %s", error.message)
        return otherwise


def combine(first: FieldValues, second: FieldValues, *, joins_lists: bool) -> FieldValues:
    """Two views of one photograph: ``first`` wins where both say something.

    Args:
        first: The view that wins.
        second: What fills its gaps.
        joins_lists: Keyword lists of both are joined; else ``first``'s list wins as a whole.
    """

    def merged(own: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
        if joins_lists:
            return merge.merge_keywords(own, other, (), is_overwrite=False)
        return own or other

    return FieldValues(
        texts={**second.texts, **first.texts},
        keywords=merged(first.keywords, second.keywords),
        hierarchy=merged(first.hierarchy, second.hierarchy),
        digikam_tags=merged(first.digikam_tags, second.digikam_tags),
        place=first.place or second.place,
    )


def existing_metadata(values: FieldValues, *, identity: str, source: str) -> ExistingMetadata:
    """The values in the form that review and prompts know."""
    return ExistingMetadata(
        title=values.text(fields.TITLE),
        description=values.text(fields.DESCRIPTION),
        keywords=values.keywords,
        hierarchical_keywords=values.hierarchy,
        alt_text=values.text(fields.ALT_TEXT),
        extended_description=values.text(fields.EXTENDED_DESCRIPTION),
        place=values.place,
        identity=identity,
        source=source,
    )


def desired_values(
    existing: FieldValues,
    request: WriteRequest,
    mapping: fields.FieldMapping,
    config: PersonalTaggerConfig,
) -> FieldValues:
    """What the photograph shall say once the request is written."""
    texts = dict(existing.texts)
    roles = [
        (mapping.caption, request.tags.caption, request.is_caption_edited),
        (mapping.description, request.tags.description, request.is_description_edited),
    ]
    for names, accepted, is_edited in roles:
        for name in names:
            texts[name] = merge.merge_text(
                existing.text(name),
                accepted,
                is_edited=is_edited,
                is_overwrite=config.overwrite_metadata,
            )
    wanted = replace(existing, texts={name: text for name, text in texts.items() if text})
    if not request.tags.keywords and not request.removed_keywords:
        return wanted
    return _with_keywords(wanted, request, config)


def _with_keywords(
    values: FieldValues, request: WriteRequest, config: PersonalTaggerConfig
) -> FieldValues:
    accepted = [keyword.text for keyword in request.tags.keywords]
    keywords = merge.merge_keywords(
        values.keywords,
        accepted,
        request.removed_keywords,
        is_overwrite=config.overwrite_metadata,
    )
    gone = (*merge.lost_keywords(values.keywords, keywords), *request.removed_keywords)

    def paths(entries: tuple[str, ...], separator: str, *, is_on: bool) -> tuple[str, ...]:
        kept = merge.without_leaves(entries, merge.lost_keywords(gone, keywords), separator)
        if not is_on:
            return kept
        added = [merge.accepted_path(keyword, separator) for keyword in request.tags.keywords]
        return merge.merge_paths(kept, keywords, [path for path in added if path], separator)

    return replace(
        values,
        keywords=keywords,
        hierarchy=paths(values.hierarchy, merge.LIGHTROOM_SEPARATOR, is_on=config.hierarchy),
        digikam_tags=paths(values.digikam_tags, merge.DIGIKAM_SEPARATOR, is_on=config.digikam_tags),
    )


def apply_values(
    packet: XmpPacket, values: FieldValues, mapping: fields.FieldMapping, metadata_date: str
) -> bool:
    """Makes a packet say these values; whether anything had to change.

    Args:
        packet: Changed in place.
        values: What it shall say.
        mapping: Which texts are ours to write.
        metadata_date: ISO 8601 with zone; set only when something else changes.

    Raises:
        MetadataError: ``unusual-xmp``.
    """
    if agrees(packet, values, mapping):
        return False
    for name in mapping.properties:
        if packet.text(name).strip() != values.text(name):
            if name in LANGUAGE_ALTERNATIVES:
                packet.set_default_language(name, values.text(name))
            else:
                packet.set_text(name, values.text(name))
    packet.set_items(fields.KEYWORDS, values.keywords)
    packet.set_items(fields.HIERARCHY, values.hierarchy)
    packet.set_items(fields.DIGIKAM_TAGS, values.digikam_tags, kind="Seq")
    packet.set_text(fields.METADATA_DATE, metadata_date)
    return True


def agrees(packet: XmpPacket, values: FieldValues, mapping: fields.FieldMapping) -> bool:
    """Whether a packet says these values."""
    found = read_values(packet, mapping)
    return (
        all(found.text(name) == values.text(name) for name in mapping.properties)
        and found.keywords == values.keywords
        and found.hierarchy == values.hierarchy
        and found.digikam_tags == values.digikam_tags
    )


def managed_properties(mapping: fields.FieldMapping) -> frozenset[str]:
    """Every property that a write may change."""
    return frozenset(
        {
            *mapping.properties,
            fields.KEYWORDS,
            fields.HIERARCHY,
            fields.DIGIKAM_TAGS,
            fields.METADATA_DATE,
        }
    )


def _place(packet: XmpPacket) -> str:
    """City, region, country: photoshop's fields, else the first location shown or created."""
    levels = [packet.text(f"photoshop:{name}") for name in ("City", "State", "Country")]
    for name in ("Iptc4xmpExt:LocationShown", "Iptc4xmpExt:LocationCreated"):
        if not any(levels):
            location = next(packet.structs(name), {})
            levels = [location.get(clark(level), "") for level in _LOCATION_LEVELS]
    return ", ".join(text for level in levels if (text := clean_text(level)))
