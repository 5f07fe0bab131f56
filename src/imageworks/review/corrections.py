"""Corrections: put right once, offered for all pending images that hold the same value."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from imageworks.models import ImageState, Keyword, Origin, Tags
from imageworks.review.rules import Rule
from imageworks.store.corrections import Correction, CorrectionKind
from imageworks.store.criteria import Criterion, FilterKey, ImageQuery
from imageworks.text import fold

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from imageworks.review.acts import ActOutcome
    from imageworks.review.deciding import Deciding
    from imageworks.review.many import ManyActs
    from imageworks.review.rules import RuleBook
    from imageworks.review.steps import Steps
    from imageworks.store.library import Library
    from imageworks.store.pending import PendingImage

ALIAS_AFTER = 3
"""A keyword replaced in the same way on so many images is offered as an alias."""
BAN_AFTER = 5
"""A keyword taken out of so many images is offered as a ban."""

_WORD = re.compile(r"\w+(?:['’-]\w+)*")  # noqa: RUF001  # the curly apostrophe
_MOST_WORDS = 3
_MOST_CHECKED = 200


@dataclass(frozen=True, slots=True)
class Offer:
    """A correction, and the other pending images that hold what was wrong."""

    correction: Correction
    image_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RuleOffer:
    """A correction made often enough to become a rule."""

    correction: Correction
    rule: Rule
    count: int


class Corrections:
    """What a person puts right while deciding, and what follows from it.

    Args:
        library: The library.
        many: Applies a correction to many images.
        deciding: Says what an image's fields are.
        rules: The vocabulary file, where a repeated correction may end as a rule.
    """

    def __init__(
        self, library: Library, many: ManyActs, deciding: Deciding, rules: RuleBook
    ) -> None:
        self._library = library
        self._many = many
        self._deciding = deciding
        self._rules = rules
        self._latest: tuple[Correction, ...] = ()

    def note(self, decision_id: int, proposed: Tags, accepted: Tags) -> None:
        """Takes note of what an accept put right."""
        self._latest = tuple(corrections_between(proposed, accepted))
        self._library.corrections.record(decision_id, self._latest)

    def offer(self, folders: Sequence[Path] = ()) -> Offer | None:
        """The last accept's correction that most other pending images need, if any does."""
        offers = [
            Offer(correction, tuple(self._holders(correction, folders)))
            for correction in self._latest
            if correction.better
        ]
        best = max(offers, key=lambda offer: len(offer.image_ids), default=None)
        return best if best is not None and best.image_ids else None

    def rule_offer(self) -> RuleOffer | None:
        """A rule that the last accept's corrections have earned, if any has."""
        if self._rules.path is None:
            return None
        stored = self._library.corrections
        for correction in self._latest:
            needed = {CorrectionKind.KEYWORD: ALIAS_AFTER, CorrectionKind.REMOVED: BAN_AFTER}.get(
                correction.kind
            )
            if needed is None or self._rules.rules().has(correction.wrong):
                continue
            count = stored.count(correction)
            if count >= needed and not stored.is_declined(correction):
                return RuleOffer(correction, Rule(correction.wrong, correction.better), count)
        return None

    def applied(self, correction: Correction, image_id: int) -> tuple[Tags, Tags] | None:
        """An image's fields before and after a correction; None when it does not need it."""
        images = self._library.pending.of([image_id])
        if not images:
            return None
        before = self._deciding.fields(images[0])
        after = _corrected(correction, images[0], before)
        return None if after == before else (before, after)

    def apply(self, correction: Correction, image_ids: Sequence[int]) -> Steps[ActOutcome]:
        """Applies a correction to what is typed for images, as one act."""
        label = f"Put {correction.better} for {correction.wrong} in"
        return self._many.edit(
            label, image_ids, lambda image, tags: _corrected(correction, image, tags)
        )

    def _holders(self, correction: Correction, folders: Sequence[Path]) -> list[int]:
        is_caption = correction.kind is CorrectionKind.CAPTION
        key = FilterKey.CAPTION if is_caption else FilterKey.KEYWORD
        query = ImageQuery((Criterion(key, correction.wrong),))
        found = self._library.search.ids(query, states=(ImageState.SUGGESTED,), folders=folders)
        if len(found) > _MOST_CHECKED:
            return list(found)  # the list checks each that it shows, and the act each it changes
        return [i for i in found if self.applied(correction, i) is not None]


def corrections_between(proposed: Tags, accepted: Tags) -> list[Correction]:
    """What was put right between a proposal and what was accepted of it."""
    found = _keyword_corrections(proposed, accepted)
    caption = _caption_correction(proposed.caption, accepted.caption)
    return [*found, caption] if caption is not None else found


def _keyword_corrections(proposed: Tags, accepted: Tags) -> list[Correction]:
    had = {fold(k.text) for k in accepted.keywords}
    known = {fold(k.text) for k in proposed.keywords}
    gone = [
        k.text
        for k in proposed.keywords
        if fold(k.text) not in had and k.origin is not Origin.EXISTING
    ]
    new = [k.text for k in accepted.keywords if fold(k.text) not in known]
    pairs = _replaced_in_place(proposed, accepted)
    pairs = {wrong: better for wrong, better in pairs.items() if wrong in gone and better in new}
    left, free = [w for w in gone if w not in pairs], [b for b in new if b not in pairs.values()]
    if len(left) == len(free) == 1:
        pairs[left[0]] = free[0]
    return [
        Correction(CorrectionKind.KEYWORD, wrong, pairs[wrong])
        if wrong in pairs
        else Correction(CorrectionKind.REMOVED, wrong)
        for wrong in gone
    ]


def _replaced_in_place(proposed: Tags, accepted: Tags) -> dict[str, str]:
    """Keywords that stand where others stood, between the same neighbours."""
    before, after = [k.text for k in proposed.keywords], [k.text for k in accepted.keywords]
    matcher = SequenceMatcher(None, [*map(fold, before)], [*map(fold, after)], autojunk=False)
    return {
        before[start]: after[new_start]
        for name, start, end, new_start, new_end in matcher.get_opcodes()
        if name == "replace" and end - start == new_end - new_start == 1
    }


def _caption_correction(before: str, after: str) -> Correction | None:
    """The one run of up to three words that differs; None when more does, or nothing."""
    old, new = list(_WORD.finditer(before)), list(_WORD.finditer(after))
    matcher = SequenceMatcher(
        None, [fold(w[0]) for w in old], [fold(w[0]) for w in new], autojunk=False
    )
    changes = [code for code in matcher.get_opcodes() if code[0] != "equal"]
    if len(changes) != 1 or changes[0][0] != "replace":
        return None
    _, start, end, new_start, new_end = changes[0]
    is_small = end - start <= _MOST_WORDS and new_end - new_start <= _MOST_WORDS
    if not is_small or 2 * (end - start) > len(old):
        return None
    wrong = before[old[start].start() : old[end - 1].end()]
    better = after[new[new_start].start() : new[new_end - 1].end()]
    if start == 0:  # the first word's capital belongs to the sentence
        wrong, better = _lower_first(wrong), _lower_first(better)
    return Correction(CorrectionKind.CAPTION, wrong, better)


def _corrected(correction: Correction, image: PendingImage, tags: Tags) -> Tags:
    """Fields with a correction applied; what the file itself says stays."""
    if correction.kind is CorrectionKind.CAPTION:
        if tags.caption in {image.existing.title, image.existing.description}:
            return tags
        return replace(tags, caption=_with_word(tags.caption, correction))
    wrong, better = fold(correction.wrong), fold(correction.better)
    kept: dict[str, Keyword] = {}
    for keyword in tags.keywords:
        is_wrong = fold(keyword.text) == wrong and keyword.origin is not Origin.EXISTING
        if is_wrong and better:
            kept.setdefault(better, Keyword(correction.better, origin=Origin.PERSON))
        elif not is_wrong:
            kept.setdefault(fold(keyword.text), keyword)
    return replace(tags, keywords=tuple(kept.values()))


def _with_word(text: str, correction: Correction) -> str:
    pattern = re.compile(rf"(?<!\w){re.escape(correction.wrong)}(?!\w)", re.IGNORECASE)

    def put(found: re.Match[str]) -> str:
        is_capital = found[0][:1].isupper() and not correction.wrong[:1].isupper()
        better = correction.better
        return better[:1].upper() + better[1:] if is_capital else better

    return pattern.sub(put, text)


def _lower_first(text: str) -> str:
    """A text without a capital at its start, unless the rest shows that it is a name or acronym."""
    return text[:1].lower() + text[1:] if text[1:].islower() or len(text) == 1 else text
