"""What `ptag review` has loaded when its first frame is there, and what comes only after it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from imageworks.models import Keyword, Tags
from tests.support.fake_terminal import FakeTerminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from imageworks.tui.workstation import Workstation
    from tests.support.review_library import ReviewLibrary

CAPTION = "red-boat-ashore"
COMMAND = """
import sys
given = set(sys.modules)  # what measures the tests' coverage loads much by itself
from pathlib import Path
from imageworks.cli import main
from imageworks.engine.client import EngineClient
from imageworks.tui import app

folder = Path(sys.argv[1])
EngineClient.ensure_running = lambda client: None
collect_from_now_on = app.collect_from_now_on

def shown():
    (folder / "loading").write_text("\\n".join(set(sys.modules) - given))
    (folder / "loading").rename(folder / "loaded")
    collect_from_now_on()

app.collect_from_now_on = shown
words = ["review", "--store", str(folder / "library.sqlite3"), str(folder / "photos")]
sys.exit(main(words))
"""
UNNEEDED = {
    # Libraries and parts of Python that take milliseconds each.
    *("PIL", "httpx", "numpy", "onnxruntime", "pyexiv2", "textual_image", "tomlkit"),
    *("_hashlib", "html.entities", "multiprocessing", "secrets", "statistics"),
    # What only a batch, a write, a report or a dialog needs.
    *("imageworks.cli.run", "imageworks.cli.doctor", "imageworks.discover.walk"),
    *("imageworks.engine.morning", "imageworks.infer", "imageworks.metadata", "imageworks.prepare"),
    *("imageworks.report", "imageworks.review.changes", "imageworks.review.corrections"),
    *("imageworks.stages", "imageworks.store.folders", "imageworks.store.outcomes"),
    *(
        f"imageworks.tui.screens.{name}"
        for name in ("batch", "changes", "group", "help", "metrics", "quick", "settings", "summary")
    ),
}


@pytest.fixture
def started(made: ReviewLibrary, tmp_path: Path) -> Iterator[FakeTerminal]:
    """`ptag review` on a terminal of its own, as soon as its process has begun."""
    made.add("a.jpg", Tags(CAPTION, (Keyword("heron"),), "It lies there."))
    made.library.close()
    home = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path / "home")}
    home |= {f"XDG_{name}_HOME": str(tmp_path / "home") for name in ("DATA", "CACHE", "STATE")}
    terminal = FakeTerminal(
        [sys.executable, "-c", COMMAND, str(made.folder)],
        environment={**home, "PYTHONPATH": ":".join(filter(None, sys.path))},
    )
    yield terminal
    terminal.close()


def test_first_frame_waits_for_nothing_that_it_does_not_show(
    started: FakeTerminal, made: ReviewLibrary
) -> None:
    started.wait_for(CAPTION.encode())
    started.settle()  # the screen does all that it has put off

    loaded = set((made.folder / "loaded").read_text().split())
    assert "imageworks.tui.workstation" in loaded
    assert loaded & UNNEEDED == set()


def test_what_is_typed_before_the_first_frame_reaches_the_prompt_that_comes_after_it(
    started: FakeTerminal,
) -> None:
    started.type("/kw:heron")

    started.wait_for(CAPTION.encode())
    frame = started.arrived.index(CAPTION.encode())  # before it, the terminal itself echoes keys
    started.wait_for(b"kw:heron", frame)
    started.settle()
    started.type("\x11")
    assert started.wait() == 0
    assert b"Traceback" not in started.arrived


async def test_threads_take_shorter_turns_until_the_first_frame_is_there(
    app: Workstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual_s, turns_s = sys.getswitchinterval(), list[float]()
    monkeypatch.setattr(sys, "setswitchinterval", turns_s.append)

    async with app.run_test():
        assert turns_s[0] < usual_s
        assert turns_s[1:] == [usual_s]
    assert turns_s[-1] == usual_s


async def test_prompts_are_hidden_until_they_are_asked_for(app: Workstation) -> None:
    async with app.run_test() as pilot:
        await pilot.pause()

        for prompt in (app.review.prompt, app.review.ask_prompt, app.review.ask_prompt.question):
            assert prompt.is_mounted
            assert not prompt.display
        left = list(app.review.query_one("#left").children)
        assert left.index(app.review.prompt) < left.index(app.review.images)
