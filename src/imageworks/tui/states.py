"""How the states of an image look: a sign and a word, never a colour alone."""

from __future__ import annotations

import locale
from typing import NamedTuple

from imageworks.models import ImageState


class StateSign(NamedTuple):
    """A state as the list shows it.

    Attributes:
        glyph: One cell wide.
        ascii_glyph: For terminals without Unicode.
        word: At most eight letters.
        tone: ``quiet``, ``ready``, ``good`` or ``bad``: which of the theme's colours it takes.
        help: What it means, in a few words.
    """

    glyph: str
    ascii_glyph: str
    word: str
    tone: str
    help: str


STATE_SIGNS = {
    ImageState.DISCOVERED: StateSign("·", ".", "new", "quiet", "found, not asked about yet"),
    ImageState.QUEUED: StateSign("…", ":", "queued", "quiet", "waits for its turn"),
    ImageState.INFERRING: StateSign("»", ">", "asking", "quiet", "the model looks at it now"),
    ImageState.SUGGESTED: StateSign(
        "?", "?", "ready", "ready", "has a suggestion: yours to decide"
    ),
    ImageState.ACCEPTED: StateSign(
        "✓", "+", "accepted", "good", "accepted, will be written in a moment"
    ),
    ImageState.WRITTEN: StateSign("■", "#", "written", "good", "its metadata is on disk"),
    ImageState.REJECTED: StateSign(
        "✗", "x", "rejected", "bad", "rejected, the file stays as it is"
    ),
    ImageState.SKIPPED: StateSign("-", "-", "skipped", "quiet", "left for another day"),
    ImageState.FAILED: StateSign(
        "!", "!", "failed", "bad", "went wrong; the reason stands beside it"
    ),
}
"""In the order in which an image goes through them."""

WORD_WIDTH = max(len(sign.word) for sign in STATE_SIGNS.values())


def can_show_unicode() -> bool:
    """Whether the terminal's character set has more than ASCII."""
    return "utf" in locale.getpreferredencoding(do_setlocale=False).lower()


def glyph_of(state: ImageState, *, is_unicode: bool) -> str:
    """A state's sign."""
    sign = STATE_SIGNS[state]
    return sign.glyph if is_unicode else sign.ascii_glyph
