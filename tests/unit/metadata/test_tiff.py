import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence, TiffImagePlugin

from imageworks.errors import MetadataError
from imageworks.metadata import tiff
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
    return apply_splices(data, tiff.put_packet(data, raw))


def pages(data, tmp_path):
    path = tmp_path / "pages.tif"
    path.write_bytes(data)
    with Image.open(path) as image:
        return [frame.convert("RGB").tobytes() for frame in ImageSequence.Iterator(image)]


@pytest.mark.parametrize("order", ["II", "MM"])
def test_a_new_packet_moves_nothing(tmp_path, order):
    info = TiffImagePlugin.ImageFileDirectory_v2(prefix=order.encode())
    info[270] = "a description of the picture"
    data = encoded("TIFF", tiffinfo=info, icc_profile=icc_bytes())

    new = put(data, b"<x:packet/>")

    assert new[8 : len(data)] == data[8:]
    assert new[:4] == data[:4]
    assert tiff.read_embedded(new).packets == (b"<x:packet/>",)
    assert tiff.survivors(new) == tiff.survivors(data)
    assert pages(new, tmp_path) == pages(data, tmp_path)


def test_nine_pages_and_their_exif_stay(tmp_path):
    frames = [picture().rotate(40 * n) for n in range(9)]
    data = encoded("TIFF", frames[0], save_all=True, append_images=frames[1:], exif=exif_bytes())

    new = put(data, b"<x:packet/>")

    assert len(pages(new, tmp_path)) == 9
    assert pages(new, tmp_path) == pages(data, tmp_path)
    assert tiff.survivors(new) == tiff.survivors(data)


def test_rewriting_does_not_make_the_file_grow_again():
    once = put(encoded("TIFF"), b"<x:packet/>")

    twice = put(once, b"<x:another/>")

    assert len(twice) == len(once) + 1
    assert tiff.read_embedded(twice).packets == (b"<x:another/>",)


@pytest.mark.parametrize("kind", [1, 7])
def test_an_old_packet_inside_is_left_where_it_is(kind):
    data = encoded("TIFF", tiffinfo={700: b"<x:old packet/>"})
    at = data.index(struct.pack("<H", 700))
    data = data[: at + 2] + struct.pack("<H", kind) + data[at + 4 :] + b"tail"

    new = put(data, b"<x:new/>")

    assert b"<x:old packet/>" in new
    assert tiff.read_embedded(new).packets == (b"<x:new/>",)
    assert tiff.survivors(new) == tiff.survivors(data)
    assert new[at + 2] == kind


def test_a_packet_shorter_than_an_entry_is_stored_outside():
    new = put(encoded("TIFF"), b"<a>")

    assert tiff.read_embedded(new).packets == (b"<a>  ",)


def test_a_dng_by_content_is_refused():
    with pytest.raises(MetadataError) as caught:
        tiff.read_embedded(encoded("TIFF", tiffinfo={50706: b"\1\4\0\0"}))

    assert caught.value.reason == "format"


def test_iptc_and_content_credentials_are_noticed():
    assert tiff.read_embedded(encoded("TIFF", tiffinfo={52545: b"jumb"})).has_credentials
    assert tiff.read_embedded(encoded("TIFF", tiffinfo={33723: b"\x1c\2\x19"})).has_iptc


def directory(*entries, following=0, count=None):
    made = [struct.pack("<HHI", t, k, n) + v for t, k, n, v in entries]
    size = len(made) if count is None else count
    return struct.pack("<H", size) + b"".join(made) + struct.pack("<I", following)


def small(*entries, **more):
    return b"II*\0\x08\0\0\0" + directory(*entries, **more)


LONG = struct.Struct("<I").pack


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"II+\0" + bytes(12), "format"),
        (b"II,\0" + bytes(12), "malformed-image"),
        (b"IX*\0" + bytes(12), "malformed-image"),
        (b"II*", "malformed-image"),
        (b"II*\0\xff\0\0\0", "malformed-image"),
        (b"II*\0\x02\0\0\0" + bytes(20), "malformed-image"),
        (small(), "malformed-image"),
        (small((256, 4, 1, LONG(1)), count=3), "malformed-image"),
        (small((256, 99, 1, LONG(1))), "malformed-image"),
        (small((256, 4, 2, LONG(9999))), "malformed-image"),
        (small((300, 4, 1, LONG(1)), (256, 4, 1, LONG(1))), "malformed-image"),
    ],
)
def test_a_broken_tiff_is_refused(data, reason):
    with pytest.raises(MetadataError) as caught:
        tiff.read_embedded(data)

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "data",
    [
        small((34665, 2, 1, LONG(8))),
        small((273, 4, 1, LONG(8))),
        small(*[(n, 1, 100, LONG(8)) for n in range(256, 266)]),
    ],
)
def test_a_tiff_whose_parts_cannot_be_told_apart_is_refused(data):
    with pytest.raises(MetadataError) as caught:
        tiff.survivors(data)

    assert caught.value.reason == "malformed-image"


def test_a_loop_of_directories_is_walked_once():
    for data in (small((256, 4, 1, LONG(1)), following=8), small((34665, 4, 1, LONG(8)))):
        assert len(tiff.survivors(data)) == 3


def test_a_loop_through_the_first_directory_cannot_be_proven():
    data = small((256, 4, 1, LONG(1)), following=8)

    assert tiff.survivors(put(data, b"<x:packet/>")) != tiff.survivors(data)


def test_overlapping_strips_do_not_eat_the_memory():
    entries = [(273, 4, 400, LONG(100)), (279, 4, 400, LONG(100))]
    data = small(*entries) + bytes(62) + LONG(4000) * 400

    with pytest.raises(MetadataError) as caught:
        tiff.survivors(data)

    assert caught.value.reason == "malformed-image"


def test_two_packets_are_refused():
    data = small((700, 1, 4, b"abcd"), (700, 1, 4, b"efgh"))

    with pytest.raises(MetadataError) as caught:
        tiff.put_packet(data, b"<x/>")

    assert caught.value.reason == "two-packets"


def test_survivors_see_a_changed_strip_and_a_changed_tag():
    data = encoded("TIFF", tiffinfo={270: "a description"})
    strip = bytearray(data)
    strip[20] ^= 1

    assert tiff.survivors(bytes(strip)) != tiff.survivors(data)
    assert tiff.survivors(data.replace(b"description", b"desCription")) != tiff.survivors(data)


@given(raw=st.binary(min_size=5, max_size=80), trailer=st.binary(max_size=9))
def test_any_packet_can_be_put_in_and_taken_out_again(raw, trailer):
    data = encoded("TIFF", picture(4, 4)) + trailer

    for before in (data, put(data, b"<x:old/>")):
        splices = tiff.put_packet(before, raw)
        new = apply_splices(before, splices)

        assert tiff.read_embedded(new).packets == (raw,)
        assert tiff.survivors(new) == tiff.survivors(before)
        assert apply_splices(new, invert_splices(before, splices)) == before


@given(st.binary(max_size=120).map(lambda data: b"II*\0\x08\0\0\0" + data) | damaged("TIFF"))
def test_any_bytes_are_read_or_refused(data):
    check_container(tiff, data)
