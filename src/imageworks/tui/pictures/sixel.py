"""Puts Sixel tiles on the screen, each whole in itself, so that echoes pass between them."""

from __future__ import annotations

_SAVE_CURSOR = "\x1b7"
_RESTORE_CURSOR = "\x1b8"


def placed(data: str, row: int, column: int) -> str:
    """A tile put on the screen, the cursor where it was (DECSC and DECRC, VT510 manual).

    Args:
        data: A whole Sixel sequence.
        row: Where it begins, from 0.
        column: Where it begins, from 0.
    """
    return f"{_SAVE_CURSOR}\x1b[{row + 1};{column + 1}H{data}{_RESTORE_CURSOR}"
