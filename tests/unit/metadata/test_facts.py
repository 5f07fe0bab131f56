import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imageworks.metadata.facts import Facts, combine_facts, exif_facts, packet_facts
from imageworks.metadata.packet import XmpPacket
from imageworks.models import MetadataTarget
from tests.unit.metadata.pictures import (
    bag,
    encoded,
    exif_bytes,
    jpeg_with,
    make_file,
    packet,
    request,
    writer,
    xmp_segment,
)
from tests.unit.metadata.test_iptc import block, photoshop_segment

NAMESPACES = " ".join(
    f'xmlns:{prefix}="{uri}"'
    for prefix, uri in {
        "photoshop": "http://ns.adobe.com/photoshop/1.0/",
        "exif": "http://ns.adobe.com/exif/1.0/",
        "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
        "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
        "MP": "http://ns.microsoft.com/photo/1.2/",
        "MPRI": "http://ns.microsoft.com/photo/1.2/t/RegionInfo#",
        "MPReg": "http://ns.microsoft.com/photo/1.2/t/Region#",
    }.items()
)


def facts(body="", **attributes):
    written = " ".join(f'{name.replace("_", ":")}="{text}"' for name, text in attributes.items())
    return packet_facts(XmpPacket.parse(packet(body, attributes=written, namespaces=NAMESPACES)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("5", 5), ("0", 0), ("-1", -1), ("3.0", 3)),
        *((text, None) for text in ("6", "-2", "five", "nan", "inf", "1e400", "")),
    ],
)
def test_ratings_in_their_range_are_read(text, expected):
    assert facts(xmp_Rating=text).rating == expected


def test_the_label_is_read():
    assert facts(xmp_Label="Red").label == "Red"


REGIONS = (
    '<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:RegionList><rdf:Bag>'
    '<rdf:li rdf:parseType="Resource"><mwg-rs:Name>Ann</mwg-rs:Name>'
    "<mwg-rs:Type>Face</mwg-rs:Type></rdf:li>"
    '<rdf:li><rdf:Description mwg-rs:Name="Bob" mwg-rs:Type="Face">'
    '<mwg-rs:Area rdf:parseType="Resource"/></rdf:Description></rdf:li>'
    '<rdf:li rdf:parseType="Resource"><mwg-rs:Name>Rex</mwg-rs:Name>'
    "<mwg-rs:Type>Pet</mwg-rs:Type></rdf:li>"
    "</rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"
)
MICROSOFT = (
    '<MP:RegionInfo rdf:parseType="Resource"><MPRI:Regions><rdf:Bag>'
    '<rdf:li MPReg:PersonDisplayName="Cleo" MPReg:Rectangle="0,0,1,1"/>'
    '<rdf:li rdf:parseType="Resource">'
    "<MPReg:PersonDisplayName>Ann</MPReg:PersonDisplayName></rdf:li>"
    "</rdf:Bag></MPRI:Regions></MP:RegionInfo>"
)


def test_people_come_from_face_regions_and_persons_shown():
    found = facts(REGIONS + MICROSOFT + bag("Iptc4xmpExt:PersonInImage", "Dora", "Ann"))

    assert found.people == ("Ann", "Bob", "Cleo", "Dora")


@pytest.mark.parametrize(
    ("latitude", "longitude", "expected"),
    [
        ("48,51.5N", "2,17,30E", (48.8583333, 2.2916667)),
        ("48,51.5S", "2,17,30W", (-48.8583333, -2.2916667)),
        ("48,51.5N", "", None),
        ("48,51.5E", "2,17.5E", None),
        ("99,0N", "2,0E", None),
        ("48.5", "2.5", None),
    ],
)
def test_coordinates_are_read(latitude, longitude, expected):
    assert facts(exif_GPSLatitude=latitude, exif_GPSLongitude=longitude).gps == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-01T10:20:30.5+02:00", "2026-05-01T10:20:30.5+02:00"),
        ("2026-05", "2026-05"),
        ("first of May", ""),
    ],
)
def test_the_moment_of_capture_is_read(text, expected):
    assert facts(photoshop_DateCreated=text).taken_at == expected


def test_one_bad_field_hides_no_other():
    twice = "<xmp:Label>a</xmp:Label><xmp:Label>b</xmp:Label>"
    found = facts(
        f"<exif:GPSLatitude>{bag('dc:x', 'a')}</exif:GPSLatitude>" + twice, xmp_Rating="4"
    )

    assert found == Facts(rating=4)


@pytest.mark.parametrize(
    ("exif", "expected"),
    [
        (
            {
                "Exif.GPSInfo.GPSLatitude": "48/1 51/1 2961/100",
                "Exif.GPSInfo.GPSLatitudeRef": "S",
                "Exif.GPSInfo.GPSLongitude": "2/1 30/1 0/0",
                "Exif.GPSInfo.GPSLongitudeRef": "W",
            },
            Facts(gps=(-48.858225, -2.5)),
        ),
        ({"Exif.GPSInfo.GPSLatitude": "48/1", "Exif.GPSInfo.GPSLongitude": "1/0"}, Facts()),
        ({"Exif.GPSInfo.GPSLatitude": "x", "Exif.GPSInfo.GPSLongitude": "1/1"}, Facts()),
        (
            {
                "Exif.Photo.DateTimeOriginal": "2026:05:01 10:20:30",
                "Exif.Photo.SubSecTimeOriginal": "25",
                "Exif.Photo.OffsetTimeOriginal": "+02:00",
            },
            Facts(taken_at="2026-05-01T10:20:30.25+02:00"),
        ),
        ({"Exif.Photo.DateTimeOriginal": "0000:00:00 00:00:00"}, Facts()),
        ({"Exif.Photo.DateTimeOriginal": "    :  :     :  :  "}, Facts()),
        ({"Exif.Image.Rating": "3"}, Facts(rating=3)),
    ],
)
def test_exif_values_are_read(exif, expected):
    assert exif_facts(exif) == expected


RATIONALS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 100)), max_size=4).map(
    lambda pairs: " ".join(f"{above}/{below}" for above, below in pairs)
)


@given(
    st.dictionaries(
        st.sampled_from(["GPSLatitude", "GPSLongitude"]), st.text(max_size=20) | RATIONALS
    ),
    st.sampled_from(["", "N", "South"]),
)
def test_any_exif_coordinates_are_read_or_absent(texts, half):
    exif = {f"Exif.GPSInfo.{name}": text for name, text in texts.items()}
    gps = exif_facts({**exif, "Exif.GPSInfo.GPSLatitudeRef": half}).gps

    assert gps is None or (-90 <= gps[0] <= 90 and -180 <= gps[1] <= 180)
    assert gps is None or len(texts) == 2


def test_the_first_view_that_knows_a_fact_tells_it():
    first = Facts(rating=0, people=("Ann",), gps=(0.0, 0.0))
    second = Facts(rating=5, label="Red", people=("Ann", "Bob"), taken_at="2026", gps=(1.0, 1.0))

    assert combine_facts(first, second) == Facts(0, "Red", ("Ann", "Bob"), "2026", (0.0, 0.0))


def test_a_photograph_tells_its_facts(tmp_path):
    gps = Image.Exif()
    gps[0x8825] = {1: "N", 2: (48.0, 30.0, 0.0), 3: "W", 4: (2.0, 15.0, 0.0)}
    raw = packet(REGIONS, attributes='xmp:Rating="4" xmp:Label="Red"', namespaces=NAMESPACES)
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(xmp_segment(raw), exif=gps.tobytes()))

    found = writer().read(path)

    assert (found.rating, found.label, found.people) == (4, "Red", ("Ann", "Bob"))
    assert found.gps == (48.5, -2.25)
    assert not found.has_credentials


def test_the_cameras_own_date_comes_first_and_the_older_block_last(tmp_path):
    dated = packet(attributes='photoshop:DateCreated="2020-01-01"', namespaces=NAMESPACES)
    older = photoshop_segment(block((2, 55, b"20190101"), (2, 60, b"101010+0000")))
    expected = {
        "exif.jpg": (
            jpeg_with(xmp_segment(dated), older, exif=exif_bytes()),
            "2026-05-01T10:20:30",
        ),
        "xmp.jpg": (jpeg_with(xmp_segment(dated), older), "2020-01-01"),
        "iptc.jpg": (jpeg_with(older), "2019-01-01T10:10:10+00:00"),
        "none.jpg": (encoded("JPEG"), ""),
    }
    for name, (data, moment) in expected.items():
        path = tmp_path / name
        path.write_bytes(data)
        assert writer().read(path).taken_at == moment


def test_facts_come_from_a_sidecar_too(tmp_path):
    path = make_file(tmp_path, "IMG.png")
    (tmp_path / "IMG.xmp").write_bytes(packet(attributes='xmp:Rating="2"'))

    assert writer().read(path).rating == 2


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<dc:subject>one, two; three</dc:subject>", ("one, two; three",)),
        (bag("dc:subject", "a, b", "c", kind="Seq"), ("a, b", "c")),
        (bag("dc:subject", "a", "b", kind="Alt"), ("a", "b")),
        (bag("dc:subject", "", "a", " "), ("a",)),
        ("<dc:subject/>", ()),
    ],
)
def test_keywords_are_read_item_by_item_whatever_their_form(tmp_path, body, expected):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(xmp_segment(packet(body))))

    assert writer().read(path).keywords == expected


@pytest.mark.parametrize("codec", ["utf-16-be", "utf-16-le"])
def test_a_packet_in_utf16_is_read_and_never_written(tmp_path, codec):
    path = tmp_path / "a.jpg"
    raw = packet(bag("dc:subject", "Vögel"), attributes='xmp:Rating="4"').decode().encode(codec)
    path.write_bytes(jpeg_with(xmp_segment(raw)))
    before = path.read_bytes()

    outcome = writer().write(request(path))

    assert outcome.before.rating == 4
    assert outcome.target is MetadataTarget.SIDECAR
    assert path.read_bytes() == before
    assert writer().read(path).keywords == ("Vögel", "heron", "river")


def test_a_field_in_an_unknown_form_hides_no_other(tmp_path):
    body = "<dc:title><dc:x>a</dc:x></dc:title>" + bag("dc:subject", "a")
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(xmp_segment(packet(body))))

    found = writer().read(path)

    assert (found.title, found.keywords) == ("", ("a",))
