"""Previews out of camera files, in every layout known here and in damaged ones."""

from __future__ import annotations

import io
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imageworks.content import ByteSource
from imageworks.errors import DecodeError
from imageworks.models import ImageFormat
from imageworks.prepare.budget import PixelBudget
from imageworks.prepare.picture import prepare_image
from imageworks.prepare.raw import find_previews
from tests.unit.prepare import raw_files
from tests.unit.prepare.raw_files import jpeg

SMALL, LARGE = jpeg(160, 120, "red"), jpeg(600, 400, "blue")
MAY_6 = datetime.fromisoformat("2024-05-06 07:08:09")
JANUARY_2 = datetime.fromisoformat("2023-01-02 03:04:05")
LOSSLESS = LARGE.replace(b"\xff\xc0", b"\xff\xc3", 1)


def sizes(data: bytes) -> list[tuple[int, int]]:
    previews = find_previews(ByteSource(io.BytesIO(data)))
    return [Image.open(io.BytesIO(preview.jpeg)).size for preview in previews]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (raw_files.nef(SMALL, LARGE), [(600, 400), (160, 120)]),
        (raw_files.cr2(LARGE, LOSSLESS), [(600, 400)]),
        (raw_files.rw2(LARGE), [(600, 400)]),
        (raw_files.raf(LARGE), [(600, 400)]),
        (raw_files.cr3(LARGE, SMALL), [(600, 400), (160, 120)]),
        (b"FOVb" + bytes(1_048_570) + LARGE + bytes(99), [(600, 400)]),
        (b"\x00MRM" + bytes(500) + SMALL + LARGE, [(600, 400), (160, 120)]),
        (raw_files.nef(jpeg(100, 75)), []),
        (raw_files.nef(LOSSLESS), []),
        (raw_files.nef(b"\xff\xd8\xff" + bytes(200)), []),
        (b"FOVb" + bytes(500), []),
        (b"", []),
    ],
    ids=str,
)
def test_previews_are_found_largest_first(data, expected):
    assert sizes(data) == expected


def test_strips_that_are_no_single_jpeg_are_no_preview():
    file = raw_files.TiffBuilder()
    at = file.add(LARGE)
    two = {259: raw_files.short(7), 273: raw_files.long(at, at + 9), 279: raw_files.long(9, 9)}
    beyond = {259: raw_files.short(7), 273: raw_files.long(at), 279: raw_files.long(1 << 30)}
    data = file.finish(file.directory(two, file.directory(beyond)))

    assert [len(preview.jpeg) > 0 for preview in find_previews(ByteSource(io.BytesIO(data)))] == [
        True  # by the scan: the fields themselves lead nowhere
    ]


def prepared(data, tmp_path, cache, image_format=ImageFormat.RAW):
    path = tmp_path / "photo.raw"
    path.write_bytes(data)
    return prepare_image(path, image_format, cache, PixelBudget())


@pytest.mark.parametrize(
    ("data", "camera", "taken_at", "size"),
    [
        (raw_files.nef(LARGE), "NIKON D70", MAY_6, (6000, 4000)),
        (raw_files.cr3(LARGE, SMALL), "Canon EOS R5", JANUARY_2, (600, 400)),
        (raw_files.rw2(LARGE), "Panasonic DC-G9", None, (600, 400)),
        (raw_files.raf(LARGE), "", None, (600, 400)),
        (
            raw_files.nef(LARGE, size=(6000, 100)),
            "NIKON D70",
            MAY_6,
            (600, 400),
        ),
    ],
    ids=["nef", "cr3", "rw2", "raf", "nef of another shape"],
)
def test_raw_is_prepared_from_its_largest_preview(data, camera, taken_at, size, tmp_path, cache):
    picture = prepared(data, tmp_path, cache)

    with Image.open(picture.preview_path) as preview:
        assert preview.size == (600, 400)
        assert min(preview.getchannel(2).tobytes()) > 200
    assert (picture.capture.camera, picture.capture.taken_at) == (camera, taken_at)
    assert (picture.width_px, picture.height_px) == size


@pytest.mark.parametrize(
    "data",
    [raw_files.nef(LARGE, orientation=6), raw_files.cr3(LARGE, SMALL, orientation=6)],
    ids=["nef", "cr3"],
)
def test_raw_files_own_orientation_turns_the_preview(data, tmp_path, cache):
    picture = prepared(data, tmp_path, cache)

    with Image.open(picture.preview_path) as preview:
        assert preview.size == (400, 600)
    assert picture.width_px < picture.height_px


def test_previews_own_exif_counts_where_the_raw_file_says_nothing(tmp_path, cache):
    exif = Image.Exif()
    exif[0x0112], exif[0x0110] = 8, "X-T5"

    picture = prepared(raw_files.raf(jpeg(600, 400, exif=exif)), tmp_path, cache)

    assert picture.capture.camera == "X-T5"
    assert (picture.width_px, picture.height_px) == (400, 600)


def test_orientation_out_of_range_is_ignored(tmp_path, cache):
    picture = prepared(raw_files.nef(LARGE, orientation=77), tmp_path, cache)

    assert (picture.width_px, picture.height_px) == (6000, 4000)


def test_damaged_preview_gives_way_to_the_next(tmp_path, cache):
    cut = LARGE[: len(LARGE) // 2] + bytes(100)

    picture = prepared(raw_files.nef(SMALL, cut), tmp_path, cache)

    with Image.open(picture.preview_path) as preview:
        assert preview.size == (160, 120)


def test_preview_with_a_broken_header_gives_way_to_the_next(tmp_path, cache):
    unopenable = LARGE.replace(b"\x08\x01\x90\x02\x58\x03", b"\x0c\x01\x90\x02\x58\x03", 1)
    assert unopenable != LARGE

    picture = prepared(raw_files.nef(SMALL, unopenable), tmp_path, cache)

    with Image.open(picture.preview_path) as preview:
        assert preview.size == (160, 120)


def test_raw_of_damaged_previews_only_says_so(tmp_path, cache):
    with pytest.raises(DecodeError) as caught:
        prepared(raw_files.nef(LARGE[: len(LARGE) // 2] + bytes(100)), tmp_path, cache)

    assert caught.value.reason in {"truncated", "corrupt"}


def test_dng_without_a_preview_says_so(tmp_path, cache):
    with pytest.raises(DecodeError) as caught:
        prepared(raw_files.nef(), tmp_path, cache, ImageFormat.DNG)

    assert caught.value.reason == "no-preview"
    assert caught.value.hint


@given(st.data())
def test_damaged_camera_files_never_break_the_search(data):
    whole = data.draw(st.sampled_from(FILES))
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 10))):
        damaged[data.draw(st.integers(0, min(len(damaged), 900) - 1))] = data.draw(
            st.integers(0, 255)
        )
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])

    for preview in find_previews(ByteSource(io.BytesIO(cut))):
        assert preview.jpeg.startswith(b"\xff\xd8\xff")


FILES = [
    raw_files.nef(SMALL, LARGE),
    raw_files.cr2(LARGE, LOSSLESS),
    raw_files.rw2(SMALL),
    raw_files.raf(SMALL),
    raw_files.cr3(LARGE, SMALL),
]
