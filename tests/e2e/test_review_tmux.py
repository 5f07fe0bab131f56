"""The program in a real terminal: open, accept two, edit one, reject one, quit, open again."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imageworks.store.library import Library
from tests.e2e.conftest import make_photos, ptag
from tests.support.openai_server import MODEL, OpenAIServer


class Tmux:
    """One terminal of a size of our own, driven by keys and read as text."""

    def __init__(self, folder: Path, command: str, *, width: int, height: int) -> None:
        self._socket = str(folder / "tmux.sock")
        keep = ("HOME", "PATH", "PYTHONPATH", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
        environment = " ".join(
            f"{name}={os.environ[name]!r}" for name in keep if name in os.environ
        )
        line = (
            f"cd {str(folder)!r}; env -i {environment} TERM=tmux-256color LC_ALL=C.UTF-8"
            f" {command}; echo EXIT=$?; sleep 60"
        )
        size = ("-x", str(width), "-y", str(height))
        self._call("-f", "/dev/null", "new-session", "-d", "-s", "t", *size, line)

    def _call(self, *words: str) -> str:
        command = ["tmux", "-S", self._socket, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def keys(self, *keys: str) -> None:
        self._call("send-keys", "-t", "t", *keys)

    def type(self, text: str) -> None:
        self._call("send-keys", "-t", "t", "-l", text)

    def screen(self) -> str:
        return self._call("capture-pane", "-p", "-t", "t")

    def wait(self, text: str, *, timeout_s: float = 30) -> str:
        deadline = time.monotonic() + timeout_s
        while text not in (shown := self.screen()):
            assert time.monotonic() < deadline, f"{text!r} is not on the screen:\n{shown}"
        return shown

    def close(self) -> None:
        subprocess.run(
            ["tmux", "-S", self._socket, "kill-server"], capture_output=True, check=False
        )


@pytest.fixture
def terminal(tmp_path):
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    opened: list[Tmux] = []

    def start(command: str, *, width: int = 100, height: int = 30) -> Tmux:
        opened.append(Tmux(tmp_path, command, width=width, height=height))
        return opened[-1]

    yield start
    for tmux in opened:
        tmux.close()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def answer(request):
    return {"caption": "A plain picture", "keywords": ["colour", "shape"], "description": "Flat."}


@pytest.mark.parametrize(("width", "height"), [(100, 30), (80, 24)])
def test_a_review_from_the_first_key_to_the_last(tmp_path, terminal, width, height):
    photos = make_photos(tmp_path / "photos", 5)
    before = {path: digest(path) for path in photos}
    with OpenAIServer(answer) as server:
        made = ptag(
            *("run", "-i", tmp_path / "photos", "--review-later", "--backend", "openai"),
            *("--base-url", server.base_url, "--model", MODEL),
            cwd=tmp_path,
        )
        assert made.returncode == 0, made.stderr
        command = f"{sys.executable} -m imageworks photos --backend openai"
        screen = terminal(f"{command} --base-url {server.base_url}", width=width, height=height)

        screen.wait("5 ready")
        screen.keys("a")
        screen.wait("1 accepted")
        screen.keys("a")
        screen.wait("2 accepted")
        screen.keys("e")
        screen.type(" with a bear, rejected and undone")
        screen.wait("rejected and undone")
        screen.keys("C-s")
        screen.wait("3 accepted")
        screen.keys("r")
        screen.wait("1 rejected")
        screen.keys("q")
        assert "EXIT=0" in screen.wait("EXIT=")
        screen.close()
        done = ptag("apply", cwd=tmp_path)
        assert done.returncode == 0, done.stdout

        again = terminal(f"{command} --base-url {server.base_url}", width=width, height=height)
        shown = again.wait("3 written")
        assert "1 rejected" in shown
        assert "1 ready" in shown
        again.keys("q")
        again.wait("EXIT=0")

    changed = [path.name for path in photos if digest(path) != before[path]]
    assert changed == ["photo-0000.jpg", "photo-0001.jpg", "photo-0002.jpg"]
    library = Library(Path(os.environ["HOME"]) / ".local/share/personal-tagger/library.sqlite3")
    captions = [library.images.get(image_id).caption for image_id in library.images.ids()]
    library.close()
    assert captions[2] == "A plain picture with a bear, rejected and undone"


def test_a_batch_is_started_from_the_screen_and_followed(tmp_path, terminal):
    make_photos(tmp_path / "photos", 3)
    with OpenAIServer(answer) as server:
        command = f"{sys.executable} -m imageworks photos --backend openai --model {MODEL}"
        screen = terminal(f"env NO_COLOR=1 {command} --base-url {server.base_url}")
        screen.wait("3 new")
        screen.keys("b")
        screen.wait("Ask for suggestions")
        screen.keys("Enter")
        screen.wait("3 ready")
        screen.keys("q")
        screen.wait("EXIT=0")

    assert "Traceback" not in screen.screen()
