"""What has to be true of new bytes before they may take a file's name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imageworks.errors import MetadataError
from imageworks.metadata import exiv2, jpeg, values
from imageworks.metadata.containers import require_container
from imageworks.metadata.iptc_proof import is_same_to_exiv2, is_sound_change
from imageworks.metadata.packet import XmpPacket
from imageworks.metadata.photo import parse_embedded
from imageworks.metadata.refusal import refusal
from imageworks.metadata.source import MAX_SIZE_BYTES
from imageworks.metadata.splice import apply_splices, invert_splices, leads_to

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from imageworks.metadata.fields import FieldMapping
    from imageworks.metadata.iptc import IptcChange
    from imageworks.metadata.photo import Photo
    from imageworks.metadata.splice import Splice
    from imageworks.metadata.values import FieldValues


def prove_image(
    photo: Photo,
    splices: Sequence[Splice],
    wanted: FieldValues,
    mapping: FieldMapping,
    *,
    iptc: IptcChange | None = None,
) -> bytes:
    """The new bytes of an image file, proven harmless and complete.

    Every part but the XMP packet is equal and the old bytes can be restored; Exiv2 reads the same
    Exif with maker notes, IPTC, colour profile, comment and foreign XMP from both; the fields read
    back as wanted, by our own reader and by Exiv2's.

    Args:
        photo: The photograph as it is.
        splices: The edits of the image file.
        wanted: The fields as they shall read.
        mapping: Which texts are ours.
        iptc: What changes in a JPEG's older IPTC block; None when nothing may.

    Raises:
        MetadataError: What could not be proven.
    """
    old = photo.source.data
    new = apply_splices(old, splices)
    if len(new) > MAX_SIZE_BYTES:
        raise refusal(reason="too-large", because="it would become too large")
    if not leads_to(new, invert_splices(old, splices), old):
        raise _unproven(because="the way back does not lead to the same bytes")
    survivors = require_container(photo.format).survivors
    if iptc is not None:
        survivors = jpeg.survivors_but_photoshop
    if survivors(old) != survivors(new):
        raise _unproven(because="something besides its XMP would change")
    before, after = photo.embedded, parse_embedded(new, photo.format)
    if after.packet is None or after.obstacle is not None:
        raise _unproven(because="its new XMP cannot be read back")
    _prove_packet(before.packet, after.packet, wanted, mapping)
    older: tuple[bytes, IptcChange] | None = None
    if iptc is not None:
        if not is_sound_change(before.photoshop, after.photoshop, iptc):
            raise _unproven(because="more of its older IPTC block would change")
        older = (after.photoshop, iptc)
    view = exiv2.look(old) if photo.view is None else photo.view
    _prove_by_exiv2(view, new, wanted, mapping, is_sidecar=False, older=older)
    return new


def prove_sidecar(
    old: bytes | None, new: bytes, wanted: FieldValues, mapping: FieldMapping
) -> None:
    """Proves a sidecar: what is not ours is equal, and the fields read back as wanted.

    Exiv2 is asked as well, unless it could not read the old one either.

    Raises:
        MetadataError: What could not be proven.
    """
    before = None if old is None else XmpPacket.parse(old)
    _prove_packet(before, XmpPacket.parse(new), wanted, mapping)
    view = exiv2.Exiv2View() if old is None else _view_of_sidecar(old)
    if view is not None:
        _prove_by_exiv2(view, new, wanted, mapping, is_sidecar=True)


def _prove_packet(
    before: XmpPacket | None, after: XmpPacket, wanted: FieldValues, mapping: FieldMapping
) -> None:
    managed = values.managed_properties(mapping)
    foreign = [] if before is None else before.foreign(managed)
    if after.foreign(managed) != foreign:
        raise _unproven(because="some of its other XMP would change")
    if not values.agrees(after, wanted, mapping):
        raise _unproven(because="its fields do not read back as they were written")


def _prove_by_exiv2(
    before: exiv2.Exiv2View,
    new: bytes,
    wanted: FieldValues,
    mapping: FieldMapping,
    *,
    is_sidecar: bool,
    older: tuple[bytes, IptcChange] | None = None,
) -> None:
    after = exiv2.look(new)
    # From a sidecar Exiv2 makes Exif and IPTC values itself, out of the very fields that change.
    is_same = before.is_same_but_xmp(after)
    if older is not None:
        is_same = is_same_to_exiv2(before, after, *older)
    if not is_sidecar and not is_same:
        raise _unproven(because="Exiv2 reads other Exif or IPTC values from it")
    read = XmpPacket.parse(after.xmp.encode("utf-8"))
    managed = values.managed_properties(mapping)
    foreign = XmpPacket.parse(before.xmp.encode("utf-8")).foreign(managed) if before.xmp else []
    if foreign != read.foreign(managed):
        raise _unproven(because="Exiv2 reads other XMP values from it")
    if not values.agrees(read, _as_exiv2_tells(wanted), mapping):
        raise _unproven(because="Exiv2 reads other fields from it than were written")


def _as_exiv2_tells(wanted: FieldValues) -> FieldValues:
    """Fields as Exiv2 repeats them: its XMP toolkit makes a space of U+007F, which XML allows.

    Such text is never written anew, but may stand in a file already.
    """

    def listed(items: Iterable[str]) -> tuple[str, ...]:
        spaced = (item.replace("\x7f", " ") for item in items)
        return tuple(item for item in spaced if item.strip())  # as blank ones are never read

    return replace(
        wanted,
        texts={name: text.replace("\x7f", " ").strip() for name, text in wanted.texts.items()},
        keywords=listed(wanted.keywords),
        hierarchy=listed(wanted.hierarchy),
        digikam_tags=listed(wanted.digikam_tags),
    )


def _view_of_sidecar(data: bytes) -> exiv2.Exiv2View | None:
    try:
        return exiv2.look(data)
    except MetadataError as error:
        if error.reason == "exiv2-missing":
            raise
        return None


def _unproven(*, because: str) -> MetadataError:
    return refusal(reason="unproven", because=because)
