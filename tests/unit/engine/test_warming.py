"""The first pictures of a run are decoded while its server is asked whether it can work."""

from __future__ import annotations

import asyncio
from typing import Any

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.warming import WarmUp
from imageworks.errors import DecodeError
from imageworks.models import ImageFormat
from imageworks.stages import DiscoveredImage
from imageworks.store.records import RunOptions
from tests.e2e.conftest import make_photos


class Images:
    """Notes what it is to decode."""

    def __init__(self, count=2):
        self.count = count
        self.names = []
        self.under_way = 0
        self.most_under_way = 0
        self.error = None

    async def prepare(self, path, _format):
        self.names.append(path.name)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0.01)
        self.under_way -= 1
        if self.error is not None:
            raise self.error


class Metadata:
    def __init__(self):
        self.names = []

    async def read(self, path):
        self.names.append(path.name)


def warm_up(library, tmp_path, images, metadata=None, *, most=100, run=None):
    config = PersonalTaggerConfig(input_paths=(tmp_path / "photos",))
    run = run or library.runs.create("batch", config.to_json())
    rooms: Any = {"images": images, "metadata": metadata or Metadata()}
    return WarmUp(library, run, config, **rooms, most=most)


async def test_the_first_pictures_are_decoded_and_nothing_is_noted(tmp_path, library):
    make_photos(tmp_path / "photos", 12)
    images, metadata = Images(), Metadata()

    await warm_up(library, tmp_path, images, metadata, most=5).run()

    assert sorted(images.names) == [f"photo-{number:04}.jpg" for number in range(5)]
    assert sorted(metadata.names) == sorted(images.names)
    assert 2 <= images.most_under_way <= images.count + 1
    assert sum(library.images.counts().values()) == 0


async def test_a_run_that_goes_on_begins_where_it_was(tmp_path, library):
    photos = make_photos(tmp_path / "photos", 4)
    run = library.runs.create("batch", "{}")
    found = [
        library.images.record_found(DiscoveredImage(path, ImageFormat.JPEG, 1, 1, 0))
        for path in photos
    ]
    library.queue.add(run.id, [found[3].id, found[2].id])
    library.queue.claim(run.id, 1)
    images = Images()

    await warm_up(library, tmp_path, images, run=run).run()

    assert images.names == [photos[2].name]


async def test_a_retry_of_failures_warms_nothing(tmp_path, library):
    make_photos(tmp_path / "photos", 2)
    run = library.runs.create("batch", "{}", options=RunOptions(retry_failed="any"))
    images = Images()

    await warm_up(library, tmp_path, images, run=run).run()

    assert images.names == []


async def test_what_cannot_be_decoded_is_left_for_its_turn(tmp_path, library):
    photos = make_photos(tmp_path / "photos", 3)
    photos[0].write_bytes(b"no picture")
    images, metadata = Images(), Metadata()
    images.error = DecodeError("damaged")

    await warm_up(library, tmp_path, images, metadata).run()

    assert sorted(images.names) == [photo.name for photo in photos[1:]]
    assert metadata.names == []
    assert sum(library.images.counts().values()) == 0


async def test_it_ends_with_its_block_and_says_what_was_unforeseen(tmp_path, library, caplog):
    make_photos(tmp_path / "photos", 200)
    slow = Images(count=1)
    async with warm_up(library, tmp_path, slow, most=200):
        await asyncio.sleep(0.05)
    after = len(slow.names)
    await asyncio.sleep(0.05)
    broken = Images()
    broken.error = RuntimeError("unforeseen")
    async with warm_up(library, tmp_path, broken):
        await asyncio.sleep(0.1)

    assert len(slow.names) == after < 200
    assert "unforeseen" in caplog.text
