import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from imageworks.errors import MetadataError
from imageworks.metadata import png
from imageworks.metadata.splice import apply_splices, invert_splices
from tests.unit.metadata.pictures import (
    check_container,
    damaged,
    encoded,
    exif_bytes,
    icc_bytes,
    picture,
)

KEYWORD = b"XML:com.adobe.xmp\0"


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunks(*chunks, **options):
    data = encoded("PNG", **options)
    at = data.index(b"IDAT") - 4
    return data[:at] + b"".join(chunks) + data[at:]


def put(data, raw):
    return apply_splices(data, png.put_packet(data, raw))


def test_a_new_packet_comes_before_the_picture_and_nothing_else_changes():
    data = encoded("PNG", exif=exif_bytes(), icc_profile=icc_bytes()) + b"after the end"

    new = put(data, b"<x/>")

    made = chunk(b"iTXt", KEYWORD + b"\0\0\0\0<x/>")
    assert new.replace(made, b"") == data
    assert new.index(made) < new.index(b"IDAT")
    assert png.read_embedded(new).packets == (b"<x/>",)
    assert png.survivors(new) == png.survivors(data)


def test_an_old_packet_is_replaced_where_it_stands_even_behind_the_picture():
    old = chunk(b"iTXt", KEYWORD + b"\0\0\0\0<old/>")
    data = encoded("PNG")
    at = data.index(b"IEND") - 4
    data = data[:at] + old + data[at:]

    new = put(data, b"<new/>")

    assert new == data.replace(old, chunk(b"iTXt", KEYWORD + b"\0\0\0\0<new/>"))


def test_a_compressed_packet_is_read():
    body = KEYWORD + b"\1\0en\0\0" + zlib.compress(b"<packed/>")

    assert png.read_embedded(with_chunks(chunk(b"iTXt", body))).packets == (b"<packed/>",)


@pytest.mark.parametrize(
    "rest", [b"", b"\0\0", b"\1\0\0\0not zlib", b"\1\0\0\0" + zlib.compress(b"cut")[:-3]]
)
def test_a_broken_packet_chunk_is_refused(rest):
    with pytest.raises(MetadataError) as caught:
        png.read_embedded(with_chunks(chunk(b"iTXt", KEYWORD + rest)))

    assert caught.value.reason == "malformed-xmp"


def test_a_packet_that_unpacks_without_end_is_refused():
    bomb = zlib.compress(b" " * (40 * 1024 * 1024))

    with pytest.raises(MetadataError):
        png.read_embedded(with_chunks(chunk(b"iTXt", KEYWORD + b"\1\0\0\0" + bomb)))


def test_a_second_place_for_xmp_is_refused():
    one = chunk(b"iTXt", KEYWORD + b"\0\0\0\0<a/>")

    with pytest.raises(MetadataError) as caught:
        png.put_packet(with_chunks(one, one), b"<b/>")
    assert caught.value.reason == "two-packets"
    with pytest.raises(MetadataError) as caught:
        png.read_embedded(with_chunks(chunk(b"zTXt", b"Raw profile type xmp\0\0abc")))
    assert caught.value.reason == "two-packets"


def test_iptc_and_content_credentials_are_noticed():
    assert png.read_embedded(with_chunks(chunk(b"zTXt", b"Raw profile type iptc\0\0"))).has_iptc
    assert png.read_embedded(with_chunks(chunk(b"caBX", b"jumb"))).has_credentials


@pytest.mark.parametrize("cut", [8, 20, 40, 60, -4, -12])
def test_a_cut_png_is_refused(cut):
    with pytest.raises(MetadataError) as caught:
        png.read_embedded(encoded("PNG")[:cut])

    assert caught.value.reason == "malformed-image"


def test_a_png_without_picture_is_refused():
    data = encoded("PNG")

    with pytest.raises(MetadataError):
        png.read_embedded(data[:33] + data[data.index(b"IEND") - 4 :])


def test_an_animation_still_plays(tmp_path):
    frames = [picture(), picture(mode="L").convert("RGB").rotate(90, expand=False)]
    data = encoded("PNG", frames[0], save_all=True, append_images=frames[1:])
    path = tmp_path / "a.png"

    path.write_bytes(put(data, b"<x/>"))

    with Image.open(path) as image:
        shown = [frame.convert("RGB").tobytes() for frame in ImageSequence.Iterator(image)]
    assert shown == [frame.tobytes() for frame in frames]


@given(raw=st.binary(max_size=80), trailer=st.binary(max_size=20))
def test_any_packet_can_be_put_in_and_taken_out_again(raw, trailer):
    data = encoded("PNG", picture(4, 4)) + trailer

    splices = png.put_packet(data, raw)
    new = apply_splices(data, splices)

    assert png.read_embedded(new).packets == (raw,)
    assert apply_splices(new, invert_splices(data, splices)) == data


@given(st.binary(max_size=100).map(lambda data: b"\x89PNG\r\n\x1a\n" + data) | damaged("PNG"))
def test_any_bytes_are_read_or_refused(data):
    check_container(png, data)
