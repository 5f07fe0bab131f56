"""How one image is decided on: its choice, and the other file of its RAW and JPEG pair."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imageworks.models import DecisionKind, Keyword, Origin, Tags
from imageworks.review.merge import choice_of, merge_keywords, proposed_tags
from imageworks.store.acts import ActChange
from imageworks.text import clean_text, fold

if TYPE_CHECKING:
    from collections.abc import Callable

    from imageworks.config import PersonalTaggerConfig
    from imageworks.review.rules import RuleBook
    from imageworks.store.library import Library
    from imageworks.store.pending import PendingImage
    from imageworks.store.records import Choice


class Deciding:
    """Makes decisions; keeping them as an act is the caller's.

    Args:
        library: The library.
        config: Says how fields merge.
        rules: The person's own words for things.
        run_id: The review session's run, made when first asked for.
        undo_window_ms: How long a decision waits for its write.
    """

    def __init__(
        self,
        library: Library,
        config: PersonalTaggerConfig,
        rules: RuleBook,
        run_id: Callable[[], int],
        *,
        undo_window_ms: int,
    ) -> None:
        self._library = library
        self.config = config
        self._rules = rules
        self._run_id = run_id
        self._undo_window_ms = undo_window_ms

    def proposed(self, image: PendingImage) -> Tags:
        """What an accept without an edit would leave in the file."""
        suggested = self._rules.applied(image.suggested)
        return proposed_tags(suggested, image.existing, self.config)

    def fields(self, image: PendingImage) -> Tags:
        """What the fields show: the draft, else the decision, else the proposal."""
        return image.draft or image.decided or self.proposed(image)

    def shared(self, image: PendingImage, tags: Tags) -> Tags:
        """Another image's fields for this one; what this one's file says itself stays."""
        proposed, suggested = self.proposed(image), self._rules.applied(image.suggested)
        has_caption = proposed.caption != suggested.caption
        has_description = proposed.description != suggested.description
        own = (Keyword(text, origin=Origin.EXISTING) for text in image.existing.keywords)
        others = (k for k in tags.keywords if k.origin is not Origin.EXISTING)
        return Tags(
            caption=proposed.caption if has_caption else tags.caption,
            keywords=merge_keywords(own, others),
            description=proposed.description if has_description else tags.description,
        )

    def choice(self, image: PendingImage, tags: Tags) -> Choice:
        """These fields as a decision."""
        return choice_of(cleaned(tags), cleaned(self.proposed(image)), image.existing)

    def decide(
        self,
        image_id: int,
        kind: DecisionKind,
        *,
        choice: Choice | None = None,
        draft_before: Tags | None = None,
    ) -> list[ActChange]:
        """Decides on an image, and in the same way on the other file of its pair.

        Raises:
            UsageError: An earlier accept of either is being written at this moment; nothing was
                decided.
        """
        others = self._library.kinship.followers(image_id)
        changes = []
        with self._library.transaction(is_durable=True):
            for each in (*others, image_id):
                if each != image_id:
                    self._library.queue.remove(each)
                decision_id = self._library.decisions.decide(
                    each,
                    self._run_id(),
                    kind,
                    by="person",
                    choice=choice if each == image_id else self._for_follower(each, choice),
                    write_after_ms=self._library.now_ms() + self._undo_window_ms,
                )
                draft = draft_before if each == image_id else None
                changes.append(ActChange(each, decision_id, draft_before=draft))
        return changes

    def _for_follower(self, image_id: int, choice: Choice | None) -> Choice | None:
        """The same choice for the other file of a pair, which nobody sees.

        Its file may still hold words of an earlier accept that the shown file never got, or has
        lost since: those that were not accepted again go.
        """
        if choice is None:
            return None
        kept = {fold(keyword.text) for keyword in choice.tags.keywords}
        earlier = self._library.decisions.accepted_keywords(image_id)
        gone = (*choice.removed_keywords, *(text for text in earlier if fold(text) not in kept))
        return replace(choice, removed_keywords=tuple(dict.fromkeys(gone)))


def cleaned(tags: Tags) -> Tags:
    """Fields as they may be written, so that what is kept is what goes into the file."""
    return Tags(
        caption=clean_text(tags.caption),
        keywords=tags.keywords,
        description=clean_text(tags.description, keep_newlines=True),
    )
