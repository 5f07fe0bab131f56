import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import MetadataError
from imageworks.metadata import jpeg
from imageworks.metadata.splice import apply_splices, invert_splices
from tests.unit.metadata.pictures import (
    EXTENDED_HEADER,
    app_segment,
    bag,
    check_container,
    damaged,
    encoded,
    exif_bytes,
    icc_bytes,
    iptc_segment,
    jpeg_with,
    mpf_segment,
    packet,
    xmp_segment,
)


def put(data, raw):
    return apply_splices(data, jpeg.put_packet(data, raw))


def test_a_new_packet_follows_jfif_and_exif_and_comes_before_the_rest():
    data = encoded("JPEG", exif=exif_bytes(), icc_profile=icc_bytes(), comment=b"hello")

    new = put(data, b"<x/>")

    at = new.index(xmp_segment(b"<x/>"))
    assert new.index(b"Exif\0") < at < new.index(b"ICC_PROFILE\0")
    assert new.replace(xmp_segment(b"<x/>"), b"") == data
    assert jpeg.read_embedded(new).packets == (b"<x/>",)


def test_an_old_packet_is_replaced_where_it_stands():
    data = jpeg_with(app_segment(0xE5, b"before"), xmp_segment(b"<old/>"), app_segment(0xE6, b"z"))

    new = put(data, b"<newer/>")

    assert new == data.replace(xmp_segment(b"<old/>"), xmp_segment(b"<newer/>"))
    assert jpeg.survivors(new) == jpeg.survivors(data)


def test_trailers_and_fill_bytes_stay():
    data = encoded("JPEG")[:2] + b"\xff\xff" + encoded("JPEG")[2:] + b"trailer \xff\xe1 bytes"

    new = put(data, b"<x/>")

    assert new.endswith(b"trailer \xff\xe1 bytes")
    assert new.replace(xmp_segment(b"<x/>"), b"") == data


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xe1\xff\xff",
        b"\xff\xd8\xff\xe1\0\1",
        b"\xff\xd8\xff\x01\0\2\xff\xda",
        b"\xff\xd8 garbage",
        b"\xff\xd8\xff\xff\xff",
    ],
)
def test_a_broken_jpeg_is_refused(data):
    for look in (jpeg.read_embedded, lambda d: jpeg.put_packet(d, b"")):
        with pytest.raises(MetadataError) as caught:
            look(data)
        assert caught.value.reason == "malformed-image"


def test_two_packets_are_refused():
    data = jpeg_with(xmp_segment(b"<a/>"), xmp_segment(b"<b/>"))

    assert len(jpeg.read_embedded(data).packets) == 2
    with pytest.raises(MetadataError) as caught:
        jpeg.put_packet(data, b"<c/>")
    assert caught.value.reason == "two-packets"


def test_a_packet_that_does_not_fit_is_refused():
    assert put(encoded("JPEG"), b"x" * 65_502)
    with pytest.raises(MetadataError) as caught:
        put(encoded("JPEG"), b"x" * 65_503)
    assert caught.value.reason == "packet-size"


def test_extended_xmp_is_put_together_in_the_order_of_its_offsets():
    def part(offset, piece, total=8, guid=b"A" * 32):
        header = guid + struct.pack(">II", total, offset)
        return app_segment(0xE1, EXTENDED_HEADER + header + piece)

    data = jpeg_with(part(4, b"efgh"), part(0, b"abcd"))

    assert jpeg.read_embedded(data).extended == (b"abcdefgh",)
    for broken in (part(0, b"abcd"), app_segment(0xE1, EXTENDED_HEADER + b"short")):
        with pytest.raises(MetadataError) as caught:
            jpeg.read_embedded(jpeg_with(broken))
        assert caught.value.reason == "extended-xmp"


def test_iptc_and_content_credentials_are_noticed():
    box = b"JP\0\1\0\0\0\1" + struct.pack(">I4s", 40, b"jumb") + b"\0\0\0\x1ejumdc2pa\0\x11"

    assert jpeg.read_embedded(jpeg_with(app_segment(0xEB, box))).has_credentials
    assert not jpeg.read_embedded(jpeg_with(app_segment(0xEB, b"JP other"))).has_credentials
    assert jpeg.read_embedded(jpeg_with(iptc_segment((2, 25, b"a")))).has_iptc
    assert not jpeg.read_embedded(encoded("JPEG")).has_iptc


def two_pictures(*before_index):
    """A JPEG with a picture index and a second picture; returns it and where that begins."""
    first = jpeg_with(*before_index, mpf_segment(0))
    base = first.index(b"MPF\0") + 4
    data = jpeg_with(*before_index, mpf_segment(len(first) - base))
    return data + encoded("JPEG")


def index_target(data):
    base = data.index(b"MPF\0") + 4
    (offset,) = struct.unpack_from("<I", data, base + 26 + 16 + 8)
    return data[base + offset : base + offset + 4]


def test_a_second_picture_stays_where_the_index_says():
    data = two_pictures(xmp_segment(packet()))
    assert index_target(data) == b"\xff\xd8\xff\xe0"

    new = put(data, packet(bag("dc:subject", "a")))

    assert index_target(new) == b"\xff\xd8\xff\xe0"
    assert jpeg.survivors(new) == jpeg.survivors(data)


def test_a_packet_behind_the_index_keeps_its_size():
    roomy = packet(tail=" " * 3000 + '<?xpacket end="w"?>')
    first = jpeg_with(mpf_segment(0), xmp_segment(roomy))
    base = first.index(b"MPF\0") + 4
    data = jpeg_with(mpf_segment(len(first) - base), xmp_segment(roomy)) + encoded("JPEG")

    new = put(data, packet(bag("dc:subject", "a")))

    assert len(new) == len(data)
    assert index_target(new) == b"\xff\xd8\xff\xe0"
    assert new.index(b'<?xpacket end="w"?>') > new.index(b"      ")
    with pytest.raises(MetadataError) as caught:
        put(data, packet(bag("dc:subject", "a" * 4000)))
    assert caught.value.reason == "packet-size"


def test_survivors_see_an_index_that_no_longer_points_at_its_picture():
    data = two_pictures()
    at = data.index(b"MPF\0")
    end_of_index = data.index(b"\xff\xdb", at)
    moved = data[:end_of_index] + xmp_segment(b"<x/>") + data[end_of_index:]

    assert jpeg.survivors(moved) != jpeg.survivors(data)


@pytest.mark.parametrize("payload", [b"MPF\0", b"MPF\0XX", b"MPF\0II*\0\xff\xff\xff\xff"])
def test_a_broken_index_is_left_alone(payload):
    data = jpeg_with(app_segment(0xE2, payload))

    assert jpeg.survivors(put(data, b"<x/>")) == jpeg.survivors(data)


SEGMENTS = st.lists(
    st.tuples(
        st.sampled_from([0xE0, 0xE1, 0xE2, 0xE5, 0xED, 0xEB, 0xFE]),
        st.sampled_from([b"", b"Exif\0\0", b"JFIF\0", b"MPF\0II*\0"]),
        st.binary(max_size=30),
    ),
    max_size=6,
)


@given(segments=SEGMENTS, raw=st.binary(max_size=80), trailer=st.binary(max_size=20))
def test_any_jpeg_keeps_every_other_byte_and_can_be_restored(segments, raw, trailer):
    made = b"".join(app_segment(marker, head + body) for marker, head, body in segments)
    data = b"\xff\xd8" + made + b"\xff\xda\0\2picture\xff\xd9" + trailer

    splices = jpeg.put_packet(data, raw)
    new = apply_splices(data, splices)

    assert jpeg.read_embedded(new).packets == (raw,)
    assert jpeg.survivors(new) == jpeg.survivors(data)
    assert apply_splices(new, invert_splices(data, splices)) == data


@given(st.binary(max_size=100).map(lambda data: b"\xff\xd8" + data) | damaged("JPEG"))
def test_any_bytes_are_read_or_refused(data):
    check_container(jpeg, data)
