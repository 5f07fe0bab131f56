import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import MetadataError
from imageworks.metadata.merge import (
    accepted_path,
    check_tags,
    merge_keywords,
    merge_paths,
    merge_text,
    without_leaves,
)
from imageworks.models import Keyword, Tags
from imageworks.text import fold

WORDS = st.lists(st.sampled_from(["Cat", "cat", "CAT", "dog", "Dög", "do\u0308g", "owl", ""]))


@pytest.mark.parametrize(
    ("existing", "accepted", "is_edited", "is_overwrite", "expected"),
    [
        ("", "new", False, False, "new"),
        ("  ", "new", False, False, "new"),
        ("old", "new", False, False, "old"),
        ("old", "new", True, False, "new"),
        ("old", "new", False, True, "new"),
        ("old", "", False, True, "old"),
        ("old", "", False, False, "old"),
        ("old", "", True, False, ""),
    ],
)
def test_a_text_stays_unless_a_person_changed_it(
    existing, accepted, is_edited, is_overwrite, expected
):
    merged = merge_text(existing, accepted, is_edited=is_edited, is_overwrite=is_overwrite)

    assert merged == expected


@pytest.mark.parametrize(
    ("existing", "accepted", "removed", "is_overwrite", "expected"),
    [
        (["River", "Heron"], ["heron", "bird"], [], False, ("River", "Heron", "bird")),
        (["River"], [], ["river"], False, ()),
        (["River"], ["owl"], ["RIVER"], False, ("owl",)),
        (["River"], ["heron"], [], True, ("heron",)),
        (["River"], [], [], True, ("River",)),
        (["a", "A"], ["a"], [], False, ("a", "A")),
        (["a", "A"], ["b"], [], False, ("a", "b")),
        (["Ca\u0301t"], ["C\u00e1t"], [], False, ("Ca\u0301t",)),
        ([], ["b", "B", "a"], [], False, ("b", "a")),
    ],
)
def test_keywords_merge_by_the_rules(existing, accepted, removed, is_overwrite, expected):
    merged = merge_keywords(existing, accepted, removed, is_overwrite=is_overwrite)

    assert merged == expected


@given(existing=WORDS, accepted=WORDS, removed=WORDS, is_overwrite=st.booleans())
def test_merging_twice_changes_nothing_more(existing, accepted, removed, is_overwrite):
    accepted = [text for text in accepted if fold(text) not in {fold(r) for r in removed}]

    once = merge_keywords(existing, accepted, removed, is_overwrite=is_overwrite)
    twice = merge_keywords(once, accepted, removed, is_overwrite=is_overwrite)

    assert twice == once


@given(existing=WORDS, accepted=WORDS, removed=WORDS)
def test_no_keyword_is_lost_that_was_not_removed(existing, accepted, removed):
    merged = {fold(t) for t in merge_keywords(existing, accepted, removed, is_overwrite=False)}
    wanted = {fold(text) for text in [*existing, *accepted]} - {fold(text) for text in removed}

    assert merged - {""} == wanted - {""}


@given(existing=WORDS, accepted=WORDS)
def test_existing_keywords_keep_their_order_and_spelling(existing, accepted):
    merged = merge_keywords(existing, accepted, [], is_overwrite=False)

    kept = [text for text in merged if text in existing]
    first = [t for i, t in enumerate(existing) if fold(t) not in [fold(e) for e in existing[:i]]]
    assert merged == tuple(existing) or kept[: len(first)] == [t for t in first if fold(t)]


def test_every_keyword_gets_into_the_hierarchy_once():
    merged = merge_paths(["animal|bird|Heron"], ["heron", "river", "oak"], ["plant|tree|oak"], "|")

    assert merged == ("animal|bird|Heron", "river", "plant|tree|oak")


def test_a_keyword_with_the_separator_inside_is_no_path():
    assert merge_paths([], ["black|white"], [], "|") == ()


def test_a_removed_keyword_leaves_the_hierarchy():
    kept = without_leaves(["animal|bird|heron", "river"], ["Heron"], "|")

    assert kept == ("river",)


def test_a_path_that_ends_elsewhere_is_not_written():
    assert accepted_path(Keyword("heron", path=("animal", "heron")), "|") == "animal|heron"
    assert accepted_path(Keyword("heron", path=("animal",)), "|") == ""
    assert accepted_path(Keyword("heron"), "|") == ""


@pytest.mark.parametrize(
    "tags",
    [
        Tags(keywords=(Keyword("a,b"),)),
        Tags(keywords=(Keyword("a|b"),)),
        Tags(keywords=(Keyword("a/b"),)),
        Tags(keywords=(Keyword("<b>"),)),
        Tags(keywords=(Keyword("a\nb"),)),
        Tags(keywords=(Keyword("a\u202eb"),)),
        Tags(keywords=(Keyword("e\u0301"),)),
        Tags(keywords=(Keyword(""),)),
        Tags(keywords=(Keyword("ok", path=("a|b", "ok")),)),
        Tags(caption="two\nlines"),
        Tags(caption="nul\0"),
        Tags(description="esc\x1b[31m"),
        Tags(description=" padded"),
        Tags(caption="\ud800"),
    ],
)
def test_text_that_would_not_be_written_as_shown_is_refused(tags):
    with pytest.raises(MetadataError) as caught:
        check_tags(tags, [], is_overwrite=False)

    assert caught.value.reason == "unsafe-text"


def test_a_keyword_of_the_file_may_be_spelled_in_any_way():
    tags = Tags(keywords=(Keyword("Smith, John"),))

    check_tags(tags, ["Smith, John"], is_overwrite=True)
    check_tags(tags, ["smith, john"], is_overwrite=False)
    with pytest.raises(MetadataError):
        check_tags(tags, ["smith, john"], is_overwrite=True)


def test_a_description_may_have_lines():
    lines = "one\n\ntwo 🦊"

    check_tags(Tags(description=lines), [], is_overwrite=False)
    with pytest.raises(MetadataError) as caught:
        check_tags(Tags(caption=lines), [], is_overwrite=False)

    assert caught.value.reason == "unsafe-text"
