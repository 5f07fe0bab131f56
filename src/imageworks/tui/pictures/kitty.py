"""The kitty graphics protocol: one picture, sent in chunks, shown where its placeholders stand.

Source: kitty's documentation, "Terminal graphics protocol": "Remote client" (chunks), "Unicode
placeholders", "Deleting images".
"""

from __future__ import annotations

import base64
import os
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK_CHARACTERS = 4096
_PLACEHOLDER = "\U0010eeee"
# kitty, gen/rowcolumn-diacritics.txt: the combining characters, of class 230 in Unicode 6.0, that
# stand for row and column 0, 1, 2 …; code points and ranges of them.
_DIACRITICS = (
    "305 30D-30E 310 312 33D-33F 346 34A-34C 350-352 357 35B 363-36F 483-487 592-595 597-599 "
    "59C-5A1 5A8-5A9 5AB-5AC 5AF 5C4 610-617 657-65B 65D-65E 6D6-6DC 6DF-6E2 6E4 6E7-6E8 "
    "6EB-6EC 730 732-733 735-736 73A 73D 73F-741 743 745 747 749-74A 7EB-7F1 7F3 816-819 "
    "81B-823 825-827 829-82D 951 953-954 F82-F83 F86-F87 135D-135F 17DD 193A 1A17 1A75-1A7C "
    "1B6B 1B6D-1B73 1CD0-1CD2 1CDA-1CDB 1CE0 1DC0-1DC1 1DC3-1DC9 1DCB-1DCC 1DD1-1DE6 1DFE "
    "20D0-20D1 20D4-20D7 20DB-20DC 20E1 20E7 20E9 20F0 2CEF-2CF1 2DE0-2DFF A66F A67C-A67D "
    "A6F0-A6F1 A8E0-A8F1 AAB0 AAB2-AAB3 AAB7-AAB8 AABE-AABF AAC1 FE20-FE26 10A0F 10A38 "
    "1D185-1D189 1D1AA-1D1AD 1D242-1D244 "
)


def own_mark() -> int:
    """A number, and a colour, that no other program on this terminal is likely to use; 24 bits."""
    return 0x500000 | os.getpid() & 0xFFFFF


@lru_cache(maxsize=1)
def diacritics() -> str:
    """The characters that stand for 0, 1, 2 and so on."""
    found = []
    for word in "".join(_DIACRITICS).split():
        first, _, last = word.partition("-")
        found += [chr(code) for code in range(int(first, 16), int(last or first, 16) + 1)]
    return "".join(found)


def most_cells() -> int:
    """Most columns, and most rows, that a picture may take."""
    return len(diacritics())


def placeholder(row: int, column: int) -> str:
    """The character for one cell of a picture; its colour tells which picture."""
    marks = diacritics()
    return _PLACEHOLDER + marks[row] + marks[column]


def upload(image_id: int, png: bytes) -> Iterator[str]:
    """The commands that send a picture: each stands by itself, and all are to be sent in order.

    Every chunk asks for no reply: what came in as one would be taken for keys.
    """
    text = base64.standard_b64encode(png).decode("ascii")
    for at in range(0, len(text), _CHUNK_CHARACTERS):
        keys = "q=2," if at else f"a=t,t=d,f=100,i={image_id},q=2,"
        is_more = at + _CHUNK_CHARACTERS < len(text)
        yield f"\x1b_G{keys}m={int(is_more)};{text[at : at + _CHUNK_CHARACTERS]}\x1b\\"


def place(image_id: int, columns: int, rows: int) -> str:
    """Says how many placeholders the picture is spread over."""
    return f"\x1b_Ga=p,U=1,i={image_id},c={columns},r={rows},q=2\x1b\\"


def abandon() -> str:
    """Ends an upload that was begun; what came of it is to be deleted after that."""
    return "\x1b_Gq=2,m=0;\x1b\\"


def delete(image_id: int) -> str:
    """Takes the picture off the screen and frees its memory (a capital ``d``)."""
    return f"\x1b_Ga=d,d=I,i={image_id},q=2\x1b\\"


def through_tmux(commands: str) -> str:
    """The same commands, passed on by tmux to its terminal (tmux(1), allow-passthrough)."""
    return "\x1bPtmux;" + commands.replace("\x1b", "\x1b\x1b") + "\x1b\\"
