"""What a key costs: how little is drawn and sent, and what does not wait for what."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
from textual.app import App, ComposeResult
from textual.content import Content

from imageworks.tui.app import _uncollected, collect_from_now_on
from imageworks.tui.hands.base import ReviewHands
from imageworks.tui.widgets.line import Line
from tests.scenarios.drivers import workstation
from tests.support.burst import burst
from tests.tui.conftest import screen_text

if TYPE_CHECKING:
    from pathlib import Path

    from textual.screen import Screen

    from imageworks.review.session import ReviewCard
    from imageworks.tui.workstation import Workstation
    from tests.support.review_library import ReviewLibrary

WIDE = (120, 36)


class Lined(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.line = Line("line")

    def compose(self) -> ComposeResult:
        yield self.line


@pytest.mark.parametrize(
    ("first", "second", "is_drawn"),
    [
        ("a heron", "a heron", False),
        ("a heron", "a gull", True),
        ("a heron", "", True),
        (Content.styled("a heron", "red"), Content.styled("a heron", "red"), False),
        (Content.styled("a heron", "red"), Content.styled("a heron", "blue"), True),
    ],
)
async def test_line_is_drawn_only_when_it_looks_different(
    first: str | Content,
    second: str | Content,
    *,
    is_drawn: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = Lined()
    async with app.run_test() as pilot:
        app.line.put(first)
        await pilot.pause()
        drawn: list[object] = []
        monkeypatch.setattr(app.line, "refresh", lambda *_, **more: drawn.append(more))
        app.line.put(second)

    assert bool(drawn) is is_drawn


async def test_line_shows_the_letters_of_markup_as_they_are() -> None:
    app = Lined()
    async with app.run_test() as pilot:
        app.line.put("[red]a[/red]")
        await pilot.pause()
        assert app.line.visual == Content("[red]a[/red]")


async def test_row_is_on_its_way_before_the_image_is_read(
    app: Workstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause()
        display, card = app._display, app.review.session.card

        def displayed(screen: Screen[object], renderable: object) -> None:
            events.append("sent")
            display(screen, renderable)  # type: ignore[arg-type]  # Textual's own

        def read(image_id: int) -> ReviewCard | None:
            events.append("read")
            return card(image_id)

        monkeypatch.setattr(app, "_display", displayed)
        monkeypatch.setattr(app.review.session, "card", read)
        await burst(pilot, "j")

    assert events[:2] == ["sent", "read"]


async def test_first_frame_has_the_classes_of_its_size(
    app: Workstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[frozenset[str]] = []
    on_mount = ReviewHands.on_mount

    def mounted(review: ReviewHands) -> None:
        seen.append(review.classes)
        on_mount(review)

    monkeypatch.setattr(ReviewHands, "on_mount", mounted)
    async with app.run_test(size=(80, 24)):
        pass

    assert {"-narrow", "-tall"} <= seen[0]
    assert not {"-wide", "-slim", "-short"} & seen[0]


async def test_cursor_that_leaves_the_view_is_brought_to_its_middle(
    empty: ReviewLibrary, tmp_path: Path
) -> None:
    for number in range(90):
        empty.add(f"{number:03}.jpg")
    app = workstation(empty, tmp_path)
    async with app.run_test(size=WIDE) as pilot:
        images, listing = app.review.images, app.review.listing
        height = images.scrollable_content_region.height
        tops = []
        for _ in range(height + 3):
            await burst(pilot, "j")
            tops.append(images.scroll_offset.y)

        assert tops[height - 2] == 0
        assert tops[height - 1 :] == [height - height // 2] * 4
        assert listing.position == height + 3
        assert f">· {'new':<9}{listing.position:03}.jpg" in screen_text(app)


def test_rubbish_is_looked_for_again_after_the_first_frame_and_at_the_end() -> None:
    try:
        with _uncollected():
            before = gc.isenabled()
            collect_from_now_on()
            during, frozen = gc.isenabled(), gc.get_freeze_count()
        after = gc.isenabled(), gc.get_freeze_count()
    finally:
        gc.enable()

    assert (before, during, after) == (False, True, (True, 0))
    assert frozen > 0


def test_rubbish_is_looked_for_again_when_the_start_fails() -> None:
    with pytest.raises(ValueError, match="wrong"), _uncollected():
        raise ValueError("wrong")  # noqa: EM101

    assert gc.isenabled()
