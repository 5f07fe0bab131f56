import struct

import pytest

from imageworks.errors import MetadataError
from imageworks.metadata.process import MetadataProcess
from imageworks.metadata.writer import DryRunMetadataWriter
from imageworks.models import MetadataTarget
from tests.unit.metadata.pictures import (
    EXTENDED_HEADER,
    app_segment,
    bag,
    config,
    encoded,
    exif_bytes,
    icc_bytes,
    jpeg_with,
    make_file,
    mpf_segment,
    names_in,
    packet,
    request,
    writer,
    xmp_segment,
)
from tests.unit.metadata.test_iptc import block, photoshop_segment
from tests.unit.metadata.test_policies import CREDENTIALS, dng, hard_linked, sealed, two_packets


def explained(path, **settings):
    return writer(**settings).explain(path)


def test_every_part_is_listed(tmp_path):
    raw = packet(bag("dc:subject", "a"))
    path = tmp_path / "a.jpg"
    data = jpeg_with(
        xmp_segment(raw),
        mpf_segment(0),
        photoshop_segment(block((2, 25, b"a"), digest="current")),
        app_segment(0xEB, CREDENTIALS),
        exif=exif_bytes(),
        icc_profile=icc_bytes(),
        comment=b"hello",
    )
    path.write_bytes(data + b"a video")

    parts = dict(explained(path).parts)

    assert parts["XMP"] == f"{len(raw):,} bytes"
    assert parts["IPTC"] == "6 bytes, digest current"
    assert parts["Exif"].endswith("tags")
    assert parts["colour profile"] == f"{len(icc_bytes()):,} bytes"
    assert parts["comment"] == "5 characters"
    assert parts["content credentials"] == "C2PA"
    assert parts["picture index"] == "MPF"
    assert parts["behind the picture"] == "7 bytes"


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_a_sound_file_is_written_into(tmp_path, name):
    path = make_file(tmp_path, name)
    before = path.read_bytes(), names_in(tmp_path)

    found = explained(path)

    assert (found.target, found.target_paths) == (MetadataTarget.FILE, (path,))
    assert (found.obstacles, found.sidecars) == ((), ())
    assert found.reason.startswith("Into the file")
    assert found.size_bytes == len(before[0])
    assert (path.read_bytes(), names_in(tmp_path)) == before


def test_trailers_are_counted_in_png_and_webp(tmp_path):
    for name in ("a.png", "a.webp"):
        path = make_file(tmp_path, name)
        path.write_bytes(path.read_bytes() + b"more")
        assert dict(explained(path).parts)["behind the picture"] == "4 bytes"


@pytest.mark.parametrize(
    ("made", "settings", "words"),
    [
        (two_packets, {}, "more than one XMP packet"),
        (hard_linked, {}, "hard links"),
        (sealed, {}, "content credentials"),
        (dng, {}, "never changed"),
        (lambda folder: make_file(folder, "IMG.jpg"), {"sidecar": "always"}, "setting sidecar"),
    ],
)
def test_a_sidecar_is_explained(tmp_path, made, settings, words):
    path = made(tmp_path)

    found = explained(path, **settings)

    assert (found.target, found.target_paths) == (MetadataTarget.SIDECAR, (tmp_path / "IMG.xmp",))
    assert found.reason.startswith("Beside the file")
    assert words in found.reason
    assert not (tmp_path / "IMG.xmp").exists()


def test_a_refusal_is_explained(tmp_path):
    path = two_packets(tmp_path)

    found = explained(path, on_hazard="refuse")

    assert (found.target, found.target_paths) == (MetadataTarget.NONE, ())
    assert "more than one XMP packet" in found.reason
    assert found.obstacles == ("it holds more than one XMP packet",)


def test_a_sidecar_beside_a_file_is_kept_in_step(tmp_path):
    path = make_file(tmp_path, "IMG.jpg")
    beside = tmp_path / "IMG.xmp"
    beside.write_bytes(packet(bag("dc:subject", "a")))

    found = explained(path)

    assert (found.target, found.sidecars) == (MetadataTarget.BOTH, (beside,))
    assert found.target_paths == (path, beside)
    assert found.existing.keywords == ("a",)


def test_a_malformed_sidecar_stops_a_write_and_that_is_told(tmp_path):
    path = make_file(tmp_path, "IMG.jpg")
    (tmp_path / "IMG.xmp").write_bytes(b"<x> not closed")

    found = explained(path)

    assert found.target is MetadataTarget.NONE
    assert "IMG.xmp" in found.reason


def test_the_probe_is_never_a_keyword_that_is_there(tmp_path):
    path = tmp_path / "a.jpg"
    raw = packet(bag("dc:subject", "ptag doctor", "ptag doctor again"))
    path.write_bytes(jpeg_with(xmp_segment(raw)))

    assert explained(path).target is MetadataTarget.FILE


def test_older_blocks_that_nobody_understands_are_told(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(photoshop_segment(block((2, 25, b"a")) + b"????")))

    assert "left as it is" in dict(explained(path).parts)["IPTC"]


def test_maker_notes_are_told_by_their_maker(corpus):
    parts = dict(explained(corpus / "awkward" / "exiftool--Canon.jpg").parts)

    assert parts["maker notes"].startswith("Canon")
    assert parts["Exif"].endswith("tags")


def test_extended_xmp_is_told(tmp_path):
    path = tmp_path / "a.jpg"
    extended = packet("<xmp:Nickname>a</xmp:Nickname>")
    header = EXTENDED_HEADER + b"A" * 32 + struct.pack(">II", len(extended), 0)
    path.write_bytes(jpeg_with(xmp_segment(packet()), app_segment(0xE1, header + extended)))

    assert dict(explained(path).parts)["extended XMP"] == f"{len(extended):,} bytes"


def test_an_older_block_of_a_tiff_is_seen(tmp_path):
    path = tmp_path / "a.tif"
    iim = b"\x1c\2\x19\0\1a"
    path.write_bytes(encoded("TIFF", tiffinfo={33723: iim}))

    assert dict(explained(path).parts)["IPTC"] == "1 data sets"


def test_what_is_no_image_cannot_be_explained(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(struct.pack(">I", 7))

    with pytest.raises(MetadataError) as caught:
        DryRunMetadataWriter(config()).explain(path)

    assert caught.value.reason == "not-an-image"


async def test_the_metadata_process_explains_too(tmp_path):
    path = make_file(tmp_path, "a.jpg", exif=exif_bytes())
    process = MetadataProcess(config())

    try:
        found = await process.explain(path)
        with pytest.raises(MetadataError):
            await process.explain(tmp_path / "absent.jpg")
    finally:
        await process.aclose()

    assert found == explained(path)


def test_explaining_changes_no_later_write(tmp_path):
    path = make_file(tmp_path, "a.jpg")
    made = writer()
    made.explain(path)

    made.write(request(path))

    assert made.read(path).keywords == ("heron", "river")
