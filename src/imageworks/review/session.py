"""The rules of reviewing: pending, edit, accept, reject, skip, undo. It knows no screen."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.errors import UsageError
from imageworks.models import DecisionKind, ExistingMetadata, ImageState, Tags
from imageworks.review.acts import ActHistory, ActOutcome
from imageworks.review.asked_fields import AskedFields, Proposal
from imageworks.review.deciding import Deciding, cleaned
from imageworks.review.filters import filter_text, parse_filter
from imageworks.review.many import ManyActs
from imageworks.review.merge import choice_of, proposed_tags
from imageworks.review.rules import RuleBook
from imageworks.review.steps import finish
from imageworks.store.criteria import ImageQuery, SortOrder
from imageworks.store.records import ImageRow
from imageworks.text import clean_text

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence

    from imageworks.config import PersonalTaggerConfig
    from imageworks.models import Stage
    from imageworks.review.corrections import Corrections
    from imageworks.store.id_load import IdLoad
    from imageworks.store.library import Library
    from imageworks.store.records import Choice, StoredSuggestion

logger = logging.getLogger(__name__)

UNDO_WINDOW_S = 4.0
"""How long an accepted image waits for its write, so that a slip of the finger costs nothing."""

_CURSOR_KEY = "review.cursor"
_FILTER_KEY = "review.filter"
_QUERY_KEY = "review.query"
_ORDER_KEY = "review.order"
_FOLDERS_KEY = "review.folders"
_LOOK_AHEAD = 200
_ON_ITS_WAY = (ImageState.QUEUED, ImageState.INFERRING, ImageState.ACCEPTED)
_LABELS = {
    DecisionKind.ACCEPT: "Accepted",
    DecisionKind.REJECT: "Rejected",
    DecisionKind.SKIP: "Skipped",
}


class StateFilter(Enum):
    """Which images the list shows, in the order that a key goes through them."""

    ALL = ("all", ())
    TO_REVIEW = ("to review", (ImageState.SUGGESTED,))
    WAITING = (
        "waiting",
        (ImageState.DISCOVERED, ImageState.QUEUED, ImageState.INFERRING),
    )
    DECIDED = (
        "decided",
        (ImageState.ACCEPTED, ImageState.WRITTEN, ImageState.REJECTED, ImageState.SKIPPED),
    )
    FAILED = ("failed", (ImageState.FAILED,))

    def __init__(self, label: str, states: tuple[ImageState, ...]) -> None:
        self.label = label
        self.states = states

    def next(self) -> StateFilter:
        """The one after this, round and round."""
        members = list(StateFilter)
        return members[(members.index(self) + 1) % len(members)]


@dataclass(frozen=True, slots=True)
class ReviewCard:
    """One image with all that a person needs to decide on it.

    Attributes:
        fields: What the fields show: the draft, else the decision, else the proposal.
        proposed: What an accept without an edit would leave in the file.
        suggested: What the engine said, apart from the file.
        is_draft: The fields hold what a person typed and has not decided on.
        made_by: What made the suggestion, e.g. a model and its profile; empty before there is one.
        notes: What the person should know.
    """

    row: ImageRow
    fields: Tags
    proposed: Tags
    suggested: Tags
    existing: ExistingMetadata
    is_draft: bool
    made_by: str
    notes: tuple[str, ...]

    @property
    def can_decide(self) -> bool:
        """Whether there is something to accept, or to decide again before it is written."""
        return self.row.suggestion_id is not None and self.row.state in {
            ImageState.SUGGESTED,
            ImageState.ACCEPTED,
            ImageState.REJECTED,
            ImageState.SKIPPED,
        }

    @property
    def can_edit(self) -> bool:
        """Whether its fields can be changed.

        What is written already can be written once more, and one that is asked about again can be
        worked on meanwhile.
        """
        return self.can_decide or (
            self.row.suggestion_id is not None
            and self.row.state in {ImageState.WRITTEN, ImageState.QUEUED, ImageState.INFERRING}
        )


class ReviewSession:
    """A person's session over some folders of the library.

    Args:
        folders: The list is limited to images in or below these; empty for the whole library.
        undo_window_s: See `UNDO_WINDOW_S`.
        vocabulary_path: The person's vocabulary file, which need not exist; None for none.
    """

    def __init__(
        self,
        library: Library,
        config: PersonalTaggerConfig,
        *,
        folders: Sequence[Path] = (),
        undo_window_s: float = UNDO_WINDOW_S,
        vocabulary_path: Path | None = None,
    ) -> None:
        self._library = library
        self._config = config
        self._undo_window_ms = int(undo_window_s * 1000)
        self._run_id: int | None = None
        self.rules = RuleBook(vocabulary_path)
        self._deciding = Deciding(
            library,
            config,
            self.rules,
            self._session_run,
            undo_window_ms=self._undo_window_ms,
        )
        self.history = ActHistory(library, self._session_run, undo_window_ms=self._undo_window_ms)
        self.asked = AskedFields(library, self.history, self._proposal)
        self.many = ManyActs(library, self._deciding)
        self.folders = tuple(folders)

    @cached_property
    def corrections(self) -> Corrections:
        """What the person puts right, and what follows from it."""
        from imageworks.review.corrections import (  # noqa: PLC0415  # from the first accept on
            Corrections,
        )

        return Corrections(self._library, self.many, self._deciding, self.rules)

    def image_ids(
        self,
        state_filter: StateFilter = StateFilter.ALL,
        query: ImageQuery = ImageQuery(),  # noqa: B008  # frozen
        order: SortOrder = SortOrder.FOUND,
    ) -> list[int]:
        """The images to show: those of the state filter that meet the query as well."""
        return self._library.search.ids(
            query, states=state_filter.states, folders=self.folders, order=order
        )

    def load_ids(self, state_filter: StateFilter, query: ImageQuery, order: SortOrder) -> IdLoad:
        """The same as `image_ids`, in a thread, for a library too large to wait for."""
        return self._library.search.load_ids(
            query, states=state_filter.states, folders=self.folders, order=order
        )

    def loaded_ids(self, load: IdLoad) -> array[int]:
        """What a load has found.

        Raises:
            StoreError: The library could not be read.
        """
        return self._library.search.finish(load)

    def ids_around(self, image_id: int, *, before: int, after: int) -> list[int]:
        """Images found right before and after one, itself too, of all states."""
        return self._library.search.ids_around(
            image_id, folders=self.folders, before=before, after=after
        )

    def pair_new(self, limit: int = 200) -> bool:
        """Puts RAW files on their JPEGs' cards, some at a time; whether the list has changed."""
        made, _more = self._library.kinship.pair_new(limit)
        return made > 0

    def rows(self, image_ids: Sequence[int]) -> list[ImageRow]:
        """The images as a list shows them."""
        return self._library.images.rows(image_ids)

    def row(self, image_id: int) -> ImageRow | None:
        """One image as a list shows it, or None when it has left the library."""
        return self._library.images.get(image_id)

    def to_review(self, state_filter: StateFilter, query: ImageQuery) -> list[int]:
        """The images to decide on among those that a list shows."""
        states = state_filter.states
        if states and ImageState.SUGGESTED not in states:
            return []
        return list(self.image_ids(StateFilter.TO_REVIEW, query))

    def group(self, image_id: int) -> list[int]:
        """The burst or near-duplicates that an image is one of, in order of capture."""
        return self._library.kinship.members(image_id)

    def counts(self) -> dict[ImageState, int]:
        """How many images are in each state."""
        return self._library.images.counts(self.folders)

    def card(self, image_id: int) -> ReviewCard | None:
        """All about one image, or None when it has left the library."""
        row = self._library.images.get(image_id)
        if row is None:
            return None
        stored = (
            None if row.suggestion_id is None else self._library.suggestions.get(row.suggestion_id)
        )
        if stored is None:
            return ReviewCard(
                row=row,
                fields=Tags(),
                proposed=Tags(),
                suggested=Tags(),
                existing=ExistingMetadata(),
                is_draft=False,
                made_by="",
                notes=_notes(row),
            )
        proposal = self._proposal(stored)
        draft = self._library.session.draft(image_id)
        return ReviewCard(
            row=row,
            fields=draft or self._decided_tags(row) or proposal.proposed,
            proposed=proposal.proposed,
            suggested=proposal.suggested,
            existing=stored.existing,
            is_draft=draft is not None,
            made_by=f"{', '.join(dict.fromkeys(stored.models.values()))} · {stored.prompt_profile}",
            notes=(*_notes(row), *stored.suggestion.notes),
        )

    def save_draft(self, image_id: int, tags: Tags) -> None:
        """Keeps what was typed; what equals the fields' first content is no draft."""
        card = self.card(image_id)
        if card is None or not card.can_edit:
            return
        if tags == (self._decided_tags(card.row) or card.proposed):
            self._library.session.drop_draft(image_id)
        else:
            self._library.session.save_draft(image_id, tags)

    def accept(self, image_id: int, tags: Tags | None = None) -> None:
        """Accepts an image with its fields as given, else as its card shows them.

        Raises:
            UsageError: There is nothing to accept yet, or all of it is written already.
        """
        card = self._editable(image_id, tags)
        wanted = cleaned(tags or card.fields)
        choice = choice_of(wanted, cleaned(card.proposed), card.existing)
        with self._library.transaction(is_durable=True):
            decision_id = self._decide(card, DecisionKind.ACCEPT, wanted, choice)
            self.corrections.note(decision_id, cleaned(card.proposed), wanted)

    def reject(self, image_id: int) -> None:
        """Rejects an image: its file stays as it is."""
        card = self._decidable(image_id)
        self._decide(card, DecisionKind.REJECT, card.fields)

    def skip(self, image_id: int) -> None:
        """Leaves an image for another day."""
        card = self._decidable(image_id)
        self._decide(card, DecisionKind.SKIP, card.fields)

    def undo(self) -> ActOutcome | None:
        """Takes back the last act at once; see `ActHistory.undo`."""
        return finish(self.history.undo())

    def redo(self) -> ActOutcome | None:
        """Does again at once what was undone last; see `ActHistory.redo`."""
        return finish(self.history.redo())

    def ask_again(self, image_id: int, hint: str = "", *, stage: Stage | None = None) -> None:
        """Asks the engine for another suggestion, with what the person says about the picture.

        Args:
            image_id: The image.
            hint: What the person says.
            stage: The one field to ask for, which `asked` then waits for; None for all. An image
                without a suggestion is asked for all.

        Raises:
            UsageError: The image is about to be written, or is being asked about already.
        """
        row = self._library.images.get(image_id)
        if row is None or row.state in _ON_ITS_WAY:
            state = "gone" if row is None else row.state
            message = f"This image is {state}, so it is not asked about again now."
            raise UsageError(message, hint="wait a moment, or undo the accept first.")
        if stage is None or row.suggestion_id is None:
            self.asked.forget(image_id)
            self._library.session.wish_suggestion(image_id, clean_text(hint))
            return
        with self._library.transaction(is_durable=True):
            self._library.session.wish_suggestion(image_id, clean_text(hint), stage=stage)
            self.asked.expect(image_id, stage, row.suggestion_id)

    def next_undecided(self, image_ids: Sequence[int], position: int) -> int:
        """The position of the next image to review after this one; round the end; else the next."""
        found = self._undecided(image_ids, position, step=1)
        return min(position + 1, max(len(image_ids) - 1, 0)) if found is None else found

    def previous_undecided(self, image_ids: Sequence[int], position: int) -> int:
        """The position of the last image to review before this one; round the start; else this."""
        found = self._undecided(image_ids, position, step=-1)
        return position if found is None else found

    def _undecided(self, image_ids: Sequence[int], position: int, *, step: int) -> int | None:
        """The nearest image to review in one direction.

        It is near as a rule, so a page of rows is looked at before all ids are asked for.
        """
        count = len(image_ids)
        near = [(position + step * k) % count for k in range(1, min(count, _LOOK_AHEAD + 1))]
        states = {row.id: row.state for row in self.rows([image_ids[p] for p in near])}
        for candidate in near:
            if states.get(image_ids[candidate]) is ImageState.SUGGESTED:
                return candidate
        if count <= _LOOK_AHEAD + 1:
            return None
        pending = set(self.image_ids(StateFilter.TO_REVIEW))
        far = ((position + step * k) % count for k in range(_LOOK_AHEAD + 1, count))
        return next((candidate for candidate in far if image_ids[candidate] in pending), None)

    def remember_place(self, image_id: int | None, state_filter: StateFilter) -> None:
        """Keeps cursor, filter and folders for the next session."""
        self._library.session.remember(_CURSOR_KEY, "" if image_id is None else str(image_id))
        self._library.session.remember(_FILTER_KEY, state_filter.name)
        shown = [os.fspath(folder) for folder in self.folders]
        self._library.session.remember(_FOLDERS_KEY, json.dumps(shown))

    def remembered_place(self) -> tuple[int | None, StateFilter]:
        """Where the last session stopped."""
        cursor = self._library.session.recall(_CURSOR_KEY)
        name = self._library.session.recall(_FILTER_KEY)
        known = StateFilter.__members__
        return (int(cursor) if cursor.isdigit() else None), known.get(name, StateFilter.ALL)

    def remember_search(self, query: ImageQuery, order: SortOrder) -> None:
        """Keeps the typed filter and the order for the next session."""
        self._library.session.remember(_QUERY_KEY, filter_text(query))
        self._library.session.remember(_ORDER_KEY, order.name)

    def remembered_search(self) -> tuple[ImageQuery, SortOrder]:
        """The last session's filter and order; none where this program does not know them."""
        name = self._library.session.recall(_ORDER_KEY)
        order = SortOrder.__members__.get(name, SortOrder.FOUND)
        try:
            return parse_filter(self._library.session.recall(_QUERY_KEY)), order
        except UsageError as error:
            logger.info("The remembered filter is left out: %s", error)
            return ImageQuery(), order

    def use_config(self, config: PersonalTaggerConfig) -> None:
        """Merges and writes by other settings from the next decision on."""
        self._config = config
        self._deciding.config = config
        if self._run_id is not None:  # its settings say how its decisions are written
            self._library.runs.end(self._run_id, "finished")
            self._run_id = None

    def close(self) -> None:
        """Ends the session: what waits in the undo window is written at once."""
        self._library.decisions.hasten_writes()
        self._library.acts.trim()
        if self._run_id is not None:
            self._library.runs.end(self._run_id, "finished")

    def _proposal(self, stored: StoredSuggestion) -> Proposal:
        suggested = self.rules.applied(stored.suggestion.tags)
        return Proposal(suggested, proposed_tags(suggested, stored.existing, self._config))

    def _decidable(self, image_id: int) -> ReviewCard:
        card = self.card(image_id)
        if card is None or not card.can_decide:
            state = "gone" if card is None else card.row.state
            message = f"This image is {state}, so there is nothing to decide."
            raise UsageError(message, hint="ask for a suggestion first.")
        return card

    def _editable(self, image_id: int, tags: Tags | None) -> ReviewCard:
        """A card to accept; one that is written already needs an edit, or it would say nothing."""
        card = self.card(image_id)
        if card is None or card.row.state is not ImageState.WRITTEN or not card.can_edit:
            return self._decidable(image_id)
        written = self._decided_tags(card.row) or card.proposed
        if cleaned(tags or card.fields) == cleaned(written):
            message = "This image is written as it is shown, so there is nothing to decide."
            raise UsageError(message, hint="edit a field, then accept it again.")
        return card

    def _decide(
        self, card: ReviewCard, kind: DecisionKind, fields: Tags, choice: Choice | None = None
    ) -> int:
        """Makes a decision as an act of its own; what was typed comes back with an undo."""
        base = self._decided_tags(card.row) or card.proposed
        changes = self._deciding.decide(
            card.row.id, kind, choice=choice, draft_before=None if fields == base else fields
        )
        self.history.record(_LABELS[kind], changes)
        decided = next(change for change in changes if change.image_id == card.row.id)
        assert decided.decision_id is not None  # noqa: S101  # `decide` makes one for each
        return decided.decision_id

    def _decided_tags(self, row: ImageRow) -> Tags | None:
        if row.decision_id is None or row.state not in {ImageState.ACCEPTED, ImageState.WRITTEN}:
            return None
        return self._library.decisions.choice(row.decision_id).tags

    def _session_run(self) -> int:
        if self._run_id is None:
            run = self._library.runs.create("review", self._config.to_json(), status="running")
            self._library.runs.start(run.id)
            self._run_id = run.id
        return self._run_id


def remembered_folders(library: Library) -> tuple[Path, ...]:
    """The folders of the last session; empty when there was none, or it had the whole library."""
    stored = library.session.recall(_FOLDERS_KEY)
    return tuple(Path(folder) for folder in json.loads(stored)) if stored else ()


def _notes(row: ImageRow) -> tuple[str, ...]:
    return tuple(note for note in (row.trouble, row.note) if note)
