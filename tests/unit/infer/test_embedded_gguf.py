"""Heads of GGUF files: what is read, and what hostile ones cannot do."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import ConfigError
from imageworks.infer.gguf import read_gguf
from tests.support.gguf_files import gguf_bytes, pair, text, write_model, write_projector


def test_facts_of_a_model(tmp_path):
    facts = read_gguf(write_model(tmp_path / "m.gguf", "Qwen3 VL\x1b[31m 4B"))

    assert facts.architecture == "qwen2vl"
    assert facts.name == "Qwen3 VL [31m 4B"
    assert facts.quantization == "Q4_K_M"
    assert facts.context_tokens == 8192
    assert facts.width == 128
    assert facts.size_bytes == (tmp_path / "m.gguf").stat().st_size
    assert not facts.is_projector
    assert not facts.has_own_vision


def test_facts_of_a_projector(tmp_path):
    facts = read_gguf(write_projector(tmp_path / "p.gguf", width=2560))

    assert facts.has_vision
    assert facts.width == 2560
    assert facts.projector_type == "qwen2vl_merger"
    assert facts.name == ""


def test_projector_for_sound_alone_does_not_see(tmp_path):
    path = write_projector(tmp_path / "p.gguf", {"clip.has_vision_encoder": False})

    assert read_gguf(path).is_projector
    assert not read_gguf(path).has_vision


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "F32"), (1, "F16"), (7, "Q8_0"), (18, "Q6_K"), (32, "BF16"), (99, "")]
)
def test_form_of_the_weights(tmp_path, number, shown):
    path = write_model(tmp_path / "m.gguf", more={"general.file_type": number})

    assert read_gguf(path).quantization == shown


def test_every_kind_of_value_is_read_or_passed_over(tmp_path):
    scalars = b"".join(
        text(f"k{kind}") + struct.pack("<I", kind) + struct.pack(layout, value)
        for kind, layout, value in [
            (0, "<B", 1), (1, "<b", -1), (2, "<H", 2), (3, "<h", -2), (4, "<I", 3), (5, "<i", -3),
            (6, "<f", 0.5), (7, "<?", True), (10, "<Q", 4), (11, "<q", -4), (12, "<d", 0.25),
        ]
    )  # fmt: skip
    arrays = pair("a", [1, 2, 3]) + pair("b", ["x", "yy"]) + pair("last", "end")
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 2, 7, 14) + scalars + arrays)

    values = read_gguf(path).values

    assert [values[f"k{kind}"] for kind in (0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12)] == [
        *(1, -1, 2, -2, 3, -3, 0.5, True, 4, -4, 0.25)
    ]
    assert values["last"] == "end"
    assert "a" not in values


def test_reading_ends_before_the_tokens(tmp_path):
    values = {"general.architecture": "llama", "tokenizer.ggml.tokens": ["a"], "later": 1}
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf_bytes(values)[:-20])

    assert dict(read_gguf(path).values) == {"general.architecture": "llama"}


def test_numbers_in_the_wrong_kind_are_no_facts(tmp_path):
    path = write_model(
        tmp_path / "m.gguf",
        more={"general.file_type": True, "qwen2vl.context_length": "many"},
    )

    assert read_gguf(path).quantization == ""
    assert read_gguf(path).context_tokens == 0


def head(pairs, *, count=1):
    return b"GGUF" + struct.pack("<IQQ", 3, 0, count) + pairs


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "ends in its head"),
        (b"GGML" + bytes(20), "begin with GGUF"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 1), "version"),
        (head(b"", count=2**40), "too many"),
        (head(struct.pack("<Q", 2**63)), "too long"),
        (head(text("k") + struct.pack("<IQ", 8, 2**40)), "too long"),
        (head(text("k") + struct.pack("<IQ", 8, 2**23)), "ends in its head"),
        (head(text("k") + struct.pack("<I", 13)), "value type 13"),
        (head(text("k") + struct.pack("<IIQ", 9, 8, 2**60)), "too long"),
        (head(text("k") + struct.pack("<IIQQ", 9, 8, 1, 2**62)), "ends in its head"),
        (head(text("k") + struct.pack("<IIQ", 9, 4, 1000)), "ends in its head"),
        (head(text("k") + struct.pack("<IIQ", 9, 9, 1)), "value type 9"),
    ],
)
def test_file_that_breaks_the_format_is_refused_with_the_reason(tmp_path, content, why):
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=why) as caught:
        read_gguf(path)

    assert caught.value.reason == "not-gguf"
    assert "bad.gguf" in caught.value.message


def test_head_over_its_bound_is_refused(tmp_path):
    big = text("k") + struct.pack("<IQ", 8, 16 * 2**20) + bytes(16 * 2**20)
    path = tmp_path / "big.gguf"
    path.write_bytes(head(big * 5, count=5))

    with pytest.raises(ConfigError, match="head is too long"):
        read_gguf(path)


def test_missing_file_is_told_as_such(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.gguf") as caught:
        read_gguf(tmp_path / "none.gguf")

    assert caught.value.reason == "model-missing"


@given(st.data())
def test_damaged_heads_end_in_facts_or_in_the_one_error(tmp_path_factory, data):
    whole = gguf_bytes({"general.architecture": "x", "a": [1, 2], "b": ["c"], "d": "e", "f": 1})
    at = data.draw(st.integers(0, len(whole) - 1))
    junk = data.draw(st.binary(max_size=12))
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    path.write_bytes(whole[:at] + junk + whole[at + len(junk) :])

    reason = ""
    try:
        read_gguf(path)
    except ConfigError as error:
        reason = error.reason

    assert reason in {"", "not-gguf"}
