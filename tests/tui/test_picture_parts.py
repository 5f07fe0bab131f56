"""Rows of characters, kitty's commands, Sixel tiles and the line's pace, each by itself."""

from __future__ import annotations

import asyncio
import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.color import ColorSystem

from imageworks.tui.pictures import kitty, sixel
from imageworks.tui.pictures.link import Link
from imageworks.tui.pictures.rows import (
    Row,
    ascii_rows,
    half_block_rows,
    image_id_of,
    placeholder_rows,
    wire_bytes,
)

COMMAND = re.compile(r"\x1b_G([^;\x1b]*)(?:;([^\x1b]*))?\x1b\\")
RED, BLUE = b"\xff\0\0", b"\0\0\xff"


def text_of(rows: list[Row]) -> list[str]:
    return ["".join(segment.text for segment in row) for row in rows]


@given(st.integers(1, 30), st.integers(1, 30), st.randoms())
def test_half_blocks_show_every_pixel(width: int, height: int, random) -> None:
    pixels = random.randbytes(width * height * 3)

    rows = half_block_rows(pixels, width)

    assert text_of(rows) == ["▀" * width] * ((height + 1) // 2)
    seen = [(part.style, len(part.text)) for row in rows for part in row]
    uppers = [style.color.triplet for style, cells in seen for _ in range(cells)]
    expected = [
        tuple(pixels[(y * width + x) * 3 :][:3]) for y in range(0, height, 2) for x in range(width)
    ]
    assert uppers == expected


def test_upper_pixel_is_the_foreground_and_lower_one_the_background() -> None:
    ((part,),) = half_block_rows(RED * 3 + BLUE * 3, 3)  # equal neighbours are one segment

    assert part.style is not None
    assert part.style.color.triplet == (255, 0, 0)
    assert part.style.bgcolor.triplet == (0, 0, 255)


def test_ascii_is_dense_where_the_picture_is_bright_and_has_no_style() -> None:
    rows = ascii_rows(b"\xff\xff\0\0\x80\x80", 2)

    assert text_of(rows) == ["@@", "  ", "++"]
    assert all(part.style is None for row in rows for part in row)


def test_placeholders_take_a_cell_each_and_their_colour_names_the_picture() -> None:
    rows = placeholder_rows(0x123456, 3, 2)

    assert [[cell_len(part.text) for part in row] for row in rows] == [[1, 1, 1]] * 2
    assert len({part.text for row in rows for part in row}) == 6
    assert {part.style.color.triplet for row in rows for part in row} == {(0x12, 0x34, 0x56)}
    assert kitty.most_cells() == 297


def test_size_on_the_line_grows_with_every_change_of_colour() -> None:
    plain, busy = half_block_rows(RED * 40, 20), half_block_rows((RED + BLUE) * 20, 20)

    assert wire_bytes(busy) > 5 * wire_bytes(plain) > 0


@given(st.binary(min_size=1, max_size=20_000))
def test_kitty_upload_is_whole_chunked_and_asks_for_no_reply(png: bytes) -> None:
    commands = list(kitty.upload(77, png))

    found = [match for command in commands if (match := COMMAND.fullmatch(command))]
    assert len(found) == len(commands)
    keys = [dict(re.findall("([^,=]+)=([^,]*)", match[1])) for match in found]
    assert keys[0].items() >= {"a": "t", "f": "100", "i": "77", "q": "2"}.items()
    assert [key["m"] for key in keys] == ["1"] * (len(keys) - 1) + ["0"]
    assert all(key["q"] == "2" for key in keys)
    assert all(len(match[2]) <= 4096 for match in found)
    assert base64.b64decode("".join(match[2] for match in found)) == png


def test_kitty_deletion_frees_the_memory_of_one_image() -> None:
    assert kitty.delete(5) == "\x1b_Ga=d,d=I,i=5,q=2\x1b\\"  # a small d would keep the data
    assert kitty.place(5, 40, 20) == "\x1b_Ga=p,U=1,i=5,c=40,r=20,q=2\x1b\\"
    assert kitty.through_tmux("\x1b_G\x1b\\") == "\x1bPtmux;\x1b\x1b_G\x1b\x1b\\\x1b\\"
    assert 0 < kitty.own_mark() < 1 << 24


@given(st.integers(0x500000, 0x5FFFFF))
def test_kitty_knows_the_picture_by_the_colour_that_is_really_sent(mark: int) -> None:
    style = placeholder_rows(mark, 1, 1)[0][0].style
    sent = style.render("x", color_system=ColorSystem.TRUECOLOR)
    red, green, blue = mark.to_bytes(3, "big")
    assert f"38;2;{red};{green};{blue}m" in sent
    assert image_id_of(mark, is_truecolor=True) == mark
    style = placeholder_rows(mark, 1, 1)[0][0].style  # a style keeps what it was rendered to
    few = style.render("x", color_system=ColorSystem.EIGHT_BIT)
    assert f"38;5;{image_id_of(mark, is_truecolor=False)}m" in few


def test_sixel_tile_is_put_where_it_belongs_and_the_cursor_back() -> None:
    assert sixel.placed("\x1bPq~\x1b\\", 2, 4) == "\x1b7\x1b[3;5H\x1bPq~\x1b\\\x1b8"


class Line:
    """A line of a known rate and way there, on a clock of its own."""

    def __init__(self, rate_bytes_per_s: float, way_s: float, *, is_answering: bool = True) -> None:
        self.now_s = 0.0
        self.rate, self.way_s, self.is_answering = rate_bytes_per_s, way_s, is_answering
        self.sent: list[str] = []
        self.link = Link(self.write, lambda: False, lambda: self.now_s)

    def write(self, text: str) -> None:
        self.sent.append(text)
        self.now_s += len(text) / self.rate
        if text == "\x1b[6n" and self.is_answering:
            self.now_s += self.way_s
            asyncio.get_running_loop().call_soon(self.link.answered)


async def measured(rate: float, way_s: float) -> Line:
    line = Line(rate, way_s)
    line.link.ask()
    async with asyncio.timeout(5):
        while not line.link.is_answering:  # noqa: ASYNC110  # the line answers in its own time
            await asyncio.sleep(0)
        for _ in range(12):
            await line.link.send("x" * line.link.burst_bytes)
    return line


@pytest.mark.parametrize("way_s", [0.001, 0.08])
@pytest.mark.parametrize("rate", [125_000, 1_000_000])
async def test_a_burst_holds_the_line_up_for_less_than_a_tenth_of_a_second(
    rate: float, way_s: float
) -> None:
    line = await measured(rate, way_s)

    assert line.link.burst_bytes / rate < 0.1
    assert line.link.rate_bytes_per_s == pytest.approx(rate, rel=0.3)


async def test_slow_is_said_only_of_what_was_measured() -> None:
    fresh, slow = Line(1000, 0.001), await measured(20_000, 0.001)

    assert not fresh.link.is_slow_for(10**9)
    assert slow.link.is_slow_for(50_000)
    assert not slow.link.is_slow_for(5_000)


async def test_terminal_that_never_answers_is_paced_and_not_waited_for() -> None:
    line = Line(1e9, 0, is_answering=False)
    async with asyncio.timeout(2):
        for _ in range(3):
            await line.link.send("x" * 5000)

    assert [len(text) for text in line.sent] == [5000] * 3
    assert line.link.burst_bytes == 6000


async def test_answer_that_nobody_asked_for_changes_nothing() -> None:
    line = Line(1000, 0)
    line.link.answered()

    assert not line.link.is_answering


async def test_terminal_that_stops_answering_holds_nothing_up_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = await measured(100_000, 0.001)
    line.is_answering = False
    monkeypatch.setattr("imageworks.tui.pictures.link._PATIENCE_S", 0.02)
    async with asyncio.timeout(2):
        await line.link.send("x" * 5000)
        await line.link.send("x" * 5000)

    assert line.sent[-4::2] == ["x" * 5000] * 2


async def test_output_that_the_system_does_not_take_is_waited_for() -> None:
    looks = iter([True, True, False])
    link = Link(lambda _: None, lambda: next(looks))
    async with asyncio.timeout(2):
        await link.send("")

    assert next(looks, None) is None
