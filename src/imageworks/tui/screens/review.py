"""The review screen: list, picture and fields; it shows what `ReviewSession` decides."""

from __future__ import annotations

from imageworks.tui.hands.asking import AskingHands
from imageworks.tui.hands.base import ReviewHands
from imageworks.tui.hands.correcting import CorrectingHands
from imageworks.tui.hands.deciding import DecidingHands
from imageworks.tui.hands.editing import EditingHands
from imageworks.tui.hands.grouping import GroupingHands
from imageworks.tui.hands.keywords import KeywordHands
from imageworks.tui.hands.looking import LookingHands
from imageworks.tui.hands.marking import MarkingHands
from imageworks.tui.hands.moving import MovingHands
from imageworks.tui.hands.screens import ScreenHands


class ReviewScreen(
    MovingHands,
    DecidingHands,
    EditingHands,
    ScreenHands,
    AskingHands,
    CorrectingHands,
    GroupingHands,
    KeywordHands,
    LookingHands,
    MarkingHands,
    ReviewHands,
):
    """Where a person decides, image by image; its bases add acts to `ReviewHands`."""
