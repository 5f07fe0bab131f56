"""Zoom and pan: the picture is looked at closer, and whole again at the next image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.burst import burst

if TYPE_CHECKING:
    import pytest

    from imageworks.tui.workstation import Workstation


async def test_picture_is_looked_at_closer_and_whole_again(app: Workstation) -> None:
    async with app.run_test(size=(110, 36)) as pilot:
        preview = app.review.preview
        await burst(pilot, "z", "z")
        assert preview.zoom == 4
        assert app.review.message == "4 times as close."

        await burst(pilot, "Z")
        assert preview.zoom == 2
        await burst(pilot, "0")

        assert preview.zoom == 1
        assert app.review.message == "The whole picture."


async def test_arrows_with_shift_pan(app: Workstation, monkeypatch: pytest.MonkeyPatch) -> None:
    panned: list[tuple[int, int]] = []
    async with app.run_test(size=(110, 36)) as pilot:
        monkeypatch.setattr(app.review.preview, "pan", lambda *step: panned.append(step))

        await burst(pilot, "shift+right", "shift+down", "shift+left", "shift+up")

    assert panned == [(1, 0), (0, 1), (-1, 0), (0, -1)]


async def test_next_image_is_shown_whole(app: Workstation) -> None:
    async with app.run_test(size=(110, 36)) as pilot:
        await burst(pilot, "z", "z", "j")

        assert app.review.preview.zoom == 1
