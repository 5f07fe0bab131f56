"""Which XMP properties the accepted fields go to (contract, section 7)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imageworks.errors import ConfigError
from imageworks.metadata.namespaces import STANDARD_NAMESPACES

if TYPE_CHECKING:
    from collections.abc import Mapping

TITLE = "dc:title"
DESCRIPTION = "dc:description"
ALT_TEXT = "Iptc4xmpCore:AltTextAccessibility"
EXTENDED_DESCRIPTION = "Iptc4xmpCore:ExtDescrAccessibility"
KEYWORDS = "dc:subject"
HIERARCHY = "lr:hierarchicalSubject"
DIGIKAM_TAGS = "digiKam:TagsList"
METADATA_DATE = "xmp:MetadataDate"

TEXTS_READ = (TITLE, DESCRIPTION, ALT_TEXT, EXTENDED_DESCRIPTION)
"""Texts that a reviewer sees, whatever the mapping."""

_PREFIXES = set(STANDARD_NAMESPACES) - {"x", "rdf", "xml", "xmpMM", "xmpNote", "crs", "mwg-rs"}
# Lists, dates, numbers and identifiers; and what would mark the photograph as AI-made.
_NOT_FOR_TEXT = re.compile(
    r"dc:(subject|creator|contributor|date|format|identifier|language|publisher|relation|type)"
    r"|lr:.*|digiKam:.*|mwg-kw:.*|mediapro:CatalogSets"
    r"|xmp:(Rating|\w*Date|Identifier|Thumbnails|BaseURL)|photoshop:(\w*Date\w*|SupplementalCategories)"
    r"|Iptc4xmpExt:(DigitalSourceType|AI\w+|Location\w+|PersonInImage\w*)"
)
_LOCAL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """Where the accepted texts go, as property names such as ``dc:title``.

    Attributes:
        caption: Every property that holds the caption.
        description: Every property that holds the description.
    """

    caption: tuple[str, ...]
    description: tuple[str, ...]

    @property
    def properties(self) -> tuple[str, ...]:
        """All of them."""
        return self.caption + self.description


_NAMED = {
    "imageworks": FieldMapping((TITLE,), (DESCRIPTION,)),
    "lightroom": FieldMapping((DESCRIPTION, ALT_TEXT), (EXTENDED_DESCRIPTION,)),
}


def field_mapping(fields: str | Mapping[str, str]) -> FieldMapping:
    """The mapping of setting ``fields``: a name, or the user's own table.

    The table's keys are ``caption``, ``description`` and ``alt_text`` (the caption once more).

    Raises:
        ConfigError: An unknown name or role, an unknown prefix, a property that is no text, or one
            that is named twice.
    """
    if isinstance(fields, str):
        if fields not in _NAMED:
            message = f"Setting fields is {fields!r}."
            raise ConfigError(message, hint=f"use one of {', '.join(_NAMED)}, or a table.")
        return _NAMED[fields]
    unknown = set(fields) - {"caption", "description", "alt_text"}
    if unknown:
        message = f"Setting fields names {min(unknown)!r}, which is not written."
        raise ConfigError(message, hint="use caption, description and alt_text.")
    for name in fields.values():
        _check_property(name)
    if len(set(fields.values())) < len(fields):
        message = "Setting fields names one property twice."
        raise ConfigError(message, hint="give each field its own.")
    caption = tuple(fields[role] for role in ("caption", "alt_text") if role in fields)
    return FieldMapping(caption, (fields["description"],) if "description" in fields else ())


def _check_property(name: str) -> None:
    prefix, _, local = name.partition(":")
    if prefix not in _PREFIXES or not _LOCAL_NAME.fullmatch(local):
        message = f"Setting fields names the property {name!r}, which is not known."
        hint = f"write prefix:Name with one of the prefixes {', '.join(sorted(_PREFIXES))}."
        raise ConfigError(message, hint=hint)
    if _NOT_FOR_TEXT.fullmatch(name):
        message = f"Setting fields names the property {name!r}, which does not hold a text."
        raise ConfigError(message, hint="choose a property such as photoshop:Headline.")
