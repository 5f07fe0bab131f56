"""A photograph that is written already is edited, accepted and written once more."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from imageworks.config import PersonalTaggerConfig
from imageworks.errors import UsageError
from imageworks.metadata.writer import PersonalMetadataWriter
from imageworks.models import ImageState, Keyword, Origin, Tags
from imageworks.review.session import ReviewSession
from imageworks.store.library import Library
from tests.e2e.conftest import make_photos
from tests.integration.test_review_writes import ANSWER, digest, edit_title, work
from tests.support.engine_runs import config_for, run_once
from tests.support.openai_server import OpenAIServer


@pytest.fixture
async def written(tmp_path):
    """A library with one photograph whose suggestion a person has accepted, and its file."""
    (photo,) = make_photos(tmp_path / "photos", 1)
    library = Library(tmp_path / "library.sqlite3")
    with OpenAIServer(lambda _request: ANSWER) as server:
        await run_once(library, config_for(tmp_path, server, review_later=True))
    session = ReviewSession(library, PersonalTaggerConfig(), undo_window_s=0)
    (image_id,) = session.image_ids()
    session.accept(image_id)
    await work(library)
    yield session, library, image_id, photo
    library.close()


def in_file(photo):
    return PersonalMetadataWriter(PersonalTaggerConfig()).read(photo)


def exiftool_says(photo):
    command = ["exiftool", "-j", "-Title", "-Subject", str(photo)]
    (values,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return values["Title"], values["Subject"]


def second(card):
    """The fields with another caption, one keyword more and one less."""
    kept = tuple(k for k in card.fields.keywords if k.text != "boat")
    keywords = (*kept, Keyword("harbour", origin=Origin.PERSON))
    return Tags("My red boat", keywords, card.fields.description)


async def test_the_second_edit_is_written_without_a_conflict(written):
    session, library, image_id, photo = written
    card = session.card(image_id)
    assert card.row.state is ImageState.WRITTEN
    assert card.can_edit
    assert card.existing.title == "A red boat"
    assert card.existing.keywords == ("boat",)

    session.accept(image_id, second(card))
    assert session.card(image_id).row.state is ImageState.ACCEPTED
    await work(library)

    card = session.card(image_id)
    assert card.row.state is ImageState.WRITTEN
    now = in_file(photo)
    assert (now.title, now.keywords) == ("My red boat", ("harbour",))
    assert now.description == "It floats."
    assert card.existing.title == "My red boat"
    if shutil.which("exiftool"):
        assert exiftool_says(photo) == ("My red boat", "harbour")


async def test_nothing_new_is_nothing_to_write(written):
    session, _, image_id, photo = written
    before = digest(photo)

    with pytest.raises(UsageError, match="written as it is shown"):
        session.accept(image_id)

    assert digest(photo) == before
    for refused in (session.reject, session.skip):
        with pytest.raises(UsageError, match="nothing to decide"):
            refused(image_id)


async def test_draft_of_a_written_photograph_is_kept(written):
    session, _, image_id, _ = written
    card = session.card(image_id)
    session.save_draft(image_id, second(card))

    assert session.card(image_id).is_draft
    assert session.card(image_id).fields.caption == "My red boat"
    session.save_draft(image_id, card.fields)
    assert not session.card(image_id).is_draft


async def test_second_edit_is_taken_back_to_the_first(written):
    session, library, image_id, photo = written
    first = digest(photo)
    session.accept(image_id, second(session.card(image_id)))
    await work(library)
    assert digest(photo) != first

    session.undo()
    await work(library)

    card = session.card(image_id)
    assert digest(photo) == first
    assert card.existing.title == "A red boat"
    assert card.existing.keywords == ("boat",)
    assert card.fields.caption == "My red boat"
    session.accept(image_id)
    await work(library)
    assert in_file(photo).title == "My red boat"


async def test_edit_by_another_program_in_between_is_put_before_the_person(written):
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    session, library, image_id, photo = written
    edit_title(photo, "Theirs")
    session.accept(image_id, second(session.card(image_id)))

    await work(library)

    card = session.card(image_id)
    assert card.row.state is ImageState.SUGGESTED
    assert card.row.reason == "conflict"
    assert in_file(photo).title == "Theirs"
