"""Which of XMP, IPTC and Exif is right where they differ.

Source: Metadata Working Group, Guidelines for Handling Image Metadata 2.0 (2010), section 5, as
ExifTool's MWG.pm applies it. Two departures keep what a person wrote: XMP's keywords join those of
a newer IPTC block, and Exif, which is never written here, only fills gaps.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from imageworks.metadata import fields, merge
from imageworks.metadata.iptc import CAPTION, KEYWORD, MAX_BYTES, TITLE, Digest, is_cut_form
from imageworks.text import clean_text, fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imageworks.metadata.iptc import IptcTexts
    from imageworks.metadata.values import FieldValues

# What cameras and programs put there by themselves counts as empty (MWG Guidelines 2.0, 5.3).
_CAMERA_FILLER = re.compile(
    r"|.*(camera|dsc|dcim|exif.jpeg|digimax).*|dcf \d.*|(minolta|samsung|sony|jvc|default).{0,12}"
    r"|(created with|file written by|software:|processed (by|with)) .*",
    re.IGNORECASE | re.DOTALL,
)


def with_iptc(
    xmp: FieldValues, iptc: IptcTexts, digest: Digest, *, is_kept_in_step: bool
) -> FieldValues:
    """XMP and the older block taken together.

    Args:
        xmp: What XMP says.
        iptc: What the block says.
        digest: Whether the block has changed since both were the same.
        is_kept_in_step: A write brings the block in step. Else it only fills gaps: an old text that
            stays would for ever win over what a person writes.
    """
    own = {fields.TITLE: iptc.title, fields.DESCRIPTION: iptc.caption}
    limits = {fields.TITLE: MAX_BYTES[TITLE], fields.DESCRIPTION: MAX_BYTES[CAPTION]}
    is_newer = is_kept_in_step and digest is Digest.STALE
    texts = dict(xmp.texts)
    for name, text in own.items():
        present = _line_ends(xmp.text(name))
        is_wanted = is_newer and not is_cut_form(text, present, limits[name])
        if text and (is_wanted or not present):
            texts[name] = text
    keywords = tuple(_in_full(keyword, xmp.keywords) for keyword in iptc.keywords)
    if is_newer:
        keywords = merge.merge_keywords(keywords, xmp.keywords, (), is_overwrite=False)
    else:
        keywords = xmp.keywords or keywords
    return replace(xmp, texts=texts, keywords=keywords)


def older_keywords(
    present: Sequence[str], wanted: Sequence[str], iptc: IptcTexts
) -> tuple[str, ...]:
    """The keywords that an older block shall hold: the wanted ones, then what it alone knew.

    Nobody saw those, for XMP wins over a block without a digest; so nobody took them out.

    Args:
        present: The keywords as they were read.
        wanted: The keywords as they will be.
        iptc: What the block says.
    """
    full = (*present, *wanted)
    seen = {fold(text) for text in full}
    alone = [k for k in iptc.keywords if fold(_in_full(k, full)) not in seen]
    return (*wanted, *alone)


def with_exif_description(values: FieldValues, description: str) -> FieldValues:
    """The values with Exif's ImageDescription where no other block has one."""
    text = exif_description(description)
    if not text or values.text(fields.DESCRIPTION):
        return values
    return replace(values, texts={**values.texts, fields.DESCRIPTION: text})


def exif_description(text: str) -> str:
    """An ImageDescription as a person's words; empty where the camera filled it by itself."""
    shown = clean_text(text.strip("\0 "), keep_newlines=True)
    return "" if _CAMERA_FILLER.fullmatch(shown) else shown


def _in_full(keyword: str, full_ones: tuple[str, ...]) -> str:
    """The longer keyword that this one was cut from, or itself."""
    limit = MAX_BYTES[KEYWORD]
    return next((full for full in full_ones if is_cut_form(keyword, full, limit)), keyword)


def _line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
