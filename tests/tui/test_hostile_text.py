"""Names, captions and notes come from strangers: nothing of them may drive the terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from imageworks.models import ExistingMetadata, ImageState
from tests.scenarios.drivers import workstation
from tests.support.burst import burst
from tests.support.review_library import ReviewLibrary, tags_of
from tests.tui.conftest import screen_text

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = [
    "\x1b]0;owned\x07\x1b[2J\x1b[31mred",
    "[bold red]markup[/] [/nothing] [@click=app.quit]press[/]",
    "\u202egpj.exe\u202c \u2066x\u2069",
    "\x9b31mC1 \x90dcs\x9c \x00nul",
    "x" * 10_000,
    "日本語の名前 " * 40,
    "two\nlines\r\nand\ttab",
    "$(rm -rf ~) `id` %s {0}",
]
# What a terminal obeys: C0 and C1 controls, and what turns the reading direction (UAX 9).
_OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def file_name(text: str) -> str:
    return text.replace("\x00", "").replace("/", "")[:60] + ".jpg"


@pytest.mark.parametrize("size", [(120, 36), (80, 24)])
async def test_hostile_text_is_shown_harmlessly_everywhere(
    empty: ReviewLibrary, tmp_path: Path, size: tuple[int, int]
) -> None:
    run = empty.library.runs.create("batch", "{}")
    named = {text: {"count": 1} for text in HOSTILE}
    totals = {"total": 1, "failures": dict.fromkeys(HOSTILE, 1), "message": HOSTILE[0]}
    empty.library.runs.add_progress(run.id, worked_ms=1, totals={**totals, "stages": named})
    for text in HOSTILE:
        empty.add(
            file_name(text),
            tags_of(text, [text, f"{text}2"], text),
            existing=ExistingMetadata(title=f"own {text}", keywords=(text,)),
            notes=(text,),
        )
        failed = empty.add(f"failed {file_name(text)}")
        empty.library.images.set_state(failed, ImageState.FAILED, reason="x", reason_text=text)
    app = workstation(empty, tmp_path)
    seen = []
    async with app.run_test(size=size) as pilot:
        for keys in (["a"], ["u"], ["x"], ["e", *"ab", "escape"], ["b"], ["escape"], ["3"], ["1"]):
            await burst(pilot, *keys)
            seen.append(screen_text(app))
        for _ in range(len(HOSTILE)):
            await burst(pilot, "j")
            seen.append(screen_text(app))
            await burst(pilot, "j", "x")
            seen.append(screen_text(app))

    assert len(set(seen)) > 2 * len(HOSTILE)
    assert not _OBEYED.search("".join(seen))
    assert all(len(line) <= size[0] for shown in seen for line in shown.split("\n"))


async def test_markup_in_a_caption_is_shown_as_it_is(empty: ReviewLibrary, tmp_path: Path) -> None:
    empty.add("[red]a.jpg", tags_of("[b]x[/b]", ["[i]k"], "d"))
    app = workstation(empty, tmp_path)
    async with app.run_test(size=(120, 36)):
        text = screen_text(app)

    assert "[red]a.jpg" in text
    assert "*[i]k" in text
    assert text.count("[b]x[/b]") == 2


async def test_name_that_is_not_utf8_is_shown_by_its_bytes(
    empty: ReviewLibrary, tmp_path: Path
) -> None:
    empty.add("K\udce4se.jpg", tags_of("Cheese"))
    app = workstation(empty, tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await burst(pilot, "a")

        assert r"K\xe4se.jpg" in screen_text(app)
        assert r"Accepted: K\xe4se.jpg" in app.review.message
