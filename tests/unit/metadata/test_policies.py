"""What the settings on_hazard, content_credentials and dng decide."""

import os
import struct
from dataclasses import replace

import pytest

from imageworks.errors import MetadataError
from imageworks.metadata.splice import undo_splice, unpack_undo
from imageworks.metadata.tiff import survivors
from imageworks.models import MetadataTarget
from tests.unit.metadata.pictures import (
    alternative,
    app_segment,
    bag,
    encoded,
    jpeg_with,
    make_file,
    names_in,
    packet,
    request,
    writer,
    xmp_segment,
)

CREDENTIALS = b"JP\0\1\0\0\0\1" + struct.pack(">I4s", 40, b"jumb") + b"\0\0\0\x1ejumdc2pa\0\x11"


def two_packets(folder):
    path = folder / "IMG.jpg"
    path.write_bytes(jpeg_with(xmp_segment(packet()), xmp_segment(packet())))
    return path


def hard_linked(folder):
    path = make_file(folder, "IMG.jpg")
    (folder / "other").mkdir()
    os.link(path, folder / "other" / "twin.jpg")
    return path


def rebound(folder):
    path = folder / "IMG.jpg"
    raw = packet().replace(b'"http://ns.adobe.com/xap/1.0/"', b'"a"')
    path.write_bytes(jpeg_with(xmp_segment(raw)))
    return path


def sealed(folder):
    path = folder / "IMG.jpg"
    path.write_bytes(jpeg_with(app_segment(0xEB, CREDENTIALS)))
    return path


def dng(folder, **tags):
    path = folder / "IMG.dng"
    path.write_bytes(encoded("TIFF", tiffinfo={50706: b"\1\4\0\0", **tags}))
    return path


HAZARDS = {two_packets: "two-packets", hard_linked: "hard-link", rebound: "xmp-prefix"}


@pytest.mark.parametrize(("made", "reason"), HAZARDS.items())
def test_a_hazard_is_refused_where_that_is_wanted(tmp_path, made, reason):
    path = made(tmp_path)
    before, names = path.read_bytes(), names_in(tmp_path)

    with pytest.raises(MetadataError) as caught:
        writer(on_hazard="refuse").write(request(path))

    assert caught.value.reason == reason
    assert "IMG.jpg" in caught.value.message
    assert (path.read_bytes(), names_in(tmp_path)) == (before, names)


@pytest.mark.parametrize("made", HAZARDS)
def test_a_hazard_leads_to_a_sidecar_by_default(tmp_path, made):
    path = made(tmp_path)
    before = path.read_bytes()

    outcome = writer().write(request(path))

    assert outcome.target is MetadataTarget.SIDECAR
    assert outcome.notes
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["IMG.avif", "IMG.dng", "sealed"])
def test_what_always_takes_a_sidecar_is_no_hazard(tmp_path, name):
    if name == "IMG.avif":
        path = tmp_path / name
        path.write_bytes(encoded("AVIF"))
    else:
        path = dng(tmp_path) if name == "IMG.dng" else sealed(tmp_path)

    outcome = writer(on_hazard="refuse").write(request(path))

    assert outcome.target is MetadataTarget.SIDECAR
    assert (tmp_path / "IMG.xmp").exists()


def test_a_sealed_file_gets_a_sidecar_and_a_note(tmp_path):
    path = sealed(tmp_path)
    before = path.read_bytes()

    outcome = writer().write(request(path))

    assert outcome.target is MetadataTarget.SIDECAR
    assert any("content credentials" in note for note in outcome.notes)
    assert path.read_bytes() == before
    assert writer().read(path).has_credentials


def test_a_person_can_insist_on_writing_into_a_sealed_file(tmp_path):
    path = sealed(tmp_path)
    before = path.read_bytes()

    outcome = writer(content_credentials="embed").write(request(path))

    assert outcome.target is MetadataTarget.FILE
    assert any("no longer match" in note for note in outcome.notes)
    assert CREDENTIALS in path.read_bytes()
    assert writer().read(path).keywords == ("heron", "river")
    (undo,) = unpack_undo(outcome.undo)
    assert undo_splice(path.read_bytes(), undo) == before


def test_what_a_sealed_file_says_is_read_and_kept(tmp_path):
    path = tmp_path / "IMG.jpg"
    raw = packet(bag("dc:subject", "inside"))
    path.write_bytes(jpeg_with(xmp_segment(raw), app_segment(0xEB, CREDENTIALS)))

    assert writer().read(path).keywords == ("inside",)
    writer().write(request(path))

    assert writer().read(path).keywords == ("inside", "heron", "river")


def in_utf16(folder):
    path = folder / "IMG.jpg"
    raw = packet(alternative("dc:title", x_default="Inside")).decode().encode("utf-16-be")
    path.write_bytes(jpeg_with(xmp_segment(raw)))
    return path, {}


def sealed_with_title(folder):
    path = folder / "IMG.jpg"
    raw = packet(alternative("dc:title", x_default="Inside") + bag("dc:subject", "inside"))
    path.write_bytes(jpeg_with(xmp_segment(raw), app_segment(0xEB, CREDENTIALS)))
    return path, {}


def beside_by_choice(folder):
    path = folder / "IMG.jpg"
    raw = packet(alternative("dc:title", x_default="Inside") + bag("dc:subject", "inside"))
    path.write_bytes(jpeg_with(xmp_segment(raw)))
    return path, {"sidecar": "always"}


@pytest.mark.parametrize("made", [in_utf16, sealed_with_title, beside_by_choice])
def test_what_a_person_had_written_beside_a_file_is_what_it_says_from_then_on(tmp_path, made):
    """Else an unattended run would put the older title inside over the person's own again."""
    path, settings = made(tmp_path)
    edited = request(path, "Mine", ("heron",), is_caption_edited=True)
    writer(**settings).write(replace(edited, removed_keywords=("inside",)))

    found = writer(**settings).read(path)
    writer(**settings).write(request(path, "By a run", ("heron", "mill")))
    later = writer(**settings).read(path)

    assert (found.title, found.keywords) == ("Mine", ("heron",))
    assert (later.title, later.keywords) == ("Mine", ("heron", "mill"))


def test_a_dng_is_left_alone_by_default(tmp_path):
    path = dng(tmp_path)
    before = path.read_bytes()

    outcome = writer().write(request(path))

    assert (outcome.target, outcome.notes) == (MetadataTarget.SIDECAR, ())
    assert path.read_bytes() == before


def test_a_dng_can_be_written_into_with_the_same_proof(tmp_path):
    path = dng(tmp_path)
    before = path.read_bytes()
    made = writer(dng="embed")

    outcome = made.write(request(path))

    assert outcome.target is MetadataTarget.FILE
    new = path.read_bytes()
    assert new[8 : len(before)] == before[8:]
    # The copy of the first directory keeps all its tags, in order, beside the new one.
    assert survivors(new) == survivors(before)
    assert made.read(path).keywords == ("heron", "river")
    assert not made.write(request(path)).is_changed
    (undo,) = unpack_undo(outcome.undo)
    assert undo_splice(new, undo) == before


def test_the_sidecar_of_a_dng_wins_over_what_is_inside(tmp_path):
    path = dng(tmp_path)
    writer(dng="embed").write(request(path, "Inside", ("inside",)))
    beside = packet(bag("dc:subject", "beside"))
    (tmp_path / "IMG.xmp").write_bytes(beside)

    found = writer().read(path)

    assert (found.title, found.keywords) == ("Inside", ("beside",))


def test_a_broken_dng_is_not_written_into(tmp_path):
    path = tmp_path / "IMG.dng"
    data = encoded("TIFF", tiffinfo={50706: b"\1\4\0\0"})
    path.write_bytes(data[:4] + b"\xff\xff\xff\0" + data[8:])
    before = path.read_bytes()

    outcome = writer(dng="embed").write(request(path))

    assert outcome.target is MetadataTarget.SIDECAR
    assert path.read_bytes() == before
