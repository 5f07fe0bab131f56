import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imageworks.errors import MetadataError
from imageworks.metadata import webp
from imageworks.metadata.splice import apply_splices, invert_splices
from tests.unit.metadata.pictures import (
    check_container,
    damaged,
    encoded,
    exif_bytes,
    icc_bytes,
    picture,
)


def put(data, raw):
    return apply_splices(data, webp.put_packet(data, raw))


def names(data):
    return [chunk.name for chunk in webp._chunks(data)]


def transparent(width, height):
    image = picture(width, height, "RGBA")
    image.putalpha(128)
    return image


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (48, 33), (300, 200)])
def test_a_simple_file_gets_a_header_that_says_the_same(tmp_path, lossless, size):
    data = encoded("WEBP", picture(*size), lossless=lossless)
    assert names(data) in ([b"VP8L"], [b"VP8 "])

    new = put(data, b"<x/>")

    assert names(new) == [b"VP8X", names(data)[0], b"XMP "]
    assert webp.read_embedded(new).packets == (b"<x/>",)
    assert webp.survivors(new) == webp.survivors(data)
    path = tmp_path / "a.webp"
    path.write_bytes(new)
    with Image.open(path) as image:
        assert image.size == size
        assert image.info["xmp"] == b"<x/>"


def test_transparency_of_a_simple_lossless_file_is_declared(tmp_path):
    data = encoded("WEBP", transparent(20, 10), lossless=True)
    assert names(data) == [b"VP8L"]
    path = tmp_path / "a.webp"

    path.write_bytes(put(data, b"<x/>"))

    with Image.open(path) as image:
        assert image.mode == "RGBA"
        assert image.getchannel("A").getextrema() == (128, 128)


def test_an_extended_file_keeps_its_chunks_and_gets_the_flag():
    data = encoded("WEBP", exif=exif_bytes(), icc_profile=icc_bytes()) + b"behind"

    new = put(data, b"<odd>")

    assert names(new) == [b"VP8X", b"ICCP", b"VP8 ", b"EXIF", b"XMP "]
    assert new[20] == data[20] | 0x04
    assert new.endswith(b"<odd>\0behind")
    assert webp.survivors(new) == webp.survivors(data)
    assert put(new, b"<other packet/>").count(b"XMP ") == 1


def test_a_packet_goes_before_unknown_chunks():
    data = encoded("WEBP", exif=exif_bytes())
    extra = struct.pack("<4sI", b"ABCD", 3) + b"abc\0"
    data = data[:4] + struct.pack("<I", len(data) - 8 + len(extra)) + data[8:] + extra

    assert names(put(data, b"<x/>"))[-2:] == [b"XMP ", b"ABCD"]


def test_two_packets_and_credentials_are_noticed():
    data = encoded("WEBP")
    more = struct.pack("<4sI", b"XMP ", 2) + b"ab"
    seal = struct.pack("<4sI", b"C2PA", 2) + b"ab"

    twice = data[:4] + struct.pack("<I", len(data) - 8 + 20) + data[8:] + more + more
    sealed = data[:4] + struct.pack("<I", len(data) - 8 + 10) + data[8:] + seal

    with pytest.raises(MetadataError) as caught:
        webp.put_packet(twice, b"<x/>")
    assert caught.value.reason == "two-packets"
    assert webp.read_embedded(sealed).has_credentials


def broken():
    data = encoded("WEBP")
    extended = encoded("WEBP", exif=exif_bytes())
    yield data[:-2]
    yield data[:4] + struct.pack("<I", 5) + data[8:]
    yield data[:4] + struct.pack("<I", 4) + data[8:]
    yield data[:4] + struct.pack("<I", 8) + data[8:]
    yield data[:12] + b"JUNK" + data[16:]
    yield data[:16] + struct.pack("<I", 0xFFFFFFF0) + data[20:]
    yield extended[:16] + struct.pack("<I", 2) + extended[20:]


@pytest.mark.parametrize("data", list(broken()))
def test_a_broken_webp_is_refused(data):
    with pytest.raises(MetadataError) as caught:
        webp.read_embedded(data)

    assert caught.value.reason == "malformed-image"


@pytest.mark.parametrize("at", [20, 23, 26])
def test_a_picture_without_a_readable_size_is_refused(at):
    data = bytearray(encoded("WEBP"))
    data[at : at + 2] = b"\xff\xff" if at < 26 else b"\0\0"

    with pytest.raises(MetadataError) as caught:
        webp.put_packet(bytes(data), b"<x/>")

    assert caught.value.reason == "malformed-image"


@given(raw=st.binary(max_size=81), trailer=st.binary(max_size=20), is_simple=st.booleans())
def test_any_packet_can_be_put_in_and_taken_out_again(raw, trailer, is_simple):
    options = {} if is_simple else {"exif": exif_bytes()}
    data = encoded("WEBP", picture(4, 4), **options) + trailer

    splices = webp.put_packet(data, raw)
    new = apply_splices(data, splices)

    assert webp.read_embedded(new).packets == (raw,)
    assert apply_splices(new, invert_splices(data, splices)) == data


ANY_WEBP = st.builds(
    lambda data, size: b"RIFF" + struct.pack("<I", size) + b"WEBP" + data,
    st.binary(max_size=100),
    st.integers(0, 120),
)


@given(ANY_WEBP | damaged("WEBP"))
def test_any_bytes_are_read_or_refused(data):
    check_container(webp, data)
