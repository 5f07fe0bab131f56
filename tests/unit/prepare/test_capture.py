"""What the camera recorded, from sound and from broken EXIF."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from imageworks.prepare.capture import capture_facts, orientation_of, read_exif, read_raw_exif
from imageworks.stages import CaptureFacts

# Pillow warns of odd EXIF; `prepare_image` is where that is silenced.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def exif(detail: Mapping[int, object], main: Mapping[int, object] | None = None) -> Image.Exif:
    found = Image.Exif()
    for tag, value in (main or {}).items():
        found[tag] = value
    found.get_ifd(0x8769).update(detail)
    return found


FULL = {
    0x829A: IFDRational(1, 250),
    0x829D: IFDRational(28, 10),
    0x8827: 400,
    0x9003: "2024:05:06 07:08:09",
    0x9209: 0x19,
    0x920A: IFDRational(50, 1),
    0xA434: "50 mm f/1.8",
}


def test_all_facts_are_read_back_from_a_saved_file():
    buffer = io.BytesIO()
    main = {0x010F: "NIKON CORPORATION", 0x0110: "NIKON D70"}
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", exif=exif(FULL, main))

    with Image.open(buffer) as image:
        facts = capture_facts(read_exif(image))

    assert facts == CaptureFacts(
        taken_at=datetime.fromisoformat("2024-05-06 07:08:09"),
        camera="NIKON D70",
        lens="50 mm f/1.8",
        exposure_s=0.004,
        aperture=2.8,
        iso=400,
        focal_length_mm=50.0,
        is_flash_fired=True,
    )


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS R5", "Canon EOS R5"),
        ("SONY", "ILCE-7M4", "SONY ILCE-7M4"),
        ("Apple", "", "Apple"),
        ("", "Pixel 8", "Pixel 8"),
        ("", "", ""),
        ("  FUJIFILM\0junk", "X-T5\x1b[2J\0", "FUJIFILM X-T5 [2J"),
    ],
)
def test_camera_is_named_once_and_cleanly(make, model, camera):
    assert capture_facts(exif({}, {0x010F: make, 0x0110: model})).camera == camera


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0000:00:00 00:00:00",
        "2024:13:01 00:00:00",
        "yesterday",
        "    :  :     :  :  ",
        "1066:10:14 09:00:00",
    ],
)
def test_impossible_time_is_no_time(text):
    assert capture_facts(exif({0x9003: text})).taken_at is None


def test_scanned_picture_falls_back_to_its_digitising():
    facts = capture_facts(exif({0x9004: "2001:02:03 04:05:06"}))

    assert facts.taken_at == datetime.fromisoformat("2001-02-03 04:05:06")


@pytest.mark.parametrize(
    "value", [IFDRational(1, 0), IFDRational(0, 1), -1, "fast", (), None, 1e30]
)
def test_impossible_numbers_are_left_out(value):
    facts = capture_facts(exif({0x829A: value, 0x829D: value, 0x8827: value, 0x920A: value}))

    assert facts == CaptureFacts()


def test_first_of_several_numbers_counts():
    assert capture_facts(exif({0x8827: (200, 400)})).iso == 200


@pytest.mark.parametrize(("flash", "is_fired"), [(0, False), (1, True), (16, False), (0x5F, True)])
def test_flash_is_one_bit(flash, is_fired):
    assert capture_facts(exif({0x9209: flash})).is_flash_fired is is_fired


def test_bytes_are_read_as_text():
    assert capture_facts(exif({0xA434: b"Lens \xff\0"})).lens == "Lens \ufffd"


@pytest.mark.parametrize(
    ("value", "orientation"), [(6, 6), (0, 1), (9, 1), ("6", 1), (None, 1), (1, 1)]
)
def test_orientation_out_of_range_is_upright(value, orientation):
    found = Image.Exif()
    found[0x0112] = value

    assert orientation_of(found) == orientation


def test_orientation_in_xmp_does_not_turn_the_picture():
    buffer = io.BytesIO()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="6"/></x:xmpmeta>'
    Image.new("RGB", (8, 4)).save(buffer, "JPEG", xmp=xmp)

    with Image.open(buffer) as image:
        assert orientation_of(read_exif(image)) == 1


def test_png_without_exif_is_not_decoded_to_look_for_it():
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "PNG")
    damaged = buffer.getvalue()[:-40]  # decoding would fail

    with Image.open(io.BytesIO(damaged)) as image:
        assert dict(read_exif(image)) == {}


@given(st.binary(max_size=200))
def test_any_exif_bytes_give_facts(data):
    image = Image.new("RGB", (1, 1))
    image.info["exif"] = b"Exif\0\0II*\0\x08\0\0\0" + data

    found = read_exif(image)

    assert 1 <= orientation_of(found) <= 8
    assert isinstance(capture_facts(found), CaptureFacts)


@given(
    st.dictionaries(
        st.sampled_from(sorted(FULL)),
        st.one_of(
            st.none(),
            st.text(),
            st.binary(),
            st.integers(),
            st.floats(),
            st.fractions(),
            st.tuples(st.integers()),
        ),
    )
)
def test_any_values_give_facts_in_their_ranges(detail):
    facts = capture_facts(exif(detail))

    for number in (facts.exposure_s, facts.aperture, facts.iso, facts.focal_length_mm):
        assert number is None or 0 <= number <= 1e9
    assert len(facts.lens) <= 80


@given(st.binary(max_size=120), st.lists(st.binary(max_size=60), max_size=2))
def test_any_raw_bytes_give_exif(head, blocks):
    found = read_raw_exif(io.BytesIO(head), tuple(blocks))

    assert isinstance(capture_facts(found), CaptureFacts)
