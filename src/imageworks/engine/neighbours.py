"""Proposes keywords that a person accepted before on similar photographs (`library_keywords`).

Every prepared picture gets a short vector from the built-in network; the library keeps it. Those of
accepted photographs are held in memory and searched beside the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from imageworks.errors import BackendError, PhotoError, UsageError
from imageworks.infer.builtin import (
    INSTALL_HINT,
    SIDE_PX,
    VECTOR_KIND,
    VectorIndex,
    is_runtime_installed,
    load_classifier,
)
from imageworks.prepare.crops import rgb_whole
from imageworks.suggest.library_keywords import (
    NEIGHBOURS_LOOKED_AT,
    SimilarPhoto,
    with_library_keywords,
)

if TYPE_CHECKING:
    from imageworks.config import PersonalTaggerConfig
    from imageworks.infer.builtin import Classifier
    from imageworks.models import Suggestion
    from imageworks.store.library import Library

logger = logging.getLogger(__name__)

NOT_LOOKED_UP = "similar photographs could not be looked up"
_ROWS_AT_ONCE = 1000
_BACKFILL_AT_ONCE = 20
_NEWEST = 2**62
# More than are looked at: some are the picture itself, or no longer accepted.
_SPARE = 4


def library_keywords(library: Library, config: PersonalTaggerConfig) -> LibraryKeywords | None:
    """What `library_keywords` asks for; None where it is off.

    Raises:
        UsageError: It is on, but the extra that it needs is not installed.
    """
    if not config.library_keywords:
        return None
    if not is_runtime_installed():
        message = "library_keywords needs the extra builtin, which is not installed."
        raise UsageError(message, hint=INSTALL_HINT, reason="not-installed")
    return LibraryKeywords(library, max_keywords=config.max_keywords)


class LibraryKeywords:
    """The photographs whose keywords a person accepted, and what they say about another.

    Belongs to the event loop of the library.

    Args:
        library: Keeps the vectors and the decisions.
        max_keywords: Most keywords of a suggestion.
    """

    def __init__(self, library: Library, *, max_keywords: int) -> None:
        self._library = library
        self._max_keywords = max_keywords
        self._index = VectorIndex()
        self._seen_decision = 0
        self._classifier: Classifier | None = None
        # One at a time: the index is not for several threads, and one network is enough.
        self._lock = asyncio.Lock()

    async def added(self, content_id: str, jpeg: bytes, suggestion: Suggestion) -> Suggestion:
        """The suggestion with what similar photographs agree on; as it is when that fails.

        Args:
            content_id: Of the picture in question, which is no neighbour of itself.
            jpeg: The prepared picture.
            suggestion: What the engine suggests.
        """
        try:
            async with self._lock:
                vector = await self._vector(content_id, jpeg)
                await self._refresh()
                count = NEIGHBOURS_LOOKED_AT + _SPARE
                nearest = await asyncio.to_thread(self._index.nearest, vector, count)
        except (PhotoError, BackendError) as error:
            logger.warning("%s: %s", NOT_LOOKED_UP, error)
            return replace(suggestion, notes=(*suggestion.notes, NOT_LOOKED_UP))
        others = {name: cosine for name, cosine in nearest if name != content_id}
        keywords = self._library.neighbours.keywords(others)
        similar = [
            SimilarPhoto(cosine, keywords[name])
            for name, cosine in others.items()
            if name in keywords
        ]
        return with_library_keywords(suggestion, similar, max_keywords=self._max_keywords)

    async def backfill(self) -> None:
        """Gives vectors to photographs accepted without one, newest first, from their previews.

        Returns when all have been tried; those whose preview is gone go without.
        """
        before = _NEWEST
        while rows := self._library.neighbours.without_vector(
            before, VECTOR_KIND, _BACKFILL_AT_ONCE
        ):
            for before, content_id, preview in rows:  # noqa: B007  # read in the next round
                try:
                    jpeg = await asyncio.to_thread(preview.read_bytes)
                    async with self._lock:
                        self._index.add(content_id, await self._vector(content_id, jpeg))
                except (OSError, PhotoError) as error:
                    logger.debug("no vector for %s: %s", content_id, error)
                except BackendError as error:
                    logger.warning("%s: %s", NOT_LOOKED_UP, error)
                    return

    async def _vector(self, content_id: str, jpeg: bytes) -> bytes:
        known = self._library.neighbours.vector(content_id, VECTOR_KIND)
        if known is not None:
            return known
        vector = await asyncio.to_thread(self._look_at, jpeg)
        self._library.neighbours.record(content_id, VECTOR_KIND, vector)
        return vector

    def _look_at(self, jpeg: bytes) -> bytes:
        if self._classifier is None:
            self._classifier = load_classifier()
        return self._classifier.vector(rgb_whole(jpeg, SIDE_PX))

    async def _refresh(self) -> None:
        """Takes in what was accepted since; a share at a time, so that the loop stays free."""
        while rows := self._library.neighbours.accepted_since(
            self._seen_decision, VECTOR_KIND, _ROWS_AT_ONCE
        ):
            for row in rows:
                self._index.add(row.content_id, row.vector)
            self._seen_decision = rows[-1].decision_id
            await asyncio.sleep(0)
