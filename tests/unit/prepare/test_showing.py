from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from imageworks.errors import DecodeError
from imageworks.prepare import showing
from imageworks.prepare.showing import Framing, Viewer, embedded_thumbnail, frame

if TYPE_CHECKING:
    from pathlib import Path

RED, BLUE = (200, 30, 30), (30, 30, 200)
IFD0_ORIENTATION, IFD1 = 0x0112, 1


def half_and_half(size: tuple[int, int]) -> Image.Image:
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", size, RED)
    picture.paste(BLUE, (size[0] // 2, 0, *size))
    return picture


def is_red(picture: Image.Image, x: int, y: int) -> bool:
    red, _, blue = picture.crop((x, y, x + 1, y + 1)).tobytes()
    return red - blue > 100


sides = st.integers(1, 9000)


@given(sides, sides, st.integers(1, 300), st.integers(1, 300), st.floats(1, 64), st.floats(0, 1))
def test_frame_lies_within_picture_and_box(
    width: int, height: int, box_width: int, box_height: int, zoom: float, middle: float
) -> None:
    view = frame((width, height), Framing((box_width, box_height), 1.0, zoom, (middle, middle)))

    assert 1 <= view.size_px[0] <= box_width
    assert 1 <= view.size_px[1] <= box_height
    left, top, part_width, part_height = view.part
    assert min(left, top) >= 0
    assert left + part_width <= 1 + 1e-9
    assert top + part_height <= 1 + 1e-9
    assert 1 <= view.zoom <= max(1, zoom)


def test_whole_picture_keeps_its_shape_on_pixels_that_are_not_square() -> None:
    view = frame((6000, 4000), Framing((40, 40), pixel_shape_ratio=0.5))

    assert view.size_px == (40, 13)  # a pixel is half as wide as high
    assert view.part == (0, 0, 1, 1)


def test_no_one_looks_closer_than_two_pixels_for_one() -> None:
    view = frame((400, 200), Framing((100, 50), zoom=64))

    assert view.zoom == 8
    assert view.part[2] == 1 / 8


def test_large_jpeg_is_decoded_no_larger_than_it_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    half_and_half((4000, 2000)).save(path)

    shown = Viewer().show(path, Framing((40, 40)))

    assert shown.picture.size == (40, 20)
    assert is_red(shown.picture, 5, 10)
    assert not is_red(shown.picture, 35, 10)


def test_close_look_shows_the_part_asked_for_and_decodes_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.jpg"
    half_and_half((4000, 2000)).save(path)
    viewer = Viewer()

    left = viewer.show(path, Framing((40, 40), zoom=8, centre=(0.2, 0.5)))
    monkeypatch.setattr(showing, "_open_pictures", lambda *_: pytest.fail("decoded again"))
    right = viewer.show(path, Framing((40, 40), zoom=8, centre=(0.8, 0.5)))

    assert left.picture.size == right.picture.size == (40, 40)
    assert is_red(left.picture, 20, 20)
    assert not is_red(right.picture, 20, 20)


def test_file_that_changed_is_decoded_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    half_and_half((800, 400)).save(path)
    viewer = Viewer()
    viewer.show(path, Framing((40, 40), zoom=4, centre=(0, 0)))
    Image.new("RGB", (800, 400), BLUE).save(path, quality=70)

    shown = viewer.show(path, Framing((40, 40), zoom=4, centre=(0, 0)))

    assert not is_red(shown.picture, 20, 20)


@pytest.mark.parametrize("zoom", [1.0, 4.0])
def test_turned_photograph_is_shown_upright(tmp_path: Path, zoom: float) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[IFD0_ORIENTATION] = 6  # to be turned clockwise: left becomes top
    half_and_half((400, 200)).save(path, exif=exif)

    shown = Viewer().show(path, Framing((40, 40), zoom=zoom, centre=(0.5, 0.2)))

    assert shown.picture.size == ((20, 40) if zoom == 1 else (40, 40))
    assert is_red(shown.picture, 10, 2)


def jpeg_with_thumbnail(path: Path, thumbnail: Image.Image, orientation: int) -> None:
    """TIFF 6.0, section 2: two directories; the second one's JPEG follows it."""
    buffer = io.BytesIO()
    thumbnail.save(buffer, "JPEG")
    jpeg = buffer.getvalue()

    def entry(tag: int, kind: int, value: int) -> bytes:
        return b"".join(
            n.to_bytes(s, "little") for n, s in ((tag, 2), (kind, 2), (1, 4), (value, 4))
        )

    first = b"\x01\x00" + entry(0x0112, 3, orientation) + (26).to_bytes(4, "little")
    second = b"\x02\x00" + entry(0x0201, 4, 56) + entry(0x0202, 4, len(jpeg)) + bytes(4)
    block = b"Exif\0\0II*\0\x08\0\0\0" + first + second + jpeg
    half_and_half((600, 400)).save(path, exif=block)


def test_exif_thumbnail_is_upright_and_without_bars(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    thumbnail = Image.new("RGB", (240, 180))  # black bars above and below 3:2
    thumbnail.paste(RED, (0, 10, 240, 170))
    jpeg_with_thumbnail(path, thumbnail, 6)

    shown = embedded_thumbnail(path, Framing((40, 60)))

    assert shown is not None
    assert shown.picture.size == (40, 60)
    assert all(is_red(shown.picture, x, y) for x in (1, 38) for y in (1, 58))


def test_jpeg_without_thumbnail_and_other_formats_have_none(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        half_and_half((60, 40)).save(tmp_path / name)

        assert embedded_thumbnail(tmp_path / name, Framing((40, 40))) is None


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0 cut off", None])
def test_what_cannot_be_shown_is_a_decode_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.jpg"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(DecodeError, match=r"bad\.jpg"):
        Viewer().show(path, Framing((40, 40)))


def test_broken_pixels_are_a_decode_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.png"
    half_and_half((300, 200)).save(path)
    path.write_bytes(path.read_bytes()[:200])

    with pytest.raises(DecodeError):
        Viewer().show(path, Framing((40, 40)))


def test_raw_file_without_a_preview_is_a_decode_error(tmp_path: Path) -> None:
    path = tmp_path / "a.nef"
    path.write_bytes(b"II*\0\x08\0\0\0" + bytes(200))

    with pytest.raises(DecodeError) as caught:
        Viewer().show(path, Framing((40, 40)))

    assert caught.value.reason == "no-preview"


def test_originals_of_the_corpus_are_shown_and_left_alone(corpus: Path) -> None:
    paths = sorted((corpus / "photos").iterdir())[:12]
    before = [path.stat().st_mtime_ns for path in paths]
    viewer = Viewer()
    shown = 0
    for path in paths:
        try:
            picture = viewer.show(path, Framing((40, 40))).picture
        except DecodeError:
            continue
        shown += 1
        assert picture.mode == "RGB"

    assert shown >= 6
    assert [path.stat().st_mtime_ns for path in paths] == before


def test_forms_for_the_terminal() -> None:
    picture = half_and_half((40, 20))

    assert len(showing.colour_pixels(picture, 8)) == 40 * 20 * 3
    assert len(showing.grey_pixels(picture, (10, 5))) == 50
    assert Image.open(io.BytesIO(showing.png_of(picture))).size == (40, 20)
    tiles = list(showing.tiles(picture, (16, 12), 8))
    assert [(left, top, tile.size) for left, top, tile in tiles] == [
        (0, 0, (16, 12)),
        (16, 0, (16, 12)),
        (32, 0, (8, 12)),
        (0, 12, (16, 8)),
        (16, 12, (16, 8)),
        (32, 12, (8, 8)),
    ]
