from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
import threading
import tty

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.config.values import IMAGE_RENDERERS
from imageworks.tui import terminal
from imageworks.tui.app import prepare_environment
from imageworks.tui.terminal import (
    Graphics,
    Renderer,
    TerminalQuestion,
    may_draw_pictures,
    parse_answer,
    window_cell_px,
)

KITTY = b"\x1b_Gi=31;OK\x1b\\\x1bP>|kitty(0.40.0)\x1b\\\x1b[6;20;10t\x1b[4;600;1000t\x1b[?62;c"
WEZTERM = b"\x1b_Gi=31;OK\x1b\\\x1bP>|WezTerm 2024\x1b\\\x1b[6;20;10t\x1b[?65;4;6c"
SIXEL = b"\x1b[6;18;9t\x1b[?62;4;22c"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (KITTY, Graphics(Renderer.KITTY, 10, 20)),
        (WEZTERM, Graphics(Renderer.SIXEL, 10, 20)),  # it does not know placeholders
        (SIXEL, Graphics(Renderer.SIXEL, 9, 18)),
        (b"\x1b[6;18;9t\x1b[?62;22c", Graphics(Renderer.HALF, 9, 18)),
        (b"\x1b[?62;4c", Graphics(Renderer.HALF)),  # no cell size: it would be stretched
        (b"\x1b[6;0;0t\x1b[?62;4c", Graphics(Renderer.HALF)),
        (b"\x1b[6;18;9t\x1b[?62;14;44c", Graphics(Renderer.HALF, 9, 18)),
        (b"\x1b_Gi=31;ENOTSUPPORTED\x1b\\\x1b[6;20;10t\x1b[?1;2c", Graphics(Renderer.HALF)),
        (b"", Graphics(Renderer.HALF)),
    ],
)
def test_answers_name_the_graphics(answer: bytes, expected: Graphics) -> None:
    assert parse_answer(answer) == expected


def test_terminal_without_a_name_is_known_by_its_variable() -> None:
    answer = KITTY.replace(b"\x1bP>|kitty(0.40.0)\x1b\\", b"")

    assert parse_answer(answer, "xterm-kitty").renderer is Renderer.KITTY
    assert parse_answer(answer, "xterm-256color").renderer is Renderer.HALF


def test_cell_size_also_comes_from_the_text_area_or_the_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.get_terminal_size", lambda _: os.terminal_size((100, 30)))

    assert parse_answer(b"\x1b[4;600;1000t\x1b[?4c") == Graphics(Renderer.SIXEL, 10, 20)
    assert parse_answer(b"\x1b[?4c", window_cell=(8, 16)) == Graphics(Renderer.SIXEL, 8, 16)


ANSWER_PARTS = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([KITTY, SIXEL, b"\x1b[6;0;0t", b"\x1b[6;18;", b"\x1b[4;600;1000t", b"\x1b[?"]),
)


@given(st.lists(ANSWER_PARTS, max_size=6).map(b"".join))
def test_any_answer_is_taken(answer: bytes) -> None:
    """Pictures only where the terminal told how large a cell is, and no more typed than came."""
    found = parse_answer(answer)

    assert min(found.cell_width_px, found.cell_height_px) > 0
    assert found.renderer is Renderer.HALF or b"\x1b[6;" in answer or b"\x1b[4;" in answer
    assert len(found.typed_ahead.encode()) <= len(answer)


@given(st.text("abj/?[{é€ 7;c\r", max_size=12), st.text("abj/é 7", max_size=12))
def test_what_was_typed_between_the_answers_is_kept(before: str, after: str) -> None:
    answer = before.encode() + KITTY + after.encode()

    assert parse_answer(answer).typed_ahead == before + after


def test_arrow_keys_typed_meanwhile_are_kept_and_cut_answers_are_not() -> None:
    assert parse_answer(b"j\x1b[B" + SIXEL).typed_ahead == "j\x1b[B"
    assert parse_answer(b"j\x1b[6;18;").typed_ahead == "j"
    assert parse_answer(b"j\x1b_Gi=31;O").typed_ahead == "j"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm-kitty"}, True),
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm", "TMUX": "socket"}, False),
        ({"TERM": "xterm", "STY": "1"}, False),
        ({"TERM": "xterm", "SSH_CONNECTION": "a b"}, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "screen-256color"}, False),
        ({"TERM": "linux"}, False),
    ],
)
def test_only_a_terminal_at_hand_is_asked(environment: dict[str, str], *, expected: bool) -> None:
    assert may_draw_pictures(environment) is expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(SIXEL, Renderer.SIXEL), (KITTY, Renderer.KITTY), (b"", Renderer.HALF)],
)
def test_terminal_is_asked_and_its_settings_are_put_back(
    answer: bytes, expected: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    master, slave = pty.openpty()
    tty.setraw(master)
    before = termios.tcgetattr(slave)
    monkeypatch.setattr(terminal, "_WAIT_S", 0.25 if not answer else 5.0)

    def reply() -> None:
        asked = b""
        while not asked.endswith(b"\x1b[c"):
            asked += os.read(master, 1024)
        for part in (answer[:5], answer[5:]):
            os.write(master, part)

    thread = threading.Thread(target=reply)
    thread.start()
    with os.fdopen(slave, "r+b", buffering=0) as stream:
        monkeypatch.setattr("sys.stdin", stream)
        monkeypatch.setattr("sys.stdout", stream)
        graphics = TerminalQuestion({"TERM": "xterm"}).answer()
        thread.join()
        assert termios.tcgetattr(slave) == before
    os.close(master)

    assert graphics.renderer is expected


def test_window_tells_the_size_of_its_cells_where_it_knows_it() -> None:
    master, slave = pty.openpty()
    assert window_cell_px(slave) is None
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 900, 600))

    assert window_cell_px(slave) == (9, 20)
    os.close(master)
    os.close(slave)
    assert window_cell_px(os.open(os.devnull, os.O_RDONLY)) is None


def test_a_pipe_is_not_asked_nor_is_anyone_when_the_setting_says_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TerminalQuestion, "_ask", lambda _: pytest.fail("asked"))

    assert TerminalQuestion({"TERM": "xterm"}).answer().renderer is Renderer.HALF
    assert TerminalQuestion({"TERM": "xterm", "TMUX": "1"}).answer() == Graphics(
        Renderer.HALF, is_in_tmux=True
    )
    for name in ("kitty", "sixel", "half", "ascii", "off"):
        assert TerminalQuestion({"TERM": "xterm"}, name).answer().renderer is Renderer(name)


def test_setting_and_renderers_name_the_same() -> None:
    assert set(IMAGE_RENDERERS) == {"auto", *(renderer.value for renderer in Renderer)}


def test_terminal_answers_while_the_program_goes_on_starting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    master, slave = pty.openpty()
    tty.setraw(master)
    with os.fdopen(slave, "r+b", buffering=0) as stream:
        monkeypatch.setattr("sys.stdin", stream)
        monkeypatch.setattr("sys.stdout", stream)
        question = TerminalQuestion({"TERM": "xterm"})
        os.write(master, SIXEL)
        monkeypatch.setattr(question, "_deadline_s", 0.0)  # long ago

        assert question.answer().renderer is Renderer.SIXEL
    os.close(master)


def test_remote_line_gets_fewer_frames_unless_the_person_chose() -> None:
    local: dict[str, str] = {}
    remote = {"SSH_CONNECTION": "a b c d"}
    chosen = {"SSH_CONNECTION": "a b c d", "TEXTUAL_FPS": "30"}

    for environment in (local, remote, chosen):
        prepare_environment(environment)

    assert local == {"TEXTUAL_ANIMATIONS": "none"}
    assert remote["TEXTUAL_FPS"] == "20"
    assert chosen["TEXTUAL_FPS"] == "30"
