"""What was written is what ExifTool, Exiv2 and Pillow read, and what was asked for."""

import json
import os
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from imageworks.metadata import exiv2
from imageworks.metadata.packet import XmpPacket
from imageworks.text import clean_keyword, clean_text, fold
from tests.unit.metadata.pictures import encoded, make_file, packet, request, writer

CAPTION = "Ein Reiher — ждёт 🦊 & <wartet>"
KEYWORDS = ("heron", "Flußufer", "日本", "étang")
DESCRIPTION = 'First line.\nSecond "line" with \u2019quotes\u2019 and العربية.'
NAMESPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
}
KINDS = [".jpg", ".png", ".webp", ".tif", ".xmp"]


@pytest.fixture(params=KINDS)
def written(request_of, tmp_path, request):
    """A file of each kind with the fields inside."""
    return request_of(tmp_path, request.param)


@pytest.fixture
def request_of():
    def make(folder, ending):
        if ending == ".xmp":
            image = folder / "IMG.avif"
            image.write_bytes(b"\0\0\0\x1cftypavif" + bytes(40))
        else:
            image = make_file(folder, f"IMG{ending}")
        made = writer(backup_originals=False)
        made.write(request(image, CAPTION, KEYWORDS, DESCRIPTION))
        return image.with_suffix(ending)

    return make


def fields_of_raw_packet(raw):
    """Title, keywords and description, by nothing but the standard library."""
    text = raw.decode("utf-8") if isinstance(raw, bytes) else raw
    root = ET.fromstring(text.strip("\0 \r\n\ufeff"))  # noqa: S314  # written here

    def items(name):
        return [i.text for i in root.findall(f".//dc:{name}//rdf:li", NAMESPACES)]

    (title,), (description,) = items("title"), items("description")
    assert root.find(".//dc:subject/rdf:Bag", NAMESPACES) is not None
    return title, tuple(items("subject")), description


def test_our_own_reader_agrees(written):
    image = written if written.suffix != ".xmp" else written.with_suffix(".avif")

    found = writer().read(image)

    assert (found.title, found.keywords, found.description) == (CAPTION, KEYWORDS, DESCRIPTION)


def test_exiv2_agrees(written):
    xmp = exiv2.look(written.read_bytes()).xmp

    assert fields_of_raw_packet(xmp.encode("utf-8")) == (CAPTION, KEYWORDS, DESCRIPTION)


def test_pillow_agrees(written):
    if written.suffix == ".xmp":
        raw = written.read_bytes()
    else:
        with Image.open(written) as image:
            image.load()
            raw = image.info.get("xmp") or image.info["XML:com.adobe.xmp"]

    assert fields_of_raw_packet(raw) == (CAPTION, KEYWORDS, DESCRIPTION)


@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not here")
def test_exiftool_agrees_and_warns_of_nothing(written):
    command = ["exiftool", "-j", "-G1", "-struct", "-charset", "UTF8", "-warning"]
    command += ["-XMP:all", str(written)]
    done = subprocess.run(command, capture_output=True, check=True)
    (found,) = json.loads(done.stdout)

    assert found["XMP-dc:Title"] == CAPTION
    assert tuple(found["XMP-dc:Subject"]) == KEYWORDS
    assert found["XMP-dc:Description"] == DESCRIPTION
    assert "ExifTool:Warning" not in found


NASTY = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\0\x1f\x7f\x85\ufeff\u200f\u202e\ufffe\ud800\u2028\t\r\n&<>\"']]>é"),
    ),
    max_size=40,
)
SUFFIXES = st.sampled_from([".jpg", ".png", ".webp", ".tif", ".avif"])


@given(SUFFIXES, NASTY, st.lists(NASTY, max_size=4), NASTY)
@example(".jpg", 'type="Bag"', ['lang="x-default" a', "]]>"], "<?xpacket end='w'?>")
@example(".avif", "\U0010ffff e\u0301 \u0958", ["a", "A", "ﬁ", "fi"], "&#0; &amp; <!DOCTYPE x>")
@settings(max_examples=150, deadline=None)
def test_any_text_reads_back_as_asked_and_a_second_write_touches_nothing(
    suffix, caption, keywords, description
):
    caption = clean_text(caption)
    description = clean_text(description, keep_newlines=True)
    cleaned = {fold(k): k for k in reversed([clean_keyword(k) for k in keywords]) if fold(k)}
    asked = tuple(dict.fromkeys(cleaned.values()))
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, f"IMG{suffix}")
        kind = {".jpg": "JPEG", ".tif": "TIFF"}.get(suffix, suffix[1:].upper())
        avif = b"\0\0\0\x1cftypavif" + bytes(40)
        image.write_bytes(avif if suffix == ".avif" else encoded(kind))
        made = writer(backup_originals=False)

        made.write(request(image, caption, asked, description))

        found = made.read(image)
        assert (found.title, found.keywords, found.description) == (caption, asked, description)
        before = state_of(Path(folder))
        again = made.write(request(image, caption, asked, description))
        assert not again.is_changed
        assert state_of(Path(folder)) == before


def state_of(folder):
    """Everything that a write would change, the bytes and the times."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino)
        for path in folder.iterdir()
    }


def test_a_second_write_leaves_the_very_file(tmp_path):
    path = make_file(tmp_path, "IMG.jpg")
    os.utime(path, ns=(10**18, 10**18))
    writer(preserve_mtime=True).write(request(path))
    before = state_of(tmp_path)

    outcome = writer(preserve_mtime=True).write(request(path))

    assert not outcome.is_changed
    assert state_of(tmp_path) == before


def test_what_stands_in_another_language_is_read_back_too(tmp_path):
    path = tmp_path / "IMG.avif"
    path.write_bytes(b"\0\0\0\x1cftypavif" + bytes(40))
    body = (
        "<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>old</rdf:li>"
        "<rdf:li xml:lang='de-DE'>Reiher</rdf:li></rdf:Alt></dc:title>"
    )
    (tmp_path / "IMG.xmp").write_bytes(packet(body))

    writer().write(request(path, CAPTION, is_caption_edited=True))

    raw = (tmp_path / "IMG.xmp").read_bytes()
    assert XmpPacket.parse(raw) is not None
    assert "Reiher" in raw.decode()
    assert writer().read(path).title == CAPTION
