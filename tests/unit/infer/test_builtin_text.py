"""What the built-in engine says: plain, true, and nothing where nothing is known."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.infer.builtin_facts import PictureFacts
from imageworks.infer.builtin_text import compose_answer, compose_caption, compose_description
from imageworks.infer.builtin_words import Finding
from imageworks.models import Stage
from imageworks.text import clean_text

CAT = (
    Finding("tabby cat", "a", ("animal", "cat", "tabby cat"), 0.72),
    Finding("cat", "a", ("animal", "cat"), 0.9),
    Finding("animal", "an", ("animal",), 0.999),
)
SUNGLASSES = (Finding("sunglasses", "", ("sunglasses",), 0.55),)
UMBRELLA = (Finding("umbrella", "an", ("umbrella",), 0.51),)


def facts(**given: object) -> PictureFacts:
    plain: dict[str, object] = {
        "is_monochrome": False,
        "is_dark": False,
        "is_night": False,
        "is_panorama": False,
        "main_colour": "",
        "measured": (),
        "recorded": (),
    }
    return PictureFacts(**(plain | given))  # type: ignore[arg-type]  # a table of test values


@pytest.mark.parametrize(
    ("chains", "known", "caption"),
    [
        ([CAT], facts(), "Probably a tabby cat."),
        ([SUNGLASSES], facts(), "Probably sunglasses."),
        ([CAT, UMBRELLA], facts(), "Probably a tabby cat and an umbrella."),
        ([CAT, UMBRELLA, SUNGLASSES], facts(), "Probably a tabby cat and an umbrella."),
        (
            [CAT],
            facts(is_night=True, is_monochrome=True),
            "Probably a tabby cat at night, in black and white.",
        ),
        ([CAT], facts(main_colour="red", is_panorama=True), "Probably a tabby cat."),
        ([], facts(), ""),
        ([], facts(recorded=("2024",)), ""),
        ([], facts(is_monochrome=True), "A black-and-white picture."),
        ([], facts(is_dark=True, main_colour="blue"), "A dark picture, mostly blue."),
        ([], facts(is_dark=True, is_night=True), "A picture taken at night."),
        (
            [],
            facts(is_dark=True, is_monochrome=True, is_panorama=True),
            "A dark black-and-white panorama.",
        ),
        ([], facts(is_panorama=True), "A panorama."),
        ([], facts(main_colour="green"), "A picture, mostly green."),
    ],
)
def test_caption_says_only_what_is_known(
    chains: list[tuple[Finding, ...]], known: PictureFacts, caption: str
) -> None:
    assert compose_caption(chains, known) == caption


def test_description_tells_the_source_and_how_sure_it_is() -> None:
    known = facts(measured=("night",), recorded=("2024", "June"))

    assert compose_description([CAT], known) == (
        "Found by the built-in object classifier (ImageNet objects): "
        "tabby cat 72 %, cat 90 %, animal 99 %. "
        "Measured: night. Recorded by the camera: 2024, June."
    )


def test_nothing_known_is_nothing_said() -> None:
    answer = json.loads(compose_answer([], facts(), tuple(Stage)))

    assert answer == {"caption": "", "keywords": [], "description": ""}


def test_objects_carry_probabilities_and_facts_none() -> None:
    answer = json.loads(
        compose_answer([CAT], facts(measured=("night",), recorded=("2024",)), (Stage.KEYWORDS,))
    )

    assert answer == {
        "keywords": [
            {"keyword": "tabby cat", "score": 0.72, "path": ["animal", "cat", "tabby cat"]},
            {"keyword": "cat", "score": 0.9, "path": ["animal", "cat"]},
            {"keyword": "animal", "score": 0.999, "path": ["animal"]},
            {"keyword": "night", "score": None, "path": []},
            {"keyword": "2024", "score": None, "path": []},
        ]
    }


def test_word_that_is_both_object_and_fact_is_said_once() -> None:
    orange = (Finding("orange", "an", ("fruit", "orange"), 0.8),)

    answer = json.loads(compose_answer([orange], facts(measured=("orange",)), (Stage.KEYWORDS,)))

    assert [keyword["keyword"] for keyword in answer["keywords"]] == ["orange"]


@given(
    st.permutations([CAT, SUNGLASSES, UMBRELLA]).flatmap(
        lambda chains: st.integers(0, 3).map(lambda count: chains[:count])
    ),
    st.builds(
        facts,
        is_monochrome=st.booleans(),
        is_dark=st.booleans(),
        is_night=st.booleans(),
        is_panorama=st.booleans(),
        main_colour=st.sampled_from(["", "red"]),
        measured=st.lists(st.sampled_from(["night", "red"]), unique=True).map(tuple),
    ),
)
def test_every_answer_is_clean_text_in_whole_sentences(
    chains: list[tuple[Finding, ...]], known: PictureFacts
) -> None:
    answer = json.loads(compose_answer(chains, known, tuple(Stage)))

    for text in (answer["caption"], answer["description"]):
        assert text == clean_text(text)
        assert not text or (text[0].isupper() and text.endswith("."))
    assert "  " not in answer["caption"]
