import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import MetadataError
from imageworks.metadata.source import identity_of
from imageworks.metadata.splice import (
    FileUndo,
    Splice,
    Stretch,
    apply_splices,
    invert_splices,
    leads_to,
    pack_undo,
    undo_splice,
    unpack_undo,
)


@st.composite
def edits(draw):
    data = draw(st.binary(max_size=60))
    marks = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    pairs = zip(marks[::2], marks[1::2], strict=False)
    splices = [Splice(start, end - start, draw(st.binary(max_size=9))) for start, end in pairs]
    return data, splices


@given(edits())
def test_the_inverse_leads_back_to_the_same_bytes(edit):
    data, splices = edit

    changed = apply_splices(data, splices)

    assert apply_splices(changed, invert_splices(data, splices)) == data


def test_splices_replace_insert_and_remove():
    out = apply_splices(b"abcdef", [Splice(4, 1, b""), Splice(0, 0, b">"), Splice(1, 2, b"XYZ")])

    assert out == b">aXYZdf"


@pytest.mark.parametrize(
    "splices", [[Splice(0, 3, b""), Splice(2, 1, b"")], [Splice(5, 9, b"")], [Splice(9, 0, b"x")]]
)
def test_splices_that_do_not_fit_are_an_error(splices):
    with pytest.raises(ValueError, match="overlap"):
        apply_splices(b"abcdef", splices)


def undo_of(old, splices):
    new = apply_splices(old, splices)
    before, after = (identity_of(data) for data in (old, new))
    inverse = invert_splices(old, splices)
    return new, FileUndo(Path("/a/\udce9.jpg"), before, after, 123, inverse)


@given(edits())
def test_the_journal_restores_the_original_bytes(edit):
    data, splices = edit
    new, undo = undo_of(data, splices)

    (unpacked,) = unpack_undo(pack_undo([undo]))

    assert unpacked == undo
    assert undo_splice(new, unpacked) == data


def test_a_file_changed_since_is_not_restored():
    new, undo = undo_of(b"abc", [Splice(1, 1, b"X")])

    with pytest.raises(MetadataError) as caught:
        undo_splice(new + b"!", undo)

    assert caught.value.reason == "changed-since"


def test_a_way_back_that_leads_elsewhere_is_refused():
    new, undo = undo_of(b"abc", [Splice(1, 1, b"X")])
    wrong = FileUndo(undo.path, "0" * 64, undo.identity_after, 0, undo.splices)

    with pytest.raises(MetadataError) as caught:
        undo_splice(new, wrong)

    assert caught.value.reason == "undo-damaged"


@given(st.binary(max_size=80))
def test_any_other_bytes_are_a_damaged_journal(data):
    for packed in (data, b"PTU1" + data):
        with pytest.raises(MetadataError) as caught:
            unpack_undo(packed)
        assert caught.value.reason == "undo-damaged"


def test_a_journal_of_another_shape_is_damaged():
    for content in ('[{"path": 1}]', '[{"splices": 1, "mtime_ns": 1}]', "[[]]", '{"a": 1}'):
        packed = b"PTU1" + zlib.compress(content.encode())
        with pytest.raises(MetadataError):
            unpack_undo(packed)


@given(st.binary(max_size=60), st.data())
def test_the_way_back_is_known_without_going_it(old, data):
    offset = data.draw(st.integers(0, len(old)))
    length = data.draw(st.integers(0, len(old) - offset))
    new_part = data.draw(st.binary(max_size=10))
    splices = (Splice(offset, length, new_part),)
    new = apply_splices(old, splices)
    inverse = invert_splices(old, splices)
    other = data.draw(st.sampled_from([old, old + b"x", old[:-1], old[::-1], b"x" + old]))

    assert leads_to(new, inverse, other) is (other == old)


@pytest.mark.parametrize("splices", [[Splice(1, 3, b""), Splice(2, 1, b"")], [Splice(5, 9, b"")]])
def test_a_way_back_that_overlaps_or_leaves_the_file_leads_nowhere(splices):
    assert not leads_to(b"abcdef", splices, b"abcdef")


@given(st.binary(max_size=30), st.binary(max_size=30), st.tuples(*[st.integers(0, 30)] * 4))
def test_stretches_are_equal_where_their_bytes_are(one, other, places):
    a, b, c, d = places

    assert (Stretch(one, a, b) == Stretch(other, c, d)) is (one[a:b] == other[c:d])
    assert (Stretch(one, a) == Stretch(other, c)) is (one[a:] == other[c:])
    assert Stretch(one, a) != one[a:]
