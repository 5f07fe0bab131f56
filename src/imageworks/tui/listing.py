"""The list's content without a screen: which images, where the cursor is, pages of rows."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from imageworks.review.session import StateFilter
from imageworks.store.criteria import ImageQuery, SortOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from imageworks.models import ImageState
    from imageworks.review.session import ReviewSession
    from imageworks.store.records import ImageRow

PAGE_ROWS = 64
_MAX_PAGES = 32
# Asking for all ids may take this share of the time, so that a huge library stays quick to use.
_REFRESH_SHARE = 0.1
# What the engine does to an image does not change its place in these.
_STEADY_ORDERS = frozenset({SortOrder.FOUND, SortOrder.NAME})


class ImageListing:
    """Images of one filter in one order, with a cursor that stays on its image.

    The image under the cursor stays listed until the cursor leaves it, whatever its state, so
    that nothing is pulled away from under a person's eyes.

    Args:
        session: Where the rows come from.
        clock: Seconds that never go back.
    """

    def __init__(self, session: ReviewSession, clock: Callable[[], float]) -> None:
        self._session = session
        self._clock = clock
        self._pages: dict[int, dict[int, ImageRow]] = {}
        self._next_refresh_s = 0.0
        self.state_filter = StateFilter.ALL
        self.query = ImageQuery()
        self.order = SortOrder.FOUND
        self.ids: list[int] = []
        self.counts: Mapping[ImageState, int] = {}
        self.position = 0
        self.is_stale = False

    def __len__(self) -> int:
        """How many images are listed."""
        return len(self.ids)

    @property
    def current_id(self) -> int | None:
        """The image under the cursor, or None when the list is empty."""
        return self.ids[self.position] if self.ids else None

    @property
    def total(self) -> int:
        """How many images the folders hold, whatever the filter."""
        return sum(self.counts.values())

    def row(self, position: int) -> ImageRow | None:
        """The image at a position; None when it has left the library since."""
        number = position // PAGE_ROWS
        page = self._pages.get(number)
        if page is None:
            start = number * PAGE_ROWS
            page = {row.id: row for row in self._session.rows(self.ids[start : start + PAGE_ROWS])}
            if len(self._pages) >= _MAX_PAGES:
                self._pages.pop(next(iter(self._pages)))
            self._pages[number] = page
        return page.get(self.ids[position])

    def move_to(self, position: int) -> None:
        """Puts the cursor on a position, or on the nearest there is."""
        self.position = max(0, min(position, len(self.ids) - 1))

    def move_to_id(self, image_id: int) -> None:
        """Puts the cursor on an image, which is listed even when the filter would not."""
        self._keep_listed(image_id)
        self._forget_rows()

    @property
    def is_narrowed(self) -> bool:
        """Whether a filter leaves images out."""
        return self.state_filter is not StateFilter.ALL or bool(self.query.criteria)

    def set_filter(self, state_filter: StateFilter) -> None:
        """Lists another kind of image; the cursor goes to its image or to the one after it."""
        self.state_filter = state_filter
        self._list_anew()

    def set_query(self, query: ImageQuery) -> None:
        """Lists what meets a query; the cursor goes to its image or to the one after it."""
        self.query = query
        self._list_anew()

    def set_order(self, order: SortOrder) -> None:
        """Lists in another order; the cursor stays on its image."""
        self.order = order
        self.reload()

    def reload(self, *, keep_current: bool = True) -> None:
        """Asks for everything again; the cursor stays on its image."""
        started_s = self._clock()
        current, position = self.current_id, self.position
        self.counts = self._session.counts()
        self.ids = self._session.image_ids(self.state_filter, self.query, self.order)
        self.is_stale = False
        self._forget_rows()
        if current is not None and keep_current and self._exists(current):
            self._keep_listed(current)
        else:
            self.move_to(position)
        ended_s = self._clock()
        self._next_refresh_s = ended_s + (ended_s - started_s) / _REFRESH_SHARE

    def refresh(self) -> None:
        """Takes in what has changed; all ids only where they may differ, and not too often."""
        counts = self._session.counts()
        is_same = counts == self.counts
        if not self.is_narrowed and self.order in _STEADY_ORDERS:
            is_same = sum(counts.values()) == self.total
        if is_same:
            self.counts = counts
            self.is_stale = False
            self._forget_rows()
        elif self._clock() >= self._next_refresh_s:
            self.reload()
        else:
            self.touch()

    def touch(self) -> None:
        """Takes note that something has changed; `refresh` may come when no key waits."""
        self.is_stale = True
        self._forget_rows()

    def _exists(self, image_id: int) -> bool:
        return bool(self._session.rows([image_id]))

    def _list_anew(self) -> None:
        after = self.ids[self.position :]
        self.reload(keep_current=False)
        if not after:
            return
        if self.order is SortOrder.FOUND:
            self.move_to(bisect_left(self.ids, after[0]))
            return
        places = {image_id: place for place, image_id in enumerate(self.ids)}
        self.move_to(next((places[i] for i in after if i in places), len(self.ids) - 1))

    def _keep_listed(self, image_id: int) -> None:
        position = self._place_of(image_id)
        if position == len(self.ids) or self.ids[position] != image_id:
            self.ids.insert(position, image_id)
        self.position = position

    def _place_of(self, image_id: int) -> int:
        """Where an image is listed or would be; where that is not known, the cursor's place."""
        if self.order is SortOrder.FOUND:
            return bisect_left(self.ids, image_id)
        try:
            return self.ids.index(image_id)
        except ValueError:
            return min(self.position, len(self.ids))

    def _forget_rows(self) -> None:
        self._pages.clear()
