from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import MetadataError
from imageworks.metadata.packet import XmpPacket
from imageworks.text import clean_text
from tests.unit.metadata.pictures import alternative, bag, packet

SUBJECT = "dc:subject"
TITLE = "dc:title"
CRS = 'xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"'
DEVELOP = (
    '<crs:Look rdf:parseType="Resource"><crs:Name>Film</crs:Name></crs:Look>'
    "<crs:ToneCurve><rdf:Seq><rdf:li>0, 0</rdf:li><rdf:li/></rdf:Seq></crs:ToneCurve>"
    "<crs:MaskGroupBasedCorrections><rdf:Seq><rdf:li>"
    '<rdf:Description crs:What="Correction"><crs:CorrectionMasks><rdf:Seq>'
    '<rdf:li crs:What="Mask" crs:Dabs="d 0.1"/></rdf:Seq></crs:CorrectionMasks>'
    "</rdf:Description></rdf:li></rdf:Seq></crs:MaskGroupBasedCorrections>"
)


def parsed(body="", **more):
    return XmpPacket.parse(packet(body, **more))


def titles(xmp):
    """The title by language, as ElementTree reads it."""
    root = ET.fromstring(xmp.serialise())  # noqa: S314  # made by this test
    found = root.find(".//{http://purl.org/dc/elements/1.1/}title/")
    assert found is not None
    language = "{http://www.w3.org/XML/1998/namespace}lang"
    return {item.get(language): item.text for item in found}


def reparsed(xmp):
    return XmpPacket.parse(xmp.serialise())


def test_an_untouched_packet_keeps_every_byte():
    raw = packet(DEVELOP + bag(SUBJECT, "a"), namespaces=CRS, attributes='xmp:Rating="4"')

    assert XmpPacket.parse(raw).serialise() == raw


def test_padding_and_trailing_nul_are_dropped():
    raw = packet(tail=" " * 2000 + '\n<?xpacket end="w"?>') + b"\0\0"

    out = XmpPacket.parse(raw).serialise()

    assert out.endswith(b'</x:xmpmeta>\n<?xpacket end="w"?>')


def test_new_keywords_make_a_bag_and_leave_develop_settings_alone():
    xmp = parsed(DEVELOP, namespaces=CRS, attributes='xmp:Rating="4" crs:Exposure2012="+0.5"')
    before = xmp.foreign([SUBJECT])

    xmp.set_items(SUBJECT, ["heron", "river"])

    again = reparsed(xmp)
    assert again.items(SUBJECT) == ("heron", "river")
    assert again.foreign([SUBJECT]) == before
    assert b"<rdf:Bag>" in xmp.serialise()


def test_a_seq_of_keywords_becomes_a_bag_when_it_changes():
    xmp = parsed(bag(SUBJECT, "a", kind="Seq"))

    xmp.set_items(SUBJECT, ["a", "b"])

    assert b"rdf:Seq" not in xmp.serialise()
    assert reparsed(xmp).items(SUBJECT) == ("a", "b")


def test_a_seq_that_already_says_it_is_left_as_it_is():
    raw = packet(bag(SUBJECT, "a", kind="Seq"))
    xmp = XmpPacket.parse(raw)

    xmp.set_items(SUBJECT, ["a"])

    assert xmp.serialise() == raw


def test_kept_keywords_keep_their_qualifiers():
    qualified = (
        "<dc:subject><rdf:Bag>"
        '<rdf:li xml:lang="en">dog</rdf:li>'
        '<rdf:li rdf:parseType="Resource"><rdf:value>cat</rdf:value><xmp:Note>n</xmp:Note></rdf:li>'
        "</rdf:Bag></dc:subject>"
    )
    xmp = parsed(qualified)

    xmp.set_items(SUBJECT, ["cat", "dog", "owl"])

    out = xmp.serialise()
    assert reparsed(xmp).items(SUBJECT) == ("cat", "dog", "owl")
    assert b'<rdf:li xml:lang="en">dog</rdf:li>' in out
    assert b"<xmp:Note>n</xmp:Note>" in out


def test_a_keyword_in_an_attribute_becomes_a_list():
    xmp = parsed(attributes='dc:subject="dog"')
    assert xmp.items(SUBJECT) == ("dog",)

    xmp.set_items(SUBJECT, ["dog", "cat"])

    assert reparsed(xmp).items(SUBJECT) == ("dog", "cat")


def test_an_empty_list_removes_the_property():
    xmp = parsed(bag(SUBJECT, "a"), attributes='xmp:Rating="1"')

    xmp.set_items(SUBJECT, [])

    assert b"subject" not in xmp.serialise()
    assert xmp.text("xmp:Rating") == "1"


def test_the_default_language_is_replaced_and_the_others_stay():
    xmp = parsed(alternative(TITLE, x_default="Reiher", de_DE="Reiher", fr="Héron"))

    xmp.set_default_language(TITLE, "Heron")

    again = reparsed(xmp)
    assert again.text(TITLE) == "Heron"
    assert titles(again) == {"x-default": "Heron", "de-DE": "Reiher", "fr": "Héron"}


def test_a_title_in_another_language_only_gets_a_default_beside_it():
    xmp = parsed(alternative(TITLE, de_DE="Reiher"))
    assert xmp.text(TITLE) == "Reiher"

    xmp.set_default_language(TITLE, "Heron")

    assert titles(reparsed(xmp)) == {"x-default": "Heron", "de-DE": "Reiher"}


@pytest.mark.parametrize(
    "body",
    [
        "<dc:title>Old</dc:title>",
        "<dc:title><rdf:Alt><rdf:li>Old</rdf:li></rdf:Alt></dc:title>",
        "<dc:title><rdf:Bag><rdf:li>Old</rdf:li></rdf:Bag></dc:title>",
        "",
    ],
)
def test_a_title_in_a_loose_form_becomes_a_language_alternative(body):
    xmp = parsed(body)

    xmp.set_default_language(TITLE, "New")

    assert titles(reparsed(xmp)) == {"x-default": "New"}
    assert b"<rdf:Alt>" in xmp.serialise()


def test_a_cleared_title_is_gone_in_every_language():
    xmp = parsed(alternative(TITLE, x_default="a", de="b"))

    xmp.set_default_language(TITLE, "")

    assert reparsed(xmp).text(TITLE) == ""


@pytest.mark.parametrize("form", ["attribute", "element", "absent"])
def test_a_simple_text_is_set_where_it_stands(form):
    name = "xmp:MetadataDate"
    xmp = parsed(
        f"<{name}>old</{name}>" if form == "element" else "",
        attributes=f'{name}="old"' if form == "attribute" else "",
    )

    xmp.set_text(name, "new")

    assert reparsed(xmp).text(name) == "new"
    assert b"old" not in xmp.serialise()


@pytest.mark.parametrize(
    "body",
    [
        bag(SUBJECT, "a") + bag(SUBJECT, "b"),
        '<dc:subject rdf:parseType="Resource"><xmp:a>1</xmp:a></dc:subject>',
        "<dc:subject><rdf:Bag><rdf:li><xmp:a/></rdf:li></rdf:Bag></dc:subject>",
        "<dc:subject><rdf:Bag><xmp:a/></rdf:Bag></dc:subject>",
        '<dc:subject rdf:resource="urn:x"/>',
    ],
)
def test_keywords_in_an_unusual_form_are_refused(body):
    xmp = parsed(body)

    with pytest.raises(MetadataError) as caught:
        xmp.set_items(SUBJECT, ["new"])

    assert caught.value.reason == "unusual-xmp"


@pytest.mark.parametrize(
    "body",
    [
        (
            '<dc:title><rdf:Alt><rdf:li xml:lang="x-default">a</rdf:li>'
            '<rdf:li xml:lang="X-Default">b</rdf:li></rdf:Alt></dc:title>'
        ),
        "<dc:title><rdf:Alt><rdf:li><rdf:value>a</rdf:value></rdf:li></rdf:Alt></dc:title>",
        "<dc:title><rdf:Description><rdf:value>a</rdf:value></rdf:Description></dc:title>",
    ],
)
def test_a_title_in_an_unusual_form_is_refused(body):
    with pytest.raises(MetadataError) as caught:
        parsed(body).set_default_language(TITLE, "new")

    assert caught.value.reason == "unusual-xmp"


def test_a_structure_is_not_overwritten_by_a_text():
    xmp = parsed('<dc:source rdf:parseType="Resource"><xmp:a>1</xmp:a></dc:source>')

    with pytest.raises(MetadataError):
        xmp.set_text("dc:source", "new")


@pytest.mark.parametrize(
    "raw",
    [
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"> <x:other/></x:xmpmeta>',
        packet()
        .replace(b'rdf:about=""', b'rdf:about="a"')
        .replace(b"</rdf:RDF>", b'<rdf:Description rdf:about="b"/></rdf:RDF>'),
        packet().replace(b"</rdf:RDF>", b"<rdf:Seq/></rdf:RDF>"),
    ],
)
def test_a_packet_about_something_else_is_refused(raw):
    with pytest.raises(MetadataError) as caught:
        XmpPacket.parse(raw)

    assert caught.value.reason == "unusual-xmp"


def test_a_packet_without_description_gets_one():
    xmp = XmpPacket.parse(
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF>'
    )

    xmp.set_items(SUBJECT, ["a"])

    assert reparsed(xmp).items(SUBJECT) == ("a",)


def test_an_empty_packet_is_filled():
    xmp = XmpPacket.parse(b'<x:xmpmeta xmlns:x="adobe:ns:meta/" />')

    xmp.set_items(SUBJECT, ["a"])

    assert reparsed(xmp).items(SUBJECT) == ("a",)


LIGHTROOM = b"""\xef\xbb\xbf<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:crs='http://ns.adobe.com/camera-raw-settings/1.0/'
   xmp:MetadataDate="2020-01-01T00:00:00+00:00"
   crs:Name = 'a "quoted" &gt; name'
   crs:Exposure2012="+0.50">
   <crs:Look>
    <rdf:Description
     crs:Name="x > y"/>
   </crs:Look>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""


def test_only_the_changed_lines_of_a_sidecar_differ():
    xmp = XmpPacket.parse(LIGHTROOM)

    xmp.set_items(SUBJECT, ["heron"])
    xmp.set_text("xmp:MetadataDate", "2026-11-22T12:30:00+00:00")

    before, after = LIGHTROOM.split(b"\n"), xmp.serialise().split(b"\n")
    assert [line for line in before if line not in after] == [
        b'   xmp:MetadataDate="2020-01-01T00:00:00+00:00"'
    ]
    assert [line for line in after if line not in before] == [
        b'   xmp:MetadataDate="2026-11-22T12:30:00+00:00"',
        b'   <dc:subject xmlns:dc="http://purl.org/dc/elements/1.1/">',
        b"    <rdf:Bag>",
        b"     <rdf:li>heron</rdf:li>",
        b"    </rdf:Bag>",
        b"   </dc:subject>",
    ]


def test_a_removed_attribute_leaves_the_others_as_written():
    xmp = XmpPacket.parse(LIGHTROOM)

    xmp.set_text("crs:Exposure2012", "")

    assert xmp.serialise() == LIGHTROOM.replace(b'\n   crs:Exposure2012="+0.50"', b"")


def test_a_property_joins_its_own_namespace():
    raw = packet().replace(
        b"</rdf:RDF>",
        b'<rdf:Description rdf:about=""><dc:rights xmlns:dc="http://purl.org/dc/elements/1.1/">'
        b"me</dc:rights></rdf:Description></rdf:RDF>",
    )
    xmp = XmpPacket.parse(raw)

    xmp.set_items(SUBJECT, ["a"])

    assert xmp.serialise().index(b"dc:rights") < xmp.serialise().index(b"dc:subject")


def test_an_unusual_prefix_of_a_standard_namespace_stays():
    raw = packet(bag("dc:subject", "a")).replace(b"dc:", b"pdf7:").replace(b":dc=", b":pdf7=")
    xmp = XmpPacket.parse(raw)

    xmp.set_items(SUBJECT, ["a", "b"])

    assert b"<pdf7:subject>" in xmp.serialise()
    assert b"dc:" not in xmp.serialise()


def test_foreign_compares_by_meaning_and_sees_every_change():
    base = parsed(DEVELOP, namespaces=CRS).foreign([])

    assert parsed(DEVELOP.replace("><", ">\n <"), namespaces=CRS).foreign([]) == base
    assert parsed(DEVELOP.replace("0.1", "0.2"), namespaces=CRS).foreign([]) != base
    assert parsed(DEVELOP.replace("<rdf:li/>", ""), namespaces=CRS).foreign([]) != base


def test_locations_are_read_as_structures():
    body = (
        "<Iptc4xmpExt:LocationShown><rdf:Bag><rdf:li><rdf:Description>"
        "<Iptc4xmpExt:City>Porto</Iptc4xmpExt:City></rdf:Description></rdf:li>"
        '<rdf:li Iptc4xmpExt:City="Lisboa"/></rdf:Bag></Iptc4xmpExt:LocationShown>'
    )
    namespaces = 'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    city = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}City"

    found = [
        s[city] for s in parsed(body, namespaces=namespaces).structs("Iptc4xmpExt:LocationShown")
    ]

    assert found == ["Porto", "Lisboa"]


KEYWORDS = st.lists(st.text(max_size=20).map(clean_text).filter(bool), max_size=8, unique=True)


@given(first=KEYWORDS, second=KEYWORDS, title=st.text(max_size=30).map(clean_text))
def test_any_clean_values_read_back_after_two_rounds(first, second, title):
    xmp = parsed(DEVELOP, namespaces=CRS)
    before = xmp.foreign([SUBJECT, TITLE])
    xmp.set_items(SUBJECT, first)
    again = reparsed(xmp)

    again.set_items(SUBJECT, second)
    again.set_default_language(TITLE, title)

    final = reparsed(again)
    assert final.items(SUBJECT) == tuple(second)
    assert final.text(TITLE) == title
    assert final.foreign([SUBJECT, TITLE]) == before
