"""What has to be true of a changed IPTC-IIM block."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imageworks.metadata.iptc import (
    CHARACTER_SET,
    KEYWORD,
    Digest,
    decode_loosely,
    is_in_step,
    read_iptc,
    stored_texts,
    survivors,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imageworks.metadata.exiv2 import Exiv2View
    from imageworks.metadata.iptc import IptcChange

_KEYWORDS = "Iptc.Application2.Keywords"
_TITLE = "Iptc.Application2.ObjectName"
_CAPTION = "Iptc.Application2.Caption"
_CHARACTER_SET = "Iptc.Envelope.CharacterSet"


def is_sound_change(old: bytes, new: bytes, change: IptcChange) -> bool:
    """Whether a block of Photoshop resources differs in what was asked and in nothing else.

    Every other resource keeps its bytes and every other data set its text; the block is UTF-8 by
    its own word; a digest that was current is current.

    Raises:
        MetadataError: ``iptc-unusual``: one of the two cannot be read.
    """
    was_current = read_iptc(old)[1] is Digest.CURRENT
    is_current = read_iptc(new)[1] is Digest.CURRENT
    return (
        survivors(old, change) == survivors(new, change)
        and is_in_step(new, change)
        and stored_texts(new, CHARACTER_SET) == ("\x1b%G",)
        and (is_current or not was_current)
    )


def is_same_to_exiv2(before: Exiv2View, after: Exiv2View, block: bytes, change: IptcChange) -> bool:
    """Whether Exiv2 finds the changed block's keywords, and all the rest as it was.

    Args:
        before: The file as it was.
        after: The file with the changed block.
        block: The changed block.
        change: What was asked.

    Raises:
        MetadataError: ``iptc-unusual``: the block cannot be read.
    """
    if not replace(before, iptc={}).is_same_but_xmp(replace(after, iptc={})):
        return False
    touched = {_CHARACTER_SET, _KEYWORDS}
    touched |= {_TITLE} if change.title is not None else set()
    touched |= {_CAPTION} if change.caption is not None else set()
    old, new = _texts(before.iptc), _texts(after.iptc)
    keywords = tuple(new.get(_KEYWORDS, ()))
    others = [{k: v for k, v in texts.items() if k not in touched} for texts in (old, new)]
    return others[0] == others[1] and keywords == stored_texts(block, KEYWORD)


def _texts(datasets: Mapping[str, object]) -> dict[str, list[str]]:
    """Exiv2's values, which stand for bytes, as the texts that they mean."""
    lists = {name: v if isinstance(v, list) else [v] for name, v in datasets.items()}
    return {
        name: [decode_loosely(str(value).encode("latin-1")) for value in found]
        for name, found in lists.items()
    }
