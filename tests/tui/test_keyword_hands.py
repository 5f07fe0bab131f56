"""Keywords from image to image: copied, on slots, repeated; and what an accept changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imageworks.models import ExistingMetadata, ImageState, Keyword, Origin
from imageworks.tui.screens.changes import ChangesScreen
from imageworks.tui.screens.quick import QuickKeywordsScreen
from imageworks.tui.screens.review import ReviewScreen
from tests.scenarios.drivers import workstation
from tests.support.burst import burst
from tests.support.review_library import tags_of
from tests.tui.conftest import screen_text

if TYPE_CHECKING:
    from pathlib import Path

    from imageworks.tui.screens.command import CommandScreen
    from imageworks.tui.workstation import Workstation
    from tests.support.review_library import ReviewLibrary

WIDE = (120, 40)


def kept(app: Workstation) -> list[str]:
    return [keyword.text for keyword in app.review.form.tags().keywords]


def seen(app: Workstation) -> str:
    return " ".join(screen_text(app).split())


def is_open(app: Workstation, kind: type[CommandScreen]) -> bool:
    return isinstance(app.screen, kind)


async def test_copied_keywords_are_merged_and_are_the_persons(
    app: Workstation, made: ReviewLibrary
) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "j", "y")
        assert "Copied Family, Paris, France, cat, sofa · P pastes" in app.review.message
        assert app.clipboard == "Family, Paris, France, cat, sofa"
        await burst(pilot, "j", "P")

        assert kept(app) == ["hill", "Family", "cat", "sofa"]
        draft = made.library.session.draft(3)
        assert draft is not None
        assert draft.keywords[1] == Keyword("Family", origin=Origin.PERSON)
        await burst(pilot, "P")
        assert "has them already" in app.review.message
        await burst(pilot, "t", "ctrl+z", "escape")
        assert kept(app) == ["hill"]


async def test_copied_keywords_take_the_place_of_others(app: Workstation) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "y", "j", "Y")

        assert kept(app) == ["boat", "sea"]
        assert "-Family -Paris, France -cat -sofa" in seen(app)


async def test_nothing_is_pasted_where_nothing_can_be(app: Workstation) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "P")
        assert "y copies them" in app.review.message
        await burst(pilot, "y", "G", "P", "Y", "alt+1", ".")
        assert kept(app) == []
        await burst(pilot, "w")
        assert "nothing would change" in app.review.message
        assert is_open(app, ReviewScreen)


async def test_last_edit_is_done_to_the_next_image(app: Workstation, made: ReviewLibrary) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, ".")
        assert "nothing to repeat" in app.review.message
        keys = ["t", *"regatta,", "left", "left", " ", "escape", "d", *" Fine."]
        await burst(pilot, *keys, "ctrl+s", ".")

        assert kept(app) == ["Family", "Paris, France", "cat", "sofa", "regatta"]
        assert "Done again: + regatta" in app.review.message
        await burst(pilot, "j", ".")
        assert kept(app) == ["hill", "regatta"]
        assert app.review.form.tags().description.endswith("Fine.")

    assert [k.text for k in made.written_choice("a.jpg").keywords] == ["boat", "regatta"]
    draft = made.library.session.draft(3)
    assert draft is not None
    assert draft.keywords[-1].text == "regatta"


async def test_slot_is_filled_used_and_cleared(app: Workstation, made: ReviewLibrary) -> None:
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "alt+1")
        assert "Quick keywords 1 are empty; ' fills them" in app.review.message
        await burst(pilot, "'", "f", "j", "l", "f", "k", "h")
        assert is_open(app, QuickKeywordsScreen)
        assert "> 1 boat, sea" in seen(app)
        assert "2 boat │" in seen(app)
        assert "Fills with all: boat, sea" in seen(app)
        await burst(pilot, "escape", "j", "j", "alt+1")
        assert kept(app) == ["hill", "boat", "sea"]
        assert "Added boat, sea" in app.review.message
        await burst(pilot, "alt+2")
        assert kept(app) == ["hill", "sea"]
        assert "Took out boat" in app.review.message
        await burst(pilot, "™")
        assert kept(app) == ["hill", "sea", "boat"]
        await burst(pilot, "'", "2")
        assert kept(app) == ["hill", "sea"]
        await burst(pilot, "'", "j", "enter")
        assert kept(app) == ["hill", "sea", "boat"]
        await burst(pilot, "'", "enter")
        assert kept(app) == ["hill"]
        await burst(pilot, "'", "x", "down", "up", "right", "left")
        assert "> 1 (empty)" in seen(app)
        await burst(pilot, "q")
        assert is_open(app, ReviewScreen)


async def test_slots_of_an_image_without_keywords(app: Workstation) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await burst(pilot, "G", "'", "f", "l")
        assert "the image has none" in seen(app)


async def test_before_and_after_is_shown(empty: ReviewLibrary, tmp_path: Path) -> None:
    image_id = empty.add(
        "a.jpg",
        tags_of("x" * 70, ["boat"], "One.\nTwo."),
        existing=ExistingMetadata(title="Mine", keywords=("Trip", "Old")),
    )
    empty.library.connection.execute(
        "UPDATE image SET reason='conflict', reason_text='It now says Theirs.' WHERE id=?",
        (image_id,),
    )
    app = workstation(empty, tmp_path)
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "x", "t", "left", "left", " ", "escape", "w")
        assert is_open(app, ChangesScreen)
        text = seen(app)

    assert "! It now says Theirs." in text
    assert "Written into the file." in text
    assert "Compared with what the file said when it was suggested." in text
    assert "- Mine" in text
    assert f"+ {'x' * 60}" in text
    assert "70 bytes; IPTC ObjectName holds 64 and is cut" in text
    assert "+ One." in text
    assert "= Trip │" in text
    assert "- Old" in text
    assert "+ boat" in text
    assert "lr:hierarchicalSubject" in text


async def test_nothing_to_change_is_said(empty: ReviewLibrary, tmp_path: Path) -> None:
    existing = ExistingMetadata(
        title="A", keywords=("b",), hierarchical_keywords=("b",), description="C"
    )
    empty.add("a.jpg", tags_of("A", ["b"], "C"), existing=existing)
    app = workstation(empty, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await burst(pilot, "w")
        assert "Nothing would change" in seen(app)
        await burst(pilot, "escape")
        assert is_open(app, ReviewScreen)


@pytest.mark.parametrize("keys", [["e", "f7", *"Later", "escape"], ["t", *"late,", "escape"]])
async def test_written_image_is_edited_and_accepted_once_more(
    app: Workstation, made: ReviewLibrary, keys: list[str]
) -> None:
    made.library.images.set_state(1, ImageState.WRITTEN)
    async with app.run_test(size=WIDE) as pilot:
        assert "can be accepted and written once more" in seen(app)
        await burst(pilot, *keys, "a")

    assert made.states()["a.jpg"] is ImageState.ACCEPTED
    tags = made.written_choice("a.jpg")
    assert tags.caption == "Later" or tags.keywords[-1].text == "late"


async def test_broken_vocabulary_is_told_and_completes_nothing(
    app: Workstation, made: ReviewLibrary
) -> None:
    path = made.folder / "vocabulary.toml"
    path.write_text("keywords = 3")
    app.review.session.rules.path = path
    async with app.run_test(size=WIDE):
        app.review.learn_words()
        await app.workers.wait_for_complete()
        assert "vocabulary.toml" in app.review.message


async def test_terminal_that_cannot_be_lent_is_told(
    app: Workstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", "true")
    async with app.run_test(size=WIDE) as pilot:
        await burst(pilot, "E")
        assert "cannot be lent to an editor" in app.review.message
        await burst(pilot, "e", *" mine", "ctrl+e")
        assert app.review.form.area("caption").text == "A red boat mine"
        await burst(pilot, "escape", "G", "E")
        assert "nothing to edit" in app.review.message
