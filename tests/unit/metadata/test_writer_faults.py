"""What happens when a write fails half-way, and when proofs fail."""

import contextlib
import subprocess
import sys

import pytest

from imageworks.errors import MetadataError
from imageworks.metadata import exiv2, jpeg, plan, proof, replace
from imageworks.metadata import writer as module
from imageworks.metadata.exiv2 import Exiv2View
from imageworks.metadata.refusal import refusal
from imageworks.metadata.splice import Splice
from imageworks.models import MetadataTarget
from tests.unit.metadata.pictures import (
    bag,
    jpeg_with,
    make_file,
    names_in,
    packet,
    request,
    writer,
    xmp_segment,
)


@pytest.fixture
def pair(tmp_path):
    """A JPEG with a sidecar, so that a write changes two files."""
    path = make_file(tmp_path, "IMG.jpg")
    (tmp_path / "IMG.xmp").write_bytes(packet(bag("dc:subject", "a")))
    return path


def fail_for(monkeypatch, suffix, reason):
    """Lets the last step of such files fail, after all new bytes are on the disk."""
    real = replace.staged_replacement

    def fail():
        raise refusal(reason=reason, because="it was made to fail")

    @contextlib.contextmanager
    def stage_or_fail(source, data, options, draft):
        with real(source, data, options, draft) as confirm:
            yield (lambda: fail) if source.path.suffix == suffix else confirm

    monkeypatch.setattr(module, "staged_replacement", stage_or_fail)


def test_the_image_is_put_back_when_its_sidecar_fails(pair, monkeypatch):
    before = {p.name: p.read_bytes() for p in pair.parent.iterdir()}
    fail_for(monkeypatch, ".xmp", "disk-full")

    with pytest.raises(MetadataError) as caught:
        writer(backup_originals=False).write(request(pair))

    assert caught.value.reason == "disk-full"
    assert "IMG.jpg" in caught.value.message
    assert {p.name: p.read_bytes() for p in pair.parent.iterdir()} == before


def test_an_image_that_changed_again_is_not_put_back(pair, monkeypatch):
    real = replace.staged_replacement

    def change_then_fail():
        pair.write_bytes(b"somebody else's")
        raise refusal(reason="disk-full", because="the disk is full")

    @contextlib.contextmanager
    def stage(source, data, options, draft):
        with real(source, data, options, draft) as confirm:
            yield (lambda: change_then_fail) if source.path.suffix == ".xmp" else confirm

    monkeypatch.setattr(module, "staged_replacement", stage)

    with pytest.raises(MetadataError) as caught:
        writer().write(request(pair))

    assert caught.value.reason == "half-written"
    assert pair.read_bytes() == b"somebody else's"


@pytest.mark.parametrize("reason", ["read-only", "owner", "attributes"])
def test_what_only_the_attempt_shows_leads_to_a_sidecar(tmp_path, monkeypatch, reason):
    path = make_file(tmp_path, "IMG.jpg")
    before = path.read_bytes()
    fail_for(monkeypatch, ".jpg", reason)

    outcome = writer().write(request(path))

    assert outcome.target is MetadataTarget.SIDECAR
    assert outcome.notes == ("Written beside the file: it was made to fail.",)
    assert path.read_bytes() == before


def test_a_sidecar_that_fails_as_well_is_an_error(tmp_path, monkeypatch):
    path = make_file(tmp_path, "IMG.jpg")
    fail_for(monkeypatch, ".jpg", "read-only")

    def fail(*_):
        raise refusal(reason="disk-full", because="the disk is full")

    monkeypatch.setattr(module, "staged_file", fail)

    with pytest.raises(MetadataError) as caught:
        writer().write(request(path))

    assert caught.value.reason == "disk-full"
    assert [p.name for p in tmp_path.iterdir()] == ["IMG.jpg"]


@pytest.mark.parametrize("reason", ["disk-full", "changed-meanwhile"])
def test_other_failures_do_not_lead_to_a_sidecar(tmp_path, monkeypatch, reason):
    path = make_file(tmp_path, "IMG.jpg")
    fail_for(monkeypatch, ".jpg", reason)

    with pytest.raises(MetadataError) as caught:
        writer().write(request(path))

    assert caught.value.reason == reason
    assert [p.name for p in tmp_path.iterdir()] == ["IMG.jpg"]


def test_no_sidecar_where_none_is_wanted(tmp_path, monkeypatch):
    path = make_file(tmp_path, "IMG.jpg")
    fail_for(monkeypatch, ".jpg", "read-only")

    with pytest.raises(MetadataError) as caught:
        writer(sidecar="never").write(request(path))

    assert caught.value.reason == "read-only"


@pytest.mark.usefixtures("uncounted")
def test_a_disk_that_fills_up_while_writing_leaves_everything_as_it_was(tmp_path):
    path = make_file(tmp_path, "IMG.jpg")
    path.write_bytes(path.read_bytes() + b"trailer" * 4000)
    before = path.read_bytes()
    code = (
        "import resource, sys; from tests.unit.metadata.pictures import request, writer\n"
        "from imageworks.errors import MetadataError\n"
        "w = writer(); w.read(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        "try: w.write(request(sys.argv[1]))\n"
        "except MetadataError as error: print(error.reason)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )

    assert done.stdout == "disk-full\n"
    assert path.read_bytes() == before
    assert names_in(tmp_path) == ["IMG.jpg"]


def _with_make(raw):
    make = b'rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Make="x"'
    return raw.replace(b'rdf:about=""', make)


def lying_splices(monkeypatch, change):
    real = jpeg.put_packet
    monkeypatch.setattr(jpeg, "put_packet", lambda data, raw: change(data, raw, real(data, raw)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data, raw, s: (*s, Splice(len(data) - 1, 1, b"X")), "besides its XMP"),
        (lambda data, raw, s: (Splice(s[0].offset, 0, xmp_segment(packet())),), "read back as"),
        (
            lambda data, raw, s: (Splice(s[0].offset, 0, xmp_segment(_with_make(raw))),),
            "other XMP would change",
        ),
        (lambda data, raw, s: (Splice(s[0].offset, 0, xmp_segment(b"<a>")),), "cannot be read"),
    ],
)
def test_an_edit_that_does_anything_else_is_caught(tmp_path, monkeypatch, change, words):
    path = make_file(tmp_path, "IMG.jpg")
    before = path.read_bytes()
    lying_splices(monkeypatch, change)

    outcome = writer().write(request(path))

    assert outcome.target is MetadataTarget.SIDECAR
    assert words in outcome.notes[0]
    assert path.read_bytes() == before


def test_an_edit_that_cannot_be_undone_is_caught(tmp_path, monkeypatch):
    path = make_file(tmp_path, "IMG.jpg")
    monkeypatch.setattr(proof, "invert_splices", lambda *_: ())

    assert "way back" in writer().write(request(path)).notes[0]


def test_a_file_that_would_become_too_large_is_caught(tmp_path, monkeypatch):
    path = make_file(tmp_path, "IMG.jpg")
    monkeypatch.setattr(proof, "MAX_SIZE_BYTES", path.stat().st_size + 10)

    assert "too large" in writer().write(request(path)).notes[0]


def second_view(monkeypatch, change):
    """Lets Exiv2 see something else in the new bytes than in the old ones."""
    real = exiv2.look
    calls = []

    def look(data):
        calls.append(data)
        view = real(data)
        return change(view) if len(calls) == 2 else view

    monkeypatch.setattr(exiv2, "look", look)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: Exiv2View({"Exif.Image.Make": "X"}, v.iptc, v.icc, v.comment, v.xmp), "Exif"),
        (lambda v: Exiv2View(v.exif, v.iptc, b"icc", v.comment, v.xmp), "Exif"),
        (
            lambda v: Exiv2View(v.exif, v.iptc, v.icc, v.comment, v.xmp.replace("heron", "owl")),
            "other fields",
        ),
        (
            lambda v: Exiv2View(
                v.exif, v.iptc, v.icc, v.comment, v.xmp.replace('about=""', 'about="" lr:x="1"')
            ),
            "other XMP values",
        ),
    ],
)
def test_a_second_reader_that_sees_a_difference_stops_the_write(
    tmp_path, monkeypatch, change, words
):
    path = make_file(tmp_path, "IMG.jpg")
    before = path.read_bytes()
    second_view(monkeypatch, change)

    with pytest.raises(MetadataError) as caught:
        writer(sidecar="never").write(request(path))

    assert words in caught.value.message
    assert path.read_bytes() == before


def test_a_file_that_exiv2_cannot_open_gets_a_sidecar(tmp_path, corpus):
    source = corpus / "malformed" / "exiv2--issue_3455_sigma_print0x0009_empty.jpg"
    path = tmp_path / "IMG.jpg"
    path.write_bytes(source.read_bytes())

    outcome = writer().write(request(path))

    assert outcome.notes == ("Written beside the file: Exiv2 cannot read its metadata.",)


def test_a_sidecar_that_exiv2_cannot_read_is_proven_by_our_own_eyes(tmp_path):
    path = make_file(tmp_path, "IMG.jpg")
    twice = packet("<xmp:Label>a</xmp:Label><xmp:Label>b</xmp:Label>")
    (tmp_path / "IMG.xmp").write_bytes(twice)

    outcome = writer(sidecar="always").write(request(path))

    assert outcome.target is MetadataTarget.SIDECAR
    assert (tmp_path / "IMG.xmp").read_bytes().count(b"<xmp:Label>") == 2


def test_a_missing_exiv2_stops_everything_with_a_hint(tmp_path, monkeypatch):
    def fail(_):
        raise ImportError

    path = make_file(tmp_path, "IMG.jpg")
    avif = tmp_path / "IMG.avif"
    avif.write_bytes(b"\0\0\0\x1cftypavif" + bytes(40))
    (tmp_path / "IMG.avif.xmp").write_bytes(packet())
    monkeypatch.setattr("importlib.import_module", fail)

    for action in (lambda: writer().write(request(path)), lambda: writer().read(avif)):
        with pytest.raises(MetadataError) as caught:
            action()
        assert caught.value.reason == "exiv2-missing"
        assert "glibc" in caught.value.hint
    monkeypatch.undo()


def test_the_planner_changes_nothing_where_nothing_is_to_say(tmp_path):
    path = tmp_path / "IMG.jpg"
    path.write_bytes(jpeg_with())

    made = writer()._planner.plan(request(path, "", (), ""))

    assert (made.changes, made.notes) == ((), ())
    assert isinstance(made, plan.WritePlan)
