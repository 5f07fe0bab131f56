from __future__ import annotations

import os
import pty
import termios
import threading
import tty

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.tui import terminal
from imageworks.tui.app import prepare_environment
from imageworks.tui.terminal import Graphics, ask_terminal, may_draw_pictures, parse_answer

KITTY = b"\x1b_Gi=31;OK\x1b\\\x1b[6;20;10t\x1b[?62;c"
SIXEL = b"\x1b[6;18;9t\x1b[?62;4;22c"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (KITTY, Graphics("kitty", 10, 20)),
        (SIXEL, Graphics("sixel", 9, 18)),
        (b"\x1b[6;18;9t\x1b[?62;22c", None),
        (b"\x1b[?62;4c", None),  # no cell size: a picture would be stretched
        (b"\x1b[6;0;0t\x1b[?62;4c", None),
        (b"\x1b[6;18;9t\x1b[?62;14;44c", None),
        (b"\x1b_Gi=31;ENOTSUPPORTED\x1b\\\x1b[6;20;10t\x1b[?1;2c", None),
        (b"", None),
    ],
)
def test_answers_name_the_graphics(answer: bytes, expected: Graphics | None) -> None:
    assert parse_answer(answer) == expected


@given(st.binary(max_size=200))
def test_any_answer_is_taken(answer: bytes) -> None:
    parse_answer(answer)


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


@pytest.mark.parametrize(("answer", "expected"), [(SIXEL, "sixel"), (KITTY, "kitty"), (b"", "")])
def test_terminal_is_asked_and_its_settings_are_put_back(
    answer: bytes, expected: str, monkeypatch: pytest.MonkeyPatch
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
        graphics = ask_terminal({"TERM": "xterm"})
        thread.join()
        assert termios.tcgetattr(slave) == before
    os.close(master)

    assert (graphics.protocol if graphics else "") == expected


def test_a_pipe_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "_exchange", lambda *_: pytest.fail("asked"))

    assert ask_terminal({"TERM": "xterm"}) is None
    assert ask_terminal({"TERM": "xterm", "TMUX": "1"}) is None


def test_what_is_no_terminal_answers_nothing() -> None:
    source, target = os.pipe()

    assert terminal._exchange(source, target) == b""
    os.close(source)
    os.close(target)


def test_remote_line_gets_fewer_frames_unless_the_person_chose() -> None:
    local: dict[str, str] = {}
    remote = {"SSH_CONNECTION": "a b c d"}
    chosen = {"SSH_CONNECTION": "a b c d", "TEXTUAL_FPS": "30"}

    for environment in (local, remote, chosen):
        prepare_environment(environment)

    assert local == {"TEXTUAL_ANIMATIONS": "none"}
    assert remote["TEXTUAL_FPS"] == "20"
    assert chosen["TEXTUAL_FPS"] == "30"
