import contextlib
import errno
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import MetadataError
from imageworks.metadata import draft as module
from imageworks.metadata import source as source_module
from imageworks.metadata.draft import Draft
from imageworks.metadata.refusal import refusal
from imageworks.metadata.replace import EarlyDraft, ReplaceOptions, staged_replacement
from imageworks.metadata.source import identity_of, read_source
from imageworks.metadata.splice import Splice, apply_splices
from tests.unit.metadata.pictures import make_file, names_in, request, writer

PLAIN = ReplaceOptions(keeps_original=False, preserves_mtime=False)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"old bytes")
    return path


@pytest.fixture
def filled(monkeypatch):
    """Waits until one more draft has all its bytes."""
    count, real = threading.Semaphore(0), os.fsync

    def fsync(descriptor):
        real(descriptor)
        count.release()

    monkeypatch.setattr(os, "fsync", fsync)
    return lambda: count.acquire(timeout=10)


def leave_as_is(_path):
    """No attributes to set."""


def at_rest(monkeypatch):
    """Counts files that were made just now as long untouched."""
    monkeypatch.setattr(source_module, "_COARSEST_TIME_S", -60)


@given(st.lists(st.binary(max_size=300), max_size=6), st.integers(1, 64))
def test_a_draft_holds_its_pieces_in_order_whatever_the_block(tmp_path_factory, pieces, block):
    target = tmp_path_factory.mktemp("drafts") / "a.jpg"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK_BYTES", block)
        patch.setattr(module, "_PAGE_BYTES", 16)
        with Draft(target, [memoryview(piece) for piece in pieces], leave_as_is) as draft:
            draft.flush(b"".join(pieces))
            held = draft.finish().read_bytes()

    assert held == b"".join(pieces)
    assert names_in(target.parent) == []


def test_a_draft_of_other_bytes_than_were_proven_never_tells_where_it_is(photo):
    with Draft(photo, [b"written"], leave_as_is) as draft:
        draft.flush(b"proven!")
        with pytest.raises(MetadataError) as caught:
            draft.finish()

    assert caught.value.reason == "disk-error"
    assert names_in(photo.parent) == ["a.jpg"]


def test_a_draft_that_was_not_flushed_never_tells_where_it_is(photo):
    with Draft(photo, [b"new"], leave_as_is) as draft, pytest.raises(MetadataError):
        draft.finish()


@pytest.mark.parametrize("step", ["write", "fsync"])
def test_what_goes_wrong_in_the_background_is_told_at_the_flush(photo, monkeypatch, step):
    def fail(*_):
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, step, fail)

    with Draft(photo, [b"new"], leave_as_is) as draft, pytest.raises(MetadataError) as caught:
        draft.flush(b"new")

    assert caught.value.reason == "disk-full"
    assert names_in(photo.parent) == ["a.jpg"]


def test_a_draft_is_gone_only_after_the_disk_is_done_with_it(photo, monkeypatch):
    may_end, real = threading.Event(), os.fsync
    seen = []

    def slow(descriptor):
        may_end.wait(10)
        seen.append(names_in(photo.parent))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", slow)

    with Draft(photo, [b"new"], leave_as_is):
        threading.Timer(0.02, may_end.set).start()

    assert len(seen[0]) == 2
    assert names_in(photo.parent) == ["a.jpg"]


def test_a_draft_is_taken_only_for_the_change_that_it_was_begun_for(photo, filled):
    source = read_source(photo)
    splices = (Splice(0, 3, b"new"),)

    with EarlyDraft(PLAIN) as early:
        early.begin(source, splices)

        assert filled()
        assert early.take(source, (Splice(0, 3, b"NEW"),)) is None
        assert early.take(read_source(photo), splices) is None
        assert len(names_in(photo.parent)) == 2
    assert names_in(photo.parent) == ["a.jpg"]


def test_a_second_draft_takes_the_place_of_the_first(photo, filled):
    source = read_source(photo)

    with EarlyDraft(PLAIN) as early:
        early.begin(source, (Splice(0, 3, b"NEW"),))
        early.begin(source, (Splice(0, 3, b"new"),))

        assert filled()
        assert filled()
        assert len(names_in(photo.parent)) == 2
        begun = early.take(source, (Splice(0, 3, b"new"),))
        with staged_replacement(source, b"new bytes", PLAIN, begun) as confirm:
            confirm()()

    assert photo.read_bytes() == b"new bytes"
    assert names_in(photo.parent) == ["a.jpg"]


@pytest.mark.parametrize("is_at_rest", [True, False])
@pytest.mark.parametrize("how", ["same size and time", "bytes", "gone", "other file", "none"])
def test_a_file_changed_behind_its_draft_is_left_alone(photo, monkeypatch, how, is_at_rest):
    if is_at_rest:
        at_rest(monkeypatch)
    source = read_source(photo)
    with EarlyDraft(PLAIN) as early:
        early.begin(source, (Splice(0, 3, b"new"),))
        begun = early.take(source, (Splice(0, 3, b"new"),))
        with staged_replacement(source, b"new bytes", PLAIN, begun) as confirm:
            take_place = confirm()
            assert (begun.seen() is not None) is is_at_rest
            change(photo, how)
            expected = photo.read_bytes() if photo.exists() else None
            with contextlib.nullcontext() if how == "none" else pytest.raises(MetadataError):
                take_place()

    if how == "none":
        assert photo.read_bytes() == b"new bytes"
    else:
        assert (photo.read_bytes() if photo.exists() else None) == expected


def change(path, how):
    status = path.stat()
    if how == "same size and time":
        path.write_bytes(b"OLD BYTES")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif how == "bytes":
        path.write_bytes(b"other bytes!")
    elif how == "gone":
        path.unlink()
    elif how == "other file":
        copy = path.with_name("x")
        copy.write_bytes(path.read_bytes())
        os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
        copy.rename(path)


def test_a_file_at_rest_is_read_once_more_and_a_touched_one_again(photo, monkeypatch):
    at_rest(monkeypatch)
    reads = []
    real = source_module.has_bytes

    def counted(stream, expected):
        reads.append(len(expected))
        return real(stream, expected)

    monkeypatch.setattr(source_module, "has_bytes", counted)
    source = read_source(photo)

    seen = source.seen_unchanged()
    source.check_unchanged(seen)
    assert len(reads) == 1

    photo.chmod(0o600)
    source.check_unchanged(seen)
    assert len(reads) == 2


def test_a_file_of_the_last_seconds_or_of_the_future_is_never_trusted_by_its_times(photo):
    source = read_source(photo)

    assert source.seen_unchanged() is None

    os.utime(photo, (4e9, 4e9))
    assert read_source(photo).seen_unchanged() is None


@pytest.mark.parametrize("size", [9, 3_000_000])
def test_the_identity_of_what_a_draft_holds_is_known_before_it_is_asked_for(photo, size):
    photo.write_bytes(os.urandom(size))
    source = read_source(photo)
    splices = (Splice(2, 3, b"longer than before"), Splice(size - 1, 1, b""))

    with EarlyDraft(PLAIN) as early:
        early.begin(source, splices)

        assert early.identity_after(source, splices) == identity_of(
            apply_splices(source.data, splices)
        )
        assert early.identity_after(source, splices[:1]) is None
        assert early.identity_after(read_source(photo), splices) is None


def test_other_bytes_are_never_seen_unchanged(photo, monkeypatch):
    at_rest(monkeypatch)
    source = read_source(photo)
    photo.write_bytes(b"OLD BYTES")

    assert source.seen_unchanged() is None


def test_an_unproven_change_leaves_neither_a_draft_nor_another_byte(tmp_path, monkeypatch, filled):
    path = make_file(tmp_path, "IMG.jpg")
    before = path.read_bytes()
    seen = []

    def unproven(*_, **__):
        assert filled()
        seen.append(names_in(tmp_path))
        raise refusal(reason="unproven", because="it was made to fail")

    monkeypatch.setattr("imageworks.metadata.proof.prove_image", unproven)

    with pytest.raises(MetadataError):
        writer(sidecar="never").write(request(path))

    assert len(seen[0]) == 2
    assert names_in(tmp_path) == ["IMG.jpg"]
    assert path.read_bytes() == before
