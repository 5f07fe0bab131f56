from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.color import ColorType
from textual.app import App

from imageworks.tui.terminal import Graphics
from imageworks.tui.widgets import preview
from imageworks.tui.widgets.preview import (
    PictureWish,
    PreviewPane,
    ascii_rows,
    half_block_rows,
    load_picture,
    open_drawer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.segment import Segment
    from textual.pilot import Pilot


class PaneApp(App[None]):
    CSS = "#picture { height: 1fr; }"

    def __init__(self, pane: PreviewPane) -> None:
        super().__init__()
        self.pane = pane

    def compose(self):
        yield self.pane


@pytest.fixture
def thumbnail(tmp_path: Path) -> Path:
    picture = Image.new("RGB", (320, 160), (200, 30, 30))
    picture.paste((30, 30, 200), (160, 0, 320, 160))
    path = tmp_path / "thumbnail.jpg"
    picture.save(path, quality=95)
    return path


def text_of(rows: list[list[Segment]]) -> list[str]:
    return ["".join(segment.text for segment in row) for row in rows]


async def until(pilot: Pilot[Any], is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await pilot.pause(0.02)


@given(st.integers(1, 9), st.integers(1, 9))
def test_half_blocks_show_every_pixel_of_an_image(width: int, height: int) -> None:
    picture = Image.new("RGB", (width, height), (10, 200, 30))

    rows = half_block_rows(picture)

    assert text_of(rows) == ["▀" * width] * ((height + 1) // 2)
    style = rows[0][0].style
    assert style is not None
    assert style.color is not None
    assert style.color.type is ColorType.TRUECOLOR


def test_upper_pixel_is_the_foreground_and_lower_one_the_background() -> None:
    picture = Image.new("RGB", (3, 2), (255, 0, 0))
    picture.paste((0, 0, 255), (0, 1, 3, 2))

    (row,) = half_block_rows(picture)

    assert len(row) == 1  # equal neighbours are one segment
    style = row[0].style
    assert style is not None
    assert style.color is not None
    assert style.bgcolor is not None
    upper, lower = style.color.triplet, style.bgcolor.triplet
    assert upper is not None
    assert lower is not None
    assert upper.red - upper.blue > 200
    assert lower.blue - lower.red > 200


def test_ascii_is_dense_where_the_picture_is_bright() -> None:
    picture = Image.new("RGB", (4, 4), (0, 0, 0))
    picture.paste((255, 255, 255), (0, 0, 4, 2))

    assert text_of(ascii_rows(picture)) == ["@@@@", "    "]
    assert all(segment.style is None for row in ascii_rows(picture) for segment in row)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.integers(1, 40))
def test_picture_fits_its_box_and_keeps_its_shape(
    width: int, height: int, box_width: int, box_height: int
) -> None:
    path = Path(preview.__file__).with_name("unused")
    picture = Image.new("RGB", (width, height))

    class Opened:
        def __enter__(self) -> Image.Image:
            return picture

        def __exit__(self, *_: object) -> None:
            return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "open", lambda _path: Opened())
        shown = load_picture(path, (box_width, box_height))

    assert shown.size[0] <= box_width
    assert shown.size[1] <= box_height
    assert shown.size[0] == box_width or shown.size[1] == box_height
    assert abs(shown.size[0] * height - shown.size[1] * width) <= max(width, height)


def test_small_panes_take_the_thumbnail_and_large_ones_the_preview() -> None:
    wish = PictureWish(Path("small"), Path("large"), "")

    assert wish.source(320) == Path("small")
    assert wish.source(321) == Path("large")
    assert PictureWish(Path("small"), None, "").source(900) == Path("small")
    assert PictureWish(None, Path("large"), "").source(10) == Path("large")
    assert PictureWish(None, None, "").source(10) is None


async def test_pane_shows_the_picture_centred(thumbnail: Path) -> None:
    pane = PreviewPane(graphics=None, is_colour=True)
    app = PaneApp(pane)
    async with app.run_test(size=(40, 20)) as pilot:
        pane.show(PictureWish(thumbnail, None, "text"))
        await until(pilot, lambda: bool(pane._rows))
        lines = [pane.render_line(y).text for y in range(20)]

    assert lines[10] == "▀" * 40
    assert lines[4].strip() == ""
    assert sum("▀" in line for line in lines) == 10


async def test_pane_without_colour_draws_in_ascii(thumbnail: Path) -> None:
    pane = PreviewPane(graphics=None, is_colour=False)
    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        pane.show(PictureWish(thumbnail, None, "text"))
        await until(pilot, lambda: bool(pane._rows))

        assert set(pane.render_line(10).text) <= set(preview._ASCII_RAMP)


@pytest.mark.parametrize("content", [None, b"", b"no picture", b"\xff\xd8\xff\xe0 cut off"])
async def test_picture_that_is_missing_or_broken_gives_way_to_text(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "thumbnail.jpg"
    if content is not None:
        path.write_bytes(content)
    pane = PreviewPane(graphics=None, is_colour=True)
    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        pane.show(PictureWish(path, None, "[4000 x 3000]"))
        await until(pilot, lambda: bool(pane._text))

        assert pane.render_line(10).text.strip() == "[4000 x 3000]"


async def test_no_picture_at_all_shows_the_text_and_nothing_shows_nothing() -> None:
    pane = PreviewPane(graphics=None, is_colour=True)
    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        pane.show(PictureWish(None, None, "[no picture yet]"))
        await until(pilot, lambda: bool(pane._text))
        pane.show(None)
        await until(pilot, lambda: not pane._text)

        assert pane.render_line(10).text.strip() == ""


async def test_only_the_newest_wish_is_drawn(thumbnail: Path, tmp_path: Path) -> None:
    pane = PreviewPane(graphics=None, is_colour=True)
    decoded: list[Path] = []
    real = preview.load_picture

    def note(path: Path, box: tuple[int, int]) -> Image.Image:
        decoded.append(path)
        return real(path, box)

    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        await pilot.pause()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(preview, "load_picture", note)
            for number in range(20):
                pane.show(PictureWish(tmp_path / f"{number}.jpg", None, "none"))
            pane.show(PictureWish(thumbnail, None, "text"))
            await until(pilot, lambda: bool(pane._rows))
        pane.on_preview_pane_ready(PreviewPane.Ready(0, None))

        assert decoded == [thumbnail]
        assert pane._rows


async def test_same_wish_again_draws_nothing(thumbnail: Path) -> None:
    pane = PreviewPane(graphics=None, is_colour=True)
    wish = PictureWish(thumbnail, None, "text")
    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        pane.show(wish)
        await until(pilot, lambda: bool(pane._rows))
        number = pane._number
        pane.show(PictureWish(thumbnail, None, "text"))

        assert pane._number == number


@pytest.mark.parametrize("protocol", ["sixel", "kitty"])
async def test_terminals_own_graphics_are_used_through_textual_image(
    protocol: str, thumbnail: Path
) -> None:
    graphics = Graphics(protocol, 10, 20)
    pane = PreviewPane(graphics=graphics, is_colour=True)
    drawer = pane._drawer
    assert drawer is not None
    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        pane.show(PictureWish(thumbnail, None, "text"))
        await until(pilot, lambda: drawer.image is not None)
        await pilot.pause()
        assert drawer.image.size == (400, 200)  # shrunk before it is handed over
        assert drawer.display
        pane.show(PictureWish(None, None, "gone"))
        await until(pilot, lambda: not drawer.display)
        assert "gone" in pane.render_line(10).text


def test_broken_textual_image_falls_back_to_half_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys  # noqa: PLC0415  # the stream is put back

    before = sys.__stdout__
    monkeypatch.setitem(sys.modules, "textual_image._terminal", None)
    monkeypatch.delattr("textual_image._terminal", raising=False)

    assert open_drawer(Graphics("kitty", 10, 20)) is None
    assert sys.__stdout__ is before
