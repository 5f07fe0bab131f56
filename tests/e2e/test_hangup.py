"""A dropped line in the middle of a batch: the batch ends by itself, and nothing typed is lost."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
import threading
import time
from collections import Counter

from imageworks.engine.lease import is_engine_alive
from imageworks.models import ImageState
from imageworks.store.library import Library
from tests.e2e.conftest import CHECKOUT, make_photos
from tests.support.openai_answers import MODEL

PHOTOS = 60
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_][^\x1b]*?(?:\x1b\\|\x07)|\x1b.")


class Terminal:
    """The program on a pseudo terminal of its own session, as sshd gives one."""

    def __init__(self, words, cwd):
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.environ.update(TERM="xterm-256color", PYTHONPATH=str(CHECKOUT / "src"))
            os.execv(sys.executable, [sys.executable, "-m", "imageworks", *words])  # noqa: S606  # itself
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._drawn = bytearray()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with contextlib.suppress(OSError):
            while part := os.read(self._master, 65536):
                self._drawn += part

    @property
    def text(self):
        return _ESCAPES.sub("", self._drawn.decode("utf-8", "replace"))

    def type(self, keys):
        os.write(self._master, keys.encode())

    def hang_up(self):
        """What a dropped SSH line does: SIGHUP to the session, then the terminal is gone."""
        os.killpg(self.pid, signal.SIGHUP)
        os.close(self._master)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def wait(is_true, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_batch_outlives_the_line_that_started_it(tmp_path, start_server):
    make_photos(tmp_path / "photos", PHOTOS)
    server = start_server("--latency-ms", "400")
    store = tmp_path / "library.sqlite3"
    words = ["--store", str(store), "--images", "off", "--backend", "openai"]
    words += ["--base-url", server.base_url, "--model", MODEL, str(tmp_path / "photos")]

    first = Terminal(words, tmp_path)
    wait(lambda: store.exists() and "photo-0000" in first.text)
    library = Library(store)
    wait(lambda: sum(library.images.counts().values()) == PHOTOS)
    first.type("b")
    wait(lambda: "wait for my decision" in first.text)
    first.type("\r")
    wait(lambda: library.images.counts().get(ImageState.SUGGESTED, 0) > 5)
    first.type("jjj")
    cursor_id = library.images.ids()[3]
    wait(lambda: library.images.get(cursor_id).suggestion_id is not None)
    wait(lambda: library.session.recall("engine.attention").startswith(f"[{cursor_id},"))
    time.sleep(0.5)  # the screen shows the suggestion before it is edited
    first.type("e")
    first.type("Half a thought ")
    wait(lambda: "Half a thought" in first.text)
    status = first.hang_up()
    of_the_hung_up = library.images.counts().get(ImageState.SUGGESTED, 0)
    draft = library.session.draft(cursor_id)

    wait(lambda: library.runs.latest(1)[0].status == "finished")
    wait(lambda: not is_engine_alive(store))
    second = Terminal(words, tmp_path)
    wait(lambda: "Half a thought" in second.text)
    second.type("\x11")
    os.waitpid(second.pid, 0)

    assert status == 128 + signal.SIGHUP
    assert "Half a thought" in draft.caption
    assert of_the_hung_up < PHOTOS
    assert library.images.counts() == {ImageState.SUGGESTED: PHOTOS}
    assert max(Counter(server.asked()).values()) == 1
    assert f"4 of {PHOTOS}" in second.text
    library.close()
