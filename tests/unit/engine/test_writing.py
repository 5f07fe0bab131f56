"""Writes and undos that are cut off: what the disk says counts, and the way back is kept."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.undoing import present_metadata
from imageworks.engine.writing import WriteLoop, write_request
from imageworks.errors import MetadataError
from imageworks.metadata.process import MetadataProcess
from imageworks.metadata.writer import PersonalMetadataWriter
from imageworks.models import ExistingMetadata, ImageState, Tags
from imageworks.paths import app_paths
from imageworks.review.session import ReviewSession
from imageworks.stages import WriteOutcome
from tests.support.review_library import ReviewLibrary

SIDECAR = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
    ' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about=""/></rdf:RDF></x:xmpmeta>'
)


def crashed(path):
    message = f"{path} crashed."
    return MetadataError(message, reason="metadata-crash")


class DyingProcess(MetadataProcess):
    """Writes in truth, and dies before it can say so."""

    def after_write(self, path: Path) -> None:
        pass

    async def write(self, request, announce=lambda _intent: None):
        await super().write(request, announce)
        self.after_write(request.path)
        raise crashed(request.path)


class HalfDeadProcess(DyingProcess):
    """Dies between the two files of a write: the sidecar is as it was."""

    def after_write(self, path: Path) -> None:
        path.with_suffix(".xmp").write_text(SIDECAR)


@pytest.fixture
def made(tmp_path):
    """A library with one photograph that was accepted, ``a.jpg``."""
    built = ReviewLibrary(tmp_path)
    Image.effect_noise((64, 48), 40).convert("RGB").save(built.photos / "a.jpg")
    image_id = built.add("a.jpg", Tags(caption="A boat"))
    built.library.connection.execute("UPDATE image SET content=NULL")
    ReviewSession(built.library, built.config, undo_window_s=0).accept(image_id)
    yield built
    built.library.close()


async def undo_all(made):
    """Takes back whatever the journal knows; what was undone."""
    entries = made.library.journal.undoable()
    made.library.journal.request_undo(entries)
    loop = WriteLoop(made.library)
    await loop.undo_due()
    await loop.aclose()
    return len(entries)


async def write_with(made, kind):
    loop = WriteLoop(made.library, start_process=kind)
    await loop.write_due()
    await loop.aclose()


async def test_a_write_whose_process_died_after_it_is_written_and_can_be_undone(made):
    photo = made.photos / "a.jpg"
    before = photo.read_bytes()

    await write_with(made, DyingProcess)
    written = made.states()["a.jpg"], photo.read_bytes()
    undone = await undo_all(made)

    assert written[0] is ImageState.WRITTEN
    assert b"A boat" in written[1]
    assert undone == 1
    assert photo.read_bytes() == before
    assert not list(made.photos.glob("*_original"))


async def test_a_write_that_died_between_its_two_files_failed_and_can_be_undone(made):
    photo, sidecar = made.photos / "a.jpg", made.photos / "a.xmp"
    sidecar.write_text(SIDECAR)
    before = photo.read_bytes()

    await write_with(made, HalfDeadProcess)
    state, half = made.states()["a.jpg"], photo.read_bytes()
    undone = await undo_all(made)

    assert state is ImageState.FAILED
    assert half != before
    assert undone == 1
    assert (photo.read_bytes(), sidecar.read_text()) == (before, SIDECAR)


async def test_a_half_write_that_is_done_again_leads_back_all_the_way(made):
    photo, sidecar = made.photos / "a.jpg", made.photos / "a.xmp"
    sidecar.write_text(SIDECAR)
    before = photo.read_bytes()
    await write_with(made, HalfDeadProcess)
    (image_id,) = made.library.decisions.failed_writes()
    made.library.decisions.retry(image_id, made.run.id)

    await write_with(made, MetadataProcess)
    state, whole = made.states()["a.jpg"], sidecar.read_text()
    undone = await undo_all(made)

    assert state is ImageState.WRITTEN
    assert "A boat" in whole
    assert undone == 2
    assert (photo.read_bytes(), sidecar.read_text()) == (before, SIDECAR)


class ConflictThenDeath(MetadataProcess):
    """Finds a conflict, and dies when it is asked what the file says."""

    async def write(self, request, announce=lambda _intent: None):
        message = "another program changed its caption"
        raise MetadataError(message, reason="conflict")

    async def read(self, path):
        raise crashed(path)


async def test_a_death_while_a_conflict_is_looked_at_fails_one_image_and_no_engine(made):
    await write_with(made, ConflictThenDeath)

    assert made.states()["a.jpg"] is ImageState.FAILED
    assert made.library.decisions.count_intended() == 0


class DyingReader:
    """Dies at the first so many reads."""

    def __init__(self, deaths, reason="metadata-crash"):
        self.deaths = deaths
        self.reason = reason
        self.reads = 0

    async def read(self, path):
        self.reads += 1
        if self.reads <= self.deaths:
            message = f"{path} cannot be read."
            raise MetadataError(message, reason=self.reason)
        return ExistingMetadata(title="as written")


@pytest.mark.parametrize(
    ("deaths", "reason", "title", "reads"),
    [
        (1, "metadata-crash", "as written", 2),
        (2, "metadata-crash", None, 2),
        (1, "not-found", None, 1),
    ],
)
async def test_a_killed_reader_gets_a_second_try_so_that_no_conflict_is_made_up(
    deaths, reason, title, reads
):
    reader = DyingReader(deaths, reason)

    present = await present_metadata(Path("a.jpg"), reader)  # type: ignore[arg-type]  # a fault at its seam

    assert (present.title if present else None) == title
    assert reader.reads == reads


def ended_process():
    """The number of a process that is gone."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        return ended.pid


@pytest.fixture
def orphan():
    """A process that does nothing and is alive."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as alive:
        yield alive
        alive.communicate(b"\n")


def journalled_only(made):
    """Leaves a write as an engine does that is killed right after it journalled it; its bytes."""
    photo = made.photos / "a.jpg"
    announced: list[WriteOutcome] = []
    before = photo.read_bytes()
    (write,) = made.library.decisions.begin_writes(1)
    writer = PersonalMetadataWriter(PersonalTaggerConfig(backup_originals=False))
    writer.write(write_request(write, made.config), announced.append)
    after = photo.read_bytes()
    photo.write_bytes(before)
    made.library.journal.intend(write, announced[0])
    return after


async def test_a_new_engine_waits_for_what_the_killed_ones_process_still_writes(made, orphan):
    """A metadata process outlives its engine by the replacement that it was allowed to make."""
    photo = made.photos / "a.jpg"
    before, after = photo.read_bytes(), journalled_only(made)
    draft = made.photos / f".a.jpg.ptag-{orphan.pid}-0123abcd.tmp"
    draft.write_bytes(after)
    loop = WriteLoop(made.library)
    recovering = asyncio.create_task(loop.recover())
    await asyncio.sleep(0.2)
    is_waiting = not recovering.done()
    draft.replace(photo)
    await asyncio.wait_for(recovering, 10)
    await loop.aclose()

    assert is_waiting
    assert made.states()["a.jpg"] is ImageState.WRITTEN
    assert await undo_all(made) == 1
    assert photo.read_bytes() == before


async def test_a_photograph_that_became_a_folder_keeps_no_engine_from_starting(made):
    journalled_only(made)
    photo = made.photos / "a.jpg"
    photo.unlink()
    photo.mkdir()

    loop = WriteLoop(made.library)
    await loop.recover()
    await loop.aclose()

    assert made.library.decisions.count_intended() == 1


async def test_what_a_killed_undo_left_beside_file_and_backup_is_swept(made):
    await write_with(made, MetadataProcess)
    entries = made.library.journal.undoable()
    made.library.journal.request_undo(entries)
    made.library.journal.next_undo()
    mirror = app_paths().originals_dir / made.photos.relative_to("/")
    mirror.mkdir(parents=True)
    left = [
        folder / f".a.jpg.ptag-{ended_process()}-0123abcd.tmp" for folder in (made.photos, mirror)
    ]
    for path in left:
        path.touch()

    loop = WriteLoop(made.library)
    await loop.recover()
    await loop.aclose()

    assert [path.exists() for path in left] == [False, False]


@pytest.mark.parametrize("preserves", [True, False])
async def test_an_undo_cut_off_after_the_bytes_is_brought_to_its_end(made, preserves):
    """Bytes back, killed before the time was set and the backup removed."""
    photo = made.photos / "a.jpg"
    os.utime(photo, ns=(10**18, 10**18))
    before = photo.read_bytes()
    made.library.connection.execute(
        "UPDATE run SET config=?",
        (PersonalTaggerConfig(preserve_mtime=preserves).to_json(),),
    )
    await write_with(made, MetadataProcess)
    backup = made.photos / "a.jpg_original"
    had_backup = backup.exists()
    photo.write_bytes(before)

    await undo_all(made)

    assert had_backup
    assert photo.read_bytes() == before
    assert not backup.exists()
    assert (photo.stat().st_mtime_ns == 10**18) is preserves
