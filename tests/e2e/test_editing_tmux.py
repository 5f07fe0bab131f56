"""Keywords and an editor of one's own in a real terminal, with keys as a terminal sends them."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from imageworks.store.library import Library
from tests.e2e.conftest import make_photos, ptag
from tests.e2e.test_review_tmux import answer, terminal  # noqa: F401  # a fixture
from tests.support.openai_server import MODEL, OpenAIServer

EDITOR = """
import pathlib, sys, time
path = pathlib.Path(sys.argv[1])
print('EDITOR IS OPEN', flush=True)
if input() == 'fail':
    sys.exit(5)
path.write_text(path.read_text() + 'Second line,\\x07 from outside.\\n')
"""


def escape(screen, text):
    """Closes what shows a text; an escape and the next key at once would be a key with alt."""
    screen.keys("Escape")
    deadline = time.monotonic() + 30
    while text in screen.screen():
        assert time.monotonic() < deadline, f"{text!r} is still on the screen"


def kept():
    """What was decided about the first photograph, and what is typed for the second."""
    library = Library(Path(os.environ["HOME"]) / ".local/share/personal-tagger/library.sqlite3")
    row = library.images.get(1)
    assert row is not None
    assert row.decision_id is not None
    tags = library.decisions.choice(row.decision_id).tags
    draft = library.session.draft(2)
    library.close()
    assert draft is not None
    return tags, draft


def test_keywords_and_the_own_editor(tmp_path, terminal):  # noqa: F811  # the fixture
    make_photos(tmp_path / "photos", 2)
    editor = tmp_path / "editor.py"
    editor.write_text(EDITOR)
    with OpenAIServer(answer) as server:
        options = ("--backend", "openai", "--base-url", server.base_url, "--model", MODEL)
        made = ptag("run", "-i", tmp_path / "photos", "--review-later", *options, cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        command = f"{sys.executable} -m imageworks photos --backend openai"
        visual = f"VISUAL={f'{sys.executable} {editor}'!r}"
        screen = terminal(f"env {visual} {command} --base-url {server.base_url}")

        screen.wait("2 ready")
        screen.type("tquiet bay, sax a; reeds")
        screen.keys("Escape")
        screen.wait("+reeds")
        screen.keys("t", "Left", "M-Left", "Space")
        screen.wait("-reeds  +sax a")
        screen.keys("Escape")
        screen.wait("- 1 taken out")
        screen.type("'lf")
        screen.wait("1  colour")
        escape(screen, "Quick keywords")
        screen.keys("M-1")
        screen.wait("Took out colour")
        screen.keys("M-1")
        screen.wait("Added colour")

        screen.type("E")
        screen.wait("EDITOR IS OPEN")
        screen.keys("fail", "Enter")
        screen.wait("ended with status 5")
        screen.type("E")
        screen.wait("EDITOR IS OPEN")
        screen.keys("Enter")
        screen.wait("Second line, from outside.")
        screen.type("w")
        screen.wait("Written into the file")
        escape(screen, "Written into the file")
        screen.type("a")
        screen.wait("1 accepted")
        screen.type(".")
        screen.wait("Done again: + quiet bay, sax a")
        screen.type("q")
        assert "EXIT=0" in screen.wait("EXIT=")

    tags, draft = kept()
    assert tags.description == "Flat.\nSecond line, from outside."
    assert sorted(k.text for k in tags.keywords) == ["colour", "quiet bay", "sax a", "shape"]
    assert {"quiet bay", "sax a"} <= {k.text for k in draft.keywords}
