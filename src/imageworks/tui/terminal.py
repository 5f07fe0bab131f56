"""What the terminal can draw: asked once, before Textual owns it, and never for long."""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import time
import tty
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_WAIT_S = 0.25
# The kitty query is answered with "_Gi=31;OK" (kitty graphics protocol, "Querying support"), the
# cell size with CSI 6;HEIGHT;WIDTH t (XTWINOPS 16), and the last one, primary device attributes
# (DA1), by every terminal: its answer says that no other is to come. Sixel is attribute 4 in it.
_QUERY = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[16t\x1b[c"
_ATTRIBUTES = re.compile(rb"\x1b\[\?([0-9;]*)c")
_CELL_SIZE = re.compile(rb"\x1b\[6;(\d+);(\d+)t")
_KITTY_OK = b"\x1b_Gi=31;OK"


@dataclass(frozen=True, slots=True)
class Graphics:
    """A terminal's own way to draw pictures.

    Attributes:
        protocol: ``kitty`` or ``sixel``.
        cell_width_px: Width of a character cell.
        cell_height_px: Height of a character cell.
    """

    protocol: str
    cell_width_px: int
    cell_height_px: int


def may_draw_pictures(environment: Mapping[str, str]) -> bool:
    """Whether asking makes sense: not through tmux or screen, over SSH, or without colour.

    There, pictures of characters are both safer and, measured over a slow line, far quicker.
    """
    if any(environment.get(name) for name in ("TMUX", "STY", "SSH_CONNECTION", "NO_COLOR")):
        return False
    return not environment.get("TERM", "").startswith(("screen", "tmux", "dumb", "linux"))


def ask_terminal(environment: Mapping[str, str]) -> Graphics | None:
    """The terminal's graphics, or None where it has none, is no terminal, or does not answer."""
    if not may_draw_pictures(environment):
        return None
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    return parse_answer(_exchange(sys.stdin.fileno(), sys.stdout.fileno()))


def parse_answer(answer: bytes) -> Graphics | None:
    """The graphics that a terminal's answers speak of."""
    cell = _CELL_SIZE.search(answer)
    if cell is None or not (int(cell[1]) and int(cell[2])):
        return None
    attributes = _ATTRIBUTES.search(answer)
    if _KITTY_OK in answer:
        return Graphics("kitty", int(cell[2]), int(cell[1]))
    if attributes is not None and b"4" in attributes[1].split(b";"):
        return Graphics("sixel", int(cell[2]), int(cell[1]))
    return None


def _exchange(source: int, target: int) -> bytes:
    """Sends the queries and reads until the last one's answer, or until time is up."""
    try:
        settings = termios.tcgetattr(source)
    except termios.error:
        return b""
    answer = b""
    try:
        tty.setcbreak(source, termios.TCSANOW)
        os.write(target, _QUERY)
        deadline_s = time.monotonic() + _WAIT_S
        while not _ATTRIBUTES.search(answer):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not select.select([source], [], [], left_s)[0]:
                break
            part = os.read(source, 1024)
            if not part:
                break
            answer += part
    except OSError:
        return b""
    finally:
        termios.tcsetattr(source, termios.TCSANOW, settings)
    return answer
