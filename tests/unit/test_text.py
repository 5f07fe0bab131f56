"""Hostile text made harmless."""

from __future__ import annotations

import sys
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.text import (
    KEYWORD_FORBIDDEN,
    clean_keyword,
    clean_text,
    escape_html,
    escape_markdown,
    fold,
    one_line,
    show_path,
)

ANY_TEXT = st.text(st.characters(codec=None), max_size=200)


@given(ANY_TEXT)
def test_clean_text_is_idempotent_printable_and_composed(text):
    cleaned = clean_text(text)

    assert clean_text(cleaned) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not any(unicodedata.category(c) in {"Cc", "Cs"} for c in cleaned)
    assert not set(cleaned) & set("\u202e\u2066\ufeff\ufffe\uffff")


@given(ANY_TEXT)
def test_clean_text_with_newlines_is_idempotent_and_keeps_no_other_control(text):
    cleaned = clean_text(text, keep_newlines=True)

    assert clean_text(cleaned, keep_newlines=True) == cleaned
    assert not any(unicodedata.category(c) == "Cc" for c in cleaned if c != "\n")
    assert "\n\n\n" not in cleaned


def test_controls_surrogates_and_non_characters_go_and_no_other_character_with_them():
    def is_forbidden(code):
        is_end_of_plane = code & 0xFFFE == 0xFFFE
        is_none = 0xFDD0 <= code <= 0xFDEF or is_end_of_plane
        return is_none or unicodedata.category(chr(code)) in {"Cc", "Cs"}

    forbidden = {code for code in range(sys.maxunicode + 1) if is_forbidden(code)}
    beside = {code + step for code in forbidden for step in (-1, 1)} - forbidden
    beside &= set(range(sys.maxunicode + 1))

    assert {clean_text(f"a{chr(code)}b") for code in forbidden} == {"a b"}
    assert [code for code in beside if one_line(chr(code)) != chr(code)] == []


@given(ANY_TEXT)
def test_one_line_never_lets_a_control_character_through(text):
    shown = one_line(text)

    assert not any(unicodedata.category(c) in {"Cc", "Cs"} for c in shown)
    assert "\u2028" not in shown
    assert len(shown) <= 500


@given(ANY_TEXT)
def test_a_keyword_never_holds_a_separator(text):
    keyword = clean_keyword(text)

    assert not set(keyword) & set(KEYWORD_FORBIDDEN)
    assert clean_keyword(keyword) == keyword


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\x1b[31mb", "a [31mb"),
        ("cafe\u0301", "café"),
        ("a\r\nb\u2028c", "a b c"),
        ("  two   spaces ", "two spaces"),
        ("\u202eevil", "evil"),
        ("family 👨‍👩‍👧", "family 👨‍👩‍👧"),
    ],
)
def test_clean_text_examples(text, cleaned):
    assert clean_text(text) == cleaned


def test_one_line_shows_what_it_takes_out():
    assert one_line("a\x1b[2Jb\x9b") == "a\\x1b[2Jb\\x9b"
    assert one_line("\u202e") == "\\u202e"
    assert show_path("/p/\udcff.jpg") == "/p/\\xff.jpg"
    assert one_line("x" * 600, limit=10) == "xxxxxxxxx…"


@given(ANY_TEXT)
def test_folding_twice_changes_nothing(text):
    assert fold(fold(text)) == fold(text)


def test_fold_finds_the_same_word_in_other_dress():
    assert fold("Straße") == fold("STRASSE")
    assert fold("ﬁsh") == fold("FISH")
    assert fold("Sea  Eagle") == fold("sea eagle")


class _Collector(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)


@given(ANY_TEXT)
def test_escaped_text_never_becomes_a_tag(text):
    for escaped in (escape_html(text), escape_markdown(text)):
        collector = _Collector()
        collector.feed(f"<p>{escaped}</p>")
        assert collector.tags == ["p"]


@given(ANY_TEXT)
def test_markdown_cell_never_breaks_its_table(text):
    escaped = escape_markdown(text)

    assert "\n" not in escaped
    unescaped = escaped.replace("\\\\", "").replace("\\|", "")
    assert "|" not in unescaped
