"""Which of XMP, IPTC and Exif wins, checked against ExifTool's MWG module where it has a say."""

import json
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from imageworks.metadata.iptc import Digest, IptcTexts, is_cut_form
from imageworks.metadata.reconcile import exif_description, with_iptc
from imageworks.metadata.values import FieldValues
from imageworks.models import MetadataTarget
from imageworks.text import clean_keyword, clean_text, fold
from tests.unit.metadata.pictures import (
    alternative,
    bag,
    jpeg_with,
    make_file,
    packet,
    request,
    writer,
    xmp_segment,
)
from tests.unit.metadata.test_iptc import UTF8, block, photoshop_segment

XMP = FieldValues({"dc:title": "X title", "dc:description": "X caption"}, ("x", "both"))
IPTC = IptcTexts("I title", "I caption", ("both", "i"))


def mwg(path):
    if not shutil.which("exiftool"):
        pytest.skip("exiftool is not here")
    command = ["exiftool", "-j", "-use", "MWG", "-MWG:all", str(path)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]


def both_blocks(folder, digest, *datasets):
    raw = packet(
        alternative("dc:title", x_default="X title")
        + alternative("dc:description", x_default="X caption")
        + bag("dc:subject", "x", "both")
    )
    older = block(UTF8, *datasets, digest=digest)
    path = folder / "a.jpg"
    path.write_bytes(jpeg_with(xmp_segment(raw), photoshop_segment(older)))
    return path


@pytest.mark.parametrize(
    ("digest", "is_in_step", "title", "keywords"),
    [
        (Digest.CURRENT, True, "X title", ("x", "both")),
        (Digest.ABSENT, True, "X title", ("x", "both")),
        (Digest.STALE, True, "I title", ("both", "i", "x")),
        (Digest.CURRENT, False, "X title", ("x", "both")),
        (Digest.ABSENT, False, "X title", ("x", "both")),
        (Digest.STALE, False, "X title", ("x", "both")),
    ],
)
def test_the_digest_tells_which_block_is_newer(digest, is_in_step, title, keywords):
    found = with_iptc(XMP, IPTC, digest, is_kept_in_step=is_in_step)

    assert (found.text("dc:title"), found.keywords) == (title, keywords)


@pytest.mark.parametrize("digest", Digest)
@pytest.mark.parametrize("is_in_step", [True, False])
def test_the_older_block_fills_what_xmp_leaves_empty(digest, is_in_step):
    found = with_iptc(FieldValues(), IPTC, digest, is_kept_in_step=is_in_step)

    assert found.texts == {"dc:title": "I title", "dc:description": "I caption"}
    assert found.keywords == ("both", "i")


@pytest.mark.parametrize("digest", Digest)
def test_a_cut_form_never_wins_over_the_whole_text(digest):
    title, keyword = "t" * 80, "k" * 80
    whole = FieldValues({"dc:title": title}, (keyword,))
    older = IptcTexts("t" * 64, "", ("k" * 64,))

    found = with_iptc(whole, older, digest, is_kept_in_step=True)

    assert (found.text("dc:title"), found.keywords) == (title, (keyword,))


def test_a_short_text_is_no_cut_form():
    assert is_cut_form("same", "same", 64)
    assert is_cut_form("ä" * 31 + "x", "ä" * 31 + "xyz", 64)
    assert not is_cut_form("her", "heron", 64)
    assert not is_cut_form("y" * 64, "x" * 80, 64)


@pytest.mark.parametrize("digest", ["absent", "current", "stale"])
def test_reading_agrees_with_exiftool(tmp_path, digest):
    path = both_blocks(tmp_path, digest, (2, 25, b"both"), (2, 25, b"i"), (2, 120, b"I caption"))

    found = writer().read(path)

    expected = mwg(path)
    assert found.description == expected["Description"]
    newer = {"x"} if digest == "stale" else set()
    assert set(found.keywords) == set(expected["Keywords"]) | newer


@pytest.mark.parametrize("digest", ["absent", "current", "stale"])
def test_after_a_write_every_reader_sees_the_same(tmp_path, digest):
    path = both_blocks(tmp_path, digest, (2, 25, b"i"), (2, 120, b"I caption"))

    writer().write(request(path, description="Mine.", is_description_edited=True))

    found, expected = writer().read(path), mwg(path)
    assert found.description == expected["Description"] == "Mine."
    assert list(found.keywords) == expected["Keywords"]
    assert {"x", "both", "heron", "river"} <= set(found.keywords)
    # What stood in the older block alone is lost only where XMP is known to be the newer one.
    assert (b"\x1c\2\x19\0\1i" in path.read_bytes()) is (digest != "current")


def test_file_sidecar_and_older_block_are_all_kept_in_step(tmp_path):
    path = both_blocks(tmp_path, "stale", (2, 5, b"I title"), (2, 25, b"i"))
    beside = tmp_path / "a.xmp"
    beside.write_bytes(
        packet(alternative("dc:title", x_default="S title") + bag("dc:subject", "s"))
    )

    outcome = writer().write(request(path))

    assert (outcome.target, outcome.notes) == (MetadataTarget.BOTH, ())
    found = writer().read(path)
    assert found.title == "X title"
    assert found.keywords == ("x", "both", "s", "heron", "river")
    assert mwg(path)["Keywords"] == list(found.keywords)
    assert mwg(beside)["Keywords"] == list(found.keywords)


@pytest.mark.parametrize("write_iptc", ["if-present", "never"])
def test_a_persons_text_is_never_taken_back_by_a_stale_block(tmp_path, write_iptc):
    path = both_blocks(tmp_path, "stale", (2, 5, b"I title"), (2, 25, b"i"))
    made = writer(write_iptc=write_iptc)

    made.write(request(path, "Mine", is_caption_edited=True))
    made.write(request(path, "Model", ("more",)))

    assert made.read(path).title == "Mine"
    assert "more" in made.read(path).keywords


WORDS = st.text(min_size=1, max_size=100).map(clean_keyword).filter(bool)
TEXTS = st.text(max_size=120).map(clean_text)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    digest=st.sampled_from(["absent", "current", "stale"]),
    older=st.lists(WORDS, max_size=3),
    keywords=st.lists(WORDS, max_size=4),
    title=TEXTS.filter(bool),
    description=st.builds(lambda text, n: clean_text(text * n), TEXTS, st.integers(1, 40)),
)
def test_any_text_reads_back_beside_an_older_block_and_is_written_once(
    tmp_path, digest, older, keywords, title, description
):
    older_block = block(UTF8, (2, 80, b"Ann"), *((2, 25, k.encode()) for k in older), digest=digest)
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(photoshop_segment(older_block)))
    edited = {"is_caption_edited": True, "is_description_edited": True}
    made = writer(backup_originals=False)
    asked = request(path, title, keywords, description, **edited)

    made.write(asked)

    found = made.read(path)
    assert (found.title, found.description) == (title, description)
    assert {fold(text) for text in (*older, *keywords)} <= {fold(k) for k in found.keywords}
    assert not made.write(asked).is_changed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mongol Els", "Mongol Els"),
        ("  two \r\n lines ", "two\nlines"),
        ("OLYMPUS DIGITAL CAMERA         ", ""),
        ("SONY DSC", ""),
        ("DCF 1.0", ""),
        ("Created with GIMP", ""),
        ("Minolta DSC", ""),
        ("\0\0", ""),
    ],
)
def test_what_the_camera_filled_in_counts_as_blank(text, expected):
    assert exif_description(text) == expected


def test_exif_fills_a_missing_description_and_goes_into_xmp(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "A mill"
    path = make_file(tmp_path, "a.jpg", exif=exif.tobytes())

    assert writer().read(path).description == "A mill"
    outcome = writer().write(request(path, description="Model's words"))

    assert writer().read(path).description == "A mill"
    assert outcome.notes == ()
    assert mwg(path)["Description"] == "A mill"
