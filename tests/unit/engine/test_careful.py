"""Keywords asked several times: what is asked, what is kept, and what it costs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.careful import NOTHING_AGREED, CarefulAnswering
from imageworks.errors import AnswerError, TransientBackendError
from imageworks.models import InferenceRequest, InferenceResult, Stage, StageAnswer

WHOLE = {"caption": "A boat", "keywords": ["boat", "gull"], "description": "A boat lies at sea."}


class Engine:
    """Answers from a list; an error is raised."""

    base_url = "http://127.0.0.1:9/v1"

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def infer(self, request):
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return InferenceResult((StageAnswer(request.stages, "m", "", "", text, 1.0),))


async def ask(engine, *, samples=3, stages=tuple(Stage), sample=0):
    answering = CarefulAnswering(
        engine, PersonalTaggerConfig(), samples=samples, on_answer=lambda: None
    )
    return await answering.answer(
        InferenceRequest(Path("a.jpg"), b"j", stages=stages, sample=sample)
    )


def keywords(suggestion):
    return [(keyword.text, keyword.score) for keyword in suggestion.tags.keywords]


async def test_keywords_are_asked_again_alone_and_each_time_as_another_sample():
    engine = Engine(WHOLE, "boat, sea", "boat, gull, sea")

    result, suggestion = await ask(engine)

    assert [request.stages for request in engine.asked[1:]] == [(Stage.KEYWORDS,)] * 2
    assert len({request.sample for request in engine.asked}) == 3
    assert {request.jpeg for request in engine.asked} == {b"j"}
    assert keywords(suggestion) == [("boat", 1.0), ("gull", 0.667), ("sea", 0.667)]
    assert suggestion.tags.caption == "A boat"
    assert len(result.answers) == 3
    assert result.answers[-1].stages == tuple(Stage)


async def test_a_wish_for_another_answer_asks_for_other_samples():
    first, second = Engine(WHOLE, "boat", "boat"), Engine(WHOLE, "boat", "boat")

    await ask(first, sample=0)
    await ask(second, sample=1)

    samples = [request.sample for engine in (first, second) for request in engine.asked]
    assert len(set(samples)) == 6


async def test_one_sample_is_an_ordinary_answer():
    engine = Engine(WHOLE)

    _, suggestion = await ask(engine, samples=1)

    assert keywords(suggestion) == [("boat", None), ("gull", None)]


async def test_stages_without_keywords_are_asked_once():
    engine = Engine("A boat at sea")

    await ask(engine, stages=(Stage.CAPTION,))

    assert len(engine.asked) == 1


async def test_an_unusable_sample_is_left_out():
    bad = AnswerError("no", reason="empty-answer")

    _, suggestion = await ask(Engine(WHOLE, bad, "boat"))

    assert keywords(suggestion) == [("boat", 1.0)]


async def test_answers_that_agree_on_nothing_leave_no_keyword_and_say_so():
    _, suggestion = await ask(Engine(WHOLE, "sea", "harbour"))

    assert keywords(suggestion) == []
    assert NOTHING_AGREED in suggestion.notes


async def test_a_backend_that_goes_away_between_samples_is_not_swallowed():
    with pytest.raises(TransientBackendError):
        await ask(Engine(WHOLE, TransientBackendError("away", reason="unreachable")))
