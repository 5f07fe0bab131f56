"""The picture pane on real pseudo terminals: what is sent, when, and what is left behind."""

from __future__ import annotations

import base64
import re
import sys
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from PIL import Image

from tests.support.fake_terminal import (
    CURSOR_POSITION,
    KITTY_ANSWERS,
    SIXEL_ANSWERS,
    FakeTerminal,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.support.review_library import ReviewLibrary

CHECKOUT = Path(__file__).resolve().parents[2]
SLOW_BYTES_PER_S = 125_000  # 1 Mbit/s
UPLOAD = re.compile(rb"\x1b_G((?:a=t,[^;]*|q=2,)m=[01]);([^\x1b]*)\x1b\\")
PLACEHOLDER = "\U0010eeee".encode()
HALF_BLOCK = "▀".encode()
Opener: TypeAlias = "Callable[..., FakeTerminal]"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photographs")
    paths = []
    for number in range(4):
        picture = Image.effect_noise((1200, 1200), 40 + 10 * number).convert("RGB")
        picture.paste((200, 40 * number, 30), (200, 200, 700, 900))
        paths.append(folder / f"{number}.jpg")
        picture.save(paths[-1], quality=88)
    return paths


@pytest.fixture
def open_pane(photographs: Sequence[Path]) -> Iterator[Opener]:
    opened = []

    def open_one(images: str, answers, rate: float | None = None) -> FakeTerminal:
        words = [sys.executable, "-m", "tests.support.picture_app", images]
        opened.append(
            FakeTerminal(
                [*words, *map(str, photographs)],
                answers=answers,
                rate_bytes_per_s=rate,
                environment={"PYTHONPATH": f"{CHECKOUT / 'src'}:{CHECKOUT}"},
            )
        )
        return opened[-1]

    yield open_one
    for terminal in opened:
        terminal.close()


def uploads(output: bytes) -> list[bytes]:
    """The whole pictures that were sent to kitty; an abandoned one counts as empty."""
    found: list[bytes] = []
    parts: list[bytes] = []
    for keys, data in UPLOAD.findall(output):
        if keys.startswith(b"a=t"):
            parts = []
        parts.append(data)
        if keys.endswith(b"m=0"):
            found.append(base64.b64decode(b"".join(parts)) if data else b"")
    return found


def test_kitty_gets_each_picture_once_under_one_id_and_all_memory_back(open_pane: Opener) -> None:
    terminal = open_pane("auto", KITTY_ANSWERS)
    terminal.wait_for(PLACEHOLDER)
    terminal.settle()
    begin = len(terminal.arrived)
    terminal.type("j")
    terminal.wait_for(PLACEHOLDER, begin)
    terminal.settle()
    terminal.type("q")

    assert terminal.wait() == 0

    sent = uploads(terminal.arrived)
    assert len(sent) == 2
    assert all(picture.startswith(b"\x89PNG") for picture in sent)
    assert all(picture.endswith(b"IEND\xaeB`\x82") for picture in sent)
    (image_id,) = set(re.findall(rb"a=t,t=d,f=100,i=(\d+)", terminal.arrived))
    deletion = b"\x1b_Ga=d,d=I,i=%s,q=2\x1b\\" % image_id
    assert terminal.arrived.rindex(deletion) > terminal.arrived.rindex(b"a=p,U=1")
    assert terminal.arrived.index(HALF_BLOCK) < terminal.arrived.index(PLACEHOLDER)


def test_upload_is_abandoned_and_deleted_when_the_cursor_moves_on(open_pane: Opener) -> None:
    terminal = open_pane("auto", KITTY_ANSWERS, SLOW_BYTES_PER_S)
    terminal.wait_for(b"_Ga=t,")
    terminal.type("j")
    terminal.wait_for(b"picture 1")
    terminal.wait_for(PLACEHOLDER)
    terminal.settle()

    abandoned, whole = uploads(terminal.arrived)[:2]
    assert (abandoned, whole[:4]) == (b"", b"\x89PNG")
    end = terminal.arrived.index(b"\x1b_Gq=2,m=0;\x1b\\\x1b_Ga=d,d=I,")
    assert end < terminal.arrived.rindex(b"_Ga=t,")


def test_leaving_the_terminal_for_an_editor_frees_the_picture_and_brings_it_back(
    open_pane: Opener,
) -> None:
    terminal = open_pane("auto", KITTY_ANSWERS)
    terminal.wait_for(PLACEHOLDER)
    terminal.settle()
    terminal.type("p")
    terminal.wait_for(b"outside")
    outside = terminal.arrived.index(b"outside")
    terminal.wait_for(PLACEHOLDER, outside)

    freed = terminal.arrived.index(b"a=d,d=I", outside)
    assert terminal.arrived.index(b"_Ga=t,", outside) > freed


@pytest.mark.parametrize(
    ("images", "answers", "sign"),
    [
        ("half", (CURSOR_POSITION,), HALF_BLOCK),
        ("auto", KITTY_ANSWERS, b"_Ga=t,"),
        ("auto", SIXEL_ANSWERS, b"\x1bP0;0;0q"),
    ],
)
def test_key_echo_is_never_late_on_a_slow_line(
    open_pane: Opener, images: str, answers, sign: bytes
) -> None:
    terminal = open_pane(images, answers, SLOW_BYTES_PER_S)
    terminal.wait_for(sign)
    terminal.settle(0.4)
    delays_s: list[float] = []
    for _ in range(2):
        begin = len(terminal.arrived)
        terminal.type("j")
        for _ in range(14):
            time.sleep(0.02)  # as fast as a person types; the measure is the line's, not a guess
            mark = len(terminal.arrived)
            pressed_s = terminal.type("e")
            echo = b"echo %d." % (len(delays_s) + 1)
            delays_s.append(terminal.wait_for(echo, mark) - pressed_s)
        terminal.wait_for(HALF_BLOCK, begin)
        terminal.settle(0.4)

    assert sorted(delays_s)[-2] < 0.1, delays_s  # one of them for a busy machine


def test_half_blocks_cost_little_on_a_compressed_line(open_pane: Opener) -> None:
    terminal = open_pane("half", (CURSOR_POSITION,))
    terminal.wait_for(HALF_BLOCK)
    terminal.settle()
    begin = len(terminal.arrived)
    terminal.type("j")
    terminal.wait_for(HALF_BLOCK, begin)
    terminal.settle()

    sent = terminal.arrived[begin:]
    assert sent.count(HALF_BLOCK) > 700
    assert len(zlib.compress(sent, 6)) <= 12_000


def test_sixels_are_drawn_in_tiles_where_the_picture_is_and_the_cursor_is_put_back(
    open_pane: Opener,
) -> None:
    terminal = open_pane("auto", SIXEL_ANSWERS)
    terminal.wait_for(b"\x1bP0;0;0q")
    terminal.settle()

    tiles = re.findall(rb"\x1b7\x1b\[(\d+);(\d+)H\x1bP[^\x1b]*\x1b\\\x1b8", terminal.arrived)
    assert len(tiles) == terminal.arrived.count(b"\x1bP0;0;0q") == 35
    assert {int(row) for row, _ in tiles} == set(range(1, 20, 3))
    assert {int(column) for _, column in tiles} == {1, 9, 17, 25, 33}


def test_very_slow_line_is_given_letters_and_the_person_told(open_pane: Opener) -> None:
    terminal = open_pane("auto", KITTY_ANSWERS, 7_000)

    terminal.wait_for(b"The line is slow")
    terminal.type("j")
    terminal.wait_for(b"The line is very slow")

    assert terminal.arrived.count(b"The line is slow") == 1


def test_silent_terminal_is_given_half_blocks(open_pane: Opener) -> None:
    terminal = open_pane("auto", ())
    begun_s = time.monotonic()
    terminal.wait_for(HALF_BLOCK)

    assert time.monotonic() - begun_s < 10


WORKSTATION = """
import sys
from pathlib import Path
from imageworks.config import PersonalTaggerConfig
from imageworks.store.library import Library
from imageworks.tui.app import run_review
from tests.support.review_library import FakeEngine

folder = Path(sys.argv[1])
library = Library(folder / "library.sqlite3")
config = PersonalTaggerConfig()
engine = FakeEngine(library, config, folder / "engine.log")
status = run_review(
    library, config, engine, [folder / "photos"],
    log_path=folder / "screen.log", themes_dir=folder,
)
sys.exit(status)
"""


@pytest.mark.parametrize("answers", [KITTY_ANSWERS, ()])
def test_what_is_typed_while_the_terminal_is_asked_is_done(
    made: ReviewLibrary, answers: Sequence[tuple[bytes, bytes]]
) -> None:
    made.library.close()
    terminal = FakeTerminal(
        [sys.executable, "-c", WORKSTATION, str(made.folder)],
        answers=answers,
        environment={"PYTHONPATH": f"{CHECKOUT / 'src'}:{CHECKOUT}"},
    )
    try:
        terminal.wait_for(b"\x1b_Gi=31")
        terminal.type("je at sea")
        terminal.wait_for(b"Minka at sea")
        terminal.type("\x11")

        assert terminal.wait() == 0
    finally:
        terminal.close()


def test_workstation_draws_with_kitty_and_frees_it(made: ReviewLibrary) -> None:
    made.add_picture(1, "a", (200, 30, 30))
    made.library.close()
    terminal = FakeTerminal(
        [sys.executable, "-c", WORKSTATION, str(made.folder)],
        answers=KITTY_ANSWERS,
        environment={"PYTHONPATH": f"{CHECKOUT / 'src'}:{CHECKOUT}"},
        size=(120, 36),
    )
    try:
        terminal.wait_for(PLACEHOLDER)
        terminal.type("q")

        assert terminal.wait() == 0
        assert b"a=d,d=I" in terminal.arrived
    finally:
        terminal.close()
