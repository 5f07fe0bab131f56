"""Long text in the person's own editor: whatever the editor does, no word is lost."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from imageworks.errors import UsageError
from imageworks.tui.external_editor import edit_text, editor_command


@pytest.fixture
def spare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, so that what is left behind is seen."""
    folder = tmp_path / "spare"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def editor(tmp_path: Path, body: str) -> list[str]:
    """An editor that runs some Python with the file's path as ``path``."""
    script = tmp_path / "editor.py"
    script.write_text(f"import sys, os, pathlib\npath = pathlib.Path(sys.argv[1])\n{body}\n")
    return [sys.executable, str(script)]


def test_text_comes_back_clean_and_nothing_is_left(tmp_path, spare) -> None:
    command = editor(
        tmp_path, "path.write_text(path.read_text() + 'two\\x1b[2J\\n\\n\\n\\nend\\n')"
    )

    assert edit_text("one", command, is_multiline=True) == "one\ntwo [2J\n\nend"
    assert edit_text("one", command, is_multiline=False) == "one two [2J end"
    assert list(spare.iterdir()) == []


def test_file_and_its_folder_are_private(tmp_path, spare) -> None:
    seen = tmp_path / "seen"
    body = f"pathlib.Path({str(seen)!r}).write_text("
    body += "f'{path.stat().st_mode} {path.parent.stat().st_mode}')"

    assert edit_text("caf\u00e9", editor(tmp_path, body), is_multiline=True) == "caf\u00e9"

    modes = [stat.S_IMODE(int(mode)) for mode in seen.read_text().split()]
    assert modes == [0o600, 0o700]


def test_editor_that_fails_loses_nothing(tmp_path, spare) -> None:
    with pytest.raises(UsageError, match="status 3") as caught:
        edit_text("one", editor(tmp_path, "sys.exit(3)"), is_multiline=True)
    assert "keeps its text" in str(caught.value)
    assert list(spare.iterdir()) == []

    command = editor(tmp_path, "path.write_text('much typed'); sys.exit(3)")
    with pytest.raises(UsageError, match="status 3") as caught:
        edit_text("one", command, is_multiline=True)
    (folder,) = spare.iterdir()
    assert (folder / "text.txt").read_text() == "much typed"
    assert str(folder) in str(caught.value)


def test_editor_that_takes_the_file_away_is_told_of(tmp_path, spare) -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        edit_text("one", editor(tmp_path, "path.unlink()"), is_multiline=True)
    assert list(spare.iterdir()) == []


@pytest.mark.parametrize("command", [["/no/such/editor"], ["/bin/sh", "-c", "no-such-command"]])
def test_editor_that_is_not_there_is_told_of(spare, command) -> None:
    with pytest.raises(UsageError, match="cannot be started"):
        edit_text("one", command, is_multiline=True)


def test_bytes_that_are_no_text_are_taken_as_far_as_they_go(tmp_path, spare) -> None:
    command = editor(tmp_path, "path.write_bytes(b'\\xef\\xbb\\xbfa\\xff\\r\\nb')")

    assert edit_text("", command, is_multiline=True) == "a\ufffd\nb"


@pytest.mark.parametrize(
    ("environment", "command"),
    [
        ({"VISUAL": "code -w", "EDITOR": "vi"}, ["code", "-w"]),
        ({"VISUAL": " ", "EDITOR": "'my editor' --x"}, ["my editor", "--x"]),
    ],
)
def test_editor_is_the_persons_choice(environment, command) -> None:
    assert editor_command(environment) == command


def test_without_a_choice_one_that_is_here_is_taken(monkeypatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}" if name == "vi" else None)
    assert editor_command({}) == ["/bin/vi"]

    monkeypatch.setattr("shutil.which", lambda _name: None)
    with pytest.raises(UsageError, match="No editor"):
        editor_command({})


def test_choice_that_cannot_be_read_is_named() -> None:
    with pytest.raises(UsageError, match=r"\$EDITOR cannot be read"):
        editor_command({"EDITOR": "vi 'open"})
