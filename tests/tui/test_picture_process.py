from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from imageworks.prepare.showing import Viewer
from imageworks.tui.pictures.messages import PictureReply, PictureRequest, PictureWish
from imageworks.tui.pictures.process import PictureProcess
from imageworks.tui.pictures.worker import answer
from imageworks.tui.terminal import Renderer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def request(wish: PictureWish, **changes: Any) -> PictureRequest:
    values = {"columns": 40, "rows": 20, "cell_px": (10, 20), "renderer": Renderer.HALF}
    return PictureRequest(wish, **{**values, **changes})


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    path = tmp_path / "original.jpg"
    Image.new("RGB", (3000, 2000), (200, 30, 30)).save(path)
    return path


@pytest.fixture
def wish(photograph: Path, tmp_path: Path) -> PictureWish:
    for name, size in (("thumbnail", (320, 213)), ("preview", (1024, 683))):
        Image.new("RGB", size, (30, 30, 200)).save(tmp_path / f"{name}.jpg")
    return PictureWish(tmp_path / "thumbnail.jpg", tmp_path / "preview.jpg", "", photograph)


def is_of_original(reply: PictureReply) -> bool:
    return reply.pixels[0] > 150


def test_thumbnail_is_enough_for_characters_and_is_final(wish: PictureWish) -> None:
    reply = answer(request(wish, is_quick=True), Viewer())

    assert (reply.columns, reply.rows, reply.is_final) == (40, 14, True)
    assert len(reply.pixels) == 40 * 27 * 3
    assert not is_of_original(reply)


def test_large_panes_take_the_preview_and_close_looks_the_original(wish: PictureWish) -> None:
    large = answer(request(wish, columns=400, rows=200, is_quick=True), Viewer())
    close = answer(request(wish, zoom=8.0), Viewer())

    assert not large.is_final
    assert is_of_original(close)
    assert close.part[2] == pytest.approx(1 / 8)


def test_what_was_never_prepared_comes_from_the_original_but_not_quickly(photograph: Path) -> None:
    bare = PictureWish(None, None, "", photograph)

    quick = answer(request(bare, is_quick=True), Viewer())
    whole = answer(request(bare), Viewer())

    assert (quick.has_picture, quick.is_final) == (False, False)
    assert is_of_original(whole)


def test_lost_thumbnail_gives_way_to_the_next_source(wish: PictureWish, tmp_path: Path) -> None:
    (tmp_path / "thumbnail.jpg").unlink()
    (tmp_path / "preview.jpg").write_bytes(b"broken")

    assert is_of_original(answer(request(wish), Viewer()))
    assert not answer(request(PictureWish(tmp_path / "no.jpg", None, "")), Viewer()).has_picture


def test_kitty_gets_a_png_and_characters_to_begin_with(wish: PictureWish) -> None:
    reply = answer(request(wish, renderer=Renderer.KITTY), Viewer())

    assert reply.png.startswith(b"\x89PNG")
    assert (reply.columns, reply.rows) == (40, 14)
    assert len(reply.pixels) == 40 * 27 * 3
    assert reply.graphics_bytes > 0


def test_sixel_tiles_cover_the_picture(wish: PictureWish) -> None:
    reply = answer(request(wish, renderer=Renderer.SIXEL), Viewer())

    places = [(tile.column, tile.row) for tile in reply.sixels]
    assert places == [(x, y) for y in range(0, 14, 3) for x in range(0, 40, 8)]
    assert all(tile.data.startswith("\x1bP") for tile in reply.sixels)
    assert all(tile.data.endswith("\x1b\\") for tile in reply.sixels)


def test_sixel_encoder_that_is_not_there_leaves_the_characters(
    wish: PictureWish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("textual_image._sixel.image_to_sixels", None)

    reply = answer(request(wish, renderer=Renderer.SIXEL), Viewer())

    assert (reply.sixels, reply.graphics_bytes) == ((), 0)
    assert reply.has_picture


def test_ascii_gets_a_byte_a_cell(wish: PictureWish) -> None:
    reply = answer(request(wish, renderer=Renderer.ASCII), Viewer())

    assert len(reply.pixels) == reply.columns * reply.rows == 40 * 14


Replies = asyncio.Queue[tuple[PictureRequest, PictureReply]]


@pytest.fixture
async def replies() -> Replies:
    return asyncio.Queue()


@pytest.fixture
async def process(replies: Replies) -> AsyncIterator[PictureProcess]:
    made = PictureProcess(lambda *pair: replies.put_nowait(pair), patience_s=0.05, time_limit_s=10)
    yield made
    await made.aclose()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def next_of(replies: Replies) -> tuple[PictureRequest, PictureReply]:
    async with asyncio.timeout(20):
        return await replies.get()


async def test_wishes_are_answered_most_urgent_first(
    process: PictureProcess, replies: Replies, wish: PictureWish
) -> None:
    wanted = [request(wish, columns=columns) for columns in (40, 30, 20)]
    process.want(wanted)

    got = [await next_of(replies) for _ in wanted]

    assert [asked for asked, _ in got] == wanted
    assert [reply.columns for _, reply in got] == [40, 30, 20]


async def test_wish_that_is_given_up_is_never_drawn(
    process: PictureProcess, replies: Replies, wish: PictureWish
) -> None:
    process.want([request(wish, columns=columns) for columns in range(10, 30)])
    process.want([request(wish, columns=columns) for columns in range(10, 40)])
    process.want([request(wish, columns=50)])

    assert (await next_of(replies))[0].columns == 50
    assert replies.empty()


async def test_process_that_was_killed_is_started_again(
    process: PictureProcess, replies: Replies, wish: PictureWish
) -> None:
    process.want([request(wish)])
    await next_of(replies)
    assert process.pid is not None
    first = process.pid
    os.kill(first, signal.SIGKILL)
    process.want([request(wish, columns=30)])

    _, reply = await next_of(replies)

    assert reply.columns == 30
    assert process.pid != first


async def test_picture_that_hangs_is_given_up_once_another_is_wanted(
    process: PictureProcess, replies: Replies, wish: PictureWish, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)  # opening it waits for ever
    process.want([request(PictureWish(pipe, None, ""))])
    async with asyncio.timeout(20):
        while process.pid is None or process._running is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
    process.want([request(wish)])

    asked, reply = await next_of(replies)

    assert asked.wish == wish
    assert reply.has_picture


async def test_picture_that_takes_too_long_is_empty(replies: Replies, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    process = PictureProcess(lambda *pair: replies.put_nowait(pair), time_limit_s=0.2)
    process.want([request(PictureWish(pipe, None, ""))])

    _, reply = await next_of(replies)
    await process.aclose()

    assert not reply.has_picture


async def test_closing_ends_the_process_in_the_middle_of_a_picture(
    replies: Replies, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    process = PictureProcess(lambda *pair: replies.put_nowait(pair))
    process.want([request(PictureWish(pipe, None, ""))])
    async with asyncio.timeout(20):
        while process.pid is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    pid = process.pid

    await process.aclose()

    assert not is_running(pid)


async def test_process_that_cannot_be_started_gives_no_picture(
    process: PictureProcess, replies: Replies, wish: PictureWish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    process.want([request(wish)])

    assert not (await next_of(replies))[1].has_picture


async def test_long_lived_process_is_renewed(
    replies: Replies, wish: PictureWish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imageworks.tui.pictures.process._REPLIES_PER_PROCESS", 1)
    process = PictureProcess(lambda *pair: replies.put_nowait(pair))
    process.want([request(wish)])
    await next_of(replies)
    first = process.pid
    process.want([request(wish, columns=30)])
    await next_of(replies)

    renewed = process.pid
    await process.aclose()

    assert first is not None
    assert renewed not in (first, None)


async def test_process_that_died_is_no_reason_to_fail_on_giving_up_its_picture(
    process: PictureProcess, replies: Replies, wish: PictureWish, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    process.want([request(PictureWish(pipe, None, ""))])
    async with asyncio.timeout(20):
        while process.pid is None or process._running is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.want([request(wish)])

    asked, reply = await next_of(replies)

    assert asked.wish == wish
    assert reply.has_picture
