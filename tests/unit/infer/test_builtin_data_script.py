"""The command that rebuilds the built-in engine's data trusts nothing that it reads."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
from collections import OrderedDict
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")

SCRIPT = Path(__file__).parents[3] / "scripts" / "build_builtin_data"


@pytest.fixture(scope="module")
def script() -> Any:
    loader = SourceFileLoader("build_builtin_data", str(SCRIPT))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[loader.name] = module
    is_writing, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader.exec_module(module)
    sys.dont_write_bytecode = is_writing
    yield module
    del sys.modules[loader.name]


class Global:
    """Pickles as a call of any named function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


def old_container(tensors: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...]]]) -> bytes:
    """A .pth file as torch wrote it before version 1.6, made without torch."""
    head: tuple[Any, ...] = (0x1950A86A20F9469CFC6C, 1001, {})
    parts = [pickle.dumps(value, 2) for value in head]
    parts.append(_state_dict(tensors))
    parts.append(pickle.dumps(list(tensors), 2))
    for array, _, _ in tensors.values():
        parts.append(struct.pack("<q", array.size) + array.tobytes())
    return b"".join(parts)


def _state_dict(tensors: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...]]]) -> bytes:
    lines = [b"\x80\x02ccollections\nOrderedDict\n)R("]
    for name, (array, shape, strides) in tensors.items():
        quoted = name.encode()
        lines.append(b"X" + struct.pack("<I", len(quoted)) + quoted)
        lines.append(
            b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
        )
        lines.append(b"X" + struct.pack("<I", len(quoted)) + quoted + b"X\x03\x00\x00\x00cpu")
        lines.append(b"K" + bytes([array.size]) + b"tQK\x00")
        small_numbers = [b"".join(b"K" + bytes([n]) for n in part) for part in (shape, strides)]
        lines += [b"(" + part + b"t" for part in small_numbers]
        lines.append(b"\x89)tR")
    return b"".join([*lines, b"u."])


def test_weights_are_read_with_their_strides(script: Any) -> None:
    flat = np.arange(6, dtype="<f4")

    weights = script.read_state_dict(
        old_container({"plain": (flat, (2, 3), (3, 1)), "turned": (flat, (3, 2), (1, 3))})
    )

    assert weights["plain"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert weights["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_tensor_that_reaches_beyond_its_storage_is_refused(script: Any) -> None:
    data = old_container({"wide": (np.zeros(4, "<f4"), (3, 2), (2, 1))})

    with pytest.raises(pickle.UnpicklingError, match="beyond its storage"):
        script.read_state_dict(data)


@pytest.mark.parametrize("value", [Global(os.system, "true"), Global(eval, "1"), Global(print)])
def test_pickle_that_calls_anything_else_is_refused(script: Any, value: Global) -> None:
    with pytest.raises(pickle.UnpicklingError, match="refused"):
        script.StateDictUnpickler(io.BytesIO(pickle.dumps(value))).load()


def test_ordered_dictionary_is_allowed(script: Any) -> None:
    data = pickle.dumps(OrderedDict(a=1))

    assert script.StateDictUnpickler(io.BytesIO(data)).load() == {"a": 1}


def test_file_of_another_format_is_refused(script: Any) -> None:
    with pytest.raises(pickle.UnpicklingError, match="old container"):
        script.read_state_dict(pickle.dumps(7) + pickle.dumps(1001))


WORDNET = """\
  1 This software and database is being provided to you
00000001 03 n 01 animal 0 000 | a living thing
00000002 03 n 02 cat 0 true_cat 0 002 @ 00000001 n 0000 ~ 00000003 n 0000 | feline; "a | bar"
00000003 03 n 01 tabby 0 001 @ 00000002 n 0000 | striped
00000004 03 n 01 Garfield 0 002 @i 00000002 n 0000 + 00000009 v 0101 | a famous one
00000005 03 n 01 cup 0 000 | for drinking
"""
CLASSES = ["n00000003", "n00000004", "n00000005"]
LEMMAS = {"n00000003": "tabby, tabby cat", "n00000004": "Garfield", "n00000005": "cup"}


def words(**parts: Any) -> dict[str, Any]:
    return {
        "broader": {"animal": ["n00000001"], "striped": ["n00000003"]},
        "names": {},
        "silent": {"under": [], "synsets": []},
        "without_article": {"words": []},
    } | parts


def nodes_of(script: Any, table: dict[str, Any]) -> list[Any]:
    hypernyms = script.read_hypernyms(WORDNET.splitlines(keepends=True))
    above = [script.ancestors(synset, hypernyms) for synset in CLASSES]
    return list(script.collect_nodes(CLASSES, LEMMAS, table, above))


def test_hypernyms_of_kinds_and_of_single_things_are_followed(script: Any) -> None:
    hypernyms = script.read_hypernyms(WORDNET.splitlines(keepends=True))

    assert hypernyms["n00000002"] == ("n00000001",)
    assert script.ancestors("n00000004", hypernyms) == {"n00000004", "n00000002", "n00000001"}


def test_broader_words_cover_what_lies_under_them(script: Any) -> None:
    nodes = nodes_of(script, words())

    assert [(node.word, node.classes) for node in nodes] == [
        ("animal", (0, 1)),
        ("striped", (0,)),
        ("tabby", (0,)),
        ("Garfield", (1,)),
        ("cup", (2,)),
    ]
    assert [script.parent_of(node, nodes) for node in nodes] == [-1, 0, 1, 0, -1]


def test_classes_can_be_taken_out_renamed_and_silenced(script: Any) -> None:
    table = words(
        broader={"animal": ["n00000001", "-n00000004"]},
        names={"mug": "n00000005"},
        silent={"under": ["animal"], "synsets": ["n00000004"]},
    )

    assert [(n.word, n.classes) for n in nodes_of(script, table)] == [
        ("animal", (0,)),
        ("mug", (2,)),
    ]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (words(broader={"ghost": ["n00000009"]}), "covers no class"),
        (words(names={"ghost": "n00000001"}), "no class"),
        (words(broader={"animal": ["n00000001"], "beast": ["n00000002"]}), "same classes"),
        (words(without_article={"words": ["ghost"]}), "unknown words"),
    ],
)
def test_mistakes_in_the_word_list_stop_the_build(
    script: Any, table: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        script.build_labels(nodes_of(script, table), table)


def test_file_is_written_only_when_it_differs(
    script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "labels.json"
    script.write_if_different(target, b"one")
    os.utime(target, ns=(0, 0))

    script.write_if_different(target, b"one")

    assert target.stat().st_mtime_ns == 0
    assert "unchanged" in capsys.readouterr().out
    script.write_if_different(target, b"two")
    assert target.read_bytes() == b"two"
