"""The vocabulary file: rules are read, applied, and added without harm to what is there."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import ConfigError, StoreError
from imageworks.models import Keyword, Origin, Tags
from imageworks.review.rules import Rule, RuleBook, read_rules, with_rule
from imageworks.text import clean_keyword, fold

OWN = """\
# My words
keywords = ["animal|bird|heron"]  # with levels

[aliases]
# birds
"osprey" = "sea eagle" # seen in 2024
gull = "animal|bird|herring gull"
"""
WORDS = st.text(max_size=20).map(clean_keyword).filter(lambda text: bool(fold(text)))


def applied(text: str, *keywords: str) -> list[str]:
    tags = Tags("", tuple(Keyword(word) for word in keywords))
    return [k.text for k in read_rules(text, Path("v.toml")).applied(tags).keywords]


def test_alias_takes_the_place_in_any_case_and_keeps_the_order() -> None:
    assert applied(OWN, "lake", "Osprey", "tree") == ["lake", "sea eagle", "tree"]


def test_alias_that_is_there_already_comes_once() -> None:
    assert applied(OWN, "osprey", "Sea Eagle", "tree") == ["sea eagle", "tree"]


def test_alias_brings_its_path_and_says_where_it_is_from() -> None:
    tags = Tags("A gull", (Keyword("Gull", 0.5),))

    (keyword,) = read_rules(OWN, Path("v.toml")).applied(tags).keywords

    path = ("animal", "bird", "herring gull")
    assert keyword == Keyword("herring gull", 0.5, Origin.VOCABULARY, path)


def test_banned_keyword_is_not_suggested() -> None:
    assert applied('banned = ["Photo"]', "photo", "lake") == ["lake"]


def test_new_rules_leave_comments_order_and_other_tables_as_they_are() -> None:
    text = with_rule(with_rule(OWN, Rule("dog", "hound")), Rule("photo"))

    assert [line for line in OWN.splitlines() if line not in text.splitlines()] == []
    values = tomllib.loads(text)
    assert values["aliases"]["dog"] == "hound"
    assert values["banned"] == ["photo"]
    assert values["keywords"] == ["animal|bird|heron"]


def test_ban_goes_behind_those_of_a_list_over_many_lines() -> None:
    text = with_rule('banned = [\n  "a", # why\n]\n', Rule("b"))

    assert tomllib.loads(text)["banned"] == ["a", "b"]
    assert '"a", # why' in text


@given(st.lists(st.tuples(WORDS, st.one_of(st.just(""), WORDS)), max_size=6))
def test_any_rules_can_be_added_one_by_one_and_read_back(rules: list[tuple[str, str]]) -> None:
    text = ""
    for wrong, better in rules:
        text = with_rule(text, Rule(wrong, better))

    known = read_rules(text, Path("v.toml"))
    assert all(known.has(wrong) for wrong, _better in rules)


def test_file_is_made_with_its_folder_and_read_again_when_it_changes(tmp_path: Path) -> None:
    book = RuleBook(tmp_path / "config" / "vocabulary.toml")
    assert not book.rules().has("osprey")

    assert book.preview(Rule("osprey", "sea eagle")).endswith('osprey = "sea eagle"')
    assert not (tmp_path / "config").exists()
    book.add(Rule("osprey", "sea eagle"))

    assert book.rules().has("Osprey")
    assert [p.name for p in (tmp_path / "config").iterdir()] == ["vocabulary.toml"]


def test_preview_is_only_what_would_be_new(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.toml"
    path.write_text(OWN)

    assert RuleBook(path).preview(Rule("dog", "hound")) == 'dog = "hound"'
    assert path.read_text() == OWN


def test_link_stays_a_link_and_the_mode_stays(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "vocabulary.toml"
    real.write_text(OWN)
    real.chmod(0o640)
    link.symlink_to(real)

    RuleBook(link).add(Rule("dog"))

    assert link.is_symlink()
    assert tomllib.loads(real.read_text())["banned"] == ["dog"]
    assert real.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "text",
    ["[aliases", 'aliases = ["a"]', "banned = 3", "banned = [1]", '[aliases]\na = ""', "a\xff"],
)
def test_wrong_file_is_named_and_never_written_to(tmp_path: Path, text: str) -> None:
    path = tmp_path / "vocabulary.toml"
    path.write_bytes(text.encode("latin-1"))
    book = RuleBook(path)

    assert not book.rules().has("dog")
    assert "vocabulary.toml" in book.problem
    with pytest.raises(ConfigError, match=r"vocabulary\.toml"):
        book.add(Rule("dog"))
    assert path.read_bytes() == text.encode("latin-1")


def test_last_rules_count_while_the_file_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.toml"
    path.write_text(OWN)
    book = RuleBook(path)
    book.rules()

    path.write_text("[aliases")
    assert book.rules().has("osprey")
    assert book.problem
    path.write_text('banned = ["dog"]')
    assert book.rules().has("dog")
    assert not book.problem


def test_full_disk_leaves_the_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vocabulary.toml"
    path.write_text(OWN)

    def no_room(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(StoreError, match="No space left"):
        RuleBook(path).add(Rule("dog"))

    assert path.read_text() == OWN
    assert [p.name for p in tmp_path.iterdir()] == ["vocabulary.toml"]


def test_session_without_a_file_has_no_rules_and_takes_none() -> None:
    book = RuleBook(None)

    assert book.rules().applied(Tags("a", (Keyword("b"),))) == Tags("a", (Keyword("b"),))
    assert book.preview(Rule("dog")).endswith('banned = ["dog"]')
    with pytest.raises(ConfigError):
        book.add(Rule("dog"))


def test_rules_in_a_folder_that_cannot_be_entered_are_a_problem_not_none(tmp_path) -> None:
    book = RuleBook(tmp_path / "file" / "vocabulary.toml")
    (tmp_path / "file").write_text("no folder")

    with pytest.raises(ConfigError, match="cannot be read"):
        book.sound_rules()
