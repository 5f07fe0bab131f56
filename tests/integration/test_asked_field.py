"""A field asked for again on the screen: one short request on the wire, one field changed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from imageworks.engine import worker
from imageworks.models import Stage
from imageworks.review.session import ReviewSession
from imageworks.store.library import Library
from imageworks.tui.workstation import Workstation
from tests.e2e.conftest import make_photos
from tests.support.burst import burst
from tests.support.engine_runs import config_for, run_once
from tests.support.openai_server import OpenAIServer
from tests.support.review_library import FakeEngine

NEW = {
    Stage.CAPTION: "Another caption",
    Stage.KEYWORDS: "harbour, quay",
    Stage.DESCRIPTION: "Another description of it.",
}
KEYS = {Stage.CAPTION: "e", Stage.KEYWORDS: "t", Stage.DESCRIPTION: "d"}


def screen(library, config, tmp_path):
    return Workstation(
        library=library,
        session=ReviewSession(library, config),
        config=config,
        client=FakeEngine(library, config, tmp_path / "engine.log"),
        log_path=tmp_path / "screen.log",
        themes_dir=tmp_path,
    )


@pytest.mark.parametrize("stage", list(Stage))
async def test_a_field_asked_again_on_the_screen_costs_one_short_call(tmp_path, library, stage):
    make_photos(tmp_path / "photos", 1)
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, review_later=True)
        await run_once(library, config)
        first = server.requests[-1]
        before = len(server.requests)
        server.script = lambda _asked: NEW[stage]
        engines = Library(library.path)
        app = screen(library, config, tmp_path)
        async with app.run_test(size=(120, 36)) as pilot:
            form = app.review.form
            shown = form.tags()
            await burst(pilot, KEYS[stage], "ctrl+g")
            await worker.serve(engines, api_key="EMPTY", linger_s=0.3)
            async with asyncio.timeout(10):
                while app.review.session.asked.of(form.bound_id):
                    await pilot.pause(0.02)
            after = form.tags()
        engines.close()
        chats = [asked for asked in server.requests[before:] if asked.is_chat]

    (asked,) = chats
    assert asked.stage == stage.value
    assert asked.image == first.image
    assert asked.body["max_tokens"] < 300 < first.body["max_tokens"]
    assert replace(after, **{stage.value: getattr(shown, stage.value)}) == shown
    changed = getattr(after, stage.value)
    told = ", ".join(k.text for k in changed) if stage is Stage.KEYWORDS else changed
    assert told == NEW[stage]
