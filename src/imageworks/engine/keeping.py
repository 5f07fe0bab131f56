"""What the library keeps of one image's way: a suggestion, a failure, or what was there already."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from imageworks.models import DecisionKind, ImageState, Stage, Tags
from imageworks.paths import app_paths
from imageworks.review.merge import proposed_tags
from imageworks.review.rules import RuleBook
from imageworks.store.records import Choice, NewSuggestion

if TYPE_CHECKING:
    from collections.abc import Collection

    from imageworks.config import PersonalTaggerConfig
    from imageworks.errors import PhotoError, TransientBackendError
    from imageworks.models import ExistingMetadata
    from imageworks.stages import PreparedImage
    from imageworks.store.library import Library
    from imageworks.store.records import Standing, StoredSuggestion, WorkItem

logger = logging.getLogger(__name__)

_HINT_MARK = "+"
_HINT_DIGEST_DIGITS = 16


def hinted(fingerprint: str, hint: str) -> str:
    """How a picture was asked about when a person had a word on it: fits no other picture."""
    if not hint:
        return fingerprint
    digest = hashlib.sha256(hint.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{fingerprint}{_HINT_MARK}{digest[:_HINT_DIGEST_DIGITS]}"


def unhinted(fingerprint: str) -> str:
    """How a picture was asked about, whatever a person said about it."""
    return fingerprint.partition(_HINT_MARK)[0]


def completed(
    new: NewSuggestion, stages: Collection[Stage], present: StoredSuggestion
) -> NewSuggestion:
    """A suggestion with the fields that were not asked as the present one has them."""
    old, got = present.suggestion.tags, new.suggestion.tags
    tags = Tags(
        got.caption if Stage.CAPTION in stages else old.caption,
        got.keywords if Stage.KEYWORDS in stages else old.keywords,
        got.description if Stage.DESCRIPTION in stages else old.description,
    )
    is_hinted = _HINT_MARK in present.fingerprint and _HINT_MARK not in new.fingerprint
    return replace(
        new,
        suggestion=replace(new.suggestion, tags=tags),
        fingerprint=present.fingerprint if is_hinted else new.fingerprint,
    )


class Keeper:
    """Keeps the outcomes of one run's images, each in one transaction.

    Args:
        library: The library.
        config: The run's settings.
        fingerprint: How the run asks.

    Raises:
        ConfigError: The person's vocabulary file cannot be used.
    """

    def __init__(self, library: Library, config: PersonalTaggerConfig, fingerprint: str) -> None:
        self._library = library
        self._config = config
        self._fingerprint = fingerprint
        self._rules = RuleBook(app_paths().vocabulary).sound_rules()

    def keep(self, item: WorkItem, new: NewSuggestion, *, note: str = "") -> None:
        """The suggestion and what the run decides about it."""
        suggested = self._rules.applied(new.suggestion.tags)
        tags = proposed_tags(suggested, new.existing, self._config)
        with self._library.transaction():
            self._library.suggestions.record(item.image_id, item.run_id, new)
            if self._config.writes_metadata:
                self._library.decisions.decide(
                    item.image_id, item.run_id, DecisionKind.ACCEPT, by="run", choice=Choice(tags)
                )
            else:
                self._library.outcomes.record(
                    item.run_id, item.image_id, ImageState.SUGGESTED, note=note
                )

    def fail(self, item: WorkItem, error: PhotoError | TransientBackendError) -> None:
        """The image failed, for this reason."""
        with self._library.transaction():
            self._library.queue.remove(item.image_id)
            self._library.images.set_state(
                item.image_id, ImageState.FAILED, reason=error.reason, reason_text=str(error)
            )
            self._library.outcomes.record(
                item.run_id, item.image_id, ImageState.FAILED, reason=error.reason
            )

    def settle_identity(self, item: WorkItem, prepared: PreparedImage) -> WorkItem:
        """Notes the picture's identity; a moved file gets its history back."""
        with self._library.transaction():
            self._library.images.record_prepared(item.image_id, prepared)
            for twin in self._library.images.same_picture(item.image_id, prepared.content_id):
                if not twin.path.exists():
                    logger.info("%s was moved to %s.", twin.path, item.path)
                    self._library.images.adopt_moved(twin.id, item.image_id)
                    return replace(item, image_id=twin.id)
        return item

    def reuse(self, item: WorkItem, prepared: PreparedImage, existing: ExistingMetadata) -> bool:
        """Uses what was asked before about the same picture in the same way, if it was."""
        row = self._library.images.standing(item.image_id)
        if row is None:
            return False
        asked = self._asked_before(row, prepared)
        is_own = asked is not None and asked.id == row.suggestion_id
        if self._is_settled_by_person(row, prepared) or (is_own and row.decision_id is not None):
            self._settle_as_it_was(item)
            return True
        if asked is None:
            return False
        note = "the same picture was asked about before"
        self.keep(item, _copied(asked, prepared, existing, note=note))
        return True

    def share(self, item: WorkItem, prepared: PreparedImage, existing: ExistingMetadata) -> bool:
        """Gives a RAW what was answered about the JPEG whose card it shares, if anything was.

        A person's decision about the card is one about the RAW, whenever that was found.
        """
        lead_id = self._library.kinship.lead(item.image_id)
        lead = None if lead_id is None else self._library.images.standing(lead_id)
        if lead is None or lead.suggestion_id is None:
            return False
        asked = self._library.suggestions.get(lead.suggestion_id)
        if asked is None or unhinted(asked.fingerprint) != self._fingerprint:
            return False
        new = _copied(asked, prepared, existing, note="the JPEG beside it was asked about")
        own = self._library.images.standing(item.image_id)
        if own is not None and self._is_by_person(own.decision_id):
            self._settle_as_it_was(item)
        elif self._is_by_person(lead.decision_id) and not self._config.dry_run:
            self._decide_like(lead.decision_id or 0, item, new)
        else:
            self.keep(item, new)
        return True

    def _is_by_person(self, decision_id: int | None) -> bool:
        mark = self._library.decisions.mark(decision_id)
        return mark is not None and mark.by == "person"

    def _decide_like(self, decision_id: int, item: WorkItem, new: NewSuggestion) -> None:
        made = self._library.decisions.made(decision_id)
        with self._library.transaction(is_durable=True):
            self._library.suggestions.record(item.image_id, item.run_id, new)
            self._library.decisions.decide(
                item.image_id, item.run_id, made.kind, by="person", choice=made.choice
            )
            if made.kind is not DecisionKind.ACCEPT:
                state = self._library.images.restore_state(item.image_id)
                self._library.outcomes.record(item.run_id, item.image_id, state)

    def _asked_before(self, row: Standing, prepared: PreparedImage) -> StoredSuggestion | None:
        """The image's own suggestion, hinted or not, else another's about the same picture."""
        own = self._library.suggestions.get(row.suggestion_id) if row.suggestion_id else None
        if (
            own is not None
            and own.content_id == prepared.content_id
            and unhinted(own.fingerprint) == self._fingerprint
        ):
            return own
        return self._library.suggestions.find_asked(prepared.content_id, self._fingerprint)

    def _is_settled_by_person(self, row: Standing, prepared: PreparedImage) -> bool:
        mark = self._library.decisions.mark(row.decision_id)
        if mark is None or mark.by != "person" or row.suggestion_id is None:
            return False
        stored = self._library.suggestions.get(row.suggestion_id)
        return stored is not None and stored.content_id == prepared.content_id

    def _settle_as_it_was(self, item: WorkItem) -> None:
        with self._library.transaction():
            self._library.queue.remove(item.image_id)
            state = self._library.images.restore_state(item.image_id)
            is_told = self._library.outcomes.has(item.run_id, item.image_id)
            if state is not ImageState.ACCEPTED and not is_told:
                self._library.outcomes.record(
                    item.run_id, item.image_id, state, note="unchanged since it was decided"
                )


def _copied(
    asked: StoredSuggestion, prepared: PreparedImage, existing: ExistingMetadata, *, note: str
) -> NewSuggestion:
    """An earlier suggestion as one for this picture, which no request was made for."""
    notes = tuple(dict.fromkeys((*asked.suggestion.notes, note)))
    return NewSuggestion(
        suggestion=replace(asked.suggestion, notes=notes),
        content_id=prepared.content_id,
        fingerprint=asked.fingerprint,
        backend=asked.backend,
        base_url=asked.base_url,
        models=asked.models,
        prompt_profile=asked.prompt_profile,
        existing=existing,
    )
