"""A RAW and the JPEG beside it are one photograph to a batch: asked about once, written both."""

from __future__ import annotations

import pytest

from imageworks.models import ImageState, Keyword, Tags
from imageworks.review.session import ReviewSession
from imageworks.store.records import RunOptions
from tests.e2e.conftest import make_photos
from tests.support.engine_runs import config_for, run_once
from tests.support.openai_server import OpenAIServer
from tests.unit.prepare.raw_files import jpeg, nef

PHOTOS = 5


@pytest.fixture
def photos(tmp_path):
    """JPEGs, and beside each a RAW of the same stem that is found before it."""
    folder = tmp_path / "photos"
    make_photos(folder, PHOTOS)
    for number, path in enumerate(sorted(folder.iterdir())):
        preview = jpeg(640 + 16 * number, 480, "olive")
        path.rename(path.with_suffix(".jpg"))
        path.with_suffix(".NEF").write_bytes(nef(preview))
    return folder


def captions(library):
    return {
        row.path.name: row.caption
        for row in library.images.rows(library.images.ids())
        if row.caption
    }


async def test_a_pair_is_asked_about_once_and_both_files_get_the_answer(tmp_path, library, photos):
    with OpenAIServer() as server:
        config = config_for(tmp_path, server)
        summary, _ = await run_once(library, config)
        again, _ = await run_once(library, config)
        asked = len(server.questions)

    assert asked == PHOTOS
    assert summary.counts == {"written": 2 * PHOTOS}
    assert again.counts == {}
    got = captions(library)
    assert len(got) == 2 * PHOTOS
    for path in photos.glob("*.NEF"):
        assert got[path.name] == got[path.with_suffix(".jpg").name]
        assert got[path.name] in path.with_suffix(".xmp").read_text("utf-8")


async def test_a_pair_that_is_asked_again_is_asked_once(tmp_path, library, photos):
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, review_later=True, preflight=False)
        await run_once(library, config)
        await run_once(library, config, options=RunOptions(is_redo=True))

        assert len(server.questions) == 2 * PHOTOS


async def test_a_raw_whose_jpeg_cannot_be_read_is_asked_about_itself(tmp_path, library, photos):
    for path in photos.glob("*.jpg"):
        path.write_bytes(path.read_bytes()[:200])
    with OpenAIServer() as server:
        summary, _ = await run_once(library, config_for(tmp_path, server, review_later=True))
        asked = len(server.questions)

    assert asked == PHOTOS
    assert summary.counts == {"failed": PHOTOS, "suggested": PHOTOS}


async def test_a_run_over_the_raw_files_alone_does_not_wait_for_their_jpegs(
    tmp_path, library, photos
):
    with OpenAIServer() as server:
        config = config_for(tmp_path, server, review_later=True, preflight=False)
        left = library.runs.create("batch", config.to_json())
        await run_once(library, config, options=RunOptions(limit=1))
        library.queue.add(left.id, library.search.ids())
        raw_only = config_for(
            tmp_path, server, review_later=True, preflight=False, image_extensions=(".nef",)
        )
        summary, _ = await run_once(library, raw_only)

    assert summary.counts["suggested"] >= PHOTOS - 1


async def test_a_pair_counts_as_one_photograph_that_waits(tmp_path, library, photos):
    with OpenAIServer() as server:
        await run_once(library, config_for(tmp_path, server, review_later=True))

    assert library.images.counts() == {ImageState.SUGGESTED: PHOTOS}
    assert len(library.search.ids()) == PHOTOS


@pytest.mark.parametrize("is_accepted", [True, False])
async def test_what_a_person_decided_on_the_jpeg_holds_for_a_raw_found_later(
    tmp_path, library, photos, *, is_accepted
):
    with OpenAIServer() as server:
        jpegs = config_for(tmp_path, server, review_later=True, image_extensions=(".jpg",))
        await run_once(library, jpegs)
        session = ReviewSession(library, jpegs, undo_window_s=0)
        for image_id in library.search.ids():
            if is_accepted:
                session.accept(image_id, Tags("My own words", (Keyword("heron"),)))
            else:
                session.reject(image_id)
        await run_once(library, config_for(tmp_path, server, preflight=False))

        assert len(server.questions) == PHOTOS
    rows = library.images.rows(library.images.ids())
    state = ImageState.WRITTEN if is_accepted else ImageState.REJECTED
    assert [row.state for row in rows] == [state] * 2 * PHOTOS
    sidecars = [path.read_text("utf-8") for path in photos.glob("*.xmp")]
    assert len(sidecars) == (PHOTOS if is_accepted else 0)
    assert all("My own words" in text and "heron" in text for text in sidecars)
