"""The dialog that offers a correction for all other images that hold what was wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from imageworks.store.corrections import CorrectionKind
from imageworks.text import one_line, show_path
from imageworks.tui.actions import Scope
from imageworks.tui.screens.command import Dialog
from imageworks.tui.widgets.key_bar import KeyBar
from imageworks.tui.wording import count_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from textual.app import ComposeResult

    from imageworks.models import Tags
    from imageworks.review.corrections import Offer
    from imageworks.review.session import ReviewSession
    from imageworks.tui.actions import KeyTable

SHOWN_IMAGES = 200


class CorrectionsScreen(Dialog):
    """Shows each image before and after, and asks.

    Args:
        keys: The user's keys.
        offer: The correction and its images.
        lines: What would change, image by image; see `correction_lines`.
        apply: Does it, once the dialog is closed.
    """

    def __init__(
        self,
        keys: KeyTable,
        offer: Offer,
        lines: Sequence[str],
        apply: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(keys)
        self._offer = offer
        self._lines = lines
        self._apply = apply

    def compose(self) -> ComposeResult:
        """The correction, the images and the keys."""
        with Vertical(classes="dialog-box"):
            yield Static(question_text(self._offer), classes="label", markup=False)
            with VerticalScroll(classes="dialog-list"):
                yield Static("\n".join(self._lines), classes="dialog-lines", markup=False)
            yield KeyBar(self.keys, Scope.DIALOG)

    async def do_confirm(self) -> None:
        """Closes the dialog and changes them all."""
        self.do_close()
        await self._apply()


def question_text(offer: Offer) -> str:
    """The correction and how many images it is for."""
    correction = offer.correction
    count = count_text(len(offer.image_ids), "image")
    wrong, better = one_line(correction.wrong, limit=60), one_line(correction.better, limit=60)
    return f"Put {better} for {wrong} in {count}?"


def correction_lines(session: ReviewSession, offer: Offer) -> list[str]:
    """What would change in each image, as far as they are shown; empty when nothing would."""
    lines = []
    for image_id in offer.image_ids[:SHOWN_IMAGES]:
        change = session.corrections.applied(offer.correction, image_id)
        row = session.row(image_id)
        if change is not None and row is not None:
            name = show_path(row.path.name, limit=40)
            is_caption = offer.correction.kind is CorrectionKind.CAPTION
            lines.append(f"{name}: {_change_text(*change, is_caption=is_caption)}")
    if lines and len(offer.image_ids) > SHOWN_IMAGES:
        lines.append(f"and {len(offer.image_ids) - SHOWN_IMAGES:,} more")
    return lines


def _change_text(before: Tags, after: Tags, *, is_caption: bool) -> str:
    if is_caption:
        texts = before.caption, after.caption
    else:
        texts = tuple(", ".join(k.text for k in tags.keywords) for tags in (before, after))  # type: ignore[assignment]  # two of them
    return " → ".join(one_line(text, limit=120) for text in texts)
