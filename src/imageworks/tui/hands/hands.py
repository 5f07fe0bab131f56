"""The base of the other modules of this folder, each of which adds acts to `ReviewHands`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imageworks.tui.hands.base import ReviewHands as Hands
else:
    # Textual works for a quarter of a millisecond on every class that is a screen. Only the one
    # that has all acts has to be.
    Hands = object

__all__ = ["Hands"]
