# ruff: noqa: RUF001  # curly quotes and dashes are what is looked for
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imageworks.suggest.fields import RawKeyword
from imageworks.suggest.keywords import KEYWORD_LIMIT_BYTES, clean_keyword, clean_keywords
from imageworks.suggest.phrases import EMPTY_KEYWORDS
from imageworks.text import clean_text, fold

# Words that a de-pluraliser damages (grass -> gras, Paris -> pari, eyes -> ey).
DELICATE_WORDS = (
    *("grass", "houses", "Paris", "eyes", "glass", "bus", "lens", "species", "news", "series"),
    *("tennis", "cactus", "iris", "chess", "moss", "walrus", "canvas", "compass", "dress", "cross"),
    *("octopus", "campus", "circus", "physics", "mathematics", "Texas", "Venus", "Christmas"),
    *("bees", "shoes", "leaves", "pass", "atlas", "asparagus", "oasis", "kiss", "swiss", "trees"),
)


def _cleaned(*texts, **options):
    options.setdefault("max_keywords", 50)
    return [word.text for word in clean_keywords(map(RawKeyword, texts), **options)]


def test_delicate_words_survive_unharmed():
    assert _cleaned(*DELICATE_WORDS) == list(DELICATE_WORDS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dog", ["dog"]),
        ("1. dog", ["dog"]),
        ("12) dog", ["dog"]),
        ("(3) dog", ["dog"]),
        ("1.dog", ["dog"]),
        ("- dog", ["dog"]),
        ("• dog.", ["dog"]),
        ("#dog", ["dog"]),
        ('"dog"', ["dog"]),
        ("“dog”", ["dog"]),
        ("'dog'", ["dog"]),
        ("**dog**", ["dog"]),
        ('["dog', ["dog"]),
        ("dog (0.95)", ["dog"]),
        ("dog: 87%", ["dog"]),
        ("dog - 0.5", ["dog"]),
        ("blue_sky", ["blue sky"]),
        ("a dog", ["dog"]),
        ("the beach", ["beach"]),
        ("photo of a dog", ["dog"]),
        ("Here are the keywords: dog", ["dog"]),
        ("Keywords: dog", ["dog"]),
        ("dog, cat; bird|fish\nhare、犬", ["dog", "cat", "bird", "fish", "hare", "犬"]),
        ("dog/cat", ["dog", "cat"]),
        ("animal > bird > heron", ["animal", "bird", "heron"]),
        ("<b>dog", ["b dog"]),
        ("f/2.8", ["f2.8"]),
        ("24/7", ["24-7"]),
        ("1920", ["1920"]),
        # left as they are
        ("St. Mark's Square", ["St. Mark's Square"]),
        ("Washington D.C.", ["Washington D.C."]),
        ("Boeing 737 (MAX)", ["Boeing 737 (MAX)"]),
        ("dogs' home", ["dogs' home"]),
        ("Route 66", ["Route 66"]),
        ("a cappella", ["a cappella"]),
        ("The Beatles", ["The Beatles"]),
        ("A Coruña", ["A Coruña"]),
        ("35 mm film", ["35 mm film"]),
        ("black-and-white", ["black-and-white"]),
        ("سوق", ["سوق"]),
        # nothing to keep
        ("photo", []),
        ("Photography", []),
        ("N/A", []),
        ("none", []),
        ("", []),
        ("...", []),
        ("0.95", []),
        ("17", []),
        ("x", []),
        ("b\ufffdrd", []),
        ("https://example.org/dog", []),
        ("I'm sorry", []),
        ("Let me know if you need more", []),
        ("one two three four five six seven", []),
        ("x" * 65, []),
        ("ä" * 33, []),
    ],
)
def test_keyword(text, expected):
    assert _cleaned(text) == expected


def test_duplicates_go_by_case_and_unicode_form():
    assert _cleaned("Dog", "dog", "DOG", "café", "cafe\u0301", "ｄｏｇ") == ["Dog", "café"]


def test_the_limit_counts_what_is_left_after_cleaning():
    texts = ["photo", "dog", "dog", "", "cat", "bird", "fish"]

    assert _cleaned(*texts, max_keywords=3) == ["dog", "cat", "bird"]


def test_case_stays_as_the_model_wrote_it():
    texts = ["Eiffel Tower", "street", "BMW", "Golden Hour", "LISBON"]

    assert _cleaned(*texts, prose="A street in Paris at dusk.") == texts


def test_a_list_in_title_case_is_lowered_but_names_keep_their_case():
    texts = ["Golden Hour", "Eiffel Tower", "Street", "People", "Christmas", "BMW", "Café"]

    cleaned = _cleaned(*texts, prose="People pass the Eiffel Tower in the evening.")

    assert cleaned == [
        "golden hour",
        "Eiffel Tower",
        "street",
        "people",
        "Christmas",
        "BMW",
        "Café",
    ]


def test_a_list_in_capitals_is_lowered():
    texts = ["DOG", "GOLDEN HOUR", "BEACH", "SEA", "SUNSET"]

    assert _cleaned(*texts, prose="A dog runs at the sea.") == [text.lower() for text in texts]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"prose": ""}, 6),
        ({"prose": "A Dog Runs At The Sea."}, 6),
        ({"prose": "A dog runs at the sea.", "language": "de"}, 6),
        ({"prose": "A dog runs at the sea."}, 4),
    ],
)
def test_title_case_stays_where_nothing_tells_names_from_words(options, count):
    texts = ["Dog", "Sea", "Golden Hour", "Beach", "Sunset", "Wave"][:count]

    assert _cleaned(*texts, **options) == texts


def test_lowered_keywords_are_cleaned_once_more():
    texts = ["A Dog", "Dog", "Sea", "Beach", "Wave", "Sunset"]

    cleaned = _cleaned(*texts, prose="One dog runs at the sea.")

    assert cleaned == ["dog", "sea", "beach", "wave", "sunset"]


def test_articles_of_other_languages_stay():
    assert _cleaned("an der See", language="de") == ["an der See"]


def test_scores_and_paths_are_kept_only_when_honest():
    raw = [
        RawKeyword("heron", 0.9, ("animal", "b|ird", "heron")),
        RawKeyword("dog, cat", 0.5, ("x",)),
    ]

    honest = clean_keywords(raw, max_keywords=9, keep_scores=True)
    claimed = clean_keywords(raw, max_keywords=9)

    assert [word.score for word in honest] == [0.9, 0.5, 0.5]
    assert [word.path for word in honest] == [("animal", "b ird", "heron"), (), ()]
    assert {word.score for word in claimed} == {None}
    assert {word.path for word in claimed} == {()}


def test_a_path_always_ends_with_its_keyword():
    (word,) = clean_keywords(
        [RawKeyword("heron", 1.0, ("animal", "bird"))], max_keywords=9, keep_scores=True
    )
    (flat,) = clean_keywords(
        [RawKeyword("heron", 1.0, ("Heron",))], max_keywords=9, keep_scores=True
    )

    assert word.path == ("animal", "bird", "heron")
    assert flat.path == ()


KEYWORD_TEXT = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.sampled_from(
            [
                *("dog", "Dog", "A ", "the ", "photo of ", "#", '"', "“", "'", "(", ")", "[", "/"),
                *(",", "|", ";", "<", ">", " > ", "1. ", "- ", ".", ":", "(0.5)", "_", "f/2", "…"),
                *(
                    "é",
                    "e\u0301",
                    "\u202e",
                    "\x00",
                    "\ud800",
                    "\u200d",
                    "ﬁ",
                    "İ",
                    "K",
                    "Keywords: ",
                ),
                *("Sure! ", "\n", "\u2028", " ", "24/7", "DOG", "Blue Sky", "ß", "．", "／"),
            ]
        ),
        max_size=8,
    ).map("".join),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(KEYWORD_TEXT, max_size=12),
    st.integers(1, 9),
    st.sampled_from(["", "One dog runs at the sea.", "a Dog near Blue water here."]),
)
def test_cleaning_keywords_twice_changes_nothing(texts, max_keywords, prose):
    cleaned = _cleaned(*texts, max_keywords=max_keywords, prose=prose)

    assert _cleaned(*cleaned, max_keywords=max_keywords, prose=prose) == cleaned
    assert len(cleaned) <= max_keywords
    assert len({fold(text) for text in cleaned}) == len(cleaned)
    for text in cleaned:
        assert clean_text(text) == text
        assert not set(",;|/<>\n") & set(text)
        assert 0 < len(text.encode()) <= KEYWORD_LIMIT_BYTES


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.from_regex(r"[A-Z]?[a-z]{2,12}( [a-z]{2,10})?", fullmatch=True),
        max_size=9,
        unique_by=fold,
    )
)
def test_every_simple_word_survives(texts):
    texts = [text for text in texts if not text.startswith(("an ", "the "))]

    assert _cleaned(*texts) == [text for text in texts if fold(text) not in EMPTY_KEYWORDS]


def test_nesting_made_to_be_cleaned_for_ever_leaves_nothing():
    assert clean_keyword("1. " * 20 + "dog") == ""
