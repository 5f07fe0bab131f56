from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import AnswerError, BackendError, TransientBackendError
from imageworks.infer.retry import RetryPolicy
from tests.support.fake_time import FakeTime


def transient(reason="busy", retry_after_s=None):
    return TransientBackendError("no", reason=reason, retry_after_s=retry_after_s)


def unusable(reason="empty-answer"):
    return AnswerError("no", reason=reason)


class Asked:
    """Raises what it is given, one each time, then answers."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.resamples = []

    async def __call__(self, resample):
        self.resamples.append(resample)
        if self.outcomes:
            raise self.outcomes.pop(0)
        return "answer"


@pytest.fixture
def fake_time():
    return FakeTime()


@pytest.fixture
def policy(fake_time):
    return RetryPolicy(total_s=60, sleep=fake_time.sleep, clock=fake_time.clock, draw=lambda: 1.0)


async def test_first_answer_is_one_attempt(policy, fake_time):
    assert await policy.run(Asked()) == ("answer", 1)
    assert fake_time.slept_s == []


async def test_transient_errors_are_asked_again_with_growing_waits(policy, fake_time):
    ask = Asked(transient(), transient("server-error"), transient("rate-limited"))

    assert await policy.run(ask) == ("answer", 4)
    assert fake_time.slept_s == [0.5, 1.0, 2.0]
    assert ask.resamples == [0, 0, 0, 0]


async def test_retries_end_after_their_number(policy, fake_time):
    ask = Asked(*[transient() for _ in range(9)])

    with pytest.raises(TransientBackendError):
        await policy.run(ask)

    assert len(ask.resamples) == 5
    assert len(fake_time.slept_s) == 4


async def test_retries_end_with_the_time(fake_time):
    policy = RetryPolicy(
        total_s=2, most_retries=99, sleep=fake_time.sleep, clock=fake_time.clock, draw=lambda: 1.0
    )

    with pytest.raises(TransientBackendError):
        await policy.run(Asked(*[transient() for _ in range(99)]))

    assert fake_time.now_s <= 2
    assert fake_time.slept_s == [0.5, 1.0]


async def test_wish_of_the_server_is_honoured_but_capped(policy, fake_time):
    await policy.run(Asked(transient(retry_after_s=3), transient(retry_after_s=9999)))

    assert fake_time.slept_s == [3.5, 20.0]


async def test_absent_server_gets_one_more_try_at_once(policy, fake_time):
    ask = Asked(transient("unreachable"), transient("unreachable"))

    with pytest.raises(TransientBackendError):
        await policy.run(ask)

    assert len(ask.resamples) == 2
    assert fake_time.slept_s == []


async def test_lost_connection_is_asked_again_at_once_then_with_waits(policy, fake_time):
    ask = Asked(transient("connection-lost"), transient("connection-lost"))

    assert await policy.run(ask) == ("answer", 3)
    assert fake_time.slept_s == [1.0]


async def test_an_answer_given_up_on_early_is_asked_for_once_more(policy):
    ask = Asked(transient("timeout"), transient("timeout"))

    with pytest.raises(TransientBackendError):
        await policy.run(ask)

    assert len(ask.resamples) == 2


async def test_full_wait_is_not_waited_again(policy, fake_time):
    tries = []
    error = transient("timeout")

    async def ask(resample):
        tries.append(resample)
        await fake_time.sleep(policy.total_s + 1)
        raise error

    with pytest.raises(TransientBackendError):
        await policy.run(ask)

    assert tries == [0]


@pytest.mark.parametrize("reason", ["empty-answer", "bad-sample", "whitespace-loop"])
async def test_unusable_answer_gets_one_other_sample(policy, fake_time, reason):
    ask = Asked(unusable(reason))

    assert await policy.run(ask) == ("answer", 2)
    assert ask.resamples == [0, 1]
    assert fake_time.slept_s == []


async def test_second_unusable_answer_is_the_pictures_failure(policy):
    ask = Asked(unusable(), unusable("bad-sample"))

    with pytest.raises(AnswerError) as caught:
        await policy.run(ask)

    assert caught.value.reason == "bad-sample"


async def test_other_sample_is_not_drawn_when_the_time_is_over(fake_time):
    async def slow(resample):
        fake_time.now_s += 100
        raise unusable()

    policy = RetryPolicy(total_s=60, sleep=fake_time.sleep, clock=fake_time.clock)

    with pytest.raises(AnswerError):
        await policy.run(slow)

    assert fake_time.now_s == 100


@pytest.mark.parametrize(
    "error",
    [
        unusable("context-overflow"),
        unusable("thinking-only"),
        BackendError("no", reason="not-authorised"),
        BackendError("no", reason="model-missing"),
    ],
)
async def test_hopeless_errors_are_not_asked_again(policy, error):
    ask = Asked(error)

    with pytest.raises(type(error)):
        await policy.run(ask)

    assert len(ask.resamples) == 1


async def test_waits_of_many_pictures_differ(fake_time):
    draws = iter([0.0, 1.0])
    policy = RetryPolicy(
        total_s=60, sleep=fake_time.sleep, clock=fake_time.clock, draw=lambda: next(draws)
    )

    await policy.run(Asked(transient()))
    await policy.run(Asked(transient()))

    assert fake_time.slept_s == [0.25, 0.5]


@given(
    reasons=st.lists(
        st.sampled_from(["busy", "connection-lost", "unreachable", "timeout", "empty-answer"]),
        max_size=12,
    ),
    wish=st.none() | st.floats(0, 1e6),
)
async def test_tries_and_time_are_bounded_whatever_fails(reasons, wish):
    fake_time = FakeTime()
    policy = RetryPolicy(total_s=30, sleep=fake_time.sleep, clock=fake_time.clock)
    ask = Asked(
        *[unusable() if r == "empty-answer" else transient(r, retry_after_s=wish) for r in reasons]
    )

    try:
        _, attempts = await policy.run(ask)
    except (TransientBackendError, AnswerError):
        attempts = len(ask.resamples)

    assert attempts == len(ask.resamples) <= 6
    assert fake_time.now_s <= 30
