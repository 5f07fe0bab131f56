"""Keywords from image to image: copied, on slots, repeated; and the words to complete them with."""

from __future__ import annotations

import asyncio
import logging
import threading
from functools import cached_property
from typing import TYPE_CHECKING

from imageworks.errors import ImageworksError
from imageworks.review.edits import adopted, with_added
from imageworks.review.quick import QuickKeywords, with_slot
from imageworks.text import one_line
from imageworks.tui.hands.hands import Hands
from imageworks.tui.widgets.keyword_editor import KeywordEditor
from imageworks.tui.wording import count_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imageworks.models import Keyword

logger = logging.getLogger(__name__)

_FIRST_COUNT_DELAY_S = 2.0
"""The first frame and its picture go before the words that a person may type later."""


class KeywordHands(Hands):
    """What is done with keywords outside their field; all of it is a draft until accepted."""

    copied: tuple[Keyword, ...] = ()
    _vocabulary_stamp: tuple[tuple[int, int] | None, ...] | None = None
    _is_learning = False

    @cached_property
    def quick(self) -> QuickKeywords:
        """The slots."""
        return QuickKeywords(self.library)

    @cached_property
    def _is_leaving(self) -> threading.Event:
        return threading.Event()

    def on_mount(self) -> None:
        """Lets keywords be completed once the first frame is there."""
        self.call_after_refresh(self._begin_to_complete)
        self.set_timer(_FIRST_COUNT_DELAY_S, self.learn_words)

    def _begin_to_complete(self) -> None:
        """Completes keywords from what is counted already."""
        from imageworks.review.completion import KeywordCompleter  # noqa: PLC0415  # typed later

        self.form.keywords.completer = KeywordCompleter(self.library.usage)

    def on_unmount(self) -> None:
        """Ends the counting within a step."""
        self._is_leaving.set()

    def on_descendant_focus(self) -> None:
        """Brings the words up to date when the keywords are about to be edited."""
        if isinstance(self.focused, KeywordEditor):
            self.learn_words()

    def learn_words(self) -> None:
        """Reads a changed vocabulary and counts what was accepted since, in the background."""
        if not self._is_learning:
            self._is_learning = True
            self.run_worker(self._learn(), group="words")

    def do_copy_keywords(self) -> None:
        """Copies the image's keywords, for other images and for the terminal's clipboard."""
        if self.wanted_id() is None:
            return
        self.copied = self.form.tags().keywords
        self.app.copy_to_clipboard(", ".join(_shown(keyword) for keyword in self.copied))
        key = self.keys.key_of("paste_keywords")
        self.say(f"Copied {_listed(self.copied)} · {key} pastes")

    def do_paste_keywords(self) -> None:
        """Adds the copied keywords to the image's own."""
        if self._can_take(self.copied):
            own = self.form.tags().keywords
            self._put(with_added(own, self.copied, self.form.known_keywords()), "Pasted")

    def do_replace_keywords(self) -> None:
        """Puts the copied keywords in the place of the image's own."""
        if self._can_take(self.copied):
            self._put(adopted(self.copied, self.form.known_keywords()), "Replaced by")

    def do_repeat_edit(self) -> None:
        """Does to this image what was done to the one that was edited last."""
        if self.form.last_edit.is_empty:
            self.say("Nothing was edited yet, so there is nothing to repeat.")
        elif self._can_edit():
            self.form.repeat_edit()
            self.keep_draft()
            self.say(f"Done again: {_edit_text(self)}")

    def do_quick_keywords(self) -> None:
        """Opens the slots."""
        from imageworks.tui.screens.quick import QuickKeywordsScreen  # noqa: PLC0415  # seldom seen

        if self.wanted_id() is not None:
            keywords = self.form.tags().keywords
            self.app.push_screen(
                QuickKeywordsScreen(self.keys, self.quick, keywords, use=self.do_quick)
            )

    def do_quick(self, number: int) -> None:
        """Puts a slot's keywords on the image, or takes them out where it has all of them."""
        slot = self.quick.slot(number)
        if not slot:
            key = self.keys.key_of("quick_keywords")
            self.say(f"Quick keywords {number} are empty; {key} fills them.")
        elif self._can_edit():
            own = self.form.tags().keywords
            after = with_slot(own, slot, self.form.known_keywords())
            self._put(after, "Added" if len(after) > len(own) else "Took out", slot)

    def do_show_changes(self) -> None:
        """Shows what an accept would change in the file."""
        from imageworks.review.changes import planned_changes  # noqa: PLC0415  # seldom seen
        from imageworks.tui.screens.changes import ChangesScreen  # noqa: PLC0415

        card = self.form.card
        if card is None or not card.can_edit:
            self.say("There is no suggestion yet, so nothing would change.")
            return
        plan = planned_changes(card, self.form.tags(), self.config)
        self.app.push_screen(ChangesScreen(self.keys, plan, card, self.config))

    def _can_edit(self) -> bool:
        card = self.form.card
        if card is None or not card.can_edit:
            self.say("There is nothing to edit here.")
            return False
        return True

    def _can_take(self, keywords: tuple[Keyword, ...]) -> bool:
        if not keywords:
            self.say(f"No keywords are copied; {self.keys.key_of('copy_keywords')} copies them.")
            return False
        return self._can_edit()

    def _put(
        self, keywords: tuple[Keyword, ...], word: str, named: tuple[Keyword, ...] = ()
    ) -> None:
        """Puts keywords into the form and keeps them as a draft."""
        if keywords == self.form.tags().keywords:
            self.say("This image has them already.")
            return
        self.form.put_keywords(keywords)
        self.keep_draft()
        self.say(f"{word} {_listed(named or self.copied)}")

    async def _learn(self) -> None:
        from imageworks.review.completion import count_usage  # noqa: PLC0415  # typed later

        try:
            await self._read_vocabulary()
            if self.library.usage.is_behind():
                is_stopped = self._is_leaving.is_set
                await asyncio.to_thread(count_usage, self.library.path, is_stopped)
        except ImageworksError as error:
            logger.warning("Keywords cannot be completed: %s", error)
            self.say(str(error), is_error=True)
        finally:
            self._is_learning = False

    async def _read_vocabulary(self) -> None:
        from imageworks.review.completion import KeywordCompleter  # noqa: PLC0415  # typed later
        from imageworks.review.vocabulary import (  # noqa: PLC0415
            read_vocabulary,
            vocabulary_stamp,
        )

        path = self.session.rules.path
        stamp = vocabulary_stamp(path)
        if stamp == self._vocabulary_stamp:
            return
        self._vocabulary_stamp = stamp
        vocabulary = await asyncio.to_thread(read_vocabulary, path)
        completer = await asyncio.to_thread(KeywordCompleter, self.library.usage, vocabulary)
        self.form.keywords.completer = completer


def _shown(keyword: Keyword) -> str:
    return one_line(keyword.text, limit=60)


def _listed(keywords: Iterable[Keyword]) -> str:
    """Some keywords by name; how many where they are many."""
    names = [_shown(keyword) for keyword in keywords]
    if len(names) <= 4:  # what a status line holds
        return ", ".join(names)
    return f"{', '.join(names[:3])} and {len(names) - 3} more"


def _edit_text(hands: KeywordHands) -> str:
    edit = hands.form.last_edit
    parts = []
    if edit.added:
        parts.append(f"+ {_listed(edit.added)}")
    if edit.removed:
        parts.append(f"- {_listed(edit.removed)}")
    texts = [name for name in ("caption", "description") if getattr(edit, name) is not None]
    return " · ".join([*parts, *texts]) or count_text(0, "change")
