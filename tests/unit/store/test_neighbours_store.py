"""Picture vectors: whose count, and that decisions that no longer stand do not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imageworks.models import DecisionKind, ImageFormat, Keyword, Suggestion, Tags
from imageworks.stages import DiscoveredImage
from imageworks.store.library import Library
from imageworks.store.records import Choice, NewSuggestion

KIND = "test-1"


@pytest.fixture
def run(library):
    return library.runs.create("batch", "{}")


def suggested(library: Library, run, name: str, content: str, *, preview: str = "") -> int:
    """An image with a suggestion; its id."""
    image = DiscoveredImage(Path(f"/photos/{name}.jpg"), ImageFormat.JPEG, 10, 20, 3)
    image_id = library.images.record_found(image).id
    connection = library.connection
    connection.execute("UPDATE image SET content=? WHERE id=?", (content, image_id))
    if preview:
        path = os.fsencode(preview)
        connection.execute("UPDATE image SET preview=? WHERE id=?", (path, image_id))
    new = NewSuggestion(
        Suggestion(Tags("c")), content, "f", "openai", "http://h/v1", {"caption": "m"}, "default"
    )
    library.suggestions.record(image_id, run.id, new)
    return image_id


def accepted(library: Library, run, name: str, *keywords: str, by: str = "person", **image) -> int:
    """An accepted image whose content id is its name; the decision's id."""
    image_id = suggested(library, run, name, name, **image)
    tags = Tags("c", tuple(map(Keyword, keywords)))
    return library.decisions.decide(
        image_id, run.id, DecisionKind.ACCEPT, by=by, choice=Choice(tags)
    )


def test_a_vector_is_kept_by_content_and_kind(library):
    library.neighbours.record("a", KIND, b"\x01\xff")

    assert library.neighbours.vector("a", KIND) == b"\x01\xff"
    assert library.neighbours.vector("a", "other") is None
    assert library.neighbours.vector("b", KIND) is None


def test_a_new_kind_of_vector_takes_the_place_of_the_old(library):
    library.neighbours.record("a", KIND, b"1")
    library.neighbours.record("a", "test-2", b"2")

    assert library.neighbours.vector("a", KIND) is None
    assert library.neighbours.vector("a", "test-2") == b"2"


def test_accepted_pictures_come_in_the_order_of_their_decisions(library, run):
    for name in ("a", "b", "c"):
        library.neighbours.record(name, KIND, name.encode())
    ids = [accepted(library, run, name) for name in ("b", "a", "c")]

    first = library.neighbours.accepted_since(0, KIND, 2)
    rest = library.neighbours.accepted_since(first[-1].decision_id, KIND, 2)

    assert [(row.decision_id, row.content_id, row.vector) for row in (*first, *rest)] == [
        (ids[0], "b", b"b"),
        (ids[1], "a", b"a"),
        (ids[2], "c", b"c"),
    ]
    assert library.neighbours.accepted_since(0, "other", 9) == []


def test_only_what_a_person_accepted_and_not_took_back_counts(library, run):
    for name in ("person", "run", "undone", "rejected"):
        library.neighbours.record(name, KIND, b"v")
    accepted(library, run, "person", "heron", "reed")
    accepted(library, run, "run", "car", by="run")
    undone = accepted(library, run, "undone", "boat")
    library.decisions.undo(undone, run.id)
    rejected = suggested(library, run, "rejected", "rejected")
    library.decisions.decide(rejected, run.id, DecisionKind.REJECT, by="person")

    names = [row.content_id for row in library.neighbours.accepted_since(0, KIND, 9)]
    keywords = library.neighbours.keywords(["person", "run", "undone", "rejected", "unknown"])

    assert names == ["person"]
    assert keywords == {"person": ("heron", "reed")}


def test_accepted_pictures_without_a_vector_come_newest_first_with_their_preview(library, run):
    library.neighbours.record("has", KIND, b"v")
    library.neighbours.record("old", "older-kind", b"v")
    accepted(library, run, "has", preview="/cache/has.jpg")
    old = accepted(library, run, "old", preview="/cache/old.jpg")
    new = accepted(library, run, "new", preview="/cache/new.jpg")
    accepted(library, run, "bare")

    rows = library.neighbours.without_vector(10**9, KIND, 9)

    assert rows == [(new, "new", Path("/cache/new.jpg")), (old, "old", Path("/cache/old.jpg"))]
    assert library.neighbours.without_vector(new, KIND, 9) == rows[1:]
