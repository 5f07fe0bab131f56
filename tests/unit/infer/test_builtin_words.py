"""The built-in engine's word table and its data files."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import BackendError
from imageworks.infer import builtin_words
from imageworks.infer.builtin_words import (
    CLASS_COUNT,
    LABELS_FILE,
    Thresholds,
    WordNode,
    WordTable,
    mean_probabilities,
    needed_score,
    parse_words,
    read_data,
    read_manifest,
)
from imageworks.text import clean_text, fold

DATA = resources.files("imageworks.infer") / "data"
TABLE = parse_words(read_data(LABELS_FILE).decode())
BY_WORD = {node.word: node for node in TABLE.nodes}


def spike(*classes: tuple[int, float]) -> list[float]:
    probabilities = [0.0] * CLASS_COUNT
    for index, probability in classes:
        probabilities[index] = probability
    return probabilities


@st.composite
def distributions(draw: st.DrawFn) -> list[float]:
    peaks = draw(st.lists(st.tuples(st.integers(0, CLASS_COUNT - 1), st.floats(0, 1)), max_size=8))
    total = sum(weight for _, weight in peaks)
    probabilities = [0.0] * CLASS_COUNT
    for index, weight in peaks:
        probabilities[index] += weight / total if total > 1e-6 else 0.0
    return probabilities


def test_every_file_matches_its_size_and_checksum() -> None:
    manifest = read_manifest()

    for name, entry in manifest["files"].items():
        content = (DATA / name).read_bytes()
        assert len(content) == entry["bytes"]
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert set(manifest["files"]) == {"efficientnet_lite0_fp16.onnx", "labels.json"}


def test_data_is_small_and_its_licences_travel_with_it() -> None:
    notice = (DATA / "NOTICE.md").read_text("utf-8")

    assert len((DATA / "efficientnet_lite0_fp16.onnx").read_bytes()) < 9_500_000
    assert "Copyright (c) 2020, ML Illustrated" in notice
    assert "Apache License, Version 2.0" in notice
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in notice


@pytest.mark.parametrize("content", [b"{}", b"\xff\xfe"])
def test_changed_data_file_is_refused(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    read_bytes = builtin_words._read_bytes
    monkeypatch.setattr(
        builtin_words,
        "_read_bytes",
        lambda name: content if name == LABELS_FILE else read_bytes(name),
    )

    with pytest.raises(BackendError, match=r"labels\.json is damaged"):
        read_data(LABELS_FILE)


def test_broken_manifest_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin_words, "_read_bytes", lambda _name: b'{"files":')

    with pytest.raises(BackendError, match=r"manifest\.json is damaged"):
        read_manifest()


def test_missing_data_file_is_named() -> None:
    with pytest.raises(BackendError, match=r"gone\.bin cannot be read"):
        builtin_words._read_bytes("gone.bin")


def test_words_are_unique_clean_and_fit_for_metadata() -> None:
    folded = [fold(node.word) for node in TABLE.nodes]

    assert len(set(folded)) == len(folded)
    for node in TABLE.nodes:
        assert node.word == clean_text(node.word)
        assert not set(node.word) & set(",;|/<>()")
        assert node.article in {"a", "an", ""}


def test_every_path_narrows_from_the_broadest_word() -> None:
    for node in TABLE.nodes:
        covers = [set(BY_WORD[word].classes) for word in node.path]
        assert node.path[-1] == node.word
        assert all(narrow <= broad for broad, narrow in pairwise(covers))
        assert all(not BY_WORD[word].is_class for word in node.path[:-1])


def test_classes_are_within_the_network_and_each_said_once_at_most() -> None:
    own = [node.classes for node in TABLE.nodes if node.is_class]

    assert all(0 <= index < CLASS_COUNT for node in TABLE.nodes for index in node.classes)
    assert all(len(classes) == 1 for classes in own)
    assert len(set(own)) == len(own)


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("tabby cat", ("animal", "mammal", "cat", "tabby cat")),
        ("penguin", ("animal", "bird", "water bird", "seabird", "penguin")),
        ("espresso", ("drink", "espresso")),
        ("school bus", ("vehicle", "bus", "school bus")),
        ("lighthouse", ("building", "lighthouse")),
        ("seashore", ("landscape", "shore", "coast", "seashore")),
        ("golf cart", ("vehicle", "golf cart")),
    ],
)
def test_words_stand_where_a_photographer_would_look(word: str, path: tuple[str, ...]) -> None:
    assert BY_WORD[word].path == path


@pytest.mark.parametrize("word", ["daisy", "bubble", "diaper", "Egyptian cat", "torch", "missile"])
def test_classes_that_draw_everything_near_them_are_never_said(word: str) -> None:
    assert word not in BY_WORD


@pytest.mark.parametrize(
    ("word", "phrase"),
    [
        ("umbrella", "an umbrella"),
        ("unicycle", "a unicycle"),
        ("European gallinule", "a European gallinule"),
        ("hourglass", "an hourglass"),
        ("sunglasses", "sunglasses"),
        ("cat", "a cat"),
    ],
)
def test_article_fits_the_word(word: str, phrase: str) -> None:
    probabilities = spike((BY_WORD[word].classes[0], 1.0))

    found = {f.word: f.phrase for chain in TABLE.find(probabilities, Thresholds()) for f in chain}

    assert found[word] == phrase


def test_score_is_the_sum_of_the_classes_under_the_word() -> None:
    tabby, tiger_cat, persian = 281, 282, 283
    probabilities = spike((tabby, 0.4), (tiger_cat, 0.3), (persian, 0.1))

    (chain,) = TABLE.find(probabilities, Thresholds())

    assert [finding.word for finding in chain] == ["cat", "mammal", "animal"]
    assert [finding.score for finding in chain] == pytest.approx([0.8, 0.8, 0.8])


def test_class_word_brings_its_broader_words_below_their_own_threshold() -> None:
    (chain,) = TABLE.find(spike((281, 0.55)), Thresholds())

    assert [finding.word for finding in chain] == ["tabby cat", "cat", "mammal", "animal"]


def test_word_that_covers_much_needs_more() -> None:
    needed = {word: needed_score(BY_WORD[word], Thresholds(0.5, 0.7)) for word in BY_WORD}

    assert needed["tabby cat"] == 0.5
    assert needed["cat"] == pytest.approx(0.7015)
    assert needed["animal"] == pytest.approx(0.8194)


def test_network_without_an_idea_says_nothing() -> None:
    assert TABLE.find([1 / CLASS_COUNT] * CLASS_COUNT, Thresholds(0.1, 0.01)) == ()


@pytest.mark.parametrize(
    ("tabby", "tiger_cat", "words"),
    [(0.49, 0.2, []), (0.5, 0.0, ["tabby cat", "cat", "mammal", "animal"])],
)
def test_thresholds_are_inclusive(tabby: float, tiger_cat: float, words: list[str]) -> None:
    chains = TABLE.find(spike((281, tabby), (282, tiger_cat)), Thresholds(0.5, 0.7))

    assert [finding.word for chain in chains for finding in chain] == words


def test_surest_thing_comes_first_and_shared_words_only_once() -> None:
    nodes = [
        WordNode("animal", "an", ("animal",), (0, 1, 2), is_class=False),
        WordNode("cat", "a", ("animal", "cat"), (0,), is_class=True),
        WordNode("dog", "a", ("animal", "dog"), (1,), is_class=True),
        WordNode("cup", "a", ("cup",), (3,), is_class=True),
    ]

    chains = WordTable(nodes).find([0.2, 0.3, 0.0, 0.25], Thresholds(0.2, 0.9))

    assert [[f.word for f in chain] for chain in chains] == [["dog", "animal"], ["cup"], ["cat"]]


@given(distributions(), st.floats(0.2, 0.9), st.floats(0.2, 0.9))
def test_findings_are_sound_for_any_probabilities(
    probabilities: list[float], class_score: float, broader_score: float
) -> None:
    chains = TABLE.find(probabilities, Thresholds(class_score, broader_score))

    found = {finding.word: finding for chain in chains for finding in chain}
    assert len(found) == sum(len(chain) for chain in chains)
    assert [c[0].score for c in chains] == sorted((c[0].score for c in chains), reverse=True)
    for chain in chains:
        scores = [finding.score for finding in chain]
        assert scores == sorted(scores)
        assert scores[0] >= min(class_score, broader_score)
    for finding in found.values():
        assert 0 <= finding.score <= 1
        assert set(finding.path) <= set(found)
    for node in TABLE.nodes:
        total = sum(probabilities[index] for index in node.classes)
        if total >= needed_score(node, Thresholds(class_score, broader_score)):
            assert node.word in found


def test_views_are_averaged_class_by_class() -> None:
    assert mean_probabilities([[0.0, 1.0], [0.5, 0.5]]) == [0.25, 0.75]


def test_parent_may_stand_after_its_child() -> None:
    text = json.dumps({"nodes": [["cat", "a", 1, True, [0]], ["animal", "an", -1, False, [0, 1]]]})

    assert [node.path for node in parse_words(text).nodes] == [("animal", "cat"), ("animal",)]
