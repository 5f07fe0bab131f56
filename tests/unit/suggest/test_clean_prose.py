# ruff: noqa: RUF001  # curly quotes and dashes are what is looked for
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imageworks.suggest.clean import (
    CAPTION_LIMIT_CHARACTERS,
    DESCRIPTION_LIMIT_BYTES,
    clean_caption,
    clean_description,
    complete_sentences,
    is_refusal,
    sentences,
)
from imageworks.text import clean_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The image shows a dog on grass.", "A dog on grass."),
        ("This photo depicts two boats.", "Two boats."),
        ("the picture clearly shows that the tide is out", "The tide is out"),
        ("In this image, we can see a dog.", "A dog."),
        ("In the photo there are two boats", "Two boats"),
        ("In the picture, a dog sleeps.", "A dog sleeps."),
        ("A photo of Paris at night", "Paris at night"),
        ("This is a photograph of the old town.", "The old town."),
        ("photo of a dog", "A dog"),
        ("Caption: A dog", "A dog"),
        ("**Caption:** A dog", "A dog"),
        ('Title: "A dog"', "A dog"),
        ("Sure! Here is a caption for your image: A dog.", "A dog."),
        ("Certainly! A dog.", "A dog."),
        ("Here's a short caption:\n\n**A dog on grass**\n\nI hope this helps!", "A dog on grass"),
        ('"A dog."', "A dog."),
        ("“A dog”.", "A dog."),
        ("'It's a dog'", "It's a dog"),
        ("*A dog*", "A dog"),
        ("# A dog\n\nmore", "A dog"),
        ("1. A dog\n2. A hound\n3. A pup", "A dog"),
        ("- A dog\n- A hound", "A dog"),
        ("A dog\non grass\n\nSecond paragraph", "A dog on grass"),
        ("a <b>big</b> dog<br>sleeps", "A big dog sleeps"),
        ("A dog. Let me know if you need anything else!", "A dog."),
        ("A dog sleeps. (12 words)", "A dog sleeps."),
        ("A dog\x00\u202e on\tgrass\r\n", "A dog on grass"),
        ('"A dog', "A dog"),
        ("éclair on a plate", "Éclair on a plate"),
        # words that look like chatter, and are not
        ("iPhone on a table", "iPhone on a table"),
        ("The image shows how glass is blown", "The image shows how glass is blown"),
        ("Sure-footed goats on a cliff", "Sure-footed goats on a cliff"),
        ("The Picture of Dorian Gray on a shelf", "The Picture of Dorian Gray on a shelf"),
        ("Photography class in the park", "Photography class in the park"),
        ('"Open" and "Closed" signs', '"Open" and "Closed" signs'),
        ("Note on a fridge", "Note on a fridge"),
        ("New York, New York", "New York, New York"),
        ("Mt. Fuji. Mt. Etna.", "Mt. Fuji. Mt. Etna."),
        ("ßtrange letter", "ßtrange letter"),
        # nothing there
        ("", ""),
        ("...", ""),
        ("N/A", ""),
        ("null.", ""),
        ("Caption:", ""),
        ("Let me know if you need more.", ""),
    ],
)
def test_caption(text, expected):
    assert clean_caption(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The image shows a dog. It runs.\n\nBehind it is the sea.", None),
        ("- A dog runs.\n- Two people follow.", "A dog runs. Two people follow."),
        ("A dog runs.\n\nLet me know if you want it shorter", "A dog runs."),
        ("The dog is big and brown. " * 40, "The dog is big and brown."),
        ("a dog and a cat and " * 100, "A dog and a cat"),
        ("very very very very big dog", "Very big dog"),
        ("一只狗在海边奔跑。两个人跟在后面。", "一只狗在海边奔跑。两个人跟在后面。"),
    ],
)
def test_description(text, expected):
    cleaned = clean_description(text)

    assert cleaned == (expected or "A dog. It runs. Behind it is the sea.")


def test_a_long_caption_ends_between_words():
    caption = clean_caption("wonderful " * 60 + "alpha, " + "beta gamma delta " * 3)

    assert len(caption) <= CAPTION_LIMIT_CHARACTERS
    long_caption = clean_caption(" ".join(f"word{number}" for number in range(200)))
    assert CAPTION_LIMIT_CHARACTERS - 10 < len(long_caption) <= CAPTION_LIMIT_CHARACTERS
    assert long_caption.endswith("…")
    assert long_caption[:-1].split()[-1] in {f"word{number}" for number in range(200)}


def test_a_long_description_ends_with_a_sentence():
    text = " ".join(f"Sentence number {number} is about a dög." for number in range(200))

    cleaned = clean_description(text)

    assert DESCRIPTION_LIMIT_BYTES - 60 < len(cleaned.encode()) <= DESCRIPTION_LIMIT_BYTES
    assert cleaned.endswith("a dög.")
    assert text.startswith(cleaned)


def test_a_description_without_sentences_ends_between_words():
    cleaned = clean_description(" ".join(f"wörd{number}" for number in range(900)))

    assert len(cleaned.encode()) <= DESCRIPTION_LIMIT_BYTES
    assert cleaned.endswith("…")


def test_a_cut_never_parts_a_letter_from_its_marks():
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"

    for length in range(235, 252):
        caption = clean_caption("X" + "y" * length + family * 4)

        assert not caption.rstrip("…").endswith("\u200d")


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I cannot assist with this request.",
        "Sorry, I can't identify people.",
        "I cannot identify the person in this image.",
        "Unfortunately, I am unable to view images.",
        "I'm unable to see the image.",
        "As an AI language model, I cannot see.",
        "I don't see an image. Please upload it.",
        "Please provide an image.",
        "No image was provided.",
        '"I am sorry, but I can\'t do that"',
    ],
)
def test_refusals_are_recognised(text):
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "A sign saying sorry we are closed",
        "Sorry we are closed, says a sign",
        "I can see two dogs on a beach.",
        "I love Lisbon graffiti on a wall",
        "Please keep off the grass, says a sign",
        "An unable-bodied man",
        "As an AI-driven car passes, people look",
        "No image",
    ],
)
def test_captions_are_no_refusals(text):
    assert not is_refusal(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A dog. It runs al", "A dog."),
        ("A dog by St. Mark's chur", ""),
        ("A dog runs", ""),
        ('He says "no." Then he', 'He says "no."'),
    ],
)
def test_of_a_cut_text_whole_sentences_remain(text, expected):
    assert complete_sentences(text) == expected


def test_sentences_are_the_text_again():
    text = "Dr. Who lives. Here! J. R. too… “Yes.” And"

    assert "".join(sentences(text)) == text
    assert len(sentences(text)) == 5


def test_a_letter_with_endless_marks_is_cut_somewhere():
    assert len(clean_caption("a" * 200 + "\u0301" * 200)) <= CAPTION_LIMIT_CHARACTERS


def test_nesting_made_to_be_cleaned_for_ever_leaves_nothing():
    labels = ["Caption:" if digit in "13579" else "Title:" for digit in str(7**80)]

    assert clean_caption(" ".join([*labels[:5], "a dog"])) == "A dog"
    assert clean_caption(" ".join([*labels, "a dog"])) == ""


MODEL_TEXT = st.one_of(
    st.text(max_size=300),
    st.lists(
        st.sampled_from(
            [
                *("Caption:", "The image shows", "a photo of", "Sure!", "Here is the caption:"),
                *('"', "“", "'", "*", "**", "(", ")", "\n", "\n\n", "- ", "1. ", "# ", ".", "…"),
                *(
                    "a dog",
                    "A dog runs fast.",
                    "Let me know if",
                    "ǆ",
                    "ß",
                    "é",
                    "e\u0301",
                    "\u202e",
                ),
                *("\u200d", "\U0001f468", "null", "。", "In this image, there is", "<b>", "`"),
                *("very ", "Note: ", "iPhone", "\x00", "\ud800", "\u2028", "I can see a "),
            ]
        ),
        max_size=30,
    ).map(" ".join),
    st.lists(st.sampled_from([*"\"'“”*_()[]«»„‘’.-# aB\n"]), max_size=40).map("".join),
)


@settings(max_examples=300, deadline=None)
@given(MODEL_TEXT)
def test_cleaning_a_caption_twice_changes_nothing(text):
    cleaned = clean_caption(text)

    assert clean_caption(cleaned) == cleaned
    assert clean_text(cleaned) == cleaned
    assert len(cleaned) <= CAPTION_LIMIT_CHARACTERS


@settings(max_examples=300, deadline=None)
@given(MODEL_TEXT, st.integers(1, 40))
def test_cleaning_a_description_twice_changes_nothing(text, repeats):
    cleaned = clean_description(text * repeats)

    assert clean_description(cleaned) == cleaned
    assert clean_text(cleaned) == cleaned
    assert len(cleaned.encode()) <= DESCRIPTION_LIMIT_BYTES


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(["dog", "runs", "wet", "grass", "behind", "Paris", "café", "bus", "lens"]),
        min_size=3,
        max_size=12,
        unique=True,
    )
)
def test_plain_words_are_never_harmed(words):
    text = " ".join(words)

    assert clean_caption(text).casefold() == text.casefold()
    assert clean_caption(text)[1:] == text[1:]
