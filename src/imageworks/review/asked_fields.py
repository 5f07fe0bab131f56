"""Single fields asked for again: which are on their way, and what their answers change."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from imageworks.models import ImageState, Stage, Tags
from imageworks.review.edits import edit_between, repeated
from imageworks.store.acts import ActChange

if TYPE_CHECKING:
    from collections.abc import Callable

    from imageworks.review.acts import ActHistory
    from imageworks.store.library import Library
    from imageworks.store.records import ImageRow, StoredSuggestion

_KEY = "review.asked_fields"
_ON_ITS_WAY = (ImageState.QUEUED, ImageState.INFERRING)
_OPEN = (ImageState.SUGGESTED, ImageState.REJECTED, ImageState.SKIPPED)
_PATIENCE_S = 5.0
"""An image under way just then is queued anew after it; between the two nothing is to be seen."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a suggestion comes to for one image.

    Attributes:
        suggested: What the model says, in the person's own words for things.
        proposed: What an accept without an edit would leave in the file.
    """

    suggested: Tags
    proposed: Tags


class AskedFields:
    """The fields that a person waits for, kept across sessions.

    Args:
        library: The library.
        history: Takes note of answers that took the place of what is not the model's.
        proposal_of: What a suggestion comes to.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        library: Library,
        history: ActHistory,
        proposal_of: Callable[[StoredSuggestion], Proposal],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._library = library
        self._history = history
        self._proposal_of = proposal_of
        self._clock = clock
        self._idle_since_s: dict[tuple[int, Stage], float] = {}
        self._since: dict[tuple[int, Stage], int] = {
            (int(image_id), Stage(stage)): int(suggestion_id)
            for image_id, stage, suggestion_id in json.loads(library.session.recall(_KEY, "[]"))
        }

    def expect(self, image_id: int, stage: Stage, suggestion_id: int) -> None:
        """Takes note that a field was asked for while an image had this suggestion."""
        self._since[image_id, stage] = suggestion_id
        self._idle_since_s.pop((image_id, stage), None)
        self._keep()

    def forget(self, image_id: int) -> None:
        """Waits for no field of an image any more, as all of them were asked for."""
        for stage in self.of(image_id):
            self._drop(image_id, stage)

    def of(self, image_id: int | None) -> frozenset[Stage]:
        """The fields of an image that are on their way."""
        return frozenset(stage for known, stage in self._since if known == image_id)

    def arrived(self) -> list[tuple[int, Stage]]:
        """The fields whose answers are there to `take`; those asked for in vain are given up."""
        found = []
        for (image_id, stage), since in tuple(self._since.items()):
            row = self._library.images.get(image_id)
            if row is None or row.suggestion_id is None:
                self._drop(image_id, stage)
            elif stage in self._library.suggestions.stages_since(image_id, since):
                found.append((image_id, stage))
            elif self._is_in_vain(row, stage):
                self._drop(image_id, stage)
        return found

    def take(self, image_id: int, stage: Stage) -> bool:
        """Puts an answer into its field and nothing else; what a person typed elsewhere stays.

        Where it takes the place of what the person typed, or of the file's own words, that is an
        act that can be undone. Of keywords, what the person added and took out stays so.

        Returns:
            Whether there is such an act.
        """
        since = self._since[image_id, stage]
        old, row = self._library.suggestions.get(since), self._library.images.get(image_id)
        is_act = False
        with self._library.transaction(is_durable=True):
            if old is not None and row is not None and row.state in _OPEN:
                is_act = self._put(row, stage, self._proposal_of(old))
            self._drop(image_id, stage)
        return is_act

    def _put(self, row: ImageRow, stage: Stage, old: Proposal) -> bool:
        stored = self._library.suggestions.get(row.suggestion_id or 0)
        assert stored is not None  # noqa: S101  # an image names no suggestion that is gone
        new = self._proposal_of(stored)
        draft = self._library.session.draft(row.id)
        shown = draft or old.proposed
        answer = _answer(shown, stage, old, new)
        after = replace(draft or new.proposed, **{stage.value: answer})
        after_draft = None if after == new.proposed else after
        self._library.session.put_draft(row.id, after_draft)
        if not _is_own(shown, stage, old) or answer == getattr(shown, stage.value):
            return False
        change = ActChange(row.id, draft_before=shown, draft_after=after_draft)
        self._history.record(f"New {stage} for", [change])
        return True

    def _is_in_vain(self, row: ImageRow, stage: Stage) -> bool:
        """Whether nobody works on it; the image says why, where there is a reason."""
        if row.is_asked_again or row.state in _ON_ITS_WAY:
            self._idle_since_s.pop((row.id, stage), None)
            return False
        now_s = self._clock()
        return now_s - self._idle_since_s.setdefault((row.id, stage), now_s) > _PATIENCE_S

    def _drop(self, image_id: int, stage: Stage) -> None:
        del self._since[image_id, stage]
        self._idle_since_s.pop((image_id, stage), None)
        self._keep()

    def _keep(self) -> None:
        waiting = [[*key, suggestion_id] for key, suggestion_id in self._since.items()]
        self._library.session.remember(_KEY, json.dumps(waiting))


def _answer(shown: Tags, stage: Stage, old: Proposal, new: Proposal) -> Any:  # noqa: ANN401  # a text, or keywords
    """What a field is to say; as it is shown where the model gave no answer."""
    if stage is not Stage.KEYWORDS:
        return getattr(new.suggested, stage.value) or getattr(shown, stage.value)
    if not new.suggested.keywords:
        return shown.keywords
    edit = edit_between(Tags(keywords=old.proposed.keywords), Tags(keywords=shown.keywords))
    return repeated(edit, Tags(keywords=new.proposed.keywords), new.proposed.keywords).keywords


def _is_own(shown: Tags, stage: Stage, old: Proposal) -> bool:
    """Whether a field shows other words than the model's earlier ones."""
    earlier = old.proposed if stage is Stage.KEYWORDS else old.suggested
    return bool(getattr(shown, stage.value) != getattr(earlier, stage.value))
