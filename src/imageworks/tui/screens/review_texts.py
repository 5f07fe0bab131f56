"""What the review screen says about the list, an image and an empty list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imageworks.models import ImageState
from imageworks.review.filters import filter_text
from imageworks.review.session import StateFilter
from imageworks.store.criteria import SortOrder
from imageworks.text import one_line, show_path
from imageworks.tui.wording import count_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from imageworks.config import PersonalTaggerConfig
    from imageworks.review.acts import ActOutcome
    from imageworks.review.session import ReviewCard
    from imageworks.store.records import ImageRow
    from imageworks.tui.actions import KeyTable
    from imageworks.tui.listing import ImageListing

NOT_ASKED = (ImageState.DISCOVERED, ImageState.FAILED)
"""Images that a batch would ask about."""


def title_text(listing: ImageListing, folders: Sequence[Path]) -> str:
    """Where the cursor is, what is shown, and of which folders."""
    place = f"{listing.position + 1:,} of {len(listing):,}" if len(listing) else "0"
    if listing.is_loading:
        place = f"listing {listing.total:,} …"
    where = show_path(folders[0], limit=80) if folders else "all folders"
    more = f" and {len(folders) - 1} more" if len(folders) > 1 else ""
    parts = [place, listing.state_filter.label]
    if listing.query.criteria:
        parts.append(one_line(filter_text(listing.query), limit=60))
    if listing.order is not SortOrder.FOUND:
        parts.append(listing.order.label)
    if len(listing.marks):
        parts.append(f"{len(listing.marks):,} marked")
    row = listing.row(listing.position) if len(listing) else None
    if row is not None and row.group_size > 1:
        parts.append(f"one of {row.group_size} alike")
    return " · ".join((*parts, f"{where}{more}"))


def empty_text(
    listing: ImageListing, folders: Sequence[Path], keys: KeyTable, *, is_scanning: bool
) -> str:
    """What an empty list says."""
    if listing.is_loading:
        return f"Looking through {count_text(listing.total, 'image')} …"
    if listing.total and listing.query.criteria:
        shown = one_line(filter_text(listing.query), limit=60)
        return f"No image matches {shown}.\nPress {keys.key_of('search')} to change the filter."
    if listing.total and listing.state_filter is not StateFilter.ALL:
        return (
            f"No image is in this filter ({listing.state_filter.label}).\n"
            f"Press {keys.key_of('filter')} for the next one."
        )
    if is_scanning and folders:
        return f"Looking for images in\n{show_path(folders[0], limit=60)} …"
    return "No images here yet.\nStart with: ptag FOLDER"


def facts_text(row: ImageRow | None) -> str:
    """A picture's name, size and date."""
    if row is None:
        return ""
    parts = [show_path(row.path.name, limit=120)]
    if row.width_px:
        parts.append(f"{row.width_px}x{row.height_px}")
    if row.taken_at is not None:
        parts.append(f"{row.taken_at:%d %b %Y %H:%M}")
    return " · ".join(parts)


def outcome_text(outcome: ActOutcome) -> str:
    """What came of an act on one image or many."""
    parts = [f"{one_line(outcome.label, limit=80)} {count_text(outcome.count, 'image')}"]
    if outcome.kept:
        parts.append(f"{outcome.kept:,} decided on otherwise since, and left as they are")
    if outcome.busy:
        parts.append(f"{outcome.busy:,} being written at this moment: the same again does them")
    return " · ".join(parts)


def no_picture_text(row: ImageRow) -> str:
    """What stands in the picture's place."""
    size = f"{row.width_px} x {row.height_px}" if row.width_px else "no picture yet"
    return f"[{size}]"


def notes_text(
    card: ReviewCard | None,
    listing: ImageListing,
    config: PersonalTaggerConfig,
    keys: KeyTable,
) -> str:
    """What the person should know about an image: who says so, or how to get a suggestion."""
    if card is None:
        return ""
    parts = [one_line(part, limit=200) for part in (card.made_by, *card.notes) if part]
    if card.row.is_asked_again:
        parts.insert(0, "Asked again; the new suggestion is on its way.")
    if card.row.suggestion_id is None and card.row.state in NOT_ASKED:
        waiting = sum(listing.counts.get(state, 0) for state in NOT_ASKED)
        parts.append(
            f"No suggestion yet. Press {keys.key_of('batch')} to ask {config.backend}"
            f" about {count_text(waiting, 'image')}."
        )
    elif card.row.suggestion_id is None:
        parts.append("No suggestion yet; it is on its way.")
    elif card.row.state is ImageState.WRITTEN:
        parts.append("written already; an edit can be accepted and written once more")
    return " · ".join(parts)
