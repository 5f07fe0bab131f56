"""The gentle way back: only what is still ours is taken back, and what stays is said."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.undoing import gentle_request, present_metadata
from imageworks.errors import MetadataError
from imageworks.models import ExistingMetadata, Keyword, MetadataTarget, Tags
from imageworks.store.records import Choice, JournalEntry

CONFIG = PersonalTaggerConfig()
WORDS = st.lists(st.sampled_from(["boat", "sea", "sky", "gull", "rope"]), unique=True).map(tuple)


def entry_of(before, tags, **choice):
    return JournalEntry(
        id=1,
        decision_id=1,
        image_id=1,
        run_id=1,
        made_by="person",
        path=Path("/photos/a.jpg"),
        at=datetime(2026, 1, 1, tzinfo=UTC),
        target=MetadataTarget.FILE,
        target_path=Path("/photos/a.jpg"),
        before=before,
        choice=Choice(tags, **choice),
        undo=b"",
        state="done",
        undo_note="",
    )


def keywords(*words):
    return tuple(Keyword(word) for word in words)


def test_a_caption_that_is_still_ours_goes_and_one_that_is_not_stays():
    entry = entry_of(ExistingMetadata(), Tags("Ours", (), "Our text"))

    request, kept = gentle_request(
        entry, ExistingMetadata(title="Ours", description="Theirs"), CONFIG
    )

    assert (request.tags.caption, request.is_caption_edited) == ("", True)
    assert not request.is_description_edited
    assert kept == ("the description was changed by another program and stays",)


def test_a_text_that_was_replaced_comes_back():
    before = ExistingMetadata(title="Grandma's")
    entry = entry_of(before, Tags("Ours"), is_caption_edited=True)

    request, kept = gentle_request(entry, ExistingMetadata(title="Ours"), CONFIG)

    assert (request.tags.caption, request.is_caption_edited, kept) == ("Grandma's", True, ())


def test_a_text_that_was_left_alone_is_left_alone():
    before = ExistingMetadata(title="Grandma's")

    request, kept = gentle_request(entry_of(before, Tags("Ours")), before, CONFIG)

    assert (request.is_caption_edited, request.is_description_edited, kept) == (False, False, ())


def test_a_keyword_that_the_person_took_out_comes_back():
    before = ExistingMetadata(keywords=("boat", "blurry"))
    entry = entry_of(before, Tags(keywords=keywords("boat")), removed_keywords=("blurry",))

    request, _ = gentle_request(entry, ExistingMetadata(keywords=("boat",)), CONFIG)

    assert [keyword.text for keyword in request.tags.keywords] == ["blurry"]


@given(had=WORDS, accepted=WORDS, added_since=WORDS)
def test_of_the_keywords_exactly_those_that_the_write_added_are_taken_out(
    had, accepted, added_since
):
    written = tuple(dict.fromkeys((*had, *accepted)))
    present = tuple(dict.fromkeys((*written, *(f"later {word}" for word in added_since))))
    entry = entry_of(ExistingMetadata(keywords=had), Tags(keywords=keywords(*accepted)))

    request, _ = gentle_request(entry, ExistingMetadata(keywords=present), CONFIG)
    left = [word for word in present if word not in request.removed_keywords]

    assert left == [*had, *(word for word in present if word.startswith("later"))]
    assert request.tags.keywords == ()


class Unreadable:
    async def read(self, _path):
        message = "cannot be read"
        raise MetadataError(message, reason="unreadable")


async def test_a_file_that_cannot_be_read_after_an_undo_is_known_as_unknown(caplog):
    files: Any = Unreadable()

    assert await present_metadata(Path("a.jpg"), files) is None
    assert "cannot be read" in caplog.text


@pytest.mark.parametrize("overwrites", [True, False])
def test_where_texts_are_overwritten_the_one_before_comes_back(overwrites):
    config = PersonalTaggerConfig(overwrite_metadata=overwrites)
    before = ExistingMetadata(title="Grandma's")
    entry = entry_of(before, Tags("Ours"))

    request, _ = gentle_request(entry, ExistingMetadata(title="Ours"), config)

    assert request.is_caption_edited is overwrites
    assert request.tags.caption == ("Grandma's" if overwrites else "")
