"""Tells every story of reviewing to the rules alone, and by keys to the screen."""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from tests.scenarios import stories
from tests.scenarios.drivers import Driver, HeadlessDriver, screen_driver
from tests.support.review_library import five_photos

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

SIZES = {"screen": (120, 36), "small screen": (80, 24)}


@contextlib.asynccontextmanager
async def open_driver(kind: str, folder: Path) -> AsyncIterator[Driver]:
    made = five_photos(folder)
    if kind == "headless":
        yield HeadlessDriver(made)
    else:
        async with screen_driver(made, SIZES[kind]) as driver:
            yield driver
    made.library.close()


@pytest.mark.parametrize("kind", ["headless", *SIZES])
@pytest.mark.parametrize("story", stories.STORIES, ids=lambda story: story.__name__)
async def test_story(
    kind: str, story: Callable[[Driver], Coroutine[Any, Any, None]], tmp_path: Path
) -> None:
    async with open_driver(kind, tmp_path) as driver:
        await story(driver)


def test_no_story_is_left_out() -> None:
    told = {
        function
        for function in vars(stories).values()
        if inspect.iscoroutinefunction(function) and function.__module__ == stories.__name__
    }

    assert told == set(stories.STORIES)
