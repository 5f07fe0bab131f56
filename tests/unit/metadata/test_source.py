import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import MetadataError
from imageworks.metadata import source as module
from imageworks.metadata.source import identity_of, identity_of_file, read_source


def reason_of(path):
    with pytest.raises(MetadataError) as caught:
        read_source(path)
    return caught.value.reason


def test_a_file_is_read_with_its_digest_through_a_link(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"bytes")
    link = tmp_path / "link.jpg"
    link.symlink_to("a.jpg")

    source = read_source(link)

    assert (source.path, source.data) == (path, b"bytes")
    assert source.identity == identity_of(b"bytes")
    assert source.is_whole
    source.check_unchanged()


def test_what_is_no_readable_file_has_its_reason(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "empty").touch()
    (tmp_path / "loop").symlink_to("loop")

    assert reason_of(tmp_path / "absent") == "not-found"
    assert reason_of(tmp_path) == "not-a-file"
    assert reason_of(tmp_path / "fifo") == "not-a-file"
    assert reason_of(tmp_path / "empty") == "empty"
    assert reason_of(tmp_path / "loop") == "unreadable"


def test_a_file_beyond_the_limit_is_digested_but_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_SIZE_BYTES", 10)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 4)
    path = tmp_path / "a.jpg"
    path.write_bytes(b"0123456789ab")

    source = read_source(path)

    assert source.data == b"0123"
    assert not source.is_whole
    assert source.identity == identity_of(b"0123456789ab")
    source.check_unchanged()


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"bytes")
    real = os.fstat

    def grow(descriptor):
        status = real(descriptor)
        with path.open("ab") as stream:
            stream.write(b"more")
        return status

    monkeypatch.setattr(os, "fstat", grow)

    assert reason_of(path) == "changed-meanwhile"


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024, 1024 * 1024 + 1, 5_000_000])
def test_the_identity_of_a_file_is_that_of_its_bytes(tmp_path, size):
    data = bytes(range(256)) * (size // 256 + 1)
    path = tmp_path / "a.bin"
    path.write_bytes(data[:size])

    with path.open("rb") as stream:
        assert identity_of_file(stream) == identity_of(data[:size])


@pytest.mark.parametrize("place", [0, 400_000, 4_900_000, -1])
def test_a_change_where_metadata_is_changes_the_identity(place):
    data = bytearray(5_000_000)
    before = identity_of(bytes(data))
    data[place] ^= 1

    assert identity_of(bytes(data)) != before
    assert identity_of(bytes(data[:-1])) != before


@given(st.data())
def test_the_identity_of_pieces_is_that_of_the_bytes_they_make(data):
    head, length, tail, samples = data.draw(st.tuples(*[st.integers(1, 20)] * 4))
    whole = data.draw(st.binary(max_size=300))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_WHOLE_BYTES", head + tail + samples)
        patch.setattr(module, "_HEAD_BYTES", head)
        patch.setattr(module, "_TAIL_BYTES", tail)
        patch.setattr(module, "_SAMPLES", samples)
        patch.setattr(module, "_SAMPLE_BYTES", length)
        assert identity_of(*pieces) == identity_of(whole)
