"""What a run does with a file it came upon."""

from __future__ import annotations

import pytest

from imageworks.engine.plan import Plan, plan_for
from imageworks.models import ImageFormat, ImageState
from imageworks.store.records import FoundImage

FOUND = FoundImage(
    id=1,
    format=ImageFormat.JPEG,
    state=ImageState.DISCOVERED,
    is_new=False,
    is_changed=False,
    is_queued=False,
    content_id="c",
    fingerprint="same",
    decided_by="",
    is_decided=False,
)


def plan(*, writes=True, redo=False, fingerprint="same", **changes):
    return plan_for(
        FOUND._replace(**changes), fingerprint=fingerprint, writes_metadata=writes, is_redo=redo
    )


@pytest.mark.parametrize(
    "state", [ImageState.DISCOVERED, ImageState.QUEUED, ImageState.INFERRING, ImageState.FAILED]
)
def test_what_has_no_suggestion_is_asked(state):
    assert plan(state=state, fingerprint="") is Plan.ASK


def test_a_suggestion_made_in_the_same_way_is_accepted_or_left():
    assert plan(state=ImageState.SUGGESTED) is Plan.ACCEPT
    assert plan(state=ImageState.SUGGESTED, writes=False) is Plan.LEAVE


def test_a_suggestion_made_otherwise_or_for_other_bytes_is_asked_again():
    assert plan(state=ImageState.SUGGESTED, fingerprint="other") is Plan.ASK
    assert plan(state=ImageState.SUGGESTED, is_changed=True) is Plan.ASK


@pytest.mark.parametrize("state", [ImageState.WRITTEN, ImageState.REJECTED, ImageState.SKIPPED])
def test_a_persons_decision_outranks_another_model(state):
    decided = {"state": state, "is_decided": True, "decided_by": "person"}

    assert plan(**decided) is Plan.LEAVE
    assert plan(**decided, fingerprint="other") is Plan.LEAVE
    assert plan(**decided, is_changed=True) is Plan.ASK


def test_what_a_run_wrote_another_model_may_ask_again():
    written = {"state": ImageState.WRITTEN, "is_decided": True, "decided_by": "run"}

    assert plan(**written) is Plan.LEAVE
    assert plan(**written, fingerprint="other") is Plan.ASK


def test_redo_asks_everything_but_what_waits_for_its_write():
    assert plan(state=ImageState.WRITTEN, redo=True) is Plan.ASK
    assert plan(state=ImageState.ACCEPTED, redo=True) is Plan.AWAIT_WRITE


def test_a_failed_write_is_tried_again_only_by_a_run_that_writes():
    failed = {"state": ImageState.FAILED, "is_decided": True, "decided_by": "person"}

    assert plan(**failed) is Plan.RETRY_WRITE
    assert plan(**failed, writes=False) is Plan.LEAVE
