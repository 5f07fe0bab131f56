"""What an accept will change in the file, field by field, as far as the library knows the file.

The same rules as the write follows (contract, section 7); the write applies them to what the file
says at its own moment, this to what it said when the suggestion was made or the file last written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imageworks.models import FORMAT_EXTENSIONS, ImageFormat, MetadataTarget, Origin
from imageworks.review.merge import choice_of, text_in_file
from imageworks.review.properties import DIGIKAM, HIERARCHY, KEYWORDS, text_properties
from imageworks.text import fold

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from imageworks.config import PersonalTaggerConfig
    from imageworks.models import ExistingMetadata, Keyword, Tags
    from imageworks.review.session import ReviewCard

_EMBEDDED = frozenset({ImageFormat.JPEG, ImageFormat.PNG, ImageFormat.WEBP, ImageFormat.TIFF})


@dataclass(frozen=True, slots=True)
class TextChange:
    """One property that holds a text.

    Attributes:
        name: ``caption`` or ``description``.
        xmp_property: The XMP property.
        before: What it says; None when it is not known.
        after: What it will say.
    """

    name: str
    xmp_property: str
    before: str | None
    after: str

    @property
    def is_changed(self) -> bool:
        """Whether the file will say something else."""
        return (self.before or "") != self.after


@dataclass(frozen=True, slots=True)
class ListChange:
    """One list before and after, in order."""

    properties: tuple[str, ...]
    kept: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def is_changed(self) -> bool:
        """Whether the file will list something else."""
        return bool(self.added or self.removed)


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """All that a write will set.

    Attributes:
        target: Where it goes as a rule; the write itself may find reason for a sidecar.
        why_sidecar: Why it does not go into the file; empty when it does.
        hierarchy: None where the settings write none.
        conflict: What another program changed meanwhile, in words; empty when nothing is known.
    """

    texts: tuple[TextChange, ...]
    keywords: ListChange
    hierarchy: ListChange | None
    target: MetadataTarget
    why_sidecar: str
    conflict: str

    @property
    def is_changed(self) -> bool:
        """Whether anything will be written at all."""
        lists = (self.keywords, self.hierarchy)
        return any(text.is_changed for text in self.texts) or any(
            change is not None and change.is_changed for change in lists
        )


def planned_changes(card: ReviewCard, tags: Tags, config: PersonalTaggerConfig) -> ChangePlan:
    """What accepting these fields will leave in the file, compared with what it says."""
    choice = choice_of(tags, card.proposed, card.existing)
    texts = (
        *_text_changes("caption", tags.caption, card, config, is_edited=choice.is_caption_edited),
        *_text_changes(
            "description", tags.description, card, config, is_edited=choice.is_description_edited
        ),
    )
    keywords = _keyword_change(card.existing, tags, choice.removed_keywords, config)
    target, why = _target(card.row.path, card.existing, config)
    return ChangePlan(
        texts=texts,
        keywords=keywords,
        hierarchy=_hierarchy_change(card.existing, tags, keywords, config),
        target=target,
        why_sidecar=why,
        conflict=card.row.reason_text if card.row.reason == "conflict" else "",
    )


def _text_changes(
    name: str, accepted: str, card: ReviewCard, config: PersonalTaggerConfig, *, is_edited: bool
) -> Iterator[TextChange]:
    for xmp_property in text_properties(config)[name]:
        before = text_in_file(card.existing, xmp_property)
        stays = not accepted or bool((before or "").strip() and not config.overwrite_metadata)
        after = (before or "") if stays and not is_edited else accepted
        yield TextChange(name, xmp_property, before, after)


def _keyword_change(
    existing: ExistingMetadata,
    tags: Tags,
    removed: Sequence[str],
    config: PersonalTaggerConfig,
) -> ListChange:
    gone = {fold(text) for text in removed}
    if config.overwrite_metadata and tags.keywords:
        wanted = {fold(keyword.text) for keyword in tags.keywords}
        gone |= {fold(text) for text in existing.keywords} - wanted
    had = {fold(text) for text in existing.keywords}
    return ListChange(
        properties=(KEYWORDS, DIGIKAM) if config.digikam_tags else (KEYWORDS,),
        kept=tuple(text for text in existing.keywords if fold(text) not in gone),
        added=tuple(
            keyword.text
            for keyword in tags.keywords
            if fold(keyword.text) not in had and _is_ours(keyword, config)
        ),
        removed=tuple(text for text in existing.keywords if fold(text) in gone),
    )


def _is_ours(keyword: Keyword, config: PersonalTaggerConfig) -> bool:
    """Whether the write brings the keyword: one that only the file had is the file's own affair."""
    return config.overwrite_metadata or keyword.origin is not Origin.EXISTING


def _hierarchy_change(
    existing: ExistingMetadata, tags: Tags, keywords: ListChange, config: PersonalTaggerConfig
) -> ListChange | None:
    if not config.hierarchy:
        return None
    gone = {fold(text) for text in keywords.removed}
    ours = [keyword for keyword in tags.keywords if _is_ours(keyword, config)]
    kept = [e for e in existing.hierarchical_keywords if _leaf(e) not in gone]
    present = {_leaf(entry) for entry in kept}
    path_of = {fold(keyword.text): "|".join(keyword.path) for keyword in ours if keyword.path}
    added = []
    # Without a keyword of ours the write leaves the file's lists alone.
    for text in (*keywords.kept, *keywords.added) if ours or gone else ():
        leaf = fold(text)
        entry = path_of.get(leaf, text)
        if leaf not in present and not (entry == text and "|" in text):
            present.add(leaf)
            added.append(entry)
    removed = tuple(e for e in existing.hierarchical_keywords if _leaf(e) in gone)
    return ListChange((HIERARCHY,), tuple(kept), tuple(added), removed)


def _leaf(entry: str) -> str:
    return fold(entry.rpartition("|")[2])


def _target(
    path: Path, existing: ExistingMetadata, config: PersonalTaggerConfig
) -> tuple[MetadataTarget, str]:
    """Where the write goes by the rules of the contract's section 7, and why not into the file."""
    why = _why_not_embedded(path, existing, config)
    if why:
        return MetadataTarget.SIDECAR, why
    has_sidecar = "sidecar" in existing.source
    return (MetadataTarget.BOTH if has_sidecar else MetadataTarget.FILE), ""


def _why_not_embedded(path: Path, existing: ExistingMetadata, config: PersonalTaggerConfig) -> str:
    if config.sidecar == "always":
        return "setting sidecar = always"
    if existing.has_credentials and config.content_credentials != "embed":
        return "a change would break its content credentials"
    image_format = _format_of(path)
    is_dng = image_format is ImageFormat.DNG and config.dng == "embed"
    if image_format in _EMBEDDED or is_dng:
        return ""
    return "files of this format are never written into"


def _format_of(path: Path) -> ImageFormat | None:
    ending = path.suffix.lower()
    return next((f for f, endings in FORMAT_EXTENSIONS.items() if ending in endings), None)
