"""The entry point on a real terminal: what it leaves behind, whatever ends it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Any

import pytest

from imageworks.config import PersonalTaggerConfig
from imageworks.errors import ConfigError
from imageworks.review.session import ReviewSession, remembered_folders
from imageworks.store.library import Library
from imageworks.tui import workstation
from imageworks.tui.app import run_review

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.review_library import ReviewLibrary

SCRIPT = """
import sys
from pathlib import Path
from imageworks.store.library import Library
from tests.support.review_library import FakeEngine
from imageworks.config import PersonalTaggerConfig
from imageworks.tui.app import run_review

folder = Path(sys.argv[1])
library = Library(folder / "library.sqlite3")
config = PersonalTaggerConfig()
engine = FakeEngine(library, config, folder / "engine.log")
status = run_review(
    library, config, engine, [folder / "photos"],
    log_path=folder / "screen.log", themes_dir=folder,
)
(folder / "starts").write_text(str(engine.starts))
sys.exit(status)
"""
ALTERNATE_SCREEN_ON, ALTERNATE_SCREEN_OFF = b"\x1b[?1049h", b"\x1b[?1049l"


class RealTerminal:
    """The workstation in a process of its own, on a terminal of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.settings = termios.tcgetattr(slave)
        self.slave = slave
        surroundings = {
            key: value
            for key, value in os.environ.items()
            if key not in {"NO_COLOR", "COLUMNS", "LINES"}
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(folder)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**surroundings, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environment},
            start_new_session=True,
        )
        self.output = b""

    def wait_for(self, text: bytes, timeout_s: float = 30) -> None:
        deadline_s = time.monotonic() + timeout_s
        while text not in self.output:
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, self.output[-3000:]
            self.read(min(left_s, 0.2))

    def read(self, wait_s: float) -> None:
        if select.select([self.master], [], [], wait_s)[0]:
            self.output += os.read(self.master, 65_536)

    def wait(self, timeout_s: float = 20) -> int:
        deadline_s = time.monotonic() + timeout_s
        while self.process.poll() is None:
            assert time.monotonic() < deadline_s, "it does not end"
            self.read(0.05)
        self.read(0.2)
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for descriptor in (self.master, self.slave):
            if descriptor >= 0:
                os.close(descriptor)


@pytest.fixture
def terminals() -> Iterator[list[RealTerminal]]:
    opened: list[RealTerminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def test_termination_keeps_draft_and_place_and_restores_the_terminal(
    made: ReviewLibrary, terminals: list[RealTerminal]
) -> None:
    made.library.close()
    terminal = RealTerminal(made.folder)
    terminals.append(terminal)
    terminal.wait_for(b"a.jpg")
    os.write(terminal.master, b"je in Zanzibar")
    terminal.wait_for(b"Zanzibar")
    terminal.process.send_signal(signal.SIGTERM)

    assert terminal.wait() == 143

    assert ALTERNATE_SCREEN_ON in terminal.output
    assert terminal.output.rindex(ALTERNATE_SCREEN_OFF) > terminal.output.rindex(
        ALTERNATE_SCREEN_ON
    )
    assert termios.tcgetattr(terminal.slave) == terminal.settings
    library = Library(made.library.path)
    draft = library.session.draft(2)
    assert draft is not None
    assert draft.caption == "Minka in Zanzibar"
    session = ReviewSession(library, PersonalTaggerConfig())
    assert session.remembered_place()[0] == 2
    assert remembered_folders(library) == (made.photos,)
    library.close()


def test_lost_connection_keeps_the_draft_and_ends_the_program(
    made: ReviewLibrary, terminals: list[RealTerminal]
) -> None:
    made.library.close()
    terminal = RealTerminal(made.folder)
    terminals.append(terminal)
    terminal.wait_for(b"a.jpg")
    os.write(terminal.master, b"e in Zanzibar")
    terminal.wait_for(b"Zanzibar")
    os.close(terminal.slave)
    os.close(terminal.master)
    terminal.master = terminal.slave = -1
    terminal.process.send_signal(signal.SIGHUP)

    assert terminal.process.wait(20) == 129

    library = Library(made.library.path)
    draft = library.session.draft(1)
    assert draft is not None
    assert draft.caption == "A red boat in Zanzibar"
    library.close()


def test_leaving_hastens_the_writes_and_sees_that_an_engine_does_them(
    made: ReviewLibrary, terminals: list[RealTerminal]
) -> None:
    made.library.close()
    terminal = RealTerminal(made.folder)
    terminals.append(terminal)
    terminal.wait_for(b"a.jpg")
    os.write(terminal.master, b"aq")

    assert terminal.wait() == 0

    library = Library(made.library.path)
    assert len(library.decisions.begin_writes(10)) == 1
    assert (made.folder / "starts").read_text() != "0"
    library.close()


def test_no_colour_sends_no_colour(made: ReviewLibrary, terminals: list[RealTerminal]) -> None:
    made.add_picture(1, "a", (200, 30, 30))
    made.library.close()
    terminal = RealTerminal(made.folder, NO_COLOR="1", COLORTERM="truecolor")
    terminals.append(terminal)
    terminal.wait_for(b"4000x3000")
    os.write(terminal.master, b"jk?")
    terminal.wait_for(b"In the list")
    os.write(terminal.master, b"\x11")

    assert terminal.wait() == 0

    assert b"\x1b[38;" not in terminal.output
    assert b"\x1b[48;" not in terminal.output
    assert not any(b"\x1b[%dm" % code in terminal.output for code in range(30, 38))


class NotShown:
    """Stands for the app where only what happens around it matters."""

    made: Any = None

    def __init__(self, **arguments: Any) -> None:
        NotShown.made = arguments
        self.return_code: int | None = 0

    def run(self) -> None:
        if NotShown.made["config"].theme == "broken":
            message = "the screen broke"
            raise RuntimeError(message)


def review(made: ReviewLibrary, folders: list[Path], **settings: str) -> tuple[int, Any]:
    config = PersonalTaggerConfig(**settings)  # type: ignore[arg-type]  # settings by name
    engine = made.engine()
    status = run_review(
        made.library, config, engine, folders, log_path=made.folder, themes_dir=made.folder
    )
    return status, engine


def test_named_folders_are_scanned_and_others_remembered(
    made: ReviewLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workstation, "Workstation", NotShown)
    ReviewSession(made.library, made.config, folders=[made.photos]).remember_place(
        None, ReviewSession(made.library, made.config).remembered_place()[1]
    )

    status, engine = review(made, [])

    assert status == 0
    assert NotShown.made["session"].folders == (made.photos,)
    assert engine.starts == 1
    ((kind, value),) = made.library.session.take_wishes()
    assert kind == "scan"
    assert str(made.photos) in value
    review(made, [made.folder])
    assert NotShown.made["session"].folders == (made.folder,)


def test_first_session_without_folders_scans_nothing(
    made: ReviewLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workstation, "Workstation", NotShown)

    _, engine = review(made, [])

    assert engine.starts == 0
    assert made.library.session.take_wishes() == []


def test_screen_that_breaks_still_gives_up_its_lock(
    made: ReviewLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imageworks.engine.lease import is_screen_open  # noqa: PLC0415  # used here only

    monkeypatch.setattr(workstation, "Workstation", NotShown)

    with pytest.raises(RuntimeError, match="the screen broke"):
        review(made, [made.photos], theme="broken")
    assert not is_screen_open(made.library.path)


@pytest.mark.parametrize("settings", [{"theme": "dakroom"}, {"keymap": {"accept": "r"}}])
def test_wrong_theme_or_keymap_is_told_before_anything_is_shown(
    made: ReviewLibrary, settings: Any
) -> None:
    with pytest.raises(ConfigError):
        review(made, [made.photos], **settings)
    assert made.library.session.take_wishes() == []


def test_room_imports_neither_textual_nor_pictures_by_itself() -> None:
    code = (
        "import sys, imageworks.tui, imageworks.tui.app;"
        "print(sorted({'textual', 'PIL', 'textual_image'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"
