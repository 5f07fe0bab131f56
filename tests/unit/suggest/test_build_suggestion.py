from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imageworks.errors import AnswerError
from imageworks.models import Origin, Stage, StageAnswer, Suggestion, Tags
from imageworks.stages import InferenceResult
from imageworks.suggest.builder import NOTE_PLAIN, build_suggestion

ALL = tuple(Stage)


def _answer(text, *stages, **more):
    return StageAnswer(stages or ALL, "model", "system", "user", text, 0.5, **more)


def _build(*answers, **options):
    honest = options.pop("has_honest_scores", False)
    notes = options.pop("notes", ())
    result = InferenceResult(tuple(answers), has_honest_scores=honest, notes=notes)
    options.setdefault("max_keywords", 15)
    return build_suggestion(result, **options)


def _words(suggestion):
    return [word.text for word in suggestion.tags.keywords]


def test_one_structured_answer_becomes_a_suggestion():
    text = json.dumps({"caption": "the image shows a dog", "keywords": ["Dog", "dog", "sea"]})

    suggestion = _build(_answer(text, Stage.CAPTION, Stage.KEYWORDS), notes=("from engine",))

    assert suggestion.tags.caption == "A dog"
    assert _words(suggestion) == ["Dog", "sea"]
    assert {word.origin for word in suggestion.tags.keywords} == {Origin.MODEL}
    assert suggestion.notes == ("from engine",)


def test_three_prose_answers_become_a_suggestion():
    suggestion = _build(
        _answer("A dog at the sea", Stage.CAPTION),
        _answer("1. dog\n2. sea\n", Stage.KEYWORDS),
        _answer("A dog runs. The sea is calm.", Stage.DESCRIPTION),
    )

    assert suggestion.tags.caption == "A dog at the sea"
    assert _words(suggestion) == ["dog", "sea"]
    assert suggestion.tags.description == "A dog runs. The sea is calm."
    assert suggestion.notes == ()


def test_json_inside_a_stage_answer_gives_that_stage_only():
    suggestion = _build(_answer('{"caption": "A dog", "keywords": ["dog"]}', Stage.CAPTION))

    assert suggestion.tags.caption == "A dog"
    assert suggestion.tags.keywords == ()


def test_a_later_answer_to_a_stage_replaces_the_earlier_one_if_it_is_usable():
    replaced = _build(_answer("A cat", Stage.CAPTION), _answer("A dog", Stage.CAPTION))
    kept = _build(_answer("A cat", Stage.CAPTION), _answer("...", Stage.CAPTION))

    assert replaced.tags.caption == "A dog"
    assert kept.tags.caption == "A cat"


def test_scores_count_only_when_the_engine_is_honest():
    answer = _answer('{"keywords": [{"keyword": "dog", "score": 0.8, "path": ["animal", "dog"]}]}')

    honest = _build(answer, has_honest_scores=True).tags.keywords[0]
    claimed = _build(answer).tags.keywords[0]

    assert (honest.score, honest.path) == (0.8, ("animal", "dog"))
    assert (claimed.score, claimed.path) == (None, ())


def test_no_more_keywords_than_asked_for():
    answer = _answer(json.dumps({"keywords": [f"word {number}" for number in range(50)]}))

    assert len(_build(answer, max_keywords=5).tags.keywords) == 5


def test_a_stage_without_a_usable_answer_is_noted():
    suggestion = _build(_answer('{"caption": "A dog", "keywords": [], "description": ""}'))

    assert suggestion.notes == (
        "the answer held no usable keywords",
        "the answer held no usable description",
    )


def test_a_cut_answer_gives_what_is_whole_and_says_so():
    text = '{"caption": "A dog", "keywords": ["dog", "se'

    suggestion = _build(_answer(text, Stage.CAPTION, Stage.KEYWORDS, is_truncated=True))

    assert _words(suggestion) == ["dog"]
    assert suggestion.notes == ("answer was cut off",)


def test_half_a_caption_is_never_suggested():
    with pytest.raises(AnswerError, match="cut off") as caught:
        _build(_answer("A dog runs along the", Stage.CAPTION, is_truncated=True))

    assert caught.value.reason == "unusable-answer"
    assert "--max-new-tokens" in caught.value.hint


def test_prose_instead_of_fields_gives_caption_and_description():
    suggestion = _build(_answer("The image shows a dog at the sea. Two people follow it."))

    assert suggestion.tags.caption == "A dog at the sea."
    assert suggestion.tags.description == "A dog at the sea. Two people follow it."
    assert NOTE_PLAIN in suggestion.notes


def test_two_words_are_no_answer_to_three_questions():
    with pytest.raises(AnswerError):
        _build(_answer("Okay then"))


@pytest.mark.parametrize(
    "answers",
    [
        (_answer("I'm sorry, but I can't help with that."),),
        (_answer("I cannot identify people.", Stage.CAPTION),),
        (_answer("I'm sorry, I can't do that.", Stage.KEYWORDS),),
        (_answer('{"caption": "I\'m sorry, I can\'t assist.", "keywords": []}'),),
        (_answer('{"description": "I am unable to view this."}', Stage.DESCRIPTION),),
    ],
)
def test_a_refusal_is_named(answers):
    with pytest.raises(AnswerError) as caught:
        _build(*answers)

    assert caught.value.reason == "refused"


def test_a_refused_caption_does_not_take_the_keywords_with_it():
    suggestion = _build(
        _answer("I'm sorry, I can't identify people.", Stage.CAPTION),
        _answer("man, hat", Stage.KEYWORDS),
    )

    assert suggestion.tags.caption == ""
    assert _words(suggestion) == ["man", "hat"]
    assert suggestion.notes == ("the model declined to give caption",)


@pytest.mark.parametrize("texts", [("",), ("  \n\t",), ("", " ")])
def test_an_empty_answer_is_named(texts):
    with pytest.raises(AnswerError) as caught:
        _build(*map(_answer, texts))

    assert caught.value.reason == "empty-answer"


def test_no_answers_at_all_are_an_empty_answer():
    with pytest.raises(AnswerError) as caught:
        _build()

    assert caught.value.reason == "empty-answer"


def test_endless_thinking_is_named_with_what_to_do():
    with pytest.raises(AnswerError, match="thinking off") as caught:
        _build(_answer("<think>" + "and then the dog " * 100, is_truncated=True))

    assert caught.value.reason == "unusable-answer"


def test_nonsense_is_unusable():
    with pytest.raises(AnswerError, match="holds no caption") as caught:
        _build(_answer("?!", Stage.CAPTION))

    assert caught.value.reason == "unusable-answer"


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=200)
    | st.dictionaries(
        st.sampled_from(["caption", "keywords", "description", "x"]),
        st.text(max_size=30) | st.lists(st.text(max_size=12), max_size=6) | st.none(),
    ).map(json.dumps),
    st.sampled_from([ALL, *((stage,) for stage in Stage)]),
    st.booleans(),
)
def test_any_answer_gives_a_suggestion_or_an_answer_error(text, stages, is_truncated):
    try:
        suggestion = _build(_answer(text, *stages, is_truncated=is_truncated), max_keywords=4)
    except AnswerError as error:
        reason = error.reason
        assert reason in {"empty-answer", "refused", "unusable-answer"}
    else:
        assert isinstance(suggestion, Suggestion)
        assert suggestion.tags.caption or suggestion.tags.keywords or suggestion.tags.description
        assert len(suggestion.tags.keywords) <= 4


@pytest.mark.parametrize(
    "text",
    ["the " * 250_000, "a.b " * 250_000, "1. " * 330_000 + "x", "Sure! " * 160_000, "- " * 500_000],
    ids=lambda text: repr(text[:8]),
)
@pytest.mark.parametrize("stage", Stage)
def test_a_megabyte_of_prose_takes_linear_time(text, stage):
    started_s = time.process_time()

    with contextlib.suppress(AnswerError):
        _build(_answer(text, stage))

    assert time.process_time() - started_s < 3


RECORDED = Path(__file__).parents[4] / "shared" / "tools" / "inference" / "examples"


@pytest.mark.skipif(not RECORDED.is_dir(), reason="no recorded answers here")
def test_answers_recorded_from_real_servers_are_handled():
    texts = [text for path in sorted(RECORDED.glob("*.json")) for text in _recorded_texts(path)]

    outcomes = {text: _outcome(text) for text in texts}

    assert len(outcomes) > 10
    assert outcomes[next(text for text in texts if text.endswith(_COMPACT_END))] == "suggestion"
    assert outcomes[next(text for text in texts if text.startswith("{\t \r"))] == "unusable-answer"


_COMPACT_END = '"keywords":["cat","cat","cat","cat"],"description":"("}'


def _recorded_texts(path):
    document = json.loads(path.read_text("utf-8"), strict=False)
    body = document.get("body") if isinstance(document, dict) else None
    choices = body.get("choices", []) if isinstance(body, dict) else []
    messages = [choice.get("message") or {} for choice in choices]
    return [message["content"] for message in messages if message.get("content")]


def _outcome(text):
    try:
        _build(_answer(text))
    except AnswerError as error:
        return error.reason
    return "suggestion"


def test_a_classifier_that_recognises_nothing_has_answered():
    text = '{"caption": "", "keywords": [], "description": ""}'
    answer = StageAnswer(tuple(Stage), "classifier", "", "", text, 0.1)
    result = InferenceResult((answer,), has_honest_scores=True, notes=("no object recognised",))

    suggestion = build_suggestion(result, max_keywords=5)

    assert suggestion.tags == Tags()
    assert "no object recognised" in suggestion.notes
    with pytest.raises(AnswerError):
        build_suggestion(InferenceResult((answer,)), max_keywords=5)
