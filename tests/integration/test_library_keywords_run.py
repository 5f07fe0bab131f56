"""Keywords accepted before on similar photographs, through whole runs with real files."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

pytest.importorskip("onnxruntime")

from imageworks.errors import UsageError
from imageworks.models import DecisionKind, Keyword, Origin, Tags
from imageworks.store.library import Library
from imageworks.store.records import Choice
from tests.support.engine_runs import config_for, run_once
from tests.support.openai_server import OpenAIServer

ANSWER = {"caption": "A fence", "keywords": ["model word"], "description": "A fence stands."}


def draw_fence(path: Path, shade: int) -> None:
    picture = Image.new("RGB", (320, 240), (200 - shade, 160, 90 + shade))
    draw = ImageDraw.Draw(picture)
    for left in range(0, 320, 20):
        draw.rectangle((left, 0, left + 9, 240), fill=(20, 30 + shade, 40))
    path.parent.mkdir(exist_ok=True)
    picture.save(path, quality=85)


async def run(library: Library, folder: Path, **changes) -> None:
    with OpenAIServer(lambda _request: ANSWER) as server:
        config = config_for(folder, server, input_paths=(folder,), review_later=True, **changes)
        await run_once(library, config)


def accept_all(library: Library, *keywords: str) -> None:
    """As a person does; without the writes, which are not the matter here."""
    session = library.runs.create("review", "{}")
    choice = Choice(Tags("A fence", tuple(map(Keyword, keywords))))
    for image_id in library.images.ids():
        library.decisions.decide(
            image_id, session.id, DecisionKind.ACCEPT, by="person", choice=choice
        )
    library.connection.execute("UPDATE decision SET write_state='none'")


def suggested(library: Library, path: Path) -> list[tuple[str, Origin]]:
    rows = (library.images.get(image_id) for image_id in library.images.ids())
    (row,) = [row for row in rows if row.path == path]
    assert row.suggestion_id is not None
    tags = library.suggestions.get(row.suggestion_id).suggestion.tags
    return [(keyword.text, keyword.origin) for keyword in tags.keywords]


async def test_a_run_proposes_what_similar_photographs_were_given(tmp_path, library):
    for number in range(3):
        draw_fence(tmp_path / "old" / f"{number}.jpg", number)
    draw_fence(tmp_path / "new" / "n.jpg", 12)
    await run(library, tmp_path / "old", library_keywords=True)
    accept_all(library, "picket fence", "garden")

    await run(library, tmp_path / "new", library_keywords=True)

    assert suggested(library, tmp_path / "new" / "n.jpg") == [
        ("model word", Origin.MODEL),
        ("picket fence", Origin.LIBRARY),
        ("garden", Origin.LIBRARY),
    ]


async def test_a_run_proposes_nothing_unless_it_is_asked_to(tmp_path, library):
    for number in range(2):
        draw_fence(tmp_path / "old" / f"{number}.jpg", number)
    draw_fence(tmp_path / "new" / "n.jpg", 12)
    await run(library, tmp_path / "old", library_keywords=True)
    accept_all(library, "picket fence")

    await run(library, tmp_path / "new")

    assert suggested(library, tmp_path / "new" / "n.jpg") == [("model word", Origin.MODEL)]


async def test_without_the_extra_the_run_does_not_begin(tmp_path, library, monkeypatch):
    monkeypatch.setattr("imageworks.engine.neighbours.is_runtime_installed", lambda: False)
    draw_fence(tmp_path / "new" / "n.jpg", 1)

    with pytest.raises(UsageError, match="extra builtin"):
        await run(library, tmp_path / "new", library_keywords=True)
