"""Pictures of the screens; look at each as a picture before accepting a change to it."""

from __future__ import annotations

import asyncio
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from imageworks.tui.hands.screens import ScreenHands
from tests.scenarios.drivers import workstation
from tests.support.burst import burst

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.pilot import Pilot

    from imageworks.tui.workstation import Workstation
    from tests.support.review_library import ReviewLibrary

STEADY_LOOKS = 6
SCREENS = {
    "review_wide": ((120, 36), ["j", "a", "j", "r", "k", "k"]),
    "review_80x24": ((80, 24), ["j"]),
    "editing_80x24": ((80, 24), ["j", "t"]),
    "filter_80x24": ((80, 24), ["/", *"-kw:boat", "enter", "o", "/", *"kw:cat"]),
    "filtered_80x24": ((80, 24), ["/", *"-kw:boat", "enter", "o"]),
    "review_40x10": ((40, 10), []),
    "help": ((100, 40), ["?"]),
    "batch_dialog": ((80, 24), ["b"]),
    "metrics": ((100, 30), ["3"]),
}


@pytest.mark.parametrize("name", SCREENS)
async def test_screen_looks_as_it_did(
    name: str,
    made: ReviewLibrary,
    tmp_path: Path,
    screen_svg: Callable[[Workstation], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size, keys = SCREENS[name]
    made.photos = made.photos.relative_to(made.photos.parents[1])
    for image_id, colour in ((1, (190, 60, 40)), (2, (70, 110, 160))):
        made.add_picture(image_id, f"{image_id}", colour)
    made.library.connection.execute(
        "UPDATE run SET name='20260517-103000-0001', totals=?", (TOTALS,)
    )
    monkeypatch.setattr("imageworks.tui.screens.review_texts.show_path", lambda path, limit: path)
    monkeypatch.setattr(ScreenHands, "_batch_folders", lambda self: (PurePosixPath("/photos"),))
    app = workstation(made, tmp_path)
    async with app.run_test(size=size) as pilot:
        for area in app.review.query("FieldArea").results():
            area.cursor_blink = False  # type: ignore[attr-defined]  # of TextArea
        await burst(pilot, *keys)
        async with asyncio.timeout(10):
            while size[0] >= 60 and not app.review.preview._rows:
                await pilot.pause(0.02)
        await come_to_rest(app, pilot)
        screen_svg(app)


async def come_to_rest(app: Workstation, pilot: Pilot[int]) -> None:
    """Returns when the screen has not changed over several looks: pictures come from a thread."""
    shown, same = "", 0
    async with asyncio.timeout(30):
        while same < STEADY_LOOKS:
            await pilot.pause(0.1)
            now = app.export_screenshot()
            shown, same = now, same + 1 if now == shown else 0


TOTALS = (
    '{"total": 40, "done": 38, "failed": 2, "images_per_s": 1.4, "concurrency": 4, "stages":'
    ' {"caption": {"count": 38, "avg": 1.21, "p50": 1.1, "p95": 2.2}}, "tokens":'
    ' {"prompt": 40233, "completion": 5012, "per_s": 120.5}, "failures": {"decode": 2}}'
)
