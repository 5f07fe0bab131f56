"""XMP namespaces and the names of properties.

Prefixes and URIs: XMP Specification Part 1 (2012) section 8 and Part 2 (2016); IPTC Photo Metadata
Standard 2025.1 (Iptc4xmpCore, Iptc4xmpExt); MWG Guidelines 2.0 (mwg-rs, mwg-kw).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XML = "http://www.w3.org/XML/1998/namespace"
META = "adobe:ns:meta/"

STANDARD_NAMESPACES: Mapping[str, str] = {
    "x": META,
    "rdf": RDF,
    "xml": XML,
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "crs": "http://ns.adobe.com/camera-raw-settings/1.0/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "aux": "http://ns.adobe.com/exif/1.0/aux/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "plus": "http://ns.useplus.org/ldf/xmp/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "MicrosoftPhoto": "http://ns.microsoft.com/photo/1.0/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "mwg-kw": "http://www.metadataworkinggroup.com/schemas/keywords/",
    "acdsee": "http://ns.acdsee.com/iptc/1.0/",
    "mediapro": "http://ns.iview-multimedia.com/mediapro/1.0/",
}

LANGUAGE_ALTERNATIVES = frozenset(
    {
        "dc:title",
        "dc:description",
        "dc:rights",
        "xmpRights:UsageTerms",
        "tiff:ImageDescription",
        "tiff:Copyright",
        "exif:UserComment",
        "Iptc4xmpCore:AltTextAccessibility",
        "Iptc4xmpCore:ExtDescrAccessibility",
        "Iptc4xmpExt:Event",
    }
)
"""Properties of type Lang Alt (XMP Part 1, 8.2.2.4); every other text is a simple one."""


def clark(name: str) -> str:
    """A property's name with its URI: ``dc:title`` → ``{http://purl.org/dc/elements/1.1/}title``."""
    prefix, _, local = name.partition(":")
    return f"{{{STANDARD_NAMESPACES[prefix]}}}{local}"


def is_foreign_binding(prefix: str, uri: str) -> bool:
    """Whether a standard prefix stands for something else here.

    Such a file changes what the prefix means for every later file that Exiv2 0.28 reads in the same
    process. A missing or doubled final slash is a usual and harmless variant.
    """
    standard = STANDARD_NAMESPACES.get(prefix)
    return standard is not None and standard.rstrip("/#") != uri.rstrip("/#")
