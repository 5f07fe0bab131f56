"""What the containers tell about the metadata inside them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Embedded:
    """Metadata found in a file.

    Attributes:
        packets: Every XMP packet, in file order; more than one is a fault.
        extended: The JPEG's ExtendedXMP packets, put together; as a rule there is none.
        has_iptc: An IPTC-IIM block may be there.
        photoshop: The JPEG's Photoshop resources, put together; they hold the IPTC-IIM block.
        has_credentials: Content credentials (C2PA) are there: they sign the bytes of the file.
    """

    packets: tuple[bytes, ...] = ()
    extended: tuple[bytes, ...] = ()
    has_iptc: bool = False
    photoshop: bytes = b""
    has_credentials: bool = False
