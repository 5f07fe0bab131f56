"""A screen's scan: names first, the rest in the background, nothing known is lost."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace

import pytest
from PIL import Image

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.scanning import LibraryScan, inspect_claimed
from imageworks.models import ImageFormat, ImageState


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jpg", "sub/b.jpg"):
        Image.new("RGB", (20, 10), "teal").save(folder / name)
    Image.new("RGB", (20, 10), "teal").save(folder / "really.jpg", format="PNG")
    (folder / "text.jpg").write_text("no picture")
    return folder


def scan_of(library, photos):
    return LibraryScan(library, replace(PersonalTaggerConfig(), input_paths=(photos,)))


def by_name(library):
    return {row.path.name: row for row in library.images.rows(library.images.ids())}


async def test_names_come_first_and_what_they_hide_in_the_background(library, photos):
    scan = scan_of(library, photos)

    await scan.run()
    assert library.images.counts() == {ImageState.DISCOVERED: 4}
    await scan.check()

    rows = by_name(library)
    assert rows["text.jpg"].state is ImageState.FAILED
    assert rows["really.jpg"].note == "is a PNG by content"
    assert rows["a.jpg"].note == ""
    assert library.images.uninspected([photos], 0, 9) == []


async def test_file_edited_in_place_is_found_in_the_background(library, photos):
    (photos / "text.jpg").unlink()
    before_s = time.time() - 3600
    for folder in (photos, photos / "sub"):
        os.utime(folder, (before_s, before_s))
    scan = scan_of(library, photos)
    await scan.run()
    await scan.check()
    library.connection.execute("UPDATE image SET content='known'")
    Image.new("RGB", (40, 30), "red").save(photos / "sub" / "b.jpg")
    os.utime(photos / "sub", (before_s, before_s))

    await scan.run()
    contents = "SELECT name FROM image WHERE content IS NULL"
    assert library.connection.execute(contents).fetchall() == []
    await scan.check()

    assert [row[0] for row in library.connection.execute(contents)] == [b"b.jpg"]


async def test_folder_that_is_gone_takes_its_untouched_images_with_it(library, photos):
    scan = scan_of(library, photos)
    await scan.run()
    await scan.check()
    shutil.rmtree(photos / "sub")

    await scan.run()
    await scan.check()

    assert "b.jpg" not in by_name(library)
    assert "a.jpg" in by_name(library)


@pytest.mark.parametrize(
    ("name", "expected"), [("really.jpg", ImageFormat.PNG), ("text.jpg", None)]
)
async def test_claimed_file_is_looked_at_before_it_is_decoded(library, photos, name, expected):
    await scan_of(library, photos).run()
    run = library.runs.create("batch", "{}")
    image = by_name(library)[name]
    library.queue.add(run.id, [image.id])
    (item,) = library.queue.claim(run.id, 1)

    inspected = await inspect_claimed(library, item)

    assert (None if inspected is None else inspected.format) == expected
    if expected is None:
        assert by_name(library)[name].state is ImageState.FAILED
        assert library.queue.is_empty(run.id)
        assert library.outcomes.has(run.id, image.id)
