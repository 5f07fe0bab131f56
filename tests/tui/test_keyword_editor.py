"""The chip editor: a letter is text, a chip is a keyword, and nothing typed is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from textual import events

from imageworks.models import ExistingMetadata, Keyword, Origin, Tags
from imageworks.tui.widgets.chip_rows import cut, end_of, place_rows
from tests.scenarios.drivers import workstation
from tests.support.burst import burst
from tests.support.review_library import ReviewLibrary
from tests.tui.conftest import screen_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from imageworks.tui.workstation import Workstation

SIZES = [(120, 36), (80, 24), (40, 10)]


@pytest.fixture
def heron(empty: ReviewLibrary, tmp_path: Path) -> Workstation:
    """One photograph with keywords of its own and the model's; a vocabulary beside it."""
    empty.add(
        "heron.jpg",
        Tags(
            "A heron",
            (Keyword("heron", 0.97, path=("animal", "bird", "heron")), Keyword("water", 0.91)),
            "It stands.",
        ),
        existing=ExistingMetadata(keywords=("Wildlife", "Norfolk, UK")),
    )
    vocabulary = empty.folder / "vocabulary.toml"
    vocabulary.write_text('keywords = ["animal|bird|egret"]\n[aliases]\nseagull = "gull"\n')
    app = workstation(empty, tmp_path)
    app.review.session.rules.path = vocabulary
    return app


def kept(app: Workstation) -> list[str]:
    return [keyword.text for keyword in app.review.form.tags().keywords]


def seen(app: Workstation) -> str:
    return " ".join(screen_text(app).split())


async def learned(app: Workstation) -> None:
    app.review.learn_words()
    await app.workers.wait_for_complete()


@pytest.mark.parametrize("size", SIZES)
async def test_burst_into_the_keywords_loses_nothing_and_runs_nothing(
    heron: Workstation, empty: ReviewLibrary, size: tuple[int, int]
) -> None:
    before = empty.states()
    async with heron.run_test(size=size) as pilot:
        await burst(pilot, "t", *"a bear, quiet; reeds and sax", "escape", "e", *"x")

        assert kept(heron)[-3:] == ["a bear", "quiet", "reeds and sax"]
        assert heron.review.form.area("caption").text == "A heronx"
        assert empty.states() == before
        assert heron.screen is heron.review


async def test_half_typed_keyword_is_in_the_draft_and_becomes_a_chip_when_left(
    heron: Workstation, empty: ReviewLibrary
) -> None:
    async with heron.run_test(size=SIZES[0]) as pilot:
        await burst(pilot, "t", *"sea eag")
        heron.review.keep_draft()
        draft = empty.library.session.draft(1)
        assert draft is not None
        assert draft.keywords[-1] == Keyword("sea eag", origin=Origin.PERSON)

        await burst(pilot, "escape")
        assert heron.review.form.keywords.line.typed == ""
        assert "+sea eag" in seen(heron)


async def test_taken_out_keyword_is_struck_kept_in_the_draft_and_comes_back(
    heron: Workstation, empty: ReviewLibrary, tmp_path: Path
) -> None:
    async with heron.run_test(size=SIZES[0]) as pilot:
        await burst(pilot, "t", "left", "left", " ", "escape")
        assert "-heron 97%" in seen(heron)
        assert "- 1 taken out" in seen(heron)
        assert kept(heron) == ["Wildlife", "Norfolk, UK", "water"]

    again = workstation(empty, tmp_path)
    async with again.run_test(size=SIZES[0]) as pilot:
        assert "-heron 97%" in seen(again)
        await burst(pilot, "t", "left", "left", "ctrl+t", "escape", "a")

    assert [k.text for k in empty.written_choice("heron.jpg").keywords] == [
        *("Wildlife", "Norfolk, UK", "heron", "water"),
    ]


async def test_space_right_after_a_comma_takes_no_chip_out(heron: Workstation) -> None:
    async with heron.run_test(size=SIZES[0]) as pilot:
        await burst(pilot, "t", "home", *"reed, ", *"rush, ")

        assert kept(heron) == ["reed", "rush", "Wildlife", "Norfolk, UK", "heron", "water"]


async def test_chips_are_moved_by_keys(heron: Workstation) -> None:
    async with heron.run_test(size=SIZES[0]) as pilot:
        await burst(pilot, "t", "left", "alt+left", "shift+left", "alt+right")

        assert kept(heron) == ["Wildlife", "Norfolk, UK", "water", "heron"]
        await burst(pilot, "alt+left", "ctrl+z", "ctrl+z", "ctrl+z", "ctrl+z", "ctrl+y")
        assert kept(heron) == ["Wildlife", "Norfolk, UK", "water", "heron"]


async def test_deleting_undoing_and_redoing(heron: Workstation) -> None:
    async with heron.run_test(size=SIZES[0]) as pilot:
        await burst(pilot, "t", *"reed,", "backspace", "backspace", "home", "delete")
        assert kept(heron) == ["Norfolk, UK", "heron"]

        await burst(pilot, "ctrl+z", "ctrl+z")
        assert kept(heron) == ["Wildlife", "Norfolk, UK", "heron", "water"]
        await burst(pilot, "ctrl+z", "ctrl+z", "ctrl+z", "ctrl+z", "ctrl+y")
        assert kept(heron)[:4] == ["Wildlife", "Norfolk, UK", "heron", "water"]


async def test_letters_are_corrected_at_the_caret(heron: Workstation) -> None:
    async with heron.run_test(size=SIZES[0]) as pilot:
        await burst(pilot, "t", *"rede", "left", "left", "e", "end", "backspace", "ctrl+h", "d")
        assert heron.review.form.keywords.line.typed == "reed"
        await burst(pilot, "home", "delete", "enter")

        assert kept(heron)[-1] == "eed"


async def test_pasted_list_becomes_chips_without_what_drives_a_terminal(
    heron: Workstation,
) -> None:
    async with heron.run_test(size=SIZES[0]) as pilot:
        await burst(pilot, "t")
        heron.post_message(events.Paste("a lake, b;\x1b]0;owned\x07c\n\u202ed"))
        await burst(pilot)
        await burst(pilot)

        assert kept(heron)[4:] == ["a lake", "b", "]0", "owned c", "d"]


async def test_rows_are_walked_up_and_down(heron: Workstation) -> None:
    async with heron.run_test(size=(40, 12)) as pilot:
        await burst(pilot, "t", "up")
        editor = heron.review.form.keywords
        assert editor.line.cursor < 4
        first = editor.line.cursor
        await burst(pilot, "down", "down", "down")
        assert editor.line.cursor > first


@pytest.mark.parametrize("size", SIZES)
async def test_cursor_is_always_seen(
    empty: ReviewLibrary, tmp_path: Path, size: tuple[int, int]
) -> None:
    names = tuple(Keyword(f"keyword number {number}") for number in range(60))
    empty.add("many.jpg", Tags("Many", names))
    app = workstation(empty, tmp_path)
    async with app.run_test(size=size) as pilot:
        assert " +" in screen_text(app)
        await burst(pilot, "t", "left")
        await pilot.pause()
        assert "*keyword number 59" in screen_text(app)
        await burst(pilot, "home")
        assert "*keyword number 0" in screen_text(app)
        await burst(pilot, *["right"] * 30)
        assert "*keyword number 30" in screen_text(app)


async def test_vocabulary_completes_with_its_path(heron: Workstation, empty: ReviewLibrary) -> None:
    async with heron.run_test(size=SIZES[0]) as pilot:
        await learned(heron)
        await burst(pilot, "t", *"egr")
        assert "↓ #egret" in seen(heron)
        await burst(pilot, "right", *"Egret,", *"seagull,")

        assert "#egret" in seen(heron)
        assert heron.review.form.tags().keywords[-2:] == (
            Keyword("egret", origin=Origin.VOCABULARY, path=("animal", "bird", "egret")),
            Keyword("gull", origin=Origin.VOCABULARY),
        )
        await burst(pilot, "left", "left")
        assert "animal > bird > egret · from your vocabulary" in seen(heron)


async def test_what_the_library_uses_completes_most_used_first(
    heron: Workstation, empty: ReviewLibrary
) -> None:
    for number, words in enumerate((["reed", "reef"], ["reef"], ["reel"], ["reef", "reel"])):
        empty.add(f"{number}.jpg", Tags("x"), existing=ExistingMetadata(keywords=tuple(words)))
    async with heron.run_test(size=SIZES[0]) as pilot:
        await learned(heron)
        await burst(pilot, "t", *"ree")
        assert "↓ reef 3 · reel 2 · reed 1" in seen(heron)

        await burst(pilot, "down", "down", "enter")
        assert kept(heron)[-1] == "reel"
        await burst(pilot, *"ree", "down", "up", "enter")
        assert kept(heron)[-1] == "ree"
        await burst(pilot, "left")
        assert "used 2 times" not in seen(heron)
        await burst(pilot, "left")
        assert "typed · used 2 times" in seen(heron)


async def test_typed_word_stands_though_a_longer_one_is_offered(
    heron: Workstation, empty: ReviewLibrary
) -> None:
    empty.add("1.jpg", Tags("x"), existing=ExistingMetadata(keywords=("reed bed",)))
    async with heron.run_test(size=SIZES[0]) as pilot:
        await learned(heron)
        await burst(pilot, "t", *"reed", "enter", *"ree", "tab", "shift+tab")

        assert kept(heron)[-2:] == ["reed", "ree"]
        assert heron.focused is heron.review.form.keywords


async def test_keywords_of_an_image_without_a_suggestion_cannot_be_changed(
    app: Workstation,
) -> None:
    async with app.run_test(size=SIZES[0]) as pilot:
        await burst(pilot, "G", "t", *"abc")
        assert "nothing to edit" in app.review.message
        await burst(pilot, "backspace", "ctrl+t", "alt+left", "left")
        app.post_message(events.Paste("x, y"))
        await burst(pilot)

        assert app.review.form.keywords.line.chips == ()
        assert app.review.form.keywords.line.typed == ""


async def test_length_and_meaning_are_told_and_a_cut_is_warned_of(heron: Workstation) -> None:
    async with heron.run_test(size=(140, 40)) as pilot:
        assert "Caption 7 characters · dc:title + IPTC ObjectName" in seen(heron)
        assert "Keywords 4 · dc:subject, lr:hierarchicalSubject" in seen(heron)
        await burst(pilot, "e", *"x" * 60)
        assert "67 of 64 bytes: IPTC ObjectName is cut there" in seen(heron)
        await burst(pilot, "tab", *"y" * 65)
        assert "65 of 64 bytes: cut where the file has IPTC" in seen(heron)


async def test_all_marked_is_said_and_taken_out(heron: Workstation) -> None:
    async with heron.run_test(size=SIZES[0]) as pilot:
        await burst(pilot, "t", "f7")
        assert "all marked" in seen(heron)
        await burst(pilot, "backspace")

        assert kept(heron) == []
        assert "-Wildlife -Norfolk, UK -heron 97% -water 91%" in seen(heron)


@pytest.mark.parametrize(
    ("pieces", "rows"),
    [
        (["aa", "bb", "cc"], [[0, 4], [0]]),
        (["x" * 30, "b"], [[0], [0]]),
        (["日本", "本"], [[0, 6]]),
        ([], [[]]),
    ],
)
def test_chips_are_wrapped_by_cells(pieces: Sequence[str], rows: list[list[int]]) -> None:
    placed = place_rows(list(enumerate(pieces)), 8)

    assert [[piece.column for piece in row] for row in placed] == rows


def test_long_text_is_shown_around_its_caret() -> None:
    assert cut("日本の鷺", 5) == "日本…"
    assert cut("abc", 3) == "abc"
    assert end_of("abcdefgh", 8, 4) == ("fgh", 3)
    assert end_of("abcdefgh", 0, 4) == ("abcd", 0)


async def test_keywords_come_back_from_an_editor_as_lines(heron: Workstation) -> None:
    async with heron.run_test(size=SIZES[0]) as pilot:
        await burst(pilot, "t", *"reed")
        editor = heron.review.form.keywords
        assert editor.as_lines() == "Wildlife\nNorfolk, UK\nheron\nwater\nreed"

        editor.put("Norfolk, UK\nwater\nNew; one\n")
        await burst(pilot)

        assert kept(heron) == ["Norfolk, UK", "water", "New one"]
        assert "-heron 97%" in seen(heron)
        await burst(pilot, "ctrl+z")
        assert kept(heron)[-1] == "reed"
