from datetime import datetime

import pytest
from PIL import Image

from imageworks.errors import ConfigError, MetadataError
from imageworks.metadata.splice import undo_splice, unpack_undo
from imageworks.metadata.writer import DryRunMetadataWriter, PersonalMetadataWriter
from imageworks.models import Keyword, MetadataTarget
from tests.unit.metadata.pictures import (
    EXTENDED_HEADER,
    NOW,
    alternative,
    app_segment,
    bag,
    config,
    exiftool,
    iptc_segment,
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

EMBEDDABLE = ["a.jpg", "a.png", "a.webp", "a.tif"]
PHOTOSHOP = 'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
IPTC = 'xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"'


def pixels(path):
    with Image.open(path) as image:
        return image.convert("RGB").tobytes()


@pytest.mark.parametrize("name", EMBEDDABLE)
def test_accepted_fields_get_into_the_file_and_read_back(tmp_path, name):
    path = rich(tmp_path, name)
    before = pixels(path)

    outcome = writer().write(request(path))

    assert (outcome.target, outcome.is_changed) == (MetadataTarget.FILE, True)
    assert outcome.target_path == path
    found = writer().read(path)
    assert (found.title, found.description) == ("A heron", "It waits.")
    assert found.keywords == ("heron", "river")
    assert found.hierarchical_keywords == ("heron", "river")
    assert (found.identity, found.source) == (outcome.identity_after, "file")
    assert pixels(path) == before


@pytest.mark.parametrize("name", EMBEDDABLE)
def test_exiftool_reads_what_was_written_and_loses_nothing(tmp_path, name):
    path = rich(tmp_path, name)
    before = exiftool(path)

    writer().write(request(path, "Ein Reiher", ("Vögel", "river"), "Two\nlines 🦊 <&>"))

    after = exiftool(path)
    assert after["XMP-dc:Title"] == "Ein Reiher"
    assert after["XMP-dc:Description"] == "Two\nlines 🦊 <&>"
    assert after["XMP-dc:Subject"] == ["Vögel", "river"]
    assert after["XMP-lr:HierarchicalSubject"] == ["Vögel", "river"]
    assert after["XMP-xmp:MetadataDate"] == "2026:11:22 12:30:00+00:00"
    kept = ("IFD0:", "ExifIFD:", "ICC", "PNG:")
    assert {k: v for k, v in after.items() if k.startswith(kept)} == {
        k: v for k, v in before.items() if k.startswith(kept)
    }


@pytest.mark.parametrize("name", EMBEDDABLE)
def test_the_same_accept_twice_touches_the_file_once(tmp_path, name):
    path = rich(tmp_path, name)
    writer().write(request(path))
    status = path.stat()

    again = writer().write(request(path))

    assert not again.is_changed
    assert (again.target, again.target_path, again.undo) == (MetadataTarget.NONE, None, b"")
    assert path.stat() == status


@pytest.mark.parametrize("name", EMBEDDABLE)
def test_the_undo_restores_every_byte(tmp_path, name):
    path = rich(tmp_path, name)
    original = path.read_bytes()
    first = writer().write(request(path))
    second = writer().write(request(path, keywords=("other",)))

    for outcome in (second, first):
        (undo,) = unpack_undo(outcome.undo)
        assert undo.identity_before == outcome.identity_before
        path.write_bytes(undo_splice(path.read_bytes(), undo))

    assert path.read_bytes() == original


@pytest.mark.parametrize("name", EMBEDDABLE)
def test_the_content_id_stays(tmp_path, name):
    path = rich(tmp_path, name)
    before = picture_id(path)

    writer().write(request(path, expected_content_id=before))

    assert picture_id(path) == before


def test_another_picture_than_the_reviewed_one_is_not_written(tmp_path):
    path = rich(tmp_path, "a.jpg")
    before = path.read_bytes()

    reason = reason_of(lambda: writer().write(request(path, expected_content_id="0" * 32)))

    assert reason == "picture-changed"
    assert path.read_bytes() == before


def test_the_first_original_stays_beside_the_file(tmp_path):
    path = rich(tmp_path, "a.jpg")
    original = path.read_bytes()

    writer().write(request(path))
    writer().write(request(path, keywords=("more",)))

    assert (tmp_path / "a.jpg_original").read_bytes() == original


def test_no_backup_where_none_is_wanted(tmp_path):
    path = rich(tmp_path, "a.jpg")

    writer(backup_originals=False).write(request(path))

    assert [p.name for p in tmp_path.iterdir()] == ["a.jpg"]


def test_what_the_file_already_said_is_kept(tmp_path):
    raw = packet(
        alternative("dc:title", x_default="My title", de="Mein Titel")
        + bag("dc:subject", "River", "Smith, John", kind="Seq")
        + bag("lr:hierarchicalSubject", "animal|bird|Heron"),
        attributes='xmp:Rating="5" xmp:Label="Red"',
    )
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(xmp_segment(raw)))

    outcome = writer().write(request(path))

    assert outcome.before.title == "My title"
    assert outcome.before.keywords == ("River", "Smith, John")
    found = writer().read(path)
    assert (found.title, found.description) == ("My title", "It waits.")
    assert found.keywords == ("River", "Smith, John", "heron")
    assert found.hierarchical_keywords == ("animal|bird|Heron", "River", "Smith, John")
    new = path.read_bytes()
    assert b'xmp:Rating="5" xmp:Label="Red"' in new
    assert b"Mein Titel" in new


def test_what_a_person_edited_replaces_the_default_language_only(tmp_path):
    path = tmp_path / "a.jpg"
    raw = packet(alternative("dc:title", x_default="Old", de="Alt"))
    path.write_bytes(jpeg_with(xmp_segment(raw)))

    writer().write(request(path, "New", is_caption_edited=True))

    assert writer().read(path).title == "New"
    assert b'<rdf:li xml:lang="de">Alt</rdf:li>' in path.read_bytes()


def test_a_person_can_clear_a_field_and_take_keywords_out(tmp_path):
    path = tmp_path / "a.jpg"
    raw = packet(
        alternative("dc:title", x_default="Old")
        + bag("dc:subject", "keep", "Wrong")
        + bag("lr:hierarchicalSubject", "a|wrong", "b|keep")
    )
    path.write_bytes(jpeg_with(xmp_segment(raw)))

    writer().write(request(path, "", (), "", is_caption_edited=True, removed_keywords=("wrong",)))

    found = writer().read(path)
    assert (found.title, found.keywords) == ("", ("keep",))
    assert found.hierarchical_keywords == ("b|keep",)


def test_empty_accepted_text_clears_nothing(tmp_path):
    path = tmp_path / "a.jpg"
    raw = packet(alternative("dc:title", x_default="Old") + bag("dc:subject", "a"))
    path.write_bytes(jpeg_with(xmp_segment(raw)))

    outcome = writer(overwrite_metadata=True).write(request(path, "", (), ""))

    assert not outcome.is_changed


def test_overwrite_replaces_title_and_keywords(tmp_path):
    path = tmp_path / "a.jpg"
    raw = packet(
        alternative("dc:title", x_default="Old")
        + bag("dc:subject", "a", "b")
        + bag("lr:hierarchicalSubject", "x|a", "x|b")
    )
    path.write_bytes(jpeg_with(xmp_segment(raw)))

    writer(overwrite_metadata=True).write(request(path, "New", ("b", "c")))

    found = writer().read(path)
    assert (found.title, found.keywords) == ("New", ("b", "c"))
    assert found.hierarchical_keywords == ("x|b", "c")


def test_a_path_gets_into_the_hierarchies(tmp_path):
    path = rich(tmp_path, "a.jpg")
    heron = Keyword("heron", path=("animal", "bird", "heron"))

    writer(digikam_tags=True).write(request(path, keywords=(heron, "river")))

    assert writer().read(path).hierarchical_keywords == ("animal|bird|heron", "river")
    data = path.read_bytes()
    assert b"<rdf:li>animal/bird/heron</rdf:li>" in data
    assert data.count(b"<rdf:Bag>") == 2
    assert data.count(b"<rdf:Seq>") == 1


def test_no_hierarchy_where_none_is_wanted(tmp_path):
    path = rich(tmp_path, "a.jpg")

    writer(hierarchy=False).write(request(path))

    assert b"hierarchicalSubject" not in path.read_bytes()


def test_the_lightroom_mapping_writes_its_fields(tmp_path):
    path = rich(tmp_path, "a.jpg")

    writer(fields="lightroom").write(request(path, "Caption", (), "Long description"))

    found = writer().read(path)
    assert (found.title, found.description, found.alt_text) == ("", "Caption", "Caption")
    assert found.extended_description == "Long description"
    assert exiftool(path)["XMP-iptcCore:AltTextAccessibility"] == "Caption"


def test_the_users_own_table_writes_a_simple_text(tmp_path):
    path = tmp_path / "a.jpg"
    raw = packet(namespaces=PHOTOSHOP, attributes='photoshop:Headline="Old"')
    path.write_bytes(jpeg_with(xmp_segment(raw)))

    writer(fields={"caption": "photoshop:Headline"}).write(
        request(path, "New", is_caption_edited=True)
    )

    assert exiftool(path)["XMP-photoshop:Headline"] == "New"
    assert writer().read(path).title == ""


def test_an_impossible_mapping_stops_before_any_work():
    with pytest.raises(ConfigError):
        writer(fields={"caption": "dc:subject"})


def test_nothing_marks_the_photograph_as_made_by_a_machine(tmp_path):
    path = rich(tmp_path, "a.jpg")

    writer(fields="lightroom", digikam_tags=True).write(request(path))

    data = path.read_bytes()
    for word in (b"DigitalSourceType", b"trainedAlgorithmicMedia", b"AISystem"):
        assert word not in data


DTD = b'<!DOCTYPE a [<!ENTITY e "x">]>' + packet().split(b"?>", 1)[1]
OBSTACLES = {
    "credentials": app_segment(0xEB, b"JP\0\1\0\0\0\1\0\0\0\x20jumb\0\0\0\x18jumdc2pa"),
    "two-packets": xmp_segment(packet()) * 2,
    "xmp-dtd": xmp_segment(DTD),
    "malformed-xmp": xmp_segment(b"<x:xmpmeta>"),
    "xmp-prefix": xmp_segment(packet().replace(b"http://ns.adobe.com/xap/1.0/", b"a")),
    "unusual-xmp": xmp_segment(packet(bag("dc:subject", "a") * 2)),
    "xmp-encoding": xmp_segment(packet().replace(b"\xef\xbb\xbf", b"\xff")),
}


@pytest.mark.parametrize("reason", OBSTACLES)
def test_what_cannot_be_proven_goes_beside_the_file_with_a_note(tmp_path, reason):
    path = tmp_path / "IMG.jpg"
    path.write_bytes(jpeg_with(OBSTACLES[reason]))
    before = path.read_bytes()

    refused = reason_of(lambda: writer(sidecar="never").write(request(path)))
    outcome = writer().write(request(path))

    assert refused == reason
    assert outcome.target is MetadataTarget.SIDECAR
    assert outcome.notes[0].startswith("Written beside the file: it")
    assert path.read_bytes() == before
    assert writer().read(path).keywords == ("heron", "river")


def test_a_packet_too_large_for_its_segment_goes_beside_the_file(tmp_path):
    path = rich(tmp_path, "IMG.jpg")

    outcome = writer().write(request(path, description="long " * 13_200 + "text"))

    assert outcome.target is MetadataTarget.SIDECAR
    assert "65,502" in outcome.notes[0]


def test_fields_in_extended_xmp_are_never_hidden_by_new_ones(tmp_path):
    def extended(raw):
        header = b"B" * 32 + len(raw).to_bytes(4, "big") + bytes(4)
        return app_segment(0xE1, EXTENDED_HEADER + header + raw)

    depth = packet("<xmp:Depth>AAAA</xmp:Depth>")
    main = xmp_segment(packet(attributes='xmp:Rating="1"'))
    harmless, hiding = tmp_path / "a.jpg", tmp_path / "b.jpg"
    harmless.write_bytes(jpeg_with(main, extended(depth)))
    hiding.write_bytes(jpeg_with(main, extended(packet(bag("dc:subject", "hidden")))))

    assert writer().write(request(harmless)).target is MetadataTarget.FILE
    assert extended(depth) in harmless.read_bytes()
    assert writer().write(request(hiding)).target is MetadataTarget.SIDECAR


def test_keywords_of_an_iptc_only_file_reach_review_and_xmp(tmp_path):
    block = iptc_segment(
        (2, 5, b"A title"),
        (2, 25, "Vögel".encode("latin-1")),
        (2, 25, b"river"),
        (2, 120, b"Caption\r\nline"),
    )
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(block))

    found = writer().read(path)
    outcome = writer(write_iptc="never").write(request(path))

    assert found.keywords == ("Vögel", "river")
    assert (found.title, found.description) == ("A title", "Caption\nline")
    assert outcome.notes == ("Its older IPTC keywords and texts were left as they are.",)
    assert block in path.read_bytes()
    tags = exiftool(path)
    assert tags["XMP-dc:Subject"] == ["Vögel", "river", "heron"]
    assert tags["XMP-dc:Title"] == "A title"


def test_utf8_in_iptc_is_read_as_declared(tmp_path):
    block = iptc_segment((1, 90, b"\x1b%G"), (2, 25, "Vögel".encode()))
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(block))

    assert writer().read(path).keywords == ("Vögel",)


@pytest.mark.parametrize(
    ("text", "has_note"),
    [("A mill", True), ("OLYMPUS DIGITAL CAMERA", False), ("It waits.", False), ("  ", False)],
)
def test_an_exif_description_that_others_show_first_is_told(tmp_path, text, has_note):
    exif = Image.Exif()
    exif[0x010E] = text
    path = make_file(tmp_path, "a.jpg", exif=exif.tobytes())

    outcome = writer().write(request(path, is_description_edited=True))

    assert any("Exif description" in note for note in outcome.notes) is has_note
    assert exiftool(path)["IFD0:ImageDescription"].strip() == text.strip()


@pytest.mark.parametrize(
    ("body", "namespaces", "expected"),
    [
        ("<photoshop:City>Porto</photoshop:City>", PHOTOSHOP, "Porto"),
        (
            "<photoshop:City>Porto</photoshop:City><photoshop:Country>Portugal</photoshop:Country>",
            PHOTOSHOP,
            "Porto, Portugal",
        ),
        (
            (
                "<Iptc4xmpExt:LocationShown><rdf:Bag><rdf:li "
                'Iptc4xmpExt:City="Goslar" Iptc4xmpExt:ProvinceState="Harz"/>'
                "</rdf:Bag></Iptc4xmpExt:LocationShown>"
            ),
            'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"',
            "Goslar, Harz",
        ),
    ],
)
def test_the_place_is_read(tmp_path, body, namespaces, expected):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_with(xmp_segment(packet(body, namespaces=namespaces))))

    assert writer().read(path).place == expected


def test_unsafe_text_is_refused_and_names_the_file(tmp_path):
    path = rich(tmp_path, "a.jpg")
    before = path.read_bytes()

    with pytest.raises(MetadataError) as caught:
        writer().write(request(path, keywords=("a|b",)))

    assert caught.value.reason == "unsafe-text"
    assert "a.jpg" in caught.value.message
    assert path.read_bytes() == before


@pytest.mark.parametrize("data", [b"no image at all", b"GIF89a" + bytes(40)])
def test_what_is_no_image_is_refused(tmp_path, data):
    path = tmp_path / "a.jpg"
    path.write_bytes(data)

    assert reason_of(lambda: writer().write(request(path))) == "not-an-image"
    assert reason_of(lambda: writer().read(path)) == "not-an-image"


def test_a_link_stays_a_link_to_the_written_file(tmp_path):
    (tmp_path / "real").mkdir()
    path = rich(tmp_path / "real", "a.jpg")
    link = tmp_path / "link.jpg"
    link.symlink_to(path)

    outcome = writer().write(request(link))

    assert link.is_symlink()
    assert outcome.target_path == path
    assert writer().read(link).keywords == ("heron", "river")


def test_hard_links_are_not_broken(tmp_path):
    path = rich(tmp_path, "a.jpg")
    (tmp_path / "twin.jpg").hardlink_to(path)

    outcome = writer().write(request(path))

    assert outcome.target is MetadataTarget.SIDECAR
    assert "hard links" in outcome.notes[0]
    assert path.samefile(tmp_path / "twin.jpg")


@pytest.mark.parametrize("name", [*EMBEDDABLE, "a.avif"])
def test_a_dry_run_tells_and_writes_nothing(tmp_path, name):
    path = unembeddable(tmp_path, name) if name == "a.avif" else rich(tmp_path, name)
    status = path.stat()
    dry = DryRunMetadataWriter(config(), clock=lambda: NOW)

    outcome = dry.write(request(path))

    expected = path if name != "a.avif" else tmp_path / "a.xmp"
    assert (outcome.is_changed, outcome.target_path) == (True, expected)
    assert (outcome.target, outcome.undo) == (MetadataTarget.NONE, b"")
    assert path.stat() == status
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert dry.read(path).keywords == ()


def test_the_date_of_a_change_has_a_zone(tmp_path):
    path = rich(tmp_path, "a.jpg")

    PersonalMetadataWriter(config()).write(request(path))

    written = path.read_bytes().split(b"<xmp:MetadataDate")[1].split(b">")[1].split(b"<")[0]
    assert datetime.fromisoformat(written.decode()).tzinfo is not None


def test_an_exif_description_that_says_the_same_in_utf8_needs_no_note(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "Zoë".encode()
    path = make_file(tmp_path, "a.jpg", exif=exif.tobytes())

    assert writer().write(request(path, description="Zoë")).notes == ()
