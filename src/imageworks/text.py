"""Makes hostile text harmless: for metadata, for one line of a terminal, for Markdown and HTML."""

from __future__ import annotations

import os
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Bidirectional controls (Unicode TR 9) reorder what a person reads: no place for them in a keyword.
_BIDI_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_INVISIBLE = f"\u00ad\u2060\ufeff\ufff9\ufffa\ufffb{_BIDI_CONTROLS}"
KEYWORD_FORBIDDEN = ",;|/<>"
"""Characters that readers of keywords split or nest at (contract, section 7)."""
_INVISIBLE_CLASS = re.compile(f"[{_INVISIBLE}]")
_PLANE_ENDS = "".join(chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF))
# Controls (categories Cc: C0, C1, DEL; Cs: lone surrogates), without the line end, and
# non-characters: U+FDD0..FDEF and the last two of each plane (Unicode 3.4, D14).
_FORBIDDEN = re.compile(f"[\0-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_PLANE_ENDS}]")
_TO_SPACES = str.maketrans(dict.fromkeys(KEYWORD_FORBIDDEN, " "))
_SPACE_RUN = re.compile(r"[ \t\u00a0\u2000-\u200a\u202f\u205f\u3000]+")
# What starts markup inside a table cell (CommonMark 0.31, section 6; GFM tables and math).
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")


def clean_text(text: str, *, keep_newlines: bool = False) -> str:
    r"""Text as it may be written into metadata: NFC, printable, single spaces.

    Control, bidi and non-characters and lone surrogates go; line ends become ``\n`` when
    ``keep_newlines`` is set and a space otherwise. Idempotent.
    """
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n")
    text = text.replace("\u2029", "\n").replace("\t", " ")
    text = _INVISIBLE_CLASS.sub("", text)
    kept = unicodedata.normalize("NFC", _FORBIDDEN.sub(" ", text))
    lines = [_SPACE_RUN.sub(" ", line).strip() for line in kept.split("\n")]
    if keep_newlines:
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return " ".join(line for line in lines if line)


def clean_keyword(text: str) -> str:
    """Text as it may stand in a keyword: one clean line without `KEYWORD_FORBIDDEN`."""
    return clean_text(text.translate(_TO_SPACES))


def fold(text: str) -> str:
    """The form under which two keywords are the same: NFKC, case folded, single spaces."""
    cleaned = clean_text(text)
    if cleaned.isascii():
        return cleaned.casefold()
    # Twice, as compatibility forms can hide capitals (Unicode 16.0, section 3.13.5, D145).
    folded = unicodedata.normalize("NFKC", cleaned.casefold())
    return clean_text(unicodedata.normalize("NFKC", folded.casefold()))


def one_line(text: str, *, limit: int = 500) -> str:
    r"""Text safe for one line of a terminal or log: no control or escape sequence survives.

    What is taken out is shown as ``\xNN`` or ``\uNNNN``, so that a strange file name stays
    recognisable; longer than ``limit`` characters ends in an ellipsis.
    """
    shown = text[: limit + 1]
    if not (shown.isascii() and shown.isprintable()):
        shown = "".join(_visible(c) for c in shown)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _visible(character: str) -> str:
    if "\ud800" <= character <= "\udfff":  # a byte that is not UTF-8 in a file name (PEP 383)
        return f"\\x{ord(character) & 0xFF:02x}"
    if character in f"\n\u2028\u2029{_INVISIBLE}" or _FORBIDDEN.match(character):
        code = ord(character)
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return character


def show_path(path: Path | str, *, limit: int = 300) -> str:
    """A file's path for messages and tables; see `one_line`."""
    return one_line(os.fspath(path), limit=limit)


def escape_markdown(text: str, *, limit: int = 2000) -> str:
    """Text for a Markdown table cell: it can neither break the table nor become markup or HTML."""
    shown = one_line(clean_text(text), limit=limit)
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = _MARKDOWN_SPECIAL.sub(r"\\\1", shown)
    # Bare addresses would become links (GFM, section 6.9).
    return escaped.replace("://", ":&#47;/").replace("www.", "www&#46;").replace("@", "&#64;")


def escape_html(text: str, *, limit: int = 10_000) -> str:
    """Text for HTML content and quoted attributes."""
    import html  # noqa: PLC0415  # for contact sheets only; brings a table of all entities

    return html.escape(one_line(clean_text(text), limit=limit), quote=True)
