"""What is written beside a file instead of into it, and what becomes of sidecars that are there."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from imageworks.errors import MetadataError
from imageworks.metadata import source
from imageworks.metadata.splice import undo_splice, unpack_undo
from imageworks.models import MetadataTarget
from tests.unit.metadata.pictures import (
    alternative,
    bag,
    exiftool,
    jpeg_with,
    make_file,
    packet,
    picture_id,
    reason_of,
    request,
    rich,
    unembeddable,
    writer,
    xmp_segment,
)


@pytest.mark.parametrize("name", ["IMG.avif", "IMG.jxl", "IMG.jp2", "IMG.psd"])
def test_a_format_that_is_never_changed_gets_a_sidecar(tmp_path, corpus, name):
    found = next((corpus / "awkward").glob(f"*{Path(name).suffix}"))
    path = tmp_path / name
    shutil.copy(found, path)
    before = path.read_bytes()

    outcome = writer().write(request(path))

    assert outcome.target is MetadataTarget.SIDECAR
    assert outcome.target_path == tmp_path / "IMG.xmp"
    assert (outcome.notes, outcome.identity_before) == ((), "")
    assert path.read_bytes() == before
    assert exiftool(tmp_path / "IMG.xmp")["XMP-dc:Subject"][-2:] == ["heron", "river"]
    assert writer().read(path).keywords[-2:] == ("heron", "river")
    assert not writer().write(request(path)).is_changed
    (undo,) = unpack_undo(outcome.undo)
    assert undo_splice((tmp_path / "IMG.xmp").read_bytes(), undo) == b""


def test_a_sidecar_of_another_program_keeps_its_settings_and_a_backup(tmp_path):
    path = unembeddable(tmp_path)
    settings = (
        '<crs:ToneCurve xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/">'
        "<rdf:Seq><rdf:li/><rdf:li>255, 255</rdf:li></rdf:Seq></crs:ToneCurve>"
    )
    original = packet(settings + bag("dc:subject", "own"))
    (tmp_path / "IMG.avif.xmp").write_bytes(original)

    outcome = writer().write(request(path))

    assert outcome.target_path == tmp_path / "IMG.avif.xmp"
    new = outcome.target_path.read_bytes()
    assert settings.encode() in new
    assert writer().read(path).keywords == ("own", "heron", "river")
    assert (tmp_path / "IMG.avif.xmp_original").read_bytes() == original
    assert not (tmp_path / "IMG.xmp").exists()


def test_both_sidecars_are_kept_in_step(tmp_path):
    path = unembeddable(tmp_path)
    for name, keyword in (("IMG.xmp", "one"), ("IMG.avif.xmp", "two")):
        (tmp_path / name).write_bytes(packet(bag("dc:subject", keyword)))

    outcome = writer().write(request(path, keywords=("three",)))

    for name in ("IMG.xmp", "IMG.avif.xmp"):
        assert exiftool(tmp_path / name)["XMP-dc:Subject"] == ["two", "one", "three"]
    assert len(unpack_undo(outcome.undo)) == 2


def test_a_file_and_its_sidecar_are_kept_in_step(tmp_path):
    path = tmp_path / "IMG.jpg"
    inside = packet(bag("dc:subject", "in file") + alternative("dc:title", x_default="File"))
    path.write_bytes(jpeg_with(xmp_segment(inside)))
    beside = packet(bag("dc:subject", "in sidecar") + alternative("dc:title", x_default="Side"))
    (tmp_path / "IMG.xmp").write_bytes(beside)

    outcome = writer().write(request(path, "New", ("new",)))

    assert outcome.target is MetadataTarget.BOTH
    assert (outcome.target_path, outcome.before.source) == (path, "file+sidecar")
    for name in ("IMG.jpg", "IMG.xmp"):
        tags = exiftool(tmp_path / name)
        assert tags["XMP-dc:Subject"] == ["in file", "in sidecar", "new"]
        assert tags["XMP-dc:Title"] == "File"


def test_the_sidecar_of_a_raw_file_is_not_touched_for_its_jpeg(tmp_path):
    path = rich(tmp_path, "IMG.jpg")
    (tmp_path / "IMG.CR2").write_bytes(b"raw")
    beside = packet(bag("dc:subject", "raw keyword"))
    (tmp_path / "IMG.xmp").write_bytes(beside)

    outcome = writer().write(request(path))

    assert outcome.target is MetadataTarget.FILE
    assert (tmp_path / "IMG.xmp").read_bytes() == beside
    assert writer().read(path).keywords == ("heron", "river")


def test_a_malformed_sidecar_is_never_overwritten(tmp_path):
    path = rich(tmp_path, "IMG.jpg")
    before = path.read_bytes()
    (tmp_path / "IMG.xmp").write_bytes(b"<x:xmpmeta> not closed")

    with pytest.raises(MetadataError) as caught:
        writer().write(request(path))

    assert caught.value.reason == "sidecar-malformed"
    assert "IMG.xmp" in caught.value.message
    assert (tmp_path / "IMG.xmp").read_bytes() == b"<x:xmpmeta> not closed"
    assert path.read_bytes() == before
    assert writer().read(path).source == ""


def test_the_sidecar_setting_always_leaves_the_image_alone(tmp_path):
    raw = packet(bag("dc:subject", "inside"))
    path = tmp_path / "IMG.jpg"
    path.write_bytes(jpeg_with(xmp_segment(raw)))
    before = path.read_bytes()

    outcome = writer(sidecar="always").write(request(path))

    assert (outcome.target, outcome.notes) == (MetadataTarget.SIDECAR, ())
    assert path.read_bytes() == before
    assert exiftool(tmp_path / "IMG.xmp")["XMP-dc:Subject"] == ["inside", "heron", "river"]


def test_the_sidecar_setting_never_refuses_what_needs_one(tmp_path):
    path = unembeddable(tmp_path)

    assert reason_of(lambda: writer(sidecar="never").write(request(path))) == "format"
    assert [p.name for p in tmp_path.iterdir()] == ["IMG.avif"]


def test_the_sidecar_setting_never_leaves_an_existing_one_with_a_note(tmp_path):
    path = rich(tmp_path, "IMG.jpg")
    (tmp_path / "IMG.xmp").write_bytes(packet())

    outcome = writer(sidecar="never").write(request(path))

    assert outcome.target is MetadataTarget.FILE
    assert outcome.notes == ("IMG.xmp beside it was left as it is.",)
    assert (tmp_path / "IMG.xmp").read_bytes() == packet()


def test_a_read_only_file_gets_a_sidecar_and_a_read_only_folder_a_refusal(tmp_path, monkeypatch):
    path = rich(tmp_path, "a.jpg")
    denied = {path}
    monkeypatch.setattr("os.access", lambda p, _: Path(p) not in denied)

    outcome = writer().write(request(path))
    denied.add(tmp_path)
    (tmp_path / "a.xmp").unlink()
    with pytest.raises(MetadataError) as caught:
        writer().write(request(path))

    assert outcome.notes == ("Written beside the file: it is read-only.",)
    assert caught.value.reason == "read-only-folder"
    assert "a.jpg" in caught.value.message


def test_a_sidecar_that_cannot_be_replaced_is_named(tmp_path):
    path = unembeddable(tmp_path)
    (tmp_path / "IMG.xmp").write_bytes(packet())
    (tmp_path / "twin").hardlink_to(tmp_path / "IMG.xmp")

    with pytest.raises(MetadataError) as caught:
        writer().write(request(path))

    assert caught.value.reason == "hard-link"
    assert "IMG.xmp" in caught.value.message


def test_a_sidecar_takes_the_mode_of_its_image(tmp_path):
    path = unembeddable(tmp_path)
    path.chmod(0o600)

    writer().write(request(path))

    assert stat.S_IMODE((tmp_path / "IMG.xmp").stat().st_mode) == 0o600


def test_a_huge_file_gets_a_sidecar(tmp_path, monkeypatch):
    path = make_file(tmp_path, "a.jpg")
    heif = unembeddable(tmp_path)
    expected = picture_id(path)
    monkeypatch.setattr(source, "MAX_SIZE_BYTES", 500)
    monkeypatch.setattr(source, "_BLOCK_BYTES", 400)

    outcome = writer().write(request(path, expected_content_id=expected))

    assert outcome.target is MetadataTarget.SIDECAR
    assert "larger than" in outcome.notes[0]
    assert writer().write(request(heif)).target is MetadataTarget.SIDECAR


@pytest.mark.parametrize("kind", ["empty", "folder", "loop"])
def test_a_sidecar_that_cannot_be_read_stops_a_write_but_not_a_review(tmp_path, kind):
    path = unembeddable(tmp_path)
    sidecar = tmp_path / "IMG.xmp"
    if kind == "empty":
        sidecar.touch()
    elif kind == "folder":
        sidecar.mkdir()
    else:
        sidecar.symlink_to(sidecar)

    found = writer().read(path)
    reason = reason_of(lambda: writer().write(request(path)))

    assert found.source == ""
    assert reason == ("sidecar-malformed" if kind == "empty" else "changed-meanwhile")


def test_an_immutable_file_gets_a_sidecar(tmp_path):
    path = rich(tmp_path, "IMG.jpg")
    if not shutil.which("chattr") or subprocess.run(["chattr", "+i", path], check=False).returncode:
        pytest.skip("files cannot be made immutable here")
    try:
        outcome = writer().write(request(path))
    finally:
        subprocess.run(["chattr", "-i", path], check=True)

    assert outcome.target is MetadataTarget.SIDECAR
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["IMG.jpg", "IMG.xmp"]
