from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from textual.widgets import TextArea

from tests.scenarios.drivers import workstation
from tests.support.review_library import ReviewLibrary, five_photos

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from imageworks.tui.workstation import Workstation

_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_CONTENT_HASH = re.compile(r"\bterminal-\d+-")


class SvgScreen(SingleFileSnapshotExtension):
    file_extension = "svg"
    _write_mode = WriteMode.TEXT


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TMUX", "SSH_CONNECTION", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("imageworks.tui.workstation.can_show_unicode", lambda: True)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[ReviewLibrary]:
    library = five_photos(tmp_path / "library")
    yield library
    library.library.close()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[ReviewLibrary]:
    library = ReviewLibrary(tmp_path / "empty")
    yield library
    library.library.close()


@pytest.fixture
def app(made: ReviewLibrary, tmp_path: Path) -> Workstation:
    return workstation(made, tmp_path)


def screen_text(app: Workstation) -> str:
    """Everything that is on the screen now, line by line."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


@pytest.fixture
def screen_svg(snapshot: object, monkeypatch: pytest.MonkeyPatch) -> Callable[[Workstation], None]:
    monkeypatch.setattr(TextArea, "_toggle_cursor_blink_visible", lambda self: None, raising=False)

    def compare(app: Workstation) -> None:
        svg = _FONT_FACE.sub("", app.export_screenshot(title="ptag", simplify=True))
        svg = _CONTENT_HASH.sub("terminal-", svg)
        assert svg == snapshot.use_extension(SvgScreen)  # type: ignore[attr-defined]  # syrupy

    return compare
