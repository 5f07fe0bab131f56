import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import MetadataError
from imageworks.metadata.xmltree import parse_xml, serialise_xml

RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'


@pytest.mark.parametrize(
    "text",
    [
        f"<rdf:RDF {RDF}/>",
        f'<?xml version="1.0"?>\n<!-- before -->\n<rdf:RDF {RDF}/>\n<!-- after -->\n',
        f"<rdf:RDF {RDF}>a &lt;b&gt; &amp; <!-- in --><?pi data?>c</rdf:RDF>",
        f'<rdf:RDF {RDF} rdf:about="a &quot;b&quot;&#10;c&#9;d"/>',
        f'<rdf:RDF {RDF}><my:a xmlns:my="urn:m"><my:b/></my:a></rdf:RDF>',
        f'<rdf:RDF {RDF} xml:lang="de" plain="1">\n tail</rdf:RDF>',
        '<old:RDF xmlns:old="http://purl.org/dc/elements/1.1/"/>',
    ],
)
def test_an_unchanged_document_comes_out_byte_for_byte(text):
    data = text.encode()

    assert serialise_xml(parse_xml(data)) == data


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<a><b></a>", "malformed-xmp"),
        ("", "malformed-xmp"),
        ("<a/><b/>", "malformed-xmp"),
        ('<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>', "xmp-dtd"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "xmp-dtd"),
        ("<a>&undefined;</a>", "malformed-xmp"),
        ('<a xmlns="urn:default"/>', "xmp-prefix"),
        ('<a xmlns:p="urn:1"><b xmlns:p="urn:2"/></a>', "xmp-prefix"),
        ('<a xmlns:dc="urn:not-dc"/>', "xmp-prefix"),
        ('<a xmlns:xmp="a"/>', "xmp-prefix"),
        ('<?xml version="1.0" encoding="iso-8859-1"?><a/>', "xmp-encoding"),
        ("<a>" * 101 + "</a>" * 101, "malformed-xmp"),
    ],
)
def test_what_is_not_safe_to_edit_is_refused_with_its_reason(text, reason):
    with pytest.raises(MetadataError) as caught:
        parse_xml(text.encode())

    assert caught.value.reason == reason


def test_bytes_that_are_not_utf8_are_refused():
    with pytest.raises(MetadataError) as caught:
        parse_xml("<a>é</a>".encode("latin-1"))

    assert caught.value.reason == "xmp-encoding"


def test_a_document_of_33_mb_is_refused():
    with pytest.raises(MetadataError) as caught:
        parse_xml(b"<a>" + b" " * (33 * 1024 * 1024) + b"</a>")

    assert caught.value.reason == "xmp-too-large"


def test_a_missing_final_slash_is_a_usual_variant():
    document = parse_xml(b'<a xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0"/>')
    with pytest.raises(MetadataError):
        parse_xml(b'<a xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/2.0"/>')

    assert document.root.tag == "a"


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40)


@given(text=TEXT, value=TEXT)
def test_any_text_survives_a_round_through_the_tree(text, value):
    document = parse_xml(b'<a key=""/>')
    document.root.text = text
    document.root.set("key", value + "\n\t\r")

    again = parse_xml(serialise_xml(document)).root

    assert (again.text or "") == text.replace("\ufffe", "")
    assert again.get("key") == value + "\n\t\r"


@given(st.binary(max_size=200))
def test_any_bytes_either_parse_or_are_refused(data):
    try:
        document = parse_xml(data)
    except MetadataError:
        return
    assert parse_xml(serialise_xml(document)) is not None
