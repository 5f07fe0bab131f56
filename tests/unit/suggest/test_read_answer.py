# curly quotes and full-width marks are what is looked for
from __future__ import annotations

import json
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imageworks.suggest.parse import NOTE_CUT, NOTE_ONLY_THOUGHTS, read_answer
from imageworks.suggest.tolerant_json import CutText, find_json

ANSWER = {
    "caption": "A dog runs on the beach",
    "keywords": ["dog", "beach", "Lisbon"],
    "description": "A brown dog runs along the water. Two people follow.",
}
WHOLE = json.dumps(ANSWER)


def _words(parsed):
    return [keyword.text for keyword in parsed.keywords or ()]


def _is_whole(parsed):
    return (
        parsed.caption == ANSWER["caption"]
        and _words(parsed) == ANSWER["keywords"]
        and parsed.description == ANSWER["description"]
    )


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        json.dumps(ANSWER, indent=2),
        f"```json\n{WHOLE}\n```",
        f"```\n{WHOLE}\n```",
        f"```json{WHOLE}```",
        f"```JSON\n{WHOLE}",
        f"Sure! Here is the JSON:\n\n{WHOLE}\n\nLet me know if you need more [or less].",
        f'<think>A cat? {{"caption": "a cat"}} No.</think>\n{WHOLE}',
        f"The picture could be a cat.</think>{WHOLE}",
        f"<thinking>one</thinking><reasoning>two</reasoning>{WHOLE}<|im_end|>",
        f"[THINK]hm[/THINK]{WHOLE}</s>",
        f"◁think▷hm◁/think▷{WHOLE}",
        (
            '<|channel|>analysis<|message|>{"caption": "no"}<|end|><|start|>assistant'
            f"<|channel|>final<|message|>{WHOLE}<|return|>"
        ),
        f"<|channel>thought\nIs it a cat?<channel|>{WHOLE}",
        f"<|begin_of_box|>{WHOLE}<|end_of_box|>",
        f"<answer>{WHOLE}</answer>",
        str(ANSWER),
        WHOLE[:-1] + ",}",
        WHOLE.replace('"', "“", 1).replace('"', "”", 1),
        json.dumps({key.upper(): value for key, value in ANSWER.items()}),
        json.dumps({"result": ANSWER}),
        json.dumps({"data": [{"image": ANSWER}]}),
        json.dumps([ANSWER]),
        json.dumps([[ANSWER]]),
        json.dumps(WHOLE),
        json.dumps({"name": "tag", "arguments": WHOLE}),
        WHOLE.replace('"', '\\"'),
        WHOLE + WHOLE.replace("dog", "cat"),
        json.dumps({"caption": ANSWER["caption"]}) + "\n" + json.dumps(ANSWER),
        WHOLE.replace('", "description"', '"\n "description"'),
        WHOLE.replace('"caption"', "caption").replace('"keywords"', "keywords"),
        WHOLE.replace('"caption":', '// the caption\n"caption":'),
        "\ufeff" + WHOLE,
    ],
)
def test_an_answer_is_read_whatever_surrounds_it(text):
    assert _is_whole(read_answer(text))


@pytest.mark.parametrize(
    ("keys", "field"),
    [
        (("Title", "image_caption", "headline", "Bildunterschrift", "légende"), "caption"),
        (("tags", "Subject", "labels", "Schlagwörter", "mots-clés"), "keywords"),
        (("alt", "alt_text", "summary", "Beschreibung", "long description"), "description"),
    ],
)
def test_other_names_of_a_field_are_known(keys, field):
    for key in keys:
        parsed = read_answer(json.dumps({key: "something here"}))

        value = _words(parsed) if field == "keywords" else getattr(parsed, field)
        assert value in ("something here", ["something here"]), key


def test_alternative_text_fills_what_is_missing_and_nothing_else():
    both = read_answer('{"caption": "c", "alt": "a", "description": "d"}')
    no_caption = read_answer('{"alt": "a", "description": "d"}')

    assert (both.caption, both.description) == ("c", "d")
    assert (no_caption.caption, no_caption.description) == ("a", "d")


@pytest.mark.parametrize(
    "listed",
    [
        ["dog", "big cat", "bird"],
        "dog, big cat, bird",
        "dog; big cat; bird",
        "- dog\n- big cat\n- bird",
        "1. dog\n2. big cat\n3. bird",
        "#dog #big cat #bird",
        [{"keyword": "dog"}, {"name": "big cat", "score": 0.5}, {"text": "bird"}],
        {"animals": ["dog", "big cat"], "sky": ["bird"]},
        {"dog": 0.9, "big cat": 0.5, "bird": "40%"},
        [["dog"], ["big cat", "bird"]],
    ],
)
def test_keywords_are_read_in_every_form(listed):
    words = _words(read_answer(json.dumps({"caption": "x", "keywords": listed})))

    assert [word.lstrip("-123#. ") for word in words] == ["dog", "big cat", "bird"]


def test_keyword_objects_keep_score_and_path():
    listed = [
        {"keyword": "heron", "confidence": "87%", "path": ["animal", "bird", "heron"]},
        {"keyword": "pond", "score": 0.4, "hierarchy": "place|water|pond"},
        {"keyword": "odd", "score": 17, "path": 3},
        {"keyword": "true", "score": True},
    ]

    keywords = read_answer(json.dumps({"keywords": listed})).keywords
    assert keywords is not None

    assert [keyword.score for keyword in keywords] == [0.87, 0.4, None, None]
    assert [len(keyword.path) for keyword in keywords] == [3, 3, 0, 0]


def test_an_alternative_text_label_is_a_description():
    assert read_answer("Alt text: A dog runs.").description == "A dog runs."


def test_texts_inside_objects_and_lists_are_found():
    assert read_answer('{"caption": {"x-default": "A dog"}}').caption == "A dog"
    assert read_answer('{"description": ["It runs.", "It barks."]}').description == (
        "It runs. It barks."
    )
    assert read_answer('{"caption": ' + "[" * 20 + '"deep"' + "]" * 20 + "}").caption is None


def test_half_a_keyword_object_is_left_out():
    assert _words(read_answer('{"keywords": [{"keyword": "dog"}, {"keyword": "ca')) == ["dog"]


def test_groups_without_a_known_name_are_keywords():
    parsed = read_answer('{"animals": ["dog", "cat"], "light": ["fog"]}')

    assert _words(parsed) == ["dog", "cat", "fog"]


def test_unescaped_quotes_inside_a_text_survive():
    parsed = read_answer('{"caption": "A sign saying "STOP" here", "keywords": ["the "big" sign"]}')

    assert parsed.caption == 'A sign saying "STOP" here'
    assert _words(parsed) == ['the "big" sign']


def test_apostrophes_in_single_quoted_texts_survive():
    parsed = read_answer("{'caption': 'It's the dogs' bowl', 'keywords': ['dog's bed', 'cat',]}")

    assert parsed.caption == "It's the dogs' bowl"
    assert _words(parsed) == ["dog's bed", "cat"]


def test_escapes_are_resolved_in_damaged_json():
    parsed = read_answer('{"caption": "caf\\u00e9 \\ud83d\\udc36 a\\/b\\n\\_c \\ud83d x", }')

    assert parsed.caption == "café 🐶 a/b\n_c \ud83d x"


def test_a_missing_closing_quote_ends_at_the_next_key():
    parsed = read_answer('{"caption": "A dog,\n "keywords": ["dog"], "description": "D."}')

    assert parsed.caption == "A dog,"
    assert _words(parsed) == ["dog"]


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_a_cut_answer_gives_complete_items_only(end):
    parsed = read_answer(WHOLE[:end])

    assert parsed.caption in (None, ANSWER["caption"]) or isinstance(parsed.caption, CutText)
    assert _words(parsed) == ANSWER["keywords"][: len(_words(parsed))]
    if WHOLE[:end].endswith(('["dog", "bea', '["dog", "beach", "Li')):
        assert parsed.keywords
    if end > 1:
        assert NOTE_CUT in parsed.notes


def test_labelled_lines_are_fields():
    parsed = read_answer(
        "Here you go:\n\n**Caption:** A dog\n\n## Keywords\n- dog\n- beach\n\n"
        "3. *Description* (long): It runs.\nIt barks."
    )

    assert parsed.caption == "A dog"
    assert _words(parsed) == ["- dog", "- beach"]
    assert parsed.description == "It runs.\nIt barks."
    assert parsed.prose == "Here you go:"


def test_tags_are_fields():
    parsed = read_answer(
        "<caption>A dog</caption><caption>No</caption><keywords>dog, cat</keywords><title>x"
    )

    assert parsed.caption == "A dog"
    assert _words(parsed) == ["dog", "cat"]


def test_a_labelled_json_list_joins_the_other_labels():
    parsed = read_answer('Caption: A dog\nKeywords: ["dog", "cat"]\nDescription: It runs.')

    assert (parsed.caption, parsed.description) == ("A dog", "It runs.")
    assert _words(parsed) == ["dog", "cat"]


@pytest.mark.parametrize(
    "text",
    [
        "A sign reading [STOP] by the road",
        "A wall { with graffiti",
        "[STOP] is what the sign says",
        "A shop named {Open}, closed",
    ],
)
def test_brackets_in_a_sentence_are_no_answer(text):
    parsed = read_answer(text)

    assert parsed.prose == text
    assert parsed.keywords is None
    assert parsed.notes == ()


def test_an_object_without_a_known_name_gives_its_text():
    assert read_answer('{"answer": "A dog on grass."}').prose == "A dog on grass."
    assert read_answer('["A dog on the grass.", "It runs and barks."]').prose == (
        "A dog on the grass. It runs and barks."
    )


def test_endless_thinking_is_named():
    parsed = read_answer("<think>Let me look at the dog" + " and the dog" * 50)

    assert parsed.notes == (NOTE_ONLY_THOUGHTS,)
    assert not parsed.prose


def test_text_before_endless_thinking_is_kept():
    assert read_answer("A dog.<think>or is it").prose == "A dog."


def test_a_truncated_prose_answer_is_marked():
    parsed = read_answer("A dog. It runs al", is_truncated=True)

    assert isinstance(parsed.prose, CutText)
    assert parsed.notes == (NOTE_CUT,)


def test_of_a_truncated_labelled_answer_only_the_last_label_is_cut():
    parsed = read_answer("Caption: A dog\nKeywords: dog, ca", is_truncated=True)

    assert parsed.caption == "A dog"
    assert not isinstance(parsed.caption, CutText)
    assert _words(parsed) == ["dog"]


def test_control_characters_inside_texts_do_not_stop_the_reader():
    parsed = read_answer('{"caption": "A\x00 dog\r\nand\ta cat", "keywords": ["x\x07y"]}')

    assert parsed.caption == "A\x00 dog\r\nand\ta cat"


HOSTILE = [
    "{" * 1_000_000,
    "[" * 1_000_000,
    '{"a":' * 200_000,
    '["a",' * 200_000,
    '"' * 1_000_000,
    "'" * 1_000_000,
    "\\" * 1_000_000,
    '{"caption": "' + '" ' * 500_000,
    '{"caption": "' + "x\n " * 300_000,
    "{'a' " * 200_000,
    '{\n"' * 300_000,
    "[/ " * 300_000,
    "[//\n" * 250_000,
    "<think>" * 140_000,
    "</think><think>" * 70_000,
    "<|channel|>final" * 60_000,
    "<|channel|>x\n" * 70_000,
    "<caption>" * 100_000,
    "<|" * 400_000,
    "```" * 300_000,
    "Caption: " * 100_000,
    "Caption:\n" * 100_000,
    " " * 1_000_000 + "x",
    "\n" * 1_000_000 + "{",
    "* " * 500_000,
    '{"keywords": [' + '"dog", ' * 150_000,
    "a: [b " * 150_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:16]))
def test_a_megabyte_of_nonsense_takes_linear_time(text):
    started_s = time.process_time()

    read_answer(text)

    assert time.process_time() - started_s < 3


def json_values(numbers):
    return st.recursive(
        st.none() | st.booleans() | numbers | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["caption", "Keywords", "tags", "alt", "text", "name", "score", "x"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )


JSON_VALUES = json_values(st.floats())
SOUND_VALUES = json_values(st.floats(allow_nan=False, allow_infinity=False))


@settings(max_examples=200, deadline=None)
@given(st.text() | st.binary().map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_any_text_is_read(text):
    parsed = read_answer(text)

    assert isinstance(parsed.prose, str)


@settings(max_examples=200, deadline=None)
@given(
    JSON_VALUES.map(json.dumps),
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from([*"\"'{}[],:\\\n ", "”"])), max_size=5),
    st.integers(0, 400),
)
def test_any_damaged_json_is_read(text, edits, end):
    for place, character in edits:
        text = text[: place % (len(text) + 1)] + character + text[place % (len(text) + 1) + 1 :]

    text = text[: end or None]
    parsed = read_answer(text)

    assert len(parsed.prose) <= len(text)
    assert all(isinstance(keyword.text, str) for keyword in parsed.keywords or ())
    assert isinstance(parsed.caption, str | None)
    assert isinstance(parsed.description, str | None)


@settings(max_examples=150, deadline=None)
@given(SOUND_VALUES.filter(lambda value: isinstance(value, (dict, list))))
def test_sound_json_is_read_as_it_is(value):
    text = json.dumps(value)

    found = next(find_json(text))

    assert json.dumps(found.value) == text
    assert not found.is_cut
    assert found.end == len(text)


@pytest.mark.parametrize("is_sound", [True, False])
@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_words_that_python_takes_for_numbers_stay_words(word, is_sound):
    text = f'[{word}, "dog"]' if is_sound else f"[{word}, 'dog', ]"

    assert next(find_json(text)).value == [word, "dog"]


@settings(max_examples=150, deadline=None)
@given(
    st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.from_regex(r"[-+]?(?:\d{1,9}\.?\d{0,9}|\.\d{1,9})(?:[eE][-+]?\d{1,2})?", fullmatch=True)
)
def test_bare_numbers_are_read_as_numbers(number):
    if number.isascii():
        assert next(find_json(f"[{number}, 'dog', ]")).value == [float(number), "dog"]


@settings(max_examples=150, deadline=None)
@given(
    st.from_regex(r"[a-z0-9_.+-]{1,12}", fullmatch=True)
    | st.sampled_from(["nan", "inf", "-inf", "infinity", "NAN", "1e999", "9" * 400, "1_000"])
)
def test_a_bare_number_is_finite_whatever_it_looks_like(word):
    value = next(find_json(f"[{word}, 'dog', ]")).value
    assert isinstance(value, list)
    found = value[0]

    assert not isinstance(found, float) or math.isfinite(found)
    if "_" in word or word.strip("+-").lower() in {"nan", "inf", "infinity"}:
        assert found == word


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}", fullmatch=True),
        st.text("abcäß '-.", min_size=1, max_size=12) | st.integers(0, 9) | st.booleans(),
        min_size=1,
        max_size=4,
    )
)
def test_python_literals_with_a_trailing_comma_are_read(value):
    text = json.dumps(value, ensure_ascii=False).replace("true", "True").replace("false", "False")

    found = next(find_json(text[:-1] + ", }"))

    assert found.value == value
