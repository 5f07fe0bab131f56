"""The third side of a write: what the file said when the person looked at it.

Keywords are sets, so what two sides added or took out can be joined. A text cannot: where a person
changed one and another program changed the same one since, nobody but the person can choose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imageworks.metadata import fields
from imageworks.metadata.refusal import refusal
from imageworks.models import Origin
from imageworks.text import clean_text, fold, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from imageworks.metadata.fields import FieldMapping
    from imageworks.metadata.values import FieldValues
    from imageworks.models import ExistingMetadata, Keyword
    from imageworks.stages import WriteRequest

_SHOWN_CHARACTERS = 120


def check_texts(present: FieldValues, request: WriteRequest, mapping: FieldMapping) -> None:
    """Lets a write through unless it would silently replace what somebody else wrote meanwhile.

    Raises:
        MetadataError: ``conflict``: names the field and both texts.
    """
    if request.reviewed is None:
        return
    reviewed = _texts(request.reviewed)
    for role, name, accepted in _edited(request, mapping):
        now, then = _plain(present.text(name)), _plain(reviewed.get(name, ""))
        if name in reviewed and now not in {then, _plain(accepted)}:
            because = (
                f"another program changed its {role} ({name}) since the review: "
                f"it now says {_shown(now)}, and {_shown(accepted)} was accepted"
            )
            hint = "review it again and choose one of the two."
            raise refusal(reason="conflict", because=because, hint=hint)


def wanted_keywords(present: FieldValues, request: WriteRequest) -> tuple[Keyword, ...]:
    """The accepted keywords without those that were taken out of the file since the review.

    One that the person added stays, whatever happened to the file.
    """
    if request.reviewed is None:
        return request.tags.keywords
    now = {fold(text) for text in present.keywords}
    gone = {fold(text) for text in request.reviewed.keywords} - now
    return tuple(
        keyword
        for keyword in request.tags.keywords
        if keyword.origin is Origin.PERSON or fold(keyword.text) not in gone
    )


def _edited(request: WriteRequest, mapping: FieldMapping) -> Iterator[tuple[str, str, str]]:
    """Role, property and accepted text of each field that the person changed."""
    if request.is_caption_edited:
        for name in mapping.caption:
            yield "caption", name, request.tags.caption
    if request.is_description_edited:
        for name in mapping.description:
            yield "description", name, request.tags.description


def _texts(metadata: ExistingMetadata) -> Mapping[str, str]:
    return {
        fields.TITLE: metadata.title,
        fields.DESCRIPTION: metadata.description,
        fields.ALT_TEXT: metadata.alt_text,
        fields.EXTENDED_DESCRIPTION: metadata.extended_description,
    }


def _plain(text: str) -> str:
    return clean_text(text, keep_newlines=True)


def _shown(text: str) -> str:
    return f"“{one_line(clean_text(text), limit=_SHOWN_CHARACTERS)}”" if text else "nothing"
