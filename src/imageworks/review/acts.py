"""Undo and redo of whole acts, before and after their writes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from imageworks.errors import UsageError
from imageworks.review.steps import in_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imageworks.models import Tags
    from imageworks.review.steps import Steps
    from imageworks.store.acts import ActChange, StoredAct
    from imageworks.store.library import Library

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ActOutcome:
    """What came of an act, an undo or a redo.

    Attributes:
        label: What the act was, such as ``Accepted``.
        image_id: An image of it to show; None where it has none.
        count: Images that it has changed now.
        kept: Images left as they are, as somebody has decided or typed otherwise since.
        busy: Images being written at this moment; the same again in a second deals with them.
    """

    label: str
    image_id: int | None
    count: int
    kept: int = 0
    busy: int = 0


class _Fate(Enum):
    CHANGED = "changed"
    KEPT = "kept"
    BUSY = "busy"


class ActHistory:
    """Every act of a person, in the library: an undo may come after a restart or a write.

    Args:
        library: The library.
        run_id: The review session's run, made when first asked for.
        undo_window_ms: How long a decision made again waits for its write.
    """

    def __init__(self, library: Library, run_id: Callable[[], int], *, undo_window_ms: int) -> None:
        self._library = library
        self._run_id = run_id
        self._undo_window_ms = undo_window_ms

    def record(self, label: str, changes: Iterable[ActChange]) -> None:
        """Keeps an act that is done at once."""
        with self._library.transaction(is_durable=True):
            act_id = self._library.acts.begin(label)
            self._library.acts.add(act_id, changes)
            self._library.acts.seal(act_id)

    def undo(self) -> Steps[ActOutcome | None]:
        """Takes back the last act; None when there is none.

        What a person had typed before it is there again, as a draft. Metadata that is on the disk
        already is put back through the journal, by the engine.

        Raises:
            UsageError: Its only image is being written at this moment.
        """
        act = self._library.acts.last_done()
        if act is None:
            return None
        return (yield from self._go(act, "done", "undone", self._take_back))

    def redo(self) -> Steps[ActOutcome | None]:
        """Does again what was undone last; None when there is nothing.

        Raises:
            UsageError: Its only image is being put back at this moment.
        """
        act = self._library.acts.first_undone()
        if act is None:
            return None
        return (yield from self._go(act, "undone", "done", self._do_again))

    def _go(
        self, act: StoredAct, before: str, after: str, change_one: Callable[[int, int], _Fate]
    ) -> Steps[ActOutcome]:
        image_ids = self._library.acts.image_ids(act.id, before)
        fates = dict.fromkeys(_Fate, 0)
        touched: list[int] = []

        def work(some: Sequence[int]) -> None:
            for image_id in some:
                fate = change_one(act.id, image_id)
                fates[fate] += 1
                if fate is _Fate.CHANGED and not touched:
                    touched.append(image_id)

        yield from in_steps(self._library, image_ids, work)
        if fates[_Fate.BUSY] and not fates[_Fate.CHANGED]:
            message = "That image is being written at this moment."
            raise UsageError(message, hint="try again in a second.", reason="being-written")
        if not fates[_Fate.BUSY]:
            self._library.acts.set_state(act.id, after)
        return ActOutcome(
            act.label,
            touched[0] if touched else next(iter(image_ids), None),
            fates[_Fate.CHANGED],
            kept=fates[_Fate.KEPT],
            busy=fates[_Fate.BUSY],
        )

    def _take_back(self, act_id: int, image_id: int) -> _Fate:
        change = self._library.acts.change(act_id, image_id)
        if change.decision_id is None:
            fate = self._swap_draft(image_id, change.draft_after, change.draft_before)
        else:
            fate = self._take_back_decision(change, change.decision_id)
        if fate is not _Fate.BUSY:
            state = "undone" if fate is _Fate.CHANGED else "kept"
            self._library.acts.settle(act_id, image_id, state)
        return fate

    def _take_back_decision(self, change: ActChange, decision_id: int) -> _Fate:
        made = self._library.decisions.made(decision_id)
        if not made.is_latest and made.write_state != "written":
            return _Fate.KEPT
        if self._library.decisions.undo(decision_id, self._run_id()):
            self._library.session.put_draft(change.image_id, change.draft_before)
            return _Fate.CHANGED
        if made.write_state == "writing":
            return _Fate.BUSY
        is_asked = self._library.journal.request_undo_of(decision_id)
        return _Fate.CHANGED if is_asked else _Fate.KEPT

    def _do_again(self, act_id: int, image_id: int) -> _Fate:
        change = self._library.acts.change(act_id, image_id)
        decision_id = change.decision_id
        if decision_id is None:
            fate = self._swap_draft(image_id, change.draft_before, change.draft_after)
        else:
            fate, decision_id = self._decide_again(change, decision_id)
        if fate is not _Fate.BUSY:
            state = "done" if fate is _Fate.CHANGED else "kept"
            self._library.acts.settle(act_id, image_id, state, decision_id=decision_id)
        return fate

    def _decide_again(self, change: ActChange, decision_id: int) -> tuple[_Fate, int]:
        library = self._library
        if library.journal.withdraw_undo_of(decision_id):
            return _Fate.CHANGED, decision_id
        if library.journal.is_undoing(decision_id):
            return _Fate.BUSY, decision_id
        made = library.decisions.made(decision_id)
        typed = library.session.draft(change.image_id)
        is_untouched = typed in (None, change.draft_before, made.choice.tags)
        if not made.is_open or not is_untouched:
            return _Fate.KEPT, decision_id
        again = library.decisions.decide(
            change.image_id,
            self._run_id(),
            made.kind,
            by="person",
            choice=made.choice,
            write_after_ms=library.now_ms() + self._undo_window_ms,
        )
        return _Fate.CHANGED, again

    def _swap_draft(self, image_id: int, before: Tags | None, after: Tags | None) -> _Fate:
        if self._library.session.draft(image_id) != before:
            return _Fate.KEPT
        self._library.session.put_draft(image_id, after)
        return _Fate.CHANGED
