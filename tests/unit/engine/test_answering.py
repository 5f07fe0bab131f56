"""Asking another way: how often, with what result, and when not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.answering import MAX_UNUSABLE, Answering
from imageworks.errors import AnswerError, TransientBackendError
from imageworks.models import Stage, StageAnswer
from imageworks.stages import InferenceRequest, InferenceResult

WHOLE = {"caption": "A boat at sea", "keywords": ["boat"], "description": "A boat lies at sea."}
CAPTION = {"caption": "A boat at sea"}
TWO = {"caption": "A ship at sea", "keywords": ["ship"]}
REFUSAL = "I'm sorry, but I can't help with identifying the people in this image."


class Engine:
    """Answers from a list; an error is raised, a pair is an answer that was cut off."""

    def __init__(self, *answers, base_url="http://127.0.0.1:9/v1"):
        self.answers = list(answers)
        self.base_url = base_url
        self.asked = []

    async def infer(self, request):
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        is_cut = isinstance(answer, tuple)
        content = answer[0] if is_cut else answer
        text = content if isinstance(content, str) else json.dumps(content)
        exchange = StageAnswer(request.stages, "m", "", "", text, 1.0, is_truncated=is_cut)
        return InferenceResult((exchange,))


def unusable(reason="whitespace-loop"):
    return AnswerError("unusable", reason=reason)


async def answered(engine, *, stages=tuple(Stage), answering=None):
    answering = answering or answering_for(engine)
    request = InferenceRequest(Path("a.jpg"), b"", stages=stages)
    _, suggestion = await answering.answer(request)
    return suggestion.tags


def answering_for(engine):
    return Answering(engine, PersonalTaggerConfig(), on_answer=lambda: None)


@pytest.mark.parametrize("bad", [REFUSAL, unusable(), (WHOLE,), CAPTION, "{}"])
async def test_a_bad_answer_is_asked_for_another_way(bad):
    engine = Engine(bad, WHOLE)

    tags = await answered(engine)

    assert tags.description == WHOLE["description"]
    assert [request.unusable for request in engine.asked] == [0, 1]


async def test_a_whole_answer_is_asked_for_once():
    engine = Engine(WHOLE)

    await answered(engine)

    assert len(engine.asked) == 1


async def test_one_field_is_whole_by_itself():
    engine = Engine("A boat at sea")

    assert (await answered(engine, stages=(Stage.CAPTION,))).caption == "A boat at sea"


@pytest.mark.parametrize("answers", [(CAPTION, TWO, CAPTION), (TWO, unusable(), REFUSAL)])
async def test_the_richest_of_incomplete_answers_is_kept(answers):
    tags = await answered(Engine(*answers))

    assert [keyword.text for keyword in tags.keywords] == ["ship"]


async def test_the_last_failure_is_told_when_nothing_could_be_used():
    engine = Engine(unusable(), REFUSAL, unusable("empty-answer"))

    with pytest.raises(AnswerError) as caught:
        await answered(engine)

    assert caught.value.reason == "empty-answer"
    assert len(engine.asked) == MAX_UNUSABLE + 1


async def test_a_failure_that_no_sample_mends_is_not_asked_again():
    engine = Engine(unusable("context-overflow"))

    with pytest.raises(AnswerError):
        await answered(engine)

    assert len(engine.asked) == 1


async def test_what_was_got_outlives_a_later_failure():
    tags = await answered(Engine(CAPTION, unusable("context-overflow")))

    assert tags.caption == CAPTION["caption"]


async def test_the_backends_own_trouble_is_passed_on():
    engine = Engine(CAPTION, TransientBackendError("away", reason="unreachable"))

    with pytest.raises(TransientBackendError):
        await answered(engine)


async def test_a_model_that_never_gives_all_is_taken_as_it_is_after_a_few_pictures():
    engine = Engine(*[CAPTION] * 100)
    answering = answering_for(engine)

    for _ in range(10):
        await answered(engine, answering=answering)

    assert len(engine.asked) == 3 * (MAX_UNUSABLE + 1) + 7


async def test_a_classifier_is_asked_once():
    engine = Engine(CAPTION, base_url="")

    await answered(engine)

    assert len(engine.asked) == 1
