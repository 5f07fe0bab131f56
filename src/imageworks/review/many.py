"""Acts on many images at once: one count to confirm, one act to take back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imageworks.errors import UsageError
from imageworks.models import DecisionKind, ImageState, Keyword, Origin, Tags
from imageworks.review.acts import ActOutcome
from imageworks.review.steps import in_steps
from imageworks.store.acts import ActChange
from imageworks.text import clean_keyword, fold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imageworks.review.deciding import Deciding
    from imageworks.review.steps import Steps
    from imageworks.store.library import Library
    from imageworks.store.pending import PendingImage

_UNDECIDED = (ImageState.SUGGESTED, ImageState.REJECTED, ImageState.SKIPPED)
_OPEN_TO = {
    DecisionKind.ACCEPT: _UNDECIDED,
    DecisionKind.REJECT: (ImageState.SUGGESTED, ImageState.ACCEPTED, ImageState.SKIPPED),
    DecisionKind.SKIP: (ImageState.SUGGESTED, ImageState.ACCEPTED, ImageState.REJECTED),
}
_LABELS = {
    DecisionKind.ACCEPT: "Accepted",
    DecisionKind.REJECT: "Rejected",
    DecisionKind.SKIP: "Skipped",
}


class ManyActs:
    """Decides on many images, or changes what is typed for them, as one act.

    Args:
        library: The library.
        deciding: How one of them is decided on.
    """

    def __init__(self, library: Library, deciding: Deciding) -> None:
        self._library = library
        self._deciding = deciding

    def open_to(self, kind: DecisionKind, image_ids: Sequence[int]) -> list[int]:
        """Those of the images that a decision would change, in their order."""
        return self._library.pending.in_states(image_ids, _OPEN_TO[kind])

    def open_to_edits(self, image_ids: Sequence[int]) -> list[int]:
        """Those of the images whose fields can be edited, in their order."""
        return self._library.pending.in_states(image_ids, (*_UNDECIDED, ImageState.ACCEPTED))

    def decide(
        self, kind: DecisionKind, image_ids: Sequence[int], *, tags: Tags | None = None
    ) -> Steps[ActOutcome]:
        """Decides on images as their fields are, or all with the same fields.

        Args:
            kind: The decision.
            image_ids: The images; those that the decision would not change are left out.
            tags: For an accept: the fields that all of them get, each behind what its own file
                says already.
        """

        def change(image: PendingImage) -> list[ActChange]:
            choice = None
            if kind is DecisionKind.ACCEPT:
                own = self._deciding.fields(image)
                wanted = own if tags is None else self._deciding.shared(image, tags)
                choice = self._deciding.choice(image, wanted)
            return self._deciding.decide(image.id, kind, choice=choice, draft_before=image.draft)

        open_ids = self.open_to(kind, image_ids)
        return (yield from self._act(_LABELS[kind], open_ids, _OPEN_TO[kind], change))

    def add_keyword(self, text: str, image_ids: Sequence[int]) -> Steps[ActOutcome]:
        """Adds a keyword behind the others of images that do not have it.

        Raises:
            UsageError: The text holds no keyword.
        """
        keyword = Keyword(_checked(text), origin=Origin.PERSON)

        def edit(_image: PendingImage, tags: Tags) -> Tags:
            if fold(keyword.text) in {fold(known.text) for known in tags.keywords}:
                return tags
            return Tags(tags.caption, (*tags.keywords, keyword), tags.description)

        return (yield from self.edit(f"Added {keyword.text} to", image_ids, edit))

    def remove_keyword(self, text: str, image_ids: Sequence[int]) -> Steps[ActOutcome]:
        """Takes a keyword, by case and form of letters alike, out of images that have it.

        Raises:
            UsageError: The text holds no keyword.
        """
        wanted = _checked(text)

        def edit(_image: PendingImage, tags: Tags) -> Tags:
            kept = tuple(k for k in tags.keywords if fold(k.text) != fold(wanted))
            return Tags(tags.caption, kept, tags.description)

        return (yield from self.edit(f"Took {wanted} out of", image_ids, edit))

    def edit(
        self, label: str, image_ids: Sequence[int], edit: Callable[[PendingImage, Tags], Tags]
    ) -> Steps[ActOutcome]:
        """Changes the fields of images: as drafts, or as a new decision where one was accepted."""

        def change(image: PendingImage) -> list[ActChange]:
            before = self._deciding.fields(image)
            after = edit(image, before)
            if after == before:
                return []
            if image.state is ImageState.ACCEPTED:
                choice = self._deciding.choice(image, after)
                return self._deciding.decide(
                    image.id, DecisionKind.ACCEPT, choice=choice, draft_before=image.draft
                )
            draft = None if after == self._deciding.proposed(image) else after
            self._library.session.put_draft(image.id, draft)
            return [ActChange(image.id, draft_before=image.draft, draft_after=draft)]

        states = (*_UNDECIDED, ImageState.ACCEPTED)
        wanted = self.open_to_edits(image_ids)
        return (yield from self._act(label, wanted, states, change))

    def _act(
        self,
        label: str,
        image_ids: Sequence[int],
        states: Sequence[ImageState],
        change: Callable[[PendingImage], list[ActChange]],
    ) -> Steps[ActOutcome]:
        acts = self._library.acts
        act_id = acts.begin(label)
        changed: list[int] = []
        busy: list[int] = []

        def work(some: Sequence[int]) -> None:
            # Asked again here: the engine may have changed a state since the act began.
            for image in self._library.pending.of(some):
                if image.state not in states:
                    continue
                try:
                    changes = change(image)
                except UsageError:
                    busy.append(image.id)
                    continue
                acts.add(act_id, changes)
                if changes:
                    changed.append(image.id)

        yield from in_steps(self._library, image_ids, work)
        if changed:
            acts.seal(act_id)
        else:
            acts.drop_if_empty(act_id)
        first = changed[0] if changed else None
        return ActOutcome(label, first, len(changed), busy=len(busy))


def _checked(text: str) -> str:
    cleaned = clean_keyword(text)
    if not fold(cleaned):
        message = "There is no keyword to add or take out."
        raise UsageError(message, hint="type one word or name.", reason="keyword")
    return cleaned
