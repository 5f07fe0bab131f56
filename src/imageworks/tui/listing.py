"""The list's content without a screen: which images, where the cursor is, pages of rows."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

from imageworks.review.marks import Marks
from imageworks.review.session import StateFilter
from imageworks.store.criteria import ImageQuery, SortOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from imageworks.models import ImageState
    from imageworks.review.session import ReviewSession
    from imageworks.store.id_load import IdLoad
    from imageworks.store.records import ImageRow

PAGE_ROWS = 32
_MAX_PAGES = 64
LARGE = 50_000
"""A library of more images is listed in a thread, behind a first page."""
_LARGE_PAUSE_S = 5.0
_MOST_SOUGHT = 50
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
        self.ids: array[int] = array("q")
        self._load: IdLoad | None = None
        self._keeps_current = True
        self._is_unlisted = False
        self._has_new_pairs = False
        self.counts: Mapping[ImageState, int] = {}
        self.position = 0
        self.is_stale = False
        self.marks = Marks()

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

    def look_at_current(self) -> None:
        """Takes in what has changed of the image under the cursor, and of no other."""
        page = self._pages.get(self.position // PAGE_ROWS)
        if page is not None and self.ids:
            page.pop(self.ids[self.position], None)
            page |= {row.id: row for row in self._session.rows([self.ids[self.position]])}

    def move_to(self, position: int) -> None:
        """Puts the cursor on a position, or on the nearest there is."""
        self.position = max(0, min(position, len(self.ids) - 1))

    def move_to_id(self, image_id: int) -> None:
        """Puts the cursor on an image, which is listed even when the filter would not."""
        self._keep_listed(image_id)
        self._forget_rows()

    def position_of(self, image_id: int) -> int | None:
        """Where an image is listed, or None."""
        if self.order is SortOrder.FOUND:
            position = bisect_left(self.ids, image_id)
            is_there = position < len(self.ids) and self.ids[position] == image_id
            return position if is_there else None
        try:
            return self.ids.index(image_id)
        except ValueError:
            return None

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

    def start(self, cursor_id: int | None) -> None:
        """Lists for the first time, with the cursor where the last session left it.

        Of a large library this is one page; the rest follows with `refresh`, behind the first
        frame.
        """
        self.counts = self._session.counts()
        if self._is_large and not self.is_narrowed and self.order is SortOrder.FOUND:
            near = self._session.ids_around(cursor_id or 0, before=PAGE_ROWS, after=4 * PAGE_ROWS)
            self.ids = array("q", near)
        elif not self._is_large:
            self._take(self._session.image_ids(self.state_filter, self.query, self.order))
        if cursor_id is not None:
            position = self.position_of(cursor_id)
            self.move_to(position or 0)
        self._is_unlisted = self._is_large

    def reload(self, *, keep_current: bool = True) -> None:
        """Asks for everything again; the cursor stays on its image.

        A large library is listed in a thread: the list stays as it is until `refresh` finds that
        the new one is there.
        """
        started_s = self._clock()
        self.counts = self._session.counts()
        self._keeps_current = keep_current
        if self._is_large:
            if self._load is not None:
                self._load.cancel()
            self._load = self._session.load_ids(self.state_filter, self.query, self.order)
            return
        self._take(self._session.image_ids(self.state_filter, self.query, self.order))
        ended_s = self._clock()
        self._next_refresh_s = ended_s + (ended_s - started_s) / _REFRESH_SHARE

    @property
    def is_loading(self) -> bool:
        """Whether a large library is being listed: what is shown is not all of it yet."""
        return self._load is not None or self._is_unlisted

    @property
    def _is_large(self) -> bool:
        return self.total > LARGE

    def _take(self, image_ids: Sequence[int]) -> None:
        """Takes over a new list, with the cursor on its image or on the one after it."""
        current, position, after = self.current_id, self.position, self.ids[self.position :]
        self.ids = array("q", image_ids)
        self.is_stale = False
        self._forget_rows()
        if current is not None and self._keeps_current and self._exists(current):
            self._keep_listed(current)
        elif self._keeps_current or not after:
            self.move_to(position)
        elif self.order is SortOrder.FOUND:
            self.move_to(bisect_left(self.ids, after[0]))
        else:
            places = (self.position_of(image_id) for image_id in after[:_MOST_SOUGHT])
            known = (place for place in places if place is not None)
            self.move_to(next(known, len(self.ids) - 1))
        self._keeps_current = True

    def _take_loaded(self) -> None:
        """Takes over a list that was made in a thread."""
        load, self._load = self._load, None
        if load is not None:
            self._take(self._session.loaded_ids(load))
            self._next_refresh_s = self._clock() + _LARGE_PAUSE_S

    def refresh(self) -> None:
        """Takes in what has changed; all ids only where they may differ, and not too often."""
        if self._is_unlisted:
            self._is_unlisted = False
            self.reload()
            return
        if self._load is not None:
            if self._load.is_done:
                self._take_loaded()
            return
        counts = self._session.counts()
        is_same = counts == self.counts
        if not self.is_narrowed and self.order in _STEADY_ORDERS:
            is_same = sum(counts.values()) == self.total
        if is_same and not self._has_new_pairs:
            self.counts = counts
            self.is_stale = False
            self._forget_rows()
        elif self._clock() >= self._next_refresh_s:
            self._has_new_pairs = False
            self.reload()
        else:
            self.touch()

    def pair_new(self) -> None:
        """Puts RAW files found since on their JPEGs' cards, some at a time."""
        if self._session.pair_new():
            self._has_new_pairs = True
            self.touch()

    def touch(self) -> None:
        """Takes note that something has changed; `refresh` may come when no key waits."""
        self.is_stale = True
        self._forget_rows()

    def _exists(self, image_id: int) -> bool:
        return bool(self._session.rows([image_id]))

    def _list_anew(self) -> None:
        self.reload(keep_current=False)

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
