"""Decisions of a person, carried out by the engine: written, taken back, or asked again."""

from __future__ import annotations

import hashlib
import shutil
import subprocess

import pytest

from imageworks.config import PersonalTaggerConfig
from imageworks.engine import worker
from imageworks.engine.service import EngineService
from imageworks.engine.writing import write_request
from imageworks.models import ImageState, Tags
from imageworks.paths import app_paths
from imageworks.review.session import ReviewSession
from imageworks.store.library import Library
from tests.e2e.conftest import make_photos
from tests.support.engine_runs import config_for, run_once
from tests.support.openai_server import OpenAIServer
from tests.support.review_library import undone

ANSWER = {"caption": "A red boat", "keywords": ["boat"], "description": "It floats."}


@pytest.fixture
async def suggested(tmp_path):
    """A library with one suggested photograph."""
    (photo,) = make_photos(tmp_path / "photos", 1)
    library = Library(tmp_path / "library.sqlite3")
    with OpenAIServer(lambda _request: ANSWER) as server:
        await run_once(library, config_for(tmp_path, server, review_later=True))
    yield library, photo
    library.close()


async def work(library):
    await worker.serve(library, api_key="EMPTY", linger_s=0.2)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def edit_title(photo, title):
    """As another program does."""
    edit = ["exiftool", "-q", "-overwrite_original", f"-XMP-dc:Title={title}", str(photo)]
    subprocess.run(edit, check=True)


async def test_undo_after_the_write_puts_the_file_back_and_keeps_what_was_typed(suggested):
    library, photo = suggested
    before = digest(photo)
    session = ReviewSession(library, PersonalTaggerConfig(), undo_window_s=0)
    (image_id,) = session.image_ids()
    card = session.card(image_id)
    session.accept(image_id, Tags("My boat", card.fields.keywords, card.fields.description))
    await work(library)
    assert digest(photo) != before

    assert undone(session) == image_id
    await work(library)

    assert digest(photo) == before
    card = session.card(image_id)
    assert card.row.state is ImageState.SUGGESTED
    assert card.fields.caption == "My boat"


async def test_undo_of_a_write_that_changed_nothing_needs_no_engine(suggested):
    library, _ = suggested
    session = ReviewSession(library, PersonalTaggerConfig(), undo_window_s=0)
    (image_id,) = session.image_ids()
    session.accept(image_id, Tags())
    await work(library)

    assert undone(session) == image_id

    assert session.card(image_id).row.state is ImageState.SUGGESTED


async def test_a_write_that_was_on_the_disk_when_its_engine_died_is_not_done_twice(suggested):
    library, photo = suggested
    before = digest(photo)
    session = ReviewSession(library, PersonalTaggerConfig(), undo_window_s=0)
    (image_id,) = session.image_ids()
    session.accept(image_id)
    await work(library)
    # As if the engine had been killed between the replacement and its note.
    connection = library.connection
    connection.execute("UPDATE write_journal SET state='intended'")
    connection.execute("UPDATE decision SET write_state='writing' WHERE kind='accept'")
    connection.execute("UPDATE image SET state='accepted'")
    written = digest(photo)

    await work(library)

    assert library.images.counts() == {ImageState.WRITTEN: 1}
    assert digest(photo) == written
    assert undone(session) == image_id
    await work(library)
    assert digest(photo) == before


async def test_a_write_that_had_not_happened_when_its_engine_died_is_done(suggested):
    library, photo = suggested
    session = ReviewSession(library, PersonalTaggerConfig(), undo_window_s=0)
    (image_id,) = session.image_ids()
    session.accept(image_id)
    (write,) = library.decisions.begin_writes(1)
    service = EngineService(library, app_paths())

    def announce(intent):
        library.journal.intend(write, intent)
        raise RuntimeError

    process = service._writes._settings_of(write.run_id)[1]
    with pytest.raises(RuntimeError):
        await process.write(write_request(write, PersonalTaggerConfig()), announce)
    await service._writes.aclose()
    assert len(library.journal.intents()) == 1

    await work(library)

    assert library.images.counts() == {ImageState.WRITTEN: 1}
    assert library.journal.intents() == []
    assert b"A red boat" in photo.read_bytes()


async def test_a_title_that_both_changed_is_put_before_the_reviewer(suggested):
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    library, photo = suggested
    session = ReviewSession(library, PersonalTaggerConfig(), undo_window_s=0)
    (image_id,) = session.image_ids()
    card = session.card(image_id)
    edit_title(photo, "Theirs")
    theirs = digest(photo)
    session.accept(image_id, Tags("Mine", card.fields.keywords, card.fields.description))

    await work(library)

    card = session.card(image_id)
    assert digest(photo) == theirs
    assert card.row.state is ImageState.SUGGESTED
    assert card.existing.title == "Theirs"
    assert card.fields.caption == "Mine"
    assert any("Theirs" in note for note in card.notes)
    session.accept(image_id)
    await work(library)
    assert session.card(image_id).row.state is ImageState.WRITTEN
    assert b"Mine" in photo.read_bytes()


async def test_a_title_of_ones_own_may_hold_what_the_program_would_not_write(tmp_path):
    (photo,) = make_photos(tmp_path / "photos", 1)
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    edit_title(photo, "Two  spaces and a\ttab")
    library = Library(tmp_path / "library.sqlite3")
    with OpenAIServer(lambda _request: ANSWER) as server:
        summary, _ = await run_once(library, config_for(tmp_path, server))
    library.close()

    assert summary.counts == {"written": 1}
    assert b"Two  spaces and a" in photo.read_bytes()
    assert b"boat" in photo.read_bytes()
