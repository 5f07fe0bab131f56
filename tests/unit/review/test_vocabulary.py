from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import ConfigError
from imageworks.models import Keyword, Origin
from imageworks.review.completion import Completion, KeywordCompleter
from imageworks.review.vocabulary import (
    Vocabulary,
    listed_keywords,
    read_vocabulary,
    vocabulary_stamp,
)
from imageworks.store.usage import KeywordUse
from imageworks.text import clean_keyword

LIST = """\ufeffanimal
\t[groups]
\t\tbird
\t\t\theron
\t\t\t\t{grey heron}
\t\t\t\tchick
\tfish

place|Norfolk|Cley
solo
"""


def word(*path: str) -> Keyword:
    return Keyword(path[-1], origin=Origin.VOCABULARY, path=path if len(path) > 1 else ())


class FakeUsage:
    def __init__(self, **uses: int) -> None:
        self.all = [KeywordUse(text.replace("_", " "), count) for text, count in uses.items()]

    def starting_with(self, text: str, limit: int) -> list[KeywordUse]:
        return [use for use in self.all if use.text.startswith(text)][:limit]

    def uses(self, text: str) -> int:
        return next((use.uses for use in self.all if use.text == text), 0)


def test_exported_list_gives_paths_and_synonyms() -> None:
    entries = list(listed_keywords(LIST.lstrip("\ufeff")))

    assert entries == [
        (word("animal"), ""),
        (word("animal", "groups", "bird"), ""),
        (word("animal", "groups", "bird", "heron"), ""),
        (word("animal", "groups", "bird", "heron"), "grey heron"),
        (word("animal", "groups", "bird", "heron", "chick"), ""),
        (word("animal", "fish"), ""),
        (word("place", "Norfolk", "Cley"), ""),
        (word("solo"), ""),
    ]


def test_both_files_are_one_vocabulary(tmp_path) -> None:
    path = tmp_path / "vocabulary.toml"
    path.write_text('keywords = ["heron", "sea|boat"]\n[aliases]\nosprey = "sea eagle"\n')
    path.with_suffix(".txt").write_text(LIST, "utf-8")

    vocabulary = read_vocabulary(path)

    assert vocabulary.find("HERON") == word("animal", "groups", "bird", "heron")
    assert vocabulary.find("Grey  Heron") == vocabulary.find("heron")
    assert vocabulary.find("osprey") == word("sea eagle")
    assert vocabulary.find("boat") == word("sea", "boat")
    assert vocabulary.find("tree") is None


def test_no_file_is_an_empty_vocabulary(tmp_path) -> None:
    assert read_vocabulary(tmp_path / "none.toml") == Vocabulary()
    assert read_vocabulary(None) == Vocabulary()
    assert vocabulary_stamp(None) == ()
    assert vocabulary_stamp(tmp_path / "none.toml") == (None, None)


def test_stamp_changes_with_either_file(tmp_path) -> None:
    path = tmp_path / "vocabulary.toml"
    before = vocabulary_stamp(path)
    path.with_suffix(".txt").write_text("a\n")
    between = vocabulary_stamp(path)
    path.write_text("keywords = []\n")

    assert len({before, between, vocabulary_stamp(path)}) == 3


@pytest.mark.parametrize("text", ["keywords = [", "keywords = 3", "aliases = 4"])
def test_broken_file_is_named(tmp_path, text: str) -> None:
    path = tmp_path / "vocabulary.toml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=r"vocabulary\.toml"):
        read_vocabulary(path)


def test_file_that_cannot_be_read_is_named(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "vocabulary.toml"
    folder.mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_vocabulary(folder)

    path = tmp_path / "other.toml"
    path.write_text("keywords = []")
    monkeypatch.setattr("imageworks.review.vocabulary._MOST_BYTES", 3)
    with pytest.raises(ConfigError, match="larger than"):
        read_vocabulary(path)


@given(st.text())
def test_any_list_gives_clean_keywords_and_no_error(text: str) -> None:
    for keyword, stands_for in listed_keywords(text):
        assert keyword.text
        assert keyword.text == clean_keyword(keyword.text)
        assert not keyword.path or keyword.path[-1] == keyword.text
        assert stands_for == clean_keyword(stands_for)


def test_used_words_come_first_and_the_vocabulary_spells_them() -> None:
    vocabulary = Vocabulary(
        {"heron": word("bird", "Heron"), "herring": word("herring")}, {"hers": word("own")}
    )
    completer = KeywordCompleter(FakeUsage(hero=9, heron=2), vocabulary)  # type: ignore[arg-type]  # a stand-in

    assert completer.complete("her") == [
        Completion(Keyword("hero", origin=Origin.PERSON), 9),
        Completion(word("bird", "Heron"), 2),
        Completion(word("herring"), 0),
        Completion(word("own"), 0),
    ]
    assert len(completer.complete("her", limit=3)) == 3
    assert completer.known("HERRING") == word("herring")
    assert completer.uses("hero") == 9
    assert completer.complete("  ") == []
    assert KeywordCompleter(FakeUsage()).complete("x") == []  # type: ignore[arg-type]  # a stand-in
