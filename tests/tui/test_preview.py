from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from textual.app import App

from imageworks.tui.pictures.messages import PictureReply, PictureRequest
from imageworks.tui.terminal import Graphics, Renderer
from imageworks.tui.widgets.preview import PictureWish, PreviewPane

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from textual.pilot import Pilot


class PaneApp(App[None]):
    CSS = "#picture { height: 1fr; }"

    def __init__(self, pane: PreviewPane) -> None:
        super().__init__()
        self.pane = pane
        self.slowed: list[str] = []

    def compose(self):
        yield self.pane

    def on_preview_pane_slowed(self, event: PreviewPane.Slowed) -> None:
        self.slowed.append(event.text)


def pane_with(renderer: Renderer = Renderer.HALF, *, is_colour: bool = True) -> PreviewPane:
    return PreviewPane(graphics=Graphics(renderer), is_colour=is_colour)


@pytest.fixture
def thumbnail(tmp_path: Path) -> Path:
    picture = Image.new("RGB", (320, 160), (200, 30, 30))
    picture.paste((30, 30, 200), (160, 0, 320, 160))
    path = tmp_path / "thumbnail.jpg"
    picture.save(path, quality=95)
    return path


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "original.jpg"
    Image.linear_gradient("L").convert("RGB").resize((2000, 1000)).save(path)
    return path


async def until(pilot: Pilot[Any], is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await pilot.pause(0.02)


def text_of(pane: PreviewPane) -> list[str]:
    return [pane.render_line(y).text for y in range(pane.size.height)]


class Asked:
    """Stands for the picture process: notes what is asked for, answers when told to."""

    def __init__(self, pane: PreviewPane) -> None:
        self.pane = pane
        self.wanted: list[PictureRequest] = []
        self.all: list[PictureRequest] = []
        pane._process.want = self.want  # type: ignore[method-assign]

    def want(self, requests: Sequence[PictureRequest]) -> None:
        self.wanted = list(requests)
        self.all += requests

    def give(self, request: PictureRequest, **values: Any) -> None:
        whole = {"columns": 2, "rows": 1, "pixels": b"\xff\0\0" * 4}
        self.pane._take(request, PictureReply(**{**whole, **values}))


async def test_pane_shows_the_picture_centred(thumbnail: Path) -> None:
    pane = PreviewPane(graphics=None, is_colour=True)
    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        pane.show(PictureWish(thumbnail, None, "text"))
        await until(pilot, lambda: bool(pane._rows))
        lines = text_of(pane)

    assert lines[10] == "▀" * 40
    assert lines[4].strip() == ""
    assert sum("▀" in line for line in lines) == 10


@pytest.mark.parametrize("renderer", [Renderer.HALF, Renderer.KITTY, Renderer.SIXEL])
async def test_pane_without_colour_draws_in_ascii(thumbnail: Path, renderer: Renderer) -> None:
    pane = pane_with(renderer, is_colour=False)
    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        pane.show(PictureWish(thumbnail, None, "text"))
        await until(pilot, lambda: bool(pane._rows))

        assert set(text_of(pane)[10]) <= set(" .:-=+*#%@")


async def test_pictures_that_are_off_leave_the_text_and_start_nothing(thumbnail: Path) -> None:
    pane = pane_with(Renderer.OFF)
    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        pane.show(PictureWish(thumbnail, None, "[4000 x 3000]"))
        await until(pilot, lambda: bool(pane._text))

        assert text_of(pane)[10].strip() == "[4000 x 3000]"
        assert pane._process.pid is None


@pytest.mark.parametrize("content", [None, b"", b"no picture", b"\xff\xd8\xff\xe0 cut off"])
async def test_picture_that_is_missing_or_broken_gives_way_to_text(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "thumbnail.jpg"
    if content is not None:
        path.write_bytes(content)
    pane = pane_with()
    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        pane.show(PictureWish(path, None, "[4000 x 3000]", path))
        await until(pilot, lambda: bool(pane._text))

        assert text_of(pane)[10].strip() == "[4000 x 3000]"


async def test_no_picture_at_all_shows_the_text_and_nothing_shows_nothing() -> None:
    pane = pane_with()
    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        pane.show(PictureWish(None, None, "[no picture yet]"))
        await until(pilot, lambda: bool(pane._text))
        pane.show(PictureWish(None, None, "[being prepared]"))
        assert pane._text == "[being prepared]"
        pane.show(None)
        await until(pilot, lambda: not pane._text)

        assert text_of(pane)[10].strip() == ""


async def test_held_key_asks_only_for_where_it_comes_to_rest(tmp_path: Path) -> None:
    pane = pane_with()
    asked = Asked(pane)
    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        await pilot.pause()
        for number in range(20):
            pane.show(PictureWish(tmp_path / f"{number}.jpg", None, ""))
        await until(pilot, lambda: len(asked.all) > 1)

        names = [request.wish.thumbnail.name for request in asked.all]
        assert names[0] == "0.jpg"  # at once: nothing tells yet that the key is held
        assert set(names[1:]) == {"19.jpg"}


async def test_reply_that_is_no_longer_wished_for_is_kept_but_not_drawn(tmp_path: Path) -> None:
    pane = pane_with()
    asked = Asked(pane)
    one, other = (PictureWish(tmp_path / name, None, "") for name in ("1.jpg", "2.jpg"))
    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        await pilot.pause()
        pane.show(one)
        late = asked.wanted[0]
        pane.show(other)
        asked.give(late)
        await pilot.pause(0.05)
        assert not pane._rows
        pane.show(one)
        await until(pilot, lambda: bool(pane._rows))

    assert [request.wish for request in asked.all].count(one) == 1


async def test_what_comes_next_is_prefetched_and_drawn_without_asking(tmp_path: Path) -> None:
    pane = pane_with()
    asked = Asked(pane)
    wishes = [PictureWish(tmp_path / f"{n}.jpg", None, "") for n in range(3)]
    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        await pilot.pause()
        pane.show(wishes[0], wishes[1:])
        asked.give(asked.wanted[0])
        await until(pilot, lambda: any(request.wish == wishes[1] for request in asked.wanted))
        ahead = [request for request in asked.wanted if request.wish == wishes[1]]
        asked.give(ahead[0])
        before = len(asked.all)
        pane._rows = ()
        pane.show(wishes[1])
        await until(pilot, lambda: bool(pane._rows))

        assert wishes[1] not in [request.wish for request in asked.all[before:] if request.is_quick]


async def test_picture_of_another_photograph_does_not_stay_for_long(tmp_path: Path) -> None:
    pane = pane_with()
    asked = Asked(pane)
    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        await pilot.pause()
        pane.show(PictureWish(tmp_path / "1.jpg", None, "one"))
        asked.give(asked.wanted[0])
        await until(pilot, lambda: bool(pane._rows))
        pane.show(PictureWish(tmp_path / "2.jpg", None, "two"))
        assert pane._rows
        await until(pilot, lambda: pane._text == "two")


async def test_zoom_shows_a_part_of_the_original_and_ends_with_the_photograph(
    thumbnail: Path, original: Path
) -> None:
    pane = pane_with()
    wish = PictureWish(thumbnail, None, "text", original)
    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        pane.show(wish)
        await until(pilot, lambda: bool(pane._rows))

        def changed(before: object) -> bool:
            return pane._part != before

        for _ in range(3):
            before = pane._part
            pane.zoom_in()
            await until(pilot, partial(changed, before))
        assert pane.zoom == 8
        assert pane._part[2] == pytest.approx(1 / 8)
        left = pane._part[0]
        pane.pan(1, 0)
        await until(pilot, lambda: pane._part[0] > left)
        pane.zoom_out()
        await until(pilot, lambda: pane.zoom == 4)
        pane.zoom_reset()
        await until(pilot, lambda: pane._part == (0, 0, 1, 1))
        pane.zoom_in()
        await until(pilot, lambda: pane.zoom == 2)
        pane.show(PictureWish(thumbnail, None, "", original.with_name("other.jpg")))

        assert pane.zoom == 1


async def test_zoom_goes_no_closer_than_makes_sense_and_panning_stays_inside(
    tmp_path: Path,
) -> None:
    pane = pane_with()
    asked = Asked(pane)
    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        await pilot.pause()
        pane.zoom_in()  # of nothing
        pane.show(PictureWish(tmp_path / "1.jpg", None, ""))
        asked.give(asked.wanted[0])
        pane.zoom_in()
        asked.give(asked.wanted[0], zoom=1.5, part=(0.5, 0.5, 0.5, 0.5))
        assert pane.zoom == 1.5
        pane.zoom_in()
        assert pane._zoom == 1.5
        pane.pan(1, 1)
        assert asked.wanted[0].centre == (0.75, 0.75)
        pane.pan(-9, -9)
        assert asked.wanted[0].centre == (0.25, 0.25)


async def test_new_size_is_drawn_anew(thumbnail: Path) -> None:
    pane = pane_with()
    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        pane.show(PictureWish(thumbnail, None, ""))
        await until(pilot, lambda: bool(pane._rows))
        await pilot.resize_terminal(20, 20)
        await until(pilot, lambda: text_of(pane)[10] == "▀" * 20)


async def test_slow_line_drops_to_a_cheaper_picture_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pane = pane_with(Renderer.KITTY)
    asked = Asked(pane)
    app = PaneApp(pane)
    async with app.run_test(size=(40, 20)) as pilot:
        await pilot.pause()
        monkeypatch.setattr(pane.link, "is_slow_for", lambda size_bytes: size_bytes > 1000)
        pane.show(PictureWish(tmp_path / "1.jpg", None, ""))
        asked.give(asked.wanted[0])
        await until(pilot, lambda: Renderer.KITTY in {it.renderer for it in asked.wanted})
        whole = next(it for it in asked.wanted if it.renderer is Renderer.KITTY)
        asked.give(whole, png=b"x" * 9000)
        await until(pilot, lambda: bool(app.slowed))
        monkeypatch.setattr(pane.link, "is_slow_for", lambda size_bytes: True)
        pane.show(PictureWish(tmp_path / "2.jpg", None, ""))
        await until(pilot, lambda: asked.wanted[0].renderer is Renderer.HALF)
        asked.give(asked.wanted[0])
        await until(pilot, lambda: len(app.slowed) > 1)

    assert [text.split(":")[0] for text in app.slowed] == [
        "The line is slow",
        "The line is very slow",
    ]
    assert pane.renderer is Renderer.ASCII


async def test_terminal_is_given_back_clean_when_the_app_ends(thumbnail: Path) -> None:
    pane = pane_with()
    async with PaneApp(pane).run_test(size=(40, 20)) as pilot:
        pane.show(PictureWish(thumbnail, None, ""))
        await until(pilot, lambda: bool(pane._rows))
        assert pane._process.pid is not None

    assert pane._process.pid is None
