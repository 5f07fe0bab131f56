"""The built-in engine's words: from 1000 probabilities to keywords with a place in a hierarchy."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from imageworks.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MODEL_FILE = "efficientnet_lite0_fp16.onnx"
LABELS_FILE = "labels.json"
MANIFEST_FILE = "manifest.json"
CLASS_COUNT = 1000


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which probability on a word is said, 0..1.

    A broader word stands for a sum over many guesses, so it needs more than one class's own word,
    and the more, the more classes it covers: half a thousand random guesses sum up too.
    """

    class_score: float = 0.5
    broader_score: float = 0.7


@dataclass(frozen=True, slots=True)
class WordNode:
    """A word and the network's classes it covers.

    Attributes:
        word: As suggested.
        article: ``a``, ``an`` or empty.
        path: From the broadest word to this one, itself included.
        classes: Indices into the network's output.
        is_class: Stands for one class only, not for a group.
    """

    word: str
    article: str
    path: tuple[str, ...]
    classes: tuple[int, ...]
    is_class: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """A word found in a picture.

    Attributes:
        word: As suggested.
        article: ``a``, ``an`` or empty.
        path: From the broadest word to this one, itself included.
        score: Sum of the probabilities of the classes it covers, 0..1.
    """

    word: str
    article: str
    path: tuple[str, ...]
    score: float

    @property
    def phrase(self) -> str:
        """The word with its article."""
        return f"{self.article} {self.word}".lstrip()


class WordTable:
    """All words the engine knows."""

    def __init__(self, nodes: Sequence[WordNode]) -> None:
        self.nodes = tuple(nodes)
        self._by_word = {node.word: node for node in self.nodes}

    def find(
        self, probabilities: Sequence[float], thresholds: Thresholds
    ) -> tuple[tuple[Finding, ...], ...]:
        """What a picture shows: one chain of findings for each thing, surest first.

        A chain runs from the narrowest word to the broadest; a word that belongs to two chains
        stands in the surer one. Each score is at least that of the narrower words before it.
        """
        scores = {
            node.word: min(1.0, sum(probabilities[index] for index in node.classes))
            for node in self.nodes
        }
        said = {
            word
            for node in self.nodes
            if scores[node.word] >= needed_score(node, thresholds)
            for word in node.path
        }
        broader = {word for name in said for word in self._by_word[name].path[:-1]}
        tips = sorted(said - broader, key=lambda word: (-scores[word], word))
        chains: list[tuple[Finding, ...]] = []
        spoken: set[str] = set()
        for tip in tips:
            chain = [word for word in reversed(self._by_word[tip].path) if word not in spoken]
            spoken.update(chain)
            chains.append(tuple(self._finding(word, scores[word]) for word in chain))
        return tuple(chains)

    def _finding(self, word: str, score: float) -> Finding:
        node = self._by_word[word]
        return Finding(word, node.article, node.path, score)


def needed_score(node: WordNode, thresholds: Thresholds) -> float:
    """From which score on a word is said.

    For a broader word the threshold is corrected for chance as Cohen's kappa is (Educational and
    Psychological Measurement 20, 1960): (score - share) / (1 - share) must reach it, where share is
    the part of all classes that it covers, which is its score when the network has no idea.
    """
    if node.is_class:
        return thresholds.class_score
    share_ratio = len(node.classes) / CLASS_COUNT
    return share_ratio + (1 - share_ratio) * thresholds.broader_score


def parse_words(text: str) -> WordTable:
    """The table out of ``labels.json``, as `scripts/build_builtin_data` writes it."""
    rows: list[tuple[str, str, int, bool, list[int]]] = json.loads(text)["nodes"]
    return WordTable(
        [
            WordNode(word, article, _path(rows, index), tuple(classes), is_class)
            for index, (word, article, _, is_class, classes) in enumerate(rows)
        ]
    )


def _path(rows: Sequence[tuple[str, str, int, bool, list[int]]], index: int) -> tuple[str, ...]:
    words: list[str] = []
    while index >= 0 and len(words) <= len(rows):
        words.append(rows[index][0])
        index = rows[index][2]
    return tuple(reversed(words))


def read_manifest() -> dict[str, Any]:
    """Version, sizes and checksums of the engine's data.

    Raises:
        BackendError: It is missing or damaged.
    """
    try:
        manifest: dict[str, Any] = json.loads(_read_bytes(MANIFEST_FILE))
    except ValueError as error:
        raise _damaged(MANIFEST_FILE) from error
    return manifest


def read_data(name: str) -> bytes:
    """A data file of the engine, checked against the manifest.

    Raises:
        BackendError: It is missing or not the file that was shipped.
    """
    content = _read_bytes(name)
    if hashlib.sha256(content).hexdigest() != read_manifest()["files"][name]["sha256"]:
        raise _damaged(name)
    return content


def _damaged(name: str) -> BackendError:
    message = f"The built-in engine's file {name} is damaged."
    return BackendError(message, hint="install the program again.", reason="builtin-data")


def _read_bytes(name: str) -> bytes:
    try:
        return (resources.files("imageworks.infer") / "data" / name).read_bytes()
    except OSError as error:
        message = f"The built-in engine's file {name} cannot be read: {error}."
        hint = "install the program again."
        raise BackendError(message, hint=hint, reason="builtin-data") from error


def mean_probabilities(rows: Iterable[Sequence[float]]) -> list[float]:
    """The average over several views of one picture, class by class."""
    columns = zip(*rows, strict=True)
    return [sum(column) / len(column) for column in columns]
