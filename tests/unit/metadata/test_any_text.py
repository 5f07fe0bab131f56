"""Whatever XMP allows: what stands in a file stays, what is asked for is written or refused."""

import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imageworks.errors import MetadataError
from imageworks.metadata.containers import require_container
from imageworks.models import ImageFormat
from imageworks.text import clean_text, fold
from tests.unit.metadata.pictures import (
    alternative,
    bag,
    jpeg_with,
    packet,
    request,
    writer,
    xmp_segment,
)

DC = "{http://purl.org/dc/elements/1.1/}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
# XML 1.0, 2.2: what a document may hold, surrogates and two non-characters left out.
ALLOWED = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff").filter(
        lambda c: c >= " " or c in "\t\n\r"
    ),
    max_size=25,
)
NOT_IN_A_NEW_KEYWORD = set(",;|/<>")


def as_xml(text):
    return escape(text, {"\r": "&#13;"})


def raw_items(path, name):
    """The list items of one property by the standard library alone."""
    (raw,) = require_container(ImageFormat.JPEG).read_embedded(path.read_bytes()).packets
    root = ET.fromstring(raw.decode("utf-8").strip("\0 \r\n\ufeff"))  # noqa: S314  # written here
    return [item.text or "" for item in root.findall(f".//{DC}{name}//{RDF}li")]


@given(st.lists(ALLOWED, min_size=1, max_size=5), ALLOWED)
@example(["Smith, John", "smith, john", "a|b", "e\u0301", "<b>"], "old")
@example(["two  spaces", " padded ", "tab\there", "\u200b", "line\nend"], "\u202eold")
@example(["\x7f", "del\x7fete"], "del\x7fete")
@settings(max_examples=120, deadline=None)
def test_every_keyword_and_title_of_a_file_stays_in_it(keywords, title):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "IMG.jpg")
        body = bag("dc:subject", *map(as_xml, keywords))
        body += alternative("dc:title", x_default=as_xml(title))
        path.write_bytes(jpeg_with(xmp_segment(packet(body))))
        stood = raw_items(path, "subject")

        outcome = writer(backup_originals=False).write(request(path, keywords=("heron",)))

        assert outcome.is_changed
        kept = raw_items(path, "subject")
        first_spelled = {fold(text): text for text in reversed(stood) if fold(text)}
        assert set(first_spelled.values()) <= set(kept)
        assert "heron" in map(fold, kept)
        found = writer().read(path)
        assert {fold(text) for text in stood} - {""} <= set(map(fold, found.keywords))
        if clean_text(title):
            assert raw_items(path, "title") == [title]


@given(ALLOWED, st.lists(ALLOWED, max_size=3, unique_by=fold), ALLOWED)
@example("e\u0301", [], "")
@example("", ["a,b"], "")
@example("", [], "one\n\n\n\ntwo")
@example("ok", ["ﬁne", "日本"], "one\ntwo")
@settings(max_examples=120, deadline=None)
def test_text_is_written_as_it_was_asked_for_or_refused_with_the_file_as_it_was(
    caption, keywords, description
):
    is_clean = (
        clean_text(caption) == caption
        and clean_text(description, keep_newlines=True) == description
        and all(
            fold(k) and clean_text(k) == k and not NOT_IN_A_NEW_KEYWORD & set(k) for k in keywords
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "IMG.jpg")
        path.write_bytes(jpeg_with())
        before = path.read_bytes()
        asked = request(path, caption, tuple(keywords), description)

        if is_clean:
            writer(backup_originals=False).write(asked)
            found = writer().read(path)
            assert (found.title, found.keywords, found.description) == (
                caption,
                tuple(keywords),
                description,
            )
            assert not writer().write(asked).is_changed
        else:
            with pytest.raises(MetadataError) as caught:
                writer(backup_originals=False).write(asked)
            assert caught.value.reason == "unsafe-text"
            assert path.read_bytes() == before
        assert [p.name for p in Path(folder).iterdir()] == ["IMG.jpg"]
