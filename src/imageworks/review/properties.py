"""What caption, keywords and description become in a file: XMP properties and IPTC datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imageworks.config import PersonalTaggerConfig

KEYWORDS = "dc:subject"
HIERARCHY = "lr:hierarchicalSubject"
DIGIKAM = "digiKam:TagsList"
_TARGETS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "imageworks": (("dc:title",), ("dc:description",)),
    "lightroom": (
        ("dc:description", "Iptc4xmpCore:AltTextAccessibility"),
        ("Iptc4xmpCore:ExtDescrAccessibility",),
    ),
}


class IptcField(NamedTuple):
    """A dataset of the older IPTC block that is kept in step with an XMP property.

    Attributes:
        name: As the standard calls it.
        limit_bytes: Longest value in UTF-8; a longer one is cut there, never in XMP.
    """

    name: str
    limit_bytes: int


IPTC_OF: Mapping[str, IptcField] = {
    "dc:title": IptcField("ObjectName", 64),
    "dc:description": IptcField("Caption-Abstract", 2000),
    KEYWORDS: IptcField("Keywords", 64),
}
"""IPTC-IIM 4.2, record 2, datasets 5, 120 and 25; pairs as in MWG Guidelines 2.0, section 5."""


def text_properties(config: PersonalTaggerConfig) -> dict[str, tuple[str, ...]]:
    """The XMP properties that ``caption`` and ``description`` go to."""
    fields = config.fields
    if isinstance(fields, str):
        caption, description = _TARGETS[fields]
    else:
        caption = tuple(fields[role] for role in ("caption", "alt_text") if role in fields)
        description = (fields["description"],) if "description" in fields else ()
    return {"caption": caption, "description": description}


def keyword_properties(config: PersonalTaggerConfig) -> tuple[str, ...]:
    """The XMP properties that keywords go to."""
    more = ((HIERARCHY, config.hierarchy), (DIGIKAM, config.digikam_tags))
    return (KEYWORDS, *(name for name, is_written in more if is_written))


def iptc_field(properties: Sequence[str], config: PersonalTaggerConfig) -> IptcField | None:
    """The IPTC dataset that is kept in step with a field, where a file has such a block."""
    if config.write_iptc == "never":
        return None
    return next((IPTC_OF[name] for name in properties if name in IPTC_OF), None)
