"""The review screen: list, picture and fields; it shows what `ReviewSession` decides."""

from __future__ import annotations

from imageworks.tui.hands.deciding import DecidingHands
from imageworks.tui.hands.editing import EditingHands
from imageworks.tui.hands.moving import MovingHands
from imageworks.tui.hands.screens import ScreenHands


class ReviewScreen(MovingHands, DecidingHands, EditingHands, ScreenHands):
    """Where a person decides, image by image; each of its bases adds acts to `ReviewHands`."""
