"""Keywords accepted before on similar photographs, from pixels to suggestion."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

pytest.importorskip("onnxruntime")

from imageworks.config import PersonalTaggerConfig
from imageworks.engine import neighbours
from imageworks.engine.neighbours import NOT_LOOKED_UP, LibraryKeywords, library_keywords
from imageworks.errors import AnswerError, BackendError, UsageError
from imageworks.infer.builtin import VECTOR_KIND
from imageworks.models import DecisionKind, ImageFormat, Keyword, Origin, Suggestion, Tags
from imageworks.stages import DiscoveredImage
from imageworks.store.library import Library
from imageworks.store.records import Choice, NewSuggestion

OWN = Suggestion(Tags("A scene", (Keyword("scene"),)))


@pytest.fixture
def run(library):
    return library.runs.create("batch", "{}")


@pytest.fixture
def similar(library):
    return LibraryKeywords(library, max_keywords=15)


def scene(kind: str, shade: int = 0) -> bytes:
    """A striped or a dotted picture, each a little different from the others of its kind."""
    picture = Image.new("RGB", (320, 240), (200 - shade, 160, 90 + shade))
    draw = ImageDraw.Draw(picture)
    for at in range(0, 320, 20):
        if kind == "stripes":
            draw.rectangle((at, 0, at + 9, 240), fill=(20, 30 + shade, 40))
        else:
            for down in range(0, 240, 40):
                draw.ellipse((at, down, at + 14, down + 30), fill=(250, 240, 255 - shade))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def accept(library: Library, run, name: str, *keywords: str, preview: Path | None = None) -> int:
    """An image accepted by a person; its decision's id."""
    found = DiscoveredImage(Path(f"/photos/{name}.jpg"), ImageFormat.JPEG, 10, 20, 3)
    image_id = library.images.record_found(found).id
    path = os.fsencode(preview) if preview else None
    library.connection.execute(
        "UPDATE image SET content=?, preview=? WHERE id=?", (name, path, image_id)
    )
    new = NewSuggestion(
        Suggestion(Tags("c")), name, "f", "openai", "http://h/v1", {"caption": "m"}, "default"
    )
    library.suggestions.record(image_id, run.id, new)
    choice = Choice(Tags("c", tuple(map(Keyword, keywords))))
    return library.decisions.decide(
        image_id, run.id, DecisionKind.ACCEPT, by="person", choice=choice
    )


def words(suggestion: Suggestion) -> list[str]:
    return [k.text for k in suggestion.tags.keywords if k.origin is Origin.LIBRARY]


async def test_what_two_similar_photographs_were_given_is_proposed_for_a_third(
    library, run, similar
):
    for number, words_ in enumerate((("fence", "garden"), ("Fence", "wood"))):
        name = f"s{number}"
        await similar.added(name, scene("stripes", number), OWN)
        accept(library, run, name, *words_)
    await similar.added("d0", scene("dots"), OWN)
    accept(library, run, "d0", "balloons")

    found = await similar.added("s9", scene("stripes", 9), OWN)

    assert words(found) in (["fence"], ["Fence"])
    assert found.tags.keywords[0] == OWN.tags.keywords[0]


async def test_a_picture_is_no_neighbour_of_itself(library, run, similar):
    await similar.added("s0", scene("stripes", 0), OWN)
    await similar.added("s1", scene("stripes", 1), OWN)
    for name in ("s0", "s1"):
        accept(library, run, name, "fence")

    assert words(await similar.added("s1", scene("stripes", 1), OWN)) == []
    assert words(await similar.added("s2", scene("stripes", 2), OWN)) == ["fence"]


async def test_an_accept_that_was_taken_back_no_longer_counts(library, run, similar):
    for name in ("s0", "s1"):
        await similar.added(name, scene("stripes"), OWN)
    decisions = [accept(library, run, name, "fence") for name in ("s0", "s1")]
    assert words(await similar.added("s2", scene("stripes", 2), OWN)) == ["fence"]

    library.decisions.undo(decisions[0], run.id)

    assert words(await similar.added("s2", scene("stripes", 2), OWN)) == []


async def test_photographs_accepted_before_the_setting_was_on_are_looked_at_too(
    tmp_path, library, run, similar
):
    for number in range(25):  # more than one share
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(scene("stripes", number))
        accept(library, run, f"s{number}", "fence", preview=path)
    (tmp_path / "3.jpg").unlink()
    (tmp_path / "4.jpg").write_bytes(b"torn")

    await similar.backfill()

    kept = [library.neighbours.vector(f"s{n}", VECTOR_KIND) is not None for n in range(25)]
    assert kept == [number not in (3, 4) for number in range(25)]
    assert words(await similar.added("s99", scene("stripes", 99), OWN)) == ["fence"]


async def test_a_vector_is_made_once(library, run, similar, monkeypatch):
    await similar.added("s0", scene("stripes"), OWN)
    monkeypatch.setattr(similar, "_look_at", lambda jpeg: pytest.fail("looked again"))

    assert await similar.added("s0", scene("stripes"), OWN) == OWN


@pytest.mark.parametrize("error", [AnswerError("no", reason="bad"), BackendError("no")])
async def test_a_network_that_fails_costs_no_suggestion(similar, monkeypatch, error):
    def fail(jpeg: bytes) -> bytes:
        raise error

    monkeypatch.setattr(similar, "_look_at", fail)

    found = await similar.added("a", b"", OWN)

    assert (found.tags, found.notes) == (OWN.tags, (NOT_LOOKED_UP,))


async def test_looking_back_ends_when_the_network_cannot_be_used(
    tmp_path, library, run, similar, monkeypatch
):
    for name in ("a", "b"):
        path = tmp_path / name
        path.write_bytes(scene("dots"))
        accept(library, run, name, "x", preview=path)
    asked = []
    error = BackendError("no")

    def fail(jpeg: bytes) -> bytes:
        asked.append(jpeg)
        raise error

    monkeypatch.setattr(similar, "_look_at", fail)

    await similar.backfill()

    assert len(asked) == 1


def test_it_is_off_unless_asked_for(library):
    assert library_keywords(library, PersonalTaggerConfig()) is None
    assert library_keywords(library, PersonalTaggerConfig(library_keywords=True)) is not None


def test_without_the_extra_the_setting_is_an_error_that_says_what_to_install(library, monkeypatch):
    monkeypatch.setattr(neighbours, "is_runtime_installed", lambda: False)

    with pytest.raises(UsageError, match="extra builtin") as caught:
        library_keywords(library, PersonalTaggerConfig(library_keywords=True))

    assert "pip install" in caught.value.hint
