"""What a screen tells the engine of a library, and how it starts one."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from imageworks.config import ENVIRONMENT_PREFIX, PersonalTaggerConfig
from imageworks.engine.client import EngineClient
from imageworks.engine.control import SCAN, STOP, STOP_NOW
from imageworks.engine.lease import engine_lock, is_screen_open
from imageworks.errors import UsageError
from imageworks.models import ImageState, Stage, Tags
from imageworks.store.records import RunOptions
from imageworks.store.session import SUGGESTION_WISH, SuggestionWish
from tests.support.review_library import ReviewLibrary


@pytest.fixture
def made(tmp_path):
    made = ReviewLibrary(tmp_path)
    yield made
    made.library.close()


@pytest.fixture
def spawned(monkeypatch):
    """The processes that would have been started: command, environment, options."""
    started = []

    def spawn(path, command, environment, **options):
        started.append((command, environment, options))
        return 4_000_000 + len(started)  # above every real process id here

    monkeypatch.setattr(os, "posix_spawn", spawn)
    monkeypatch.setattr(os, "waitpid", lambda _pid, _options: (0, 0))
    return started


@pytest.fixture
def client(made, tmp_path, spawned):
    config = PersonalTaggerConfig(input_paths=(made.photos,), api_key="secret")
    return EngineClient(made.library, config, tmp_path / "logs" / "engine.log")


def test_an_engine_is_started_once_in_a_session_of_its_own_with_the_key_out_of_sight(
    client, made, spawned
):
    client.ensure_running()
    client.ensure_running()

    ((command, environment, options),) = spawned
    assert command[1:] == ["-P", "-m", "imageworks.engine.worker", str(made.library.path)]
    assert "secret" not in " ".join(command)
    assert environment[f"{ENVIRONMENT_PREFIX}API_KEY"] == "secret"
    assert environment["IMAGEWORKS_ENGINE_LOG"] == str(client.log_path)
    assert options["setsid"] is True
    assert client.log_path.parent.is_dir()


def test_no_engine_is_started_beside_one_that_is_alive(client, made, spawned):
    with engine_lock(made.library.path):
        client.ensure_running()

    assert spawned == []


def test_an_engine_that_has_ended_is_started_again(client, spawned, monkeypatch):
    client.ensure_running()
    monkeypatch.setattr(os, "waitpid", lambda pid, _options: (pid, 0))

    client.ensure_running()

    assert len(spawned) == 2


def test_a_batch_waits_in_the_library_with_its_own_settings(client, made, spawned):
    other = PersonalTaggerConfig(input_paths=(made.photos,), model="other")

    run = client.start_batch(other, RunOptions(limit=5))

    pending = made.library.runs.next_pending()
    assert pending.id == run.id
    assert (pending.options.limit, pending.options.is_background) == (5, True)
    assert PersonalTaggerConfig.from_json(pending.config).model == "other"
    assert client.view().is_batch_active
    assert client.view().waiting == 0
    assert len(spawned) == 1


def test_a_run_goes_on_in_the_background(client, made):
    run = made.library.runs.create("batch", "{}", status="interrupted")

    client.go_on(run, RunOptions(is_redo=True))

    pending = made.library.runs.next_pending()
    assert (pending.id, pending.options.is_redo, pending.options.is_background) == (
        run.id,
        True,
        True,
    )


def test_every_wish_is_in_the_library_before_an_engine_hears_of_it(client, made):
    image_id = made.add("a.jpg", Tags(caption="A boat"))
    run = made.library.runs.create("batch", "{}")

    client.stop_batch(run)
    client.stop_batch(run, is_now=True)
    client.ask_again(image_id, "an osprey", stage=Stage.CAPTION)
    client.request_scan([made.photos])
    wishes = made.library.session.take_wishes()

    assert [kind for kind, _ in wishes] == [STOP, STOP_NOW, SUGGESTION_WISH, SCAN]
    assert wishes[0][1] == run.name
    assert SuggestionWish.from_value(wishes[2][1]) == SuggestionWish(
        image_id, "an osprey", Stage.CAPTION
    )
    assert PersonalTaggerConfig.from_json(wishes[3][1]).input_paths == (made.photos,)


def test_a_pause_stands_until_it_is_lifted_and_then_a_batch_gets_its_engine(client, spawned):
    client.start_batch(PersonalTaggerConfig())
    client.pause()
    of_the_paused = client.view().pause
    was_paused, was_paused_again = client.resume(), client.resume()

    assert of_the_paused is not None
    assert client.view().pause is None
    assert (was_paused, was_paused_again) == (True, False)


def test_an_open_screen_is_seen_until_it_closes(client, made):
    before = is_screen_open(made.library.path)
    client.attach()
    during = is_screen_open(made.library.path)
    client.detach()

    assert (before, during, is_screen_open(made.library.path)) == (False, True, False)


def test_folders_and_profiles_are_checked_before_a_batch(client, made, tmp_path):
    assert client.check_folders([made.photos]) == (made.photos,)
    assert "default" in client.profile_names()
    with pytest.raises(UsageError):
        client.check_folders([tmp_path / "missing"])


def test_the_mark_changes_with_the_library_and_only_then(client, made):
    before = client.change_mark()
    unchanged = client.change_mark()
    client.look_at([1, 2])

    assert before == unchanged != client.change_mark()


def test_a_batch_that_ended_is_told_of_once(client, made):
    image_id = made.add("a.jpg", Tags(caption="A boat"))
    run = client.start_batch(replace(PersonalTaggerConfig(), input_paths=(made.photos,)))
    made.library.runs.start(run.id)
    made.library.outcomes.record(run.id, image_id, ImageState.SUGGESTED)
    made.library.runs.add_progress(run.id, worked_ms=5, totals={"done": 1})
    made.library.runs.end(run.id, "finished")
    unseen = client.unseen_batch()
    client.note_seen(unseen)

    assert unseen.id == run.id
    assert client.unseen_batch() is None
    assert client.morning_after() is not None


def test_an_engine_that_says_nothing_is_not_alive(client, made):
    made.library.session.hold_lease(4_194_303, "this-machine-no-more", "run")
    made.library.session.drop_lease()
    view = client.view()

    assert (view.is_alive, view.pid, view.activity, view.totals) == (False, 0, "", {})


def test_other_settings_count_from_the_next_start(client, spawned):
    client.use_config(PersonalTaggerConfig(api_key="another"))
    client.ensure_running()

    assert spawned[0][1][f"{ENVIRONMENT_PREFIX}API_KEY"] == "another"
