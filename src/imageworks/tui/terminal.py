"""What the terminal can draw: asked once, before Textual owns it, and never for long."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import select
import struct
import sys
import termios
import time
import tty
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

_WAIT_S = 0.25
# In this order: the kitty query (kitty graphics protocol, "Querying support and available
# transmission mediums"; answered with "_Gi=31;OK"), the terminal's name (xterm control sequences,
# XTVERSION), the size of a cell and of the text area in pixels (XTWINOPS 16 and 14), and last the
# primary device attributes (DA1). Every terminal answers the last one, and that answer says that no
# other is to come. Sixel is attribute 4 in it.
_QUERY = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[>q\x1b[16t\x1b[14t\x1b[c"
_ATTRIBUTES = re.compile(rb"\x1b\[\?([0-9;]*)c")
_CELL_SIZE = re.compile(rb"\x1b\[6;(\d{1,5});(\d{1,5})t")
_TEXT_AREA_SIZE = re.compile(rb"\x1b\[4;(\d{1,6});(\d{1,6})t")
_NAME = re.compile(rb"\x1bP>\|([^\x1b]*)\x1b\\")
_KITTY_OK = b"\x1b_Gi=31;OK"
_ANSWERS = re.compile(rb"\x1b[_P][^\x1b]*\x1b\\|\x1b\[[?>]?[0-9;]*[ct]")
_CUT_ANSWER = re.compile(rb"(?:\x1b[_P][^\x1b]*\x1b?|\x1b\[[?>]?[0-9;]*)\Z")
# Others answer the kitty query as well but do not know its placeholder characters, by which a
# picture stays within its pane: WezTerm and Konsole would show boxes instead.
_PLACEHOLDER_BRANDS = (b"kitty", b"ghostty")
_PLACEHOLDER_TERMS = ("xterm-kitty", "xterm-ghostty")
_USUAL_CELL_PX = (10, 20)


class Renderer(Enum):
    """A way to draw a photograph."""

    KITTY = "kitty"
    SIXEL = "sixel"
    HALF = "half"
    ASCII = "ascii"
    OFF = "off"

    @property
    def is_graphics(self) -> bool:
        """Whether the terminal is sent pixels, not characters."""
        return self in (Renderer.KITTY, Renderer.SIXEL)


@dataclass(frozen=True, slots=True)
class Graphics:
    """How to draw on this terminal.

    Attributes:
        renderer: What it is to be drawn with.
        cell_width_px: Width of a character cell; a usual one where it is not known.
        cell_height_px: Height of a character cell.
        is_in_tmux: Whether what is not text must be wrapped to reach the terminal.
        typed_ahead: What the person typed while the terminal was asked; still to be done.
    """

    renderer: Renderer
    cell_width_px: int = _USUAL_CELL_PX[0]
    cell_height_px: int = _USUAL_CELL_PX[1]
    is_in_tmux: bool = False
    typed_ahead: str = ""


def may_draw_pictures(environment: Mapping[str, str]) -> bool:
    """Whether asking makes sense: not through tmux or screen, over SSH, or without colour.

    There, pictures of characters are both safer and, measured over a slow line, far quicker.
    """
    if any(environment.get(name) for name in ("TMUX", "STY", "SSH_CONNECTION", "NO_COLOR")):
        return False
    return not environment.get("TERM", "").startswith(("screen", "tmux", "dumb", "linux"))


class TerminalQuestion:
    """How to draw, by the setting ``images`` and, where that leaves it open, by the terminal.

    The terminal is asked when this is made, and answers while the program goes on starting; only
    `answer` waits, until a quarter of a second after the question at most.

    Args:
        environment: Of this process.
        images: ``auto`` or the value of a `Renderer`.
    """

    def __init__(self, environment: Mapping[str, str], images: str = "auto") -> None:
        self._environment = environment
        self._images = images
        self._settings: list[Any] | None = None
        self._deadline_s = 0.0
        is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
        self._cell_px = window_cell_px(sys.stdout.fileno()) if is_terminal else None
        if images == "auto" and is_terminal and may_draw_pictures(environment):
            self._ask()

    def answer(self) -> Graphics:
        """How to draw; the terminal is as it was before."""
        is_in_tmux = bool(self._environment.get("TMUX"))
        if self._settings is not None:
            term = self._environment.get("TERM", "")
            return parse_answer(self._take_answer(self._settings), term, self._cell_px)
        renderer = Renderer.HALF if self._images == "auto" else Renderer(self._images)
        return Graphics(renderer, *(self._cell_px or _USUAL_CELL_PX), is_in_tmux)

    def _ask(self) -> None:
        source = sys.stdin.fileno()
        try:
            self._settings = termios.tcgetattr(source)
            tty.setcbreak(source, termios.TCSANOW)
            os.write(sys.stdout.fileno(), _QUERY)
        except (termios.error, OSError) as error:
            logger.info("The terminal cannot be asked: %s", error)
        self._deadline_s = time.monotonic() + _WAIT_S

    def _take_answer(self, settings: list[Any]) -> bytes:
        """Reads until the last query's answer, or until time is up."""
        source = sys.stdin.fileno()
        answer = b""
        try:
            while not _ATTRIBUTES.search(answer):
                left_s = max(0.0, self._deadline_s - time.monotonic())
                if not select.select([source], [], [], left_s)[0]:
                    break
                part = os.read(source, 1024)
                if not part:
                    break
                answer += part
        except OSError as error:
            logger.info("The terminal's answer cannot be read: %s", error)
        finally:
            termios.tcsetattr(source, termios.TCSANOW, settings)
        return answer


def parse_answer(
    answer: bytes, term: str = "", window_cell: tuple[int, int] | None = None
) -> Graphics:
    """The graphics that a terminal's answers speak of, and what was typed between them.

    Args:
        answer: All that was read.
        term: The variable ``TERM``, for terminals that do not tell their name.
        window_cell: A cell's size where the terminal's driver knows it.
    """
    typed = _CUT_ANSWER.sub(b"", _ANSWERS.sub(b"", answer)).decode("utf-8", "ignore")
    cell_px = _answered_cell_px(answer) or window_cell
    width_px, height_px = cell_px or _USUAL_CELL_PX
    renderer = Renderer.HALF
    attributes = _ATTRIBUTES.search(answer)
    if cell_px is None:
        pass  # a picture would be stretched
    elif _KITTY_OK in answer and _knows_placeholders(answer, term):
        renderer = Renderer.KITTY
    elif attributes is not None and b"4" in attributes[1].split(b";"):
        renderer = Renderer.SIXEL
    return Graphics(renderer, width_px, height_px, typed_ahead=typed)


def window_cell_px(descriptor: int) -> tuple[int, int] | None:
    """Width and height of a cell as the terminal's driver tells it (TIOCGWINSZ); often not."""
    try:
        size = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8))
    except OSError:
        return None
    rows, columns, width_px, height_px = struct.unpack("HHHH", size)
    cell = (width_px // max(1, columns), height_px // max(1, rows))
    return cell if all(cell) else None


def _answered_cell_px(answer: bytes) -> tuple[int, int] | None:
    found = _CELL_SIZE.search(answer)
    if found is not None and int(found[1]) and int(found[2]):
        return int(found[2]), int(found[1])
    area = _TEXT_AREA_SIZE.search(answer)
    if area is None:
        return None
    try:
        columns, rows = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1)
    except (OSError, ValueError):
        return None
    cell = (int(area[2]) // max(1, columns), int(area[1]) // max(1, rows))
    return cell if all(cell) else None


def _knows_placeholders(answer: bytes, term: str) -> bool:
    name = _NAME.search(answer)
    if name is None:
        return term in _PLACEHOLDER_TERMS
    return name[1].lower().startswith(_PLACEHOLDER_BRANDS)
