"""The only module that imports pyexiv2: a second, independent pair of eyes.

It only ever reads, and only bytes: Exiv2's own file writing truncates in place and reports success
on a full disk. Exiv2 0.28 keeps two things between files, in the whole process: a namespace prefix
that one file bound to something else, and the text of an error, which the next file then raises. So
every look is followed by a flush, and `serialised_canary` tells whether the process can go on.
"""

from __future__ import annotations

import base64
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from imageworks.errors import MetadataError
from imageworks.metadata import jpeg
from imageworks.metadata.namespaces import STANDARD_NAMESPACES
from imageworks.metadata.refusal import refusal

_LOG_ERRORS_ONLY = 3  # 4 would also hide that an old packet could not be read
_IPTC_CHARACTER_SET = "Iptc.Envelope.CharacterSet"
_UTF8_DECLARED = "\x1b%G"  # IIM 4.2, 1:90: ISO 2022 escape for UTF-8
# In a TIFF the XMP packet is a tag as well.
_NOT_COMPARED = "Exif.Image.XMLPacket"
_CANARY_PREFIXES = sorted(set(STANDARD_NAMESPACES) - {"x", "rdf", "xml", "xmpNote", "mediapro"})
# A PNG of one grey pixel.
_STUB = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


@dataclass(frozen=True, slots=True)
class Exiv2View:
    """What Exiv2 sees in a file.

    Attributes:
        exif: All tags with maker notes, without the XMP packet of a TIFF.
        iptc: All data sets; lists where they repeat.
        icc: The colour profile.
        comment: The JPEG comment.
        xmp: The XMP packet as Exiv2 understood and wrote it again; empty when there is none.
    """

    exif: Mapping[str, object] = field(default_factory=dict)
    iptc: Mapping[str, object] = field(default_factory=dict)
    icc: bytes = b""
    comment: str = ""
    xmp: str = ""

    def is_same_but_xmp(self, other: Exiv2View) -> bool:
        """Whether everything but the XMP packet is equal."""
        return (self.exif, self.iptc, self.icc, self.comment) == (
            other.exif,
            other.iptc,
            other.icc,
            other.comment,
        )

    def exif_text(self, name: str) -> str:
        """One Exif text decoded, as UTF-8 where it is that, else Latin-1; empty when absent."""
        return _decoded(str(self.exif.get(name, "")), is_declared=False)

    def iptc_texts(self) -> dict[str, list[str]]:
        """The IPTC data sets decoded: by their declared character set, else UTF-8, else Latin-1."""
        is_declared = self.iptc.get(_IPTC_CHARACTER_SET) == _UTF8_DECLARED
        texts: dict[str, list[str]] = {}
        for name, value in self.iptc.items():
            values = value if isinstance(value, list) else [value]
            texts[name] = [_decoded(str(v), is_declared=is_declared) for v in values]
        return texts


def look(data: bytes) -> Exiv2View:
    """What Exiv2 sees in these bytes.

    Raises:
        MetadataError: ``exiv2-cannot-read``; ``exiv2-missing`` where it cannot be loaded.
    """
    pyexiv2 = _load()
    _flush(pyexiv2)
    try:
        with pyexiv2.ImageData(_worth_copying(data)) as image:
            # Latin-1 maps every byte to one character, so values compare byte for byte.
            exif = dict(image.read_exif(encoding="latin-1"))
            exif.pop(_NOT_COMPARED, None)
            return Exiv2View(
                exif=exif,
                iptc=dict(image.read_iptc(encoding="latin-1")),
                icc=bytes(image.read_icc()),
                comment=str(image.read_comment(encoding="latin-1")),
                xmp=str(image.read_raw_xmp()),
            )
    except (RuntimeError, ValueError) as error:
        raise refusal(
            reason="exiv2-cannot-read", because="Exiv2 cannot read its metadata"
        ) from error
    finally:
        _flush(pyexiv2)


def _worth_copying(data: bytes) -> bytes:
    """What Exiv2 has to see: it copies all that it is given, and looks at no JPEG's picture."""
    if not data.startswith(b"\xff\xd8\xff"):
        return data
    try:
        return jpeg.without_picture(data)
    except MetadataError:  # let Exiv2 say what it makes of it
        return data


def has_clean_namespaces() -> bool:
    """Whether no file has changed what a standard prefix means in this process."""
    written = serialised_canary()
    return all(f'xmlns:{p}="{STANDARD_NAMESPACES[p]}"' in written for p in _CANARY_PREFIXES)


def serialised_canary() -> str:
    """What Exiv2 makes of a fixed packet; other text than in a fresh process is a warning.

    Empty where it fails or Exiv2 is missing.
    """
    try:
        pyexiv2 = _load()
    except MetadataError:
        return ""
    _flush(pyexiv2)
    try:
        with pyexiv2.ImageData(_STUB) as image:
            image.modify_raw_xmp(_canary())
            return str(image.read_raw_xmp())
    except (RuntimeError, ValueError):
        return ""
    finally:
        _flush(pyexiv2)


def _canary() -> str:
    """A packet with one property in each standard namespace."""
    declared = " ".join(f'xmlns:{p}="{STANDARD_NAMESPACES[p]}"' for p in _CANARY_PREFIXES)
    values = " ".join(f'{p}:Canary="1"' for p in _CANARY_PREFIXES)
    return (
        f'<x:xmpmeta xmlns:x="{STANDARD_NAMESPACES["x"]}">'
        f'<rdf:RDF xmlns:rdf="{STANDARD_NAMESPACES["rdf"]}">'
        f'<rdf:Description rdf:about="" {declared} {values}/></rdf:RDF></x:xmpmeta>'
    )


def _load() -> Any:  # noqa: ANN401  # pyexiv2 ships no types
    try:
        pyexiv2 = importlib.import_module("pyexiv2")
    except (ImportError, OSError) as error:
        message = f"pyexiv2 cannot be loaded: {error}."
        hint = "it needs glibc 2.33 or newer (RHEL 9, Ubuntu 22.04, Debian 12)."
        raise MetadataError(message, hint=hint, reason="exiv2-missing") from error
    pyexiv2.set_log_level(_LOG_ERRORS_ONLY)
    return pyexiv2


def _flush(pyexiv2: Any) -> None:  # noqa: ANN401  # as above
    """Lets a pending error be raised here, where it belongs to nobody."""
    for _ in range(2):
        try:
            with pyexiv2.ImageData(_STUB):
                pass
        except RuntimeError:
            continue
        return


def _decoded(latin1: str, *, is_declared: bool) -> str:
    raw = latin1.encode("latin-1")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace") if is_declared else latin1
