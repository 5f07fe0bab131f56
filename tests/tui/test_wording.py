from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.client import EngineView
from imageworks.models import ImageState
from imageworks.store.records import RunOptions, RunRow
from imageworks.tui.states import STATE_SIGNS, WORD_WIDTH, can_show_unicode, glyph_of
from imageworks.tui.wording import (
    count_text,
    counts_text,
    duration_text,
    model_text,
    progress_text,
    rate_text,
    shorten_middle,
    tokens_text,
)

RUN = RunRow(
    id=1,
    name="20260101-000000-abcd",
    kind="batch",
    status="running",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    started_at=None,
    ended_at=None,
    worked_s=10.0,
    config="{}",
    options=RunOptions(),
    totals={},
    message="",
)


def view_of(status: str = "running", **totals: Any) -> EngineView:
    run = RUN._replace(status=status, totals=totals)
    return EngineView(is_alive=True, activity="", batch=run, waiting=0, unwritten=0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h 0 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_counts_and_rates() -> None:
    assert count_text(1, "image") == "1 image"
    assert count_text(12_345, "image") == "12,345 images"
    assert rate_text(2.34) == "2.3 images/s"
    assert rate_text(0.5) == "30.0 images/min"
    assert tokens_text(None) == ""
    assert tokens_text({"prompt": 1200, "completion": 0, "per_s": 33.3}) == (
        "1,200 prompt · 33.3 per second"
    )


def test_counts_come_in_the_order_of_the_work_with_sign_and_word() -> None:
    counts = {ImageState.FAILED: 2, ImageState.DISCOVERED: 1200, ImageState.QUEUED: 0}

    assert counts_text(counts, is_unicode=True) == "· 1,200 new  ! 2 failed"
    assert counts_text(counts, is_unicode=False) == ". 1,200 new  ! 2 failed"


def test_every_state_has_a_sign_and_a_word_of_its_own() -> None:
    assert set(STATE_SIGNS) == set(ImageState)
    for is_unicode in (True, False):
        assert len({glyph_of(state, is_unicode=is_unicode) for state in ImageState}) == 9
    assert len({sign.word for sign in STATE_SIGNS.values()}) == 9
    assert WORD_WIDTH == 8
    assert all(sign.ascii_glyph.isascii() for sign in STATE_SIGNS.values())


@pytest.mark.parametrize(("encoding", "expected"), [("UTF-8", True), ("ANSI_X3.4-1968", False)])
def test_signs_follow_the_terminals_character_set(
    encoding: str, *, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("locale.getpreferredencoding", lambda do_setlocale: encoding)

    assert can_show_unicode() is expected


@pytest.mark.parametrize(
    ("view", "text"),
    [
        (view_of(total=120, done=34), "Batch 34 of 120"),
        (view_of(total=120, done=34, is_scanning=True), "Batch 34 of 120+"),
        (
            view_of(total=9, done=1, message="the server is gone; waiting"),
            "Batch 1 of 9 · the server is gone; waiting",
        ),
        (view_of(), "The batch starts."),
        (replace(view_of(), activity="loads a model"), "The batch starts: loads a model"),
        (replace(view_of("pending"), is_alive=False), "The batch waits for the engine."),
        (view_of("finished", total=9), ""),
        (replace(view_of("finished"), activity="idle"), ""),
        (replace(view_of("finished"), activity="scans \x1b[2J"), r"scans \x1b[2J"),
        (replace(view_of("finished"), unwritten=2), "2 images to write"),
        (replace(view_of(), batch=None), ""),
    ],
)
def test_progress(view: EngineView, text: str) -> None:
    assert progress_text(view) == text


def test_model_is_named_as_it_will_be_asked() -> None:
    config = PersonalTaggerConfig()

    assert model_text(config) == "Qwen2.5-VL-7B-AWQ at lmdeploy, profile default"
    assert model_text(replace(config, backend="builtin")) == "the built-in classifier"
    assert "registry roles caption, keywords" in model_text(replace(config, use_registry=True))


@given(st.text(max_size=40), st.integers(0, 50))
def test_shortened_text_fits_and_keeps_its_end(text: str, width: int) -> None:
    shown = shorten_middle(text, width)

    assert len(shown) <= max(width, 0)
    if len(text) > width >= 4:
        assert shown.endswith(text[-1])
        assert shown[0] == text[0]
        assert "…" in shown
    elif len(text) <= width:
        assert shown == text
