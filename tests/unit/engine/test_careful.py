"""Keywords asked several times: what is asked, what is kept, and what it costs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.careful import NOT_VERIFIED, NOTHING_AGREED, CarefulAnswering
from imageworks.errors import AnswerError, TransientBackendError
from imageworks.models import Stage, StageAnswer
from imageworks.stages import InferenceRequest, InferenceResult

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


async def ask(engine, *, samples=3, stages=tuple(Stage), sample=0, verifies=False):
    answering = CarefulAnswering(
        engine,
        PersonalTaggerConfig(),
        samples=samples,
        verifies=verifies,
        on_answer=lambda: None,
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


# -- yes or no to each -----------------------------------------------------------------


async def test_keywords_that_stay_are_verified_in_one_question_about_the_same_picture():
    engine = Engine(
        WHOLE, "boat, sea", "boat, sea, gull", {"boat": True, "gull": False, "sea": True}
    )

    result, suggestion = await ask(engine, verifies=True)

    asked = engine.asked[-1]
    assert len(engine.asked) == 4
    assert (asked.verify, asked.stages, asked.jpeg) == (("boat", "gull", "sea"), (), b"j")
    assert all(not request.verify for request in engine.asked[:-1])
    assert keywords(suggestion) == [("boat", None), ("sea", None)]
    assert [note for note in suggestion.notes if note.endswith(": gull")]
    assert [answer.names for answer in result.answers][-2:] == [
        ("caption", "keywords", "description"),
        ("verify",),
    ]


async def test_a_single_answer_can_be_verified_too():
    engine = Engine(WHOLE, {"boat": False, "gull": True})

    _, suggestion = await ask(engine, samples=1, verifies=True)

    assert keywords(suggestion) == [("gull", None)]


async def test_what_the_model_takes_back_whole_leaves_no_keyword_and_says_so():
    _, suggestion = await ask(
        Engine(WHOLE, {"boat": False, "gull": False}), samples=1, verifies=True
    )

    assert keywords(suggestion) == []
    assert suggestion.tags.caption == "A boat"
    assert any("boat, gull" in note for note in suggestion.notes)


@pytest.mark.parametrize(
    "answer",
    [
        "They all look fine to me.",
        AnswerError("no", reason="empty-answer"),
        AnswerError("no", reason="unsupported-field"),
        TransientBackendError("failed inside", reason="server-error"),
        TransientBackendError("slow", reason="timeout"),
    ],
)
async def test_an_unusable_verification_drops_nothing_and_is_noted(answer):
    result, suggestion = await ask(Engine(WHOLE, answer), samples=1, verifies=True)

    assert keywords(suggestion) == [("boat", None), ("gull", None)]
    assert suggestion.notes == (NOT_VERIFIED,)
    assert result.answers[0].stages == tuple(Stage)


async def test_keywords_left_out_of_the_verification_stay_and_are_counted():
    _, suggestion = await ask(Engine(WHOLE, {"boat": True}), samples=1, verifies=True)

    assert keywords(suggestion) == [("boat", None), ("gull", None)]
    assert suggestion.notes == ("1 of 2 keywords are not verified",)


@pytest.mark.parametrize("reason", ["unreachable", "busy", "rate-limited", "connection-lost"])
async def test_a_server_that_goes_away_at_the_verification_is_not_swallowed(reason):
    engine = Engine(WHOLE, TransientBackendError("away", reason=reason))

    with pytest.raises(TransientBackendError):
        await ask(engine, samples=1, verifies=True)


@pytest.mark.parametrize(
    ("answers", "stages"),
    [
        (["A boat at sea"], (Stage.CAPTION,)),
        ([{**WHOLE, "keywords": []}] * 3, tuple(Stage)),
        ([WHOLE, "sea", "harbour"], tuple(Stage)),
    ],
)
async def test_without_keywords_nothing_is_verified(answers, stages):
    engine = Engine(*answers)

    await ask(engine, stages=stages, verifies=True)

    assert not any(request.verify for request in engine.asked)


async def test_keywords_asked_again_alone_are_verified_as_well():
    engine = Engine("boat, gull", {"boat": True, "gull": False})

    _, suggestion = await ask(engine, samples=1, stages=(Stage.KEYWORDS,), verifies=True)

    assert keywords(suggestion) == [("boat", None)]
