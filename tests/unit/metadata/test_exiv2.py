import contextlib
import subprocess
import sys

import pyexiv2
import pytest

from imageworks.errors import MetadataError
from imageworks.metadata import exiv2
from tests.unit.metadata.pictures import encoded, exif_bytes, icc_bytes, iptc_segment, jpeg_with


def test_everything_that_must_survive_is_seen():
    block = iptc_segment((2, 25, b"a"), (2, 25, b"b"))

    view = exiv2.look(
        jpeg_with(block, exif=exif_bytes(), icc_profile=icc_bytes(), comment="Grüße".encode())
    )

    assert view.exif["Exif.Image.Make"] == "Maker"
    assert view.iptc_texts() == {"Iptc.Application2.Keywords": ["a", "b"]}
    assert view.icc == icc_bytes()
    assert view.comment.encode("latin-1") == "Grüße".encode()
    assert view.is_same_but_xmp(view)
    assert not view.is_same_but_xmp(exiv2.Exiv2View())


def test_what_it_cannot_open_is_refused_and_leaves_no_error_behind():
    with pytest.raises(MetadataError) as caught:
        exiv2.look(b"no image")

    assert caught.value.reason == "exiv2-cannot-read"
    assert exiv2.look(encoded("JPEG")) is not None


@pytest.mark.parametrize("name", ["exiv2--exiv2-bug447.jpg", "exiv2--issue_2339_poc.tiff"])
def test_an_error_of_one_file_does_not_fall_on_the_next(corpus, name):
    data = (corpus / "malformed" / name).read_bytes()
    with contextlib.suppress(RuntimeError):
        pyexiv2.ImageData(data)

    assert exiv2.look(encoded("JPEG")) is not None


def test_iptc_in_any_encoding_is_text():
    def keywords(value, *more):
        found = exiv2.look(jpeg_with(iptc_segment(*more, (2, 25, value)))).iptc_texts()
        return found["Iptc.Application2.Keywords"]

    assert keywords("é".encode()) == ["é"]
    assert keywords("é".encode("latin-1")) == ["é"]
    assert keywords("é".encode(), (1, 90, b"\x1b%G")) == ["é"]
    assert keywords(b"\xff", (1, 90, b"\x1b%G")) == ["\ufffd"]


POISONING = """
from imageworks.metadata import exiv2
from tests.unit.metadata.pictures import jpeg_with, packet, xmp_segment
raw = packet(attributes='xmp:Rating="4"').replace(b"http://ns.adobe.com/xap/1.0/", b"a")
before = exiv2.has_clean_namespaces()
exiv2.look(jpeg_with(xmp_segment(raw)))
print(before, exiv2.has_clean_namespaces())
"""


def test_a_prefix_that_a_file_bound_to_something_else_is_noticed():
    command = [sys.executable, "-c", POISONING]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout == "True False\n"
