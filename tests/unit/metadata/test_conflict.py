"""Three sides of a write: as reviewed, as it is now, as accepted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.config import PersonalTaggerConfig
from imageworks.errors import MetadataError
from imageworks.metadata import conflict
from imageworks.metadata.fields import field_mapping
from imageworks.metadata.values import FieldValues, desired_values
from imageworks.models import ExistingMetadata, Keyword, Origin
from imageworks.text import fold
from tests.unit.metadata.pictures import (
    alternative,
    bag,
    jpeg_with,
    packet,
    request,
    writer,
    xmp_segment,
)

PERSON, EXISTING = Origin.PERSON, Origin.EXISTING


def file_saying(folder, title="", description="", keywords=()):
    body = alternative("dc:title", x_default=title) if title else ""
    body += alternative("dc:description", x_default=description) if description else ""
    body += bag("dc:subject", *keywords) if keywords else ""
    path = folder / "a.jpg"
    path.write_bytes(jpeg_with(xmp_segment(packet(body))))
    return path


def test_a_text_changed_by_both_is_a_conflict_that_names_both(tmp_path):
    path = file_saying(tmp_path, "Theirs", "Long \x1b ago".replace("\x1b", "\u202e"))
    before = path.read_bytes()
    asked = request(
        path, "Mine", is_caption_edited=True, reviewed=ExistingMetadata(title="As reviewed")
    )

    with pytest.raises(MetadataError) as caught:
        writer().write(asked)

    assert caught.value.reason == "conflict"
    for word in ("a.jpg", "dc:title", "Theirs", "Mine"):
        assert word in caught.value.message
    assert "review" in caught.value.hint
    assert path.read_bytes() == before


def test_long_and_hostile_texts_are_shown_short_and_harmless(tmp_path):
    path = file_saying(tmp_path, description="evil\u202e " + "x" * 5000)
    asked = request(path, is_description_edited=True, reviewed=ExistingMetadata())

    with pytest.raises(MetadataError) as caught:
        writer().write(asked)

    assert len(caught.value.message) < 700
    assert "\u202e" not in caught.value.message


@pytest.mark.parametrize(
    ("now", "reviewed", "is_edited"),
    [
        ("Theirs", "Theirs", True),
        ("Mine", "As reviewed", True),
        (" Theirs ", "Theirs", True),
        ("Theirs", "As reviewed", False),
    ],
)
def test_no_conflict_where_only_one_side_changed(tmp_path, now, reviewed, is_edited):
    path = file_saying(tmp_path, now)

    writer().write(
        request(
            path, "Mine", is_caption_edited=is_edited, reviewed=ExistingMetadata(title=reviewed)
        )
    )

    assert writer().read(path).title == ("Mine" if is_edited else now)


def test_a_text_that_was_taken_out_meanwhile_is_a_conflict(tmp_path):
    path = file_saying(tmp_path, keywords=["a"])
    reviewed = ExistingMetadata(title="As reviewed")

    with pytest.raises(MetadataError) as caught:
        writer().write(request(path, "Mine", is_caption_edited=True, reviewed=reviewed))

    assert "nothing" in caught.value.message


def test_overwriting_knows_no_conflict(tmp_path):
    path = file_saying(tmp_path, "Theirs")
    reviewed = ExistingMetadata(title="As reviewed")

    writer(overwrite_metadata=True).write(
        request(path, "Mine", is_caption_edited=True, reviewed=reviewed)
    )

    assert writer().read(path).title == "Mine"


def test_a_property_that_review_does_not_know_is_no_conflict(tmp_path):
    path = tmp_path / "a.jpg"
    namespace = 'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
    raw = packet(attributes='photoshop:Headline="Theirs"', namespaces=namespace)
    path.write_bytes(jpeg_with(xmp_segment(raw)))
    asked = request(path, "Mine", is_caption_edited=True, reviewed=ExistingMetadata())

    outcome = writer(fields={"caption": "photoshop:Headline"}).write(asked)

    assert outcome.is_changed
    assert b"Mine" in path.read_bytes()
    assert b"Theirs" not in path.read_bytes()


def keywords_after(present, reviewed, accepted, removed=()):
    asked = request(
        "a.jpg",
        keywords=accepted,
        removed_keywords=removed,
        reviewed=None if reviewed is None else ExistingMetadata(keywords=tuple(reviewed)),
    )
    kept = conflict.wanted_keywords(FieldValues(keywords=tuple(present)), asked)
    return [keyword.text for keyword in kept]


def test_a_keyword_taken_out_by_another_program_does_not_come_back():
    accepted = (Keyword("old", origin=EXISTING), Keyword("new"))

    assert keywords_after(["stays"], ["old", "stays"], accepted) == ["new"]
    assert keywords_after(["stays"], None, accepted) == ["old", "new"]


def test_a_keyword_that_the_person_typed_stays_whatever_happened():
    assert keywords_after([], ["Old"], (Keyword("old", origin=PERSON),)) == ["old"]


def test_all_sides_of_the_keyword_list_meet_in_the_file(tmp_path):
    path = file_saying(tmp_path, keywords=["theirs", "kept", "dropped by me"])
    reviewed = ExistingMetadata(keywords=("kept", "dropped by me", "dropped by them"))
    accepted = (
        Keyword("kept", origin=EXISTING),
        Keyword("dropped by them", origin=EXISTING),
        Keyword("mine", origin=PERSON),
    )

    writer().write(
        request(path, keywords=accepted, removed_keywords=("dropped by me",), reviewed=reviewed)
    )

    assert writer().read(path).keywords == ("theirs", "kept", "mine")


WORDS = st.lists(st.sampled_from(["a", "A", "b", "c", "d", "Ä", "ä", "long word"]), max_size=6)
KEYWORDS = st.lists(
    st.builds(
        Keyword,
        text=st.sampled_from(["a", "b", "C", "d", "e", "ä"]),
        origin=st.sampled_from(list(Origin)),
    ),
    max_size=5,
    unique_by=lambda keyword: keyword.text,
)


def merged(present, request_):
    values = FieldValues(keywords=tuple(present))
    kept = conflict.wanted_keywords(values, request_)
    asked = request(
        "a.jpg",
        "",
        kept,
        "",
        removed_keywords=request_.removed_keywords,
        reviewed=request_.reviewed,
    )
    config = PersonalTaggerConfig()
    return desired_values(values, asked, field_mapping("imageworks"), config).keywords


@given(present=WORDS, reviewed=WORDS, accepted=KEYWORDS, removed=WORDS)
def test_no_keyword_that_a_person_wrote_is_lost(present, reviewed, accepted, removed):
    asked = request(
        "a.jpg",
        keywords=accepted,
        removed_keywords=tuple(removed),
        reviewed=ExistingMetadata(keywords=tuple(reviewed)),
    )

    found = merged(present, asked)

    gone = {fold(text) for text in removed}
    typed = {fold(keyword.text) for keyword in accepted if keyword.origin is PERSON}
    wanted = ({fold(text) for text in present} | typed) - gone
    assert wanted <= {fold(text) for text in found}
    assert not gone & {fold(text) for text in found}


@given(present=WORDS, reviewed=WORDS, accepted=KEYWORDS, removed=WORDS)
def test_merging_the_same_again_changes_nothing(present, reviewed, accepted, removed):
    asked = request(
        "a.jpg",
        keywords=accepted,
        removed_keywords=tuple(removed),
        reviewed=ExistingMetadata(keywords=tuple(reviewed)),
    )

    once = merged(present, asked)

    assert merged(once, asked) == once
