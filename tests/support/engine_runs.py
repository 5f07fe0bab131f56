"""A run of the engine in the test's own process, over a folder and a server on loopback."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.service import EngineService
from imageworks.paths import app_paths
from tests.support.openai_server import MODEL, OpenAIServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from imageworks.stages import RunSummary
    from imageworks.store.library import Library
    from imageworks.store.records import RunOptions, RunRow


def config_for(tmp_path: Path, server: OpenAIServer, **changes: Any) -> PersonalTaggerConfig:
    """Settings for the photographs in ``photos``; the reports go beside them."""
    config = PersonalTaggerConfig(
        input_paths=(tmp_path / "photos",),
        backend="openai",
        base_url=(server.base_url,),
        model=MODEL,
        caption_model=MODEL,
        keyword_model=MODEL,
        description_model=MODEL,
        output_jsonl=tmp_path / "results.jsonl",
        summary_path=tmp_path / "summary.md",
        metrics_path=tmp_path / "metrics.json",
        timeout=20,
    )
    return replace(config, **changes)


async def run_once(
    library: Library,
    config: PersonalTaggerConfig,
    *,
    options: RunOptions | None = None,
    **kwargs: Any,
) -> tuple[RunSummary, RunRow]:
    """A batch from its start to its end."""
    run = library.runs.create("batch", config.to_json(), options=options)
    service = EngineService(library, app_paths())
    await service.start()
    try:
        return await service.do_run(run, config, **kwargs), run
    finally:
        await service.aclose()


async def until(is_true: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Returns once something is so, and fails when it does not come about in time."""
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
