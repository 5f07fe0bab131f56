from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from imageworks.config import PersonalTaggerConfig
from imageworks.errors import StoreError
from imageworks.models import ExistingMetadata, ImageState
from imageworks.review.session import ReviewSession
from imageworks.tui.hands import base
from imageworks.tui.screens.batch import BatchScreen
from imageworks.tui.screens.help import HelpScreen
from imageworks.tui.screens.metrics import MetricsScreen
from imageworks.tui.screens.too_small import TooSmallScreen
from imageworks.tui.workstation import Workstation
from tests.scenarios.drivers import workstation
from tests.support.burst import burst
from tests.support.review_library import FakeEngine, ReviewLibrary, tags_of
from tests.tui.conftest import screen_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from textual.pilot import Pilot


WIDE = (120, 36)


def over_folder(made: ReviewLibrary) -> Workstation:
    return Workstation(
        library=made.library,
        session=ReviewSession(made.library, made.config, folders=[made.photos]),
        config=made.config,
        client=made.engine(),
        log_path=made.folder / "screen.log",
        themes_dir=made.folder,
    )


def engine_of(app: Workstation) -> FakeEngine:
    client = app.review.engine.client
    assert isinstance(client, FakeEngine)
    return client


def is_reviewing(app: Workstation) -> bool:
    return app.screen is app.review


async def until(pilot: Pilot[Any], is_so: Callable[[], bool]) -> None:
    """Waits for what a timer of the app brings about."""
    async with asyncio.timeout(10):
        while not is_so():
            await pilot.pause(0.02)


async def test_screen_shows_list_states_fields_and_counts(app: Workstation) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "j")
        text = screen_text(app)

    assert "> ? ready    b.jpg" in text.replace(">?", "> ?")
    assert "· new      e.jpg" in text
    assert "Minka" in text
    assert "the model says: A grey cat" in text
    assert "=Family  =Paris, France  *cat  *sofa" in text
    assert "= 2 in the file · * 2 from the model" in text
    assert "Tiny-VL · default" in text
    assert "· 1 new  ? 4 ready" in text
    assert "2 of 5 · all" in text


@pytest.mark.parametrize("size", [(200, 60), (120, 36), (100, 30), (80, 24), (60, 15), (40, 10)])
async def test_everything_needed_is_there_at_any_size(
    app: Workstation, size: tuple[int, int]
) -> None:
    async with app.run_test(size=size) as pilot:
        await burst(pilot, "j")
        text = screen_text(app)
        assert ">? " in text
        assert "b.jpg" in text
        assert "a accept" in text
        for key, name in (("e", "caption"), ("t", "keywords"), ("d", "description")):
            await burst(pilot, key)
            await pilot.pause()
            area = app.review.form.field(name)
            visible = app.screen.find_widget(area).visible_region
            assert visible.height >= 1, name
            assert visible.width >= 20, name
            await burst(pilot, "escape")


@pytest.mark.parametrize("size", [(20, 5), (39, 24), (80, 9), (10, 1)])
async def test_too_small_a_screen_swallows_every_key_but_quit(
    app: Workstation, made: ReviewLibrary, size: tuple[int, int]
) -> None:
    before = made.states()
    async with app.run_test(size=size) as pilot:
        await burst(pilot, "a", "r", "e", "x", "?", "ctrl+p", "enter", "escape")
        assert isinstance(app.screen, TooSmallScreen)
        assert made.states() == before
        await burst(pilot, "ctrl+q")

    assert app.return_code == 0


async def test_growing_screen_gives_the_keys_back(app: Workstation, made: ReviewLibrary) -> None:
    async with app.run_test(size=(20, 5)) as pilot:
        await pilot.resize_terminal(100, 30)
        await burst(pilot, "a")
        await pilot.resize_terminal(30, 8)
        await burst(pilot, "a")

        assert isinstance(app.screen, TooSmallScreen)

    assert made.states()["a.jpg"] is ImageState.ACCEPTED
    assert made.states()["b.jpg"] is ImageState.SUGGESTED


async def test_empty_library_says_how_to_begin(empty: ReviewLibrary, tmp_path: Path) -> None:
    app = workstation(empty, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await burst(pilot, "a", "r", "s", "u", "x", "n", "N", "j", "G", "pagedown", "e", "escape")
        text = screen_text(app)
        await burst(pilot, "b")
        assert app.review.message == "Start with: ptag FOLDER"

    assert "No images here yet." in text
    assert "Start with: ptag FOLDER" in text


async def test_images_without_suggestions_say_whom_to_ask(empty: ReviewLibrary) -> None:
    empty.add("a.jpg")
    empty.add("b.jpg")
    app = over_folder(empty)
    async with app.run_test(size=WIDE):
        assert "Press b to ask lmdeploy about 2 images." in screen_text(app)


async def test_filter_without_images_says_so(app: Workstation) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await burst(pilot, "f", "f", "f", "f")

        assert "No image is in this filter (failed)." in screen_text(app)


async def test_nothing_to_decide_is_one_line_not_a_crash(app: Workstation) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await burst(pilot, "G", "a")

        assert "This image is discovered" in screen_text(app)
        await burst(pilot, "u")
        assert "nothing to undo" in screen_text(app)


async def test_moving_keys(app: Workstation, empty: ReviewLibrary, tmp_path: Path) -> None:
    for number in range(200):
        empty.add(f"{number:03}.jpg", tags_of("x") if number in {3, 150} else None)
    app = workstation(empty, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        positions, page = list[int](), 0
        for key in ("n", "n", "N", "G", "g", "pagedown", "pageup", "down", "up", "end", "home"):
            await burst(pilot, key)
            positions.append(app.review.listing.position)
            page = app.review.images.page_rows()
            assert f">{'?' if positions[-1] in {3, 150} else '·'} " in screen_text(app), key

    assert page > 1
    assert positions == [3, 150, 3, 199, 0, page, 0, 1, 0, 199, 0]


async def test_click_goes_to_a_row(app: Workstation) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await pilot.click("#images", offset=(5, 2))
        await pilot.pause()
        assert app.review.form.bound_id == app.review.listing.ids[2]
        await pilot.click("#images", offset=(5, 12))
        await pilot.pause()
        assert app.review.listing.position == 2


async def test_click_into_a_field_and_out_keeps_what_was_typed(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await pilot.click("#caption")
        await burst(pilot, *"new ")
        await pilot.click("#images", offset=(5, 0))
        await pilot.pause()

        draft = made.library.session.draft(app.review.listing.ids[0])
    assert draft is not None
    assert "new" in draft.caption


async def test_typed_text_is_durable_without_leaving_the_field(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "e", *" today")
        image_id = app.review.listing.ids[0]
        await until(pilot, lambda: made.library.session.draft(image_id) is not None)

        draft = made.library.session.draft(image_id)
        assert draft is not None
        assert draft.caption == "A red boat today"


async def test_new_suggestion_never_replaces_what_is_being_typed(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "e", *" mine")
        made.suggest(app.review.listing.ids[0], tags_of("From another run"))
        app.review.listing.touch()
        await until(pilot, lambda: not app.review.listing.is_stale)
        assert app.review.form.area("caption").text == "A red boat mine"
        await burst(pilot, "ctrl+s")

    assert made.written_choice("a.jpg").caption == "A red boat mine"


async def test_new_suggestion_shows_at_once_where_nothing_was_typed(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "G", "e")
        made.suggest(app.review.listing.ids[4], tags_of("At last"))
        app.review.listing.touch()
        await until(pilot, lambda: app.review.form.area("caption").text == "At last")

        assert not app.review.form.area("caption").read_only


async def test_change_by_another_process_is_seen(app: Workstation, made: ReviewLibrary) -> None:
    from imageworks.store.library import Library  # noqa: PLC0415  # a second connection

    other = Library(made.library.path)
    async with app.run_test(size=WIDE) as pilot:
        other.images.set_state(5, ImageState.FAILED, reason="decode", reason_text="It is cut off.")
        await until(pilot, lambda: "! failed   e.jpg" in screen_text(app))
        assert "It is cut off." in screen_text(app)
        other.images.set_state(1, ImageState.INFERRING)
        await until(pilot, lambda: "» asking   a.jpg" in screen_text(app))
    other.close()


async def test_image_under_the_cursor_is_followed_while_the_list_rests(
    app: Workstation, made: ReviewLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imageworks.store.library import Library  # noqa: PLC0415  # a second connection

    other = Library(made.library.path)
    async with app.run_test(size=WIDE) as pilot:
        other.images.set_state(5, ImageState.INFERRING)
        await until(pilot, lambda: "» asking   e.jpg" in screen_text(app))
        monkeypatch.setattr(base, "_CHANGES_S", 3600.0)
        other.images.set_state(2, ImageState.INFERRING)
        other.images.set_state(1, ImageState.FAILED, reason="decode", reason_text="It is cut off.")
        await until(pilot, lambda: "! failed   a.jpg" in screen_text(app))
        assert "» asking   b.jpg" not in screen_text(app)
        monkeypatch.setattr(base, "_CHANGES_S", 0.0)
        await until(pilot, lambda: "» asking   b.jpg" in screen_text(app))
    other.close()


async def test_a_name_is_whole_where_no_caption_stands_beside_it(made: ReviewLibrary) -> None:
    name = "20260516-oystercatcher-1771.jpg"
    added = made.add(name)
    app = over_folder(made)
    async with app.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: name in screen_text(app))

        made.suggest(added, tags_of("A wader on the shore"))
        app.review.listing.touch()
        await until(pilot, lambda: "A wader" in screen_text(app))
        assert name not in screen_text(app).partition("\n")[2].partition("Caption")[0]


async def test_trouble_does_not_say_the_path_again(made: ReviewLibrary) -> None:
    app = over_folder(made)
    reason = f"{made.photos / 'e.jpg'} is cut short. hint: copy it again."
    made.library.images.set_state(5, ImageState.FAILED, reason="truncated", reason_text=reason)
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "G")
        assert "the file is cut short. hint: copy it again." in screen_text(app)
        assert f"{made.photos}/e.jpg" not in screen_text(app)


async def test_models_text_and_back(app: Workstation) -> None:
    async with app.run_test(size=WIDE) as pilot:
        caption = app.review.form.area("caption")
        await burst(pilot, "x")
        assert "none of its own" in app.review.message
        await burst(pilot, "j", "x")
        assert caption.text == "A grey cat"
        assert "the file says: Minka" in screen_text(app)
        await burst(pilot, "x")
        assert caption.text == "Minka"
        await burst(pilot, "G", "x")
        assert caption.text == ""


async def test_text_of_the_file_stays_where_the_model_has_none(empty: ReviewLibrary) -> None:
    empty.add(
        "a.jpg",
        tags_of("", [], "Seen by the model"),
        existing=ExistingMetadata(title="Title", description="Described"),
    )
    app = over_folder(empty)
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "x")

        assert app.review.form.tags().caption == "Title"
        assert app.review.form.tags().description == "Seen by the model"


async def test_written_image_is_not_decided_on_again_without_an_edit(
    app: Workstation, made: ReviewLibrary
) -> None:
    made.library.images.set_state(1, ImageState.WRITTEN)
    async with app.run_test(size=WIDE) as pilot:
        assert "written already" in screen_text(app)
        await burst(pilot, "a")
        assert "nothing to decide" in app.review.message
        await burst(pilot, "r")
        assert "nothing to decide" in app.review.message

    assert made.states()["a.jpg"] is ImageState.WRITTEN


async def test_queued_image_says_that_it_waits(app: Workstation, made: ReviewLibrary) -> None:
    made.library.queue.add(made.run.id, [5])
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "G")

        assert "it is on its way" in screen_text(app)


async def test_batch_dialog_says_what_and_whom_and_starts_on_enter(made: ReviewLibrary) -> None:
    app = over_folder(made)
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "b")
        text = screen_text(app)
        assert "backend     lmdeploy" in text
        assert "model       Qwen2.5-VL-7B-AWQ" in text
        assert "1 image of 5 without one" in text
        assert "wait for my decision; no file is written" in text
        assert made.library.runs.next_pending() is None
        await burst(pilot, "enter")

        assert is_reviewing(app)
        run = made.library.runs.next_pending()
        assert run is not None
        config = PersonalTaggerConfig.from_json(run.config)
        assert config.input_paths == (made.photos,)
        assert config.review_later
        await burst(pilot, "b")
        assert "A batch is under way" in app.review.message or isinstance(app.screen, BatchScreen)


async def test_batch_dialog_can_be_left(made: ReviewLibrary) -> None:
    app = over_folder(made)
    async with app.run_test(size=(80, 24)) as pilot:
        await burst(pilot, "b", "escape")

        assert is_reviewing(app)
        assert made.library.runs.next_pending() is None


async def test_batch_in_the_whole_library_asks_about_the_folder_of_the_image(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "b", "enter")

    run = made.library.runs.next_pending()
    assert run is not None
    assert PersonalTaggerConfig.from_json(run.config).input_paths == (made.photos,)


async def test_batch_that_cannot_be_added_says_why(
    app: Workstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StoreError("The disk is full.", hint="make room.")  # noqa: EM101

    async with app.run_test(size=WIDE) as pilot:
        monkeypatch.setattr(engine_of(app), "start_batch", refuse)
        await burst(pilot, "b", "enter")

        assert app.review.message == "The disk is full. hint: make room."


async def test_batch_progress_is_shown_and_it_can_be_stopped(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "B")
        assert app.review.message == "No batch is under way."
        run = made.library.runs.create("batch", "{}")
        made.library.runs.start(run.id)
        totals = {"total": 120, "done": 34, "images_per_s": 1.2, "eta_s": 71.6, "failed": 1}
        made.library.runs.add_progress(run.id, worked_ms=1, totals=totals)
        await burst(pilot, "j")
        expected = "Batch 34 of 120 · 1.2 images/s · 1 min 12 s left · 1 failed"
        await until(pilot, lambda: expected in screen_text(app))
        await burst(pilot, "b")
        assert "A batch is under way" in app.review.message
        await burst(pilot, "B")
        assert made.library.session.take_wishes() == [("stop", run.name)]
        made.library.runs.end(run.id, "interrupted", message="stopped by you")
        await until(pilot, lambda: "The batch is interrupted" in screen_text(app))
        assert "stopped by you" in screen_text(app)


async def test_engine_is_started_for_what_is_accepted(app: Workstation) -> None:
    async with app.run_test(size=WIDE) as pilot:
        assert engine_of(app).starts == 0
        await burst(pilot, "a")
        await until(pilot, lambda: engine_of(app).starts == 1)
        await until(pilot, lambda: "1 image to write" in app.review._status._progress)


async def test_metrics_and_help_open_and_close(app: Workstation) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        for key, kind in (("3", MetricsScreen), ("m", MetricsScreen), ("?", HelpScreen)):
            await burst(pilot, key)
            assert isinstance(app.screen, kind)
            await burst(pilot, "escape")
            assert is_reviewing(app)
        await burst(pilot, "3", "3", "B", "?")
        assert isinstance(app.screen, HelpScreen)
        await burst(pilot, "enter")
        await burst(pilot, "1")
        await burst(pilot, "1")
        assert is_reviewing(app)


async def test_quit_from_the_metrics_screen_keeps_the_place(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await burst(pilot, "j", "j", "3", "q")

    assert app.return_code == 0
    assert ReviewSession(made.library, made.config).remembered_place()[0] == 3


async def test_quit_while_typing_keeps_the_draft(app: Workstation, made: ReviewLibrary) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await burst(pilot, "d", *" More.", "ctrl+q")

    draft = made.library.session.draft(1)
    assert draft is not None
    assert draft.description.endswith("beach. More.")


async def test_control_c_says_how_to_leave(app: Workstation) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await burst(pilot, "ctrl+c")
        await pilot.pause()

        assert app.review.message == "Press ctrl+q to leave."


async def test_palette_finds_and_runs_an_action(app: Workstation, made: ReviewLibrary) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await burst(pilot, "e", "ctrl+p")
        await pilot.pause()
        await pilot.press(*"reject")
        await until(pilot, lambda: "reject (r)" in screen_text(app))
        assert "the file stays as it is" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: made.states()["a.jpg"] is ImageState.REJECTED)


async def test_palette_lists_actions_before_anything_is_typed(app: Workstation) -> None:
    async with app.run_test(size=(100, 40)) as pilot:
        await burst(pilot, "ctrl+p")
        await until(pilot, lambda: "accept (a)" in screen_text(app))

        assert "Change theme" not in screen_text(app)


async def test_users_keys_work_and_the_defaults_they_replace_do_not(
    made: ReviewLibrary, tmp_path: Path
) -> None:
    app = workstation(made, tmp_path, keymap={"accept": "W,ctrl+a", "undo": "Q"})
    async with app.run_test(size=(80, 24)) as pilot:
        await burst(pilot, "a")
        assert made.states()["a.jpg"] is ImageState.SUGGESTED
        await burst(pilot, "W", "ctrl+a")
        assert "W accept" in screen_text(app)
        assert "Q takes it back" in screen_text(app)
    states = made.states()
    assert (states["a.jpg"], states["b.jpg"]) == (ImageState.ACCEPTED, ImageState.ACCEPTED)


async def test_full_disk_keeps_the_typed_text_on_the_screen(
    app: Workstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StoreError("The disk is full.", hint="make room.")  # noqa: EM101

    async with app.run_test(size=WIDE) as pilot:
        monkeypatch.setattr(app.review.session, "save_draft", refuse)
        await burst(pilot, "e", *" mine", "escape", "j")

        assert "The disk is full." in screen_text(app)
        assert app.review.form.area("caption").text == "A red boat mine"
        assert app.review.form.bound_id == 1
        await burst(pilot, "q")
        assert app.return_code == 0


async def test_library_that_cannot_be_read_is_told_and_looked_at_again(
    app: Workstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> int:
        raise StoreError("The library is locked.")  # noqa: EM101

    async with app.run_test(size=WIDE) as pilot:
        with monkeypatch.context() as patch:
            patch.setattr(app.review.library, "data_version", refuse)
            await until(pilot, lambda: "The library is locked." in screen_text(app))
        await burst(pilot, "j")
        assert app.review.listing.position == 1


async def test_error_nobody_caught_shows_no_settings_and_keeps_the_draft(
    app: Workstation,
    made: ReviewLibrary,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        message = "a defect"
        raise RuntimeError(message)

    async def meet_a_defect() -> None:
        async with app.run_test(size=WIDE) as pilot:
            await burst(pilot, "e", *"!")
            monkeypatch.setattr(app.review, "do_next_field", fail)
            await pilot.press("tab")

    with pytest.raises(RuntimeError, match="a defect"):
        await meet_a_defect()
    shown = capsys.readouterr().err

    assert "The workstation stopped: a defect" in shown
    assert "api_key" not in shown
    draft = made.library.session.draft(1)
    assert draft is not None
    assert draft.caption == "A red boat!"
