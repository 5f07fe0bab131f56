"""The batch dialog: what is chosen there is what the batch is asked to do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from imageworks.config import PersonalTaggerConfig
from imageworks.store.records import RunOptions
from imageworks.tui.screens.batch import BatchScreen
from tests.support.burst import burst
from tests.tui.conftest import screen_text

if TYPE_CHECKING:
    from pathlib import Path

    from imageworks.store.records import RunRow
    from imageworks.tui.workstation import Workstation
    from tests.support.review_library import ReviewLibrary

SIZE = (110, 36)


def started(made: ReviewLibrary) -> tuple[RunRow, PersonalTaggerConfig]:
    run = made.library.runs.next_pending()
    assert run is not None
    return run, PersonalTaggerConfig.from_json(run.config)


async def test_choices_become_the_batch(app: Workstation, made: ReviewLibrary) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await burst(pilot, "b")
        await burst(pilot, "j", "space", "j", "space")  # no sub-folders, the next backend
        await burst(pilot, "j", "e", *"Small-VL q", "enter")
        await burst(pilot, "j", "j", "space", "space")  # all again
        await burst(pilot, "j", "e", *"25", "enter", "j", "space", "enter")

    run, config = started(made)
    assert run.options == RunOptions(is_redo=True, limit=25, is_background=True)
    assert not config.recursive
    assert config.backend == "vllm"
    assert set(config.models().values()) == {"Small-VL q"}
    assert not config.review_later
    assert config.writes_metadata


async def test_profile_goes_round_and_a_dry_run_writes_nothing(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await burst(pilot, "b", "G", "space", "space")
        assert "dry run" in screen_text(app)
        await burst(pilot, "k", "k", "space", "k", "space", "enter")

    run, config = started(made)
    assert run.options.retry_failed == "any"
    assert config.prompt_profile != "default"
    assert config.dry_run
    assert not config.writes_metadata


async def test_folders_are_typed_and_missing_ones_stay_in_the_field(
    app: Workstation, made: ReviewLibrary, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with app.run_test(size=SIZE) as pilot:
        await burst(pilot, "b", "e", *str(tmp_path / "nowhere"), "enter")
        assert "No such file or directory" in " ".join(screen_text(app).split("│"))
        assert isinstance(app.screen, BatchScreen)
        typed = os.pathsep.join(str(tmp_path / name) for name in ("one", "two"))
        await burst(pilot, "ctrl+u", *typed, "enter", "enter")

    assert started(made)[1].input_paths == (tmp_path / "one", tmp_path / "two")


async def test_wrong_number_is_refused_and_none_means_all(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await burst(pilot, "b", *"jjjjjj", "e", *"few", "enter")
        assert "'few' is no number of images" in screen_text(app)
        await burst(pilot, "ctrl+u", "enter", "enter")

    assert started(made)[0].options.limit is None


async def test_nothing_starts_when_it_is_closed(app: Workstation, made: ReviewLibrary) -> None:
    async with app.run_test(size=(60, 16)) as pilot:
        await burst(pilot, "b", "e", "q", "escape", "escape")

        assert not isinstance(app.screen, BatchScreen)
    assert made.library.runs.next_pending() is None
