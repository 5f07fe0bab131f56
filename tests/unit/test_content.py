"""Formats by their first bytes, and ids that survive an XMP write."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pyexiv2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from imageworks.content import (
    ByteSource,
    MalformedFileError,
    _content_id,
    _samples,
    content_id,
    content_id_of_file,
    jpeg_segments,
    sniff_format,
    tiff_directories,
)
from imageworks.models import FORMAT_EXTENSIONS, ImageFormat

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
WRITABLE = ("JPEG", "PNG", "WEBP", "TIFF")


def make(pillow_format: str, image: Image.Image | None = None, **options: object) -> bytes:
    picture = image or Image.effect_noise((160, 120), 60).convert("RGB")
    buffer = io.BytesIO()
    picture.save(buffer, pillow_format, **options)
    return buffer.getvalue()


def tiff(
    *directories: dict[int, tuple[int, int]], order: str = "<", next_of_last: int = 0
) -> bytes:
    """A TIFF of directories alone: tag to field type and one value; they follow one another."""
    body = (b"II*\x00" if order == "<" else b"MM\x00*") + struct.pack(f"{order}I", 8)
    for index, entries in enumerate(directories):
        after = len(body) + 2 + 12 * len(entries) + 4
        body += struct.pack(f"{order}H", len(entries))
        for tag, (kind, value) in sorted(entries.items()):
            packed = struct.pack(
                f"{order}HH" if kind == 3 else f"{order}I", *([value, 0] if kind == 3 else [value])
            )
            body += struct.pack(f"{order}HHI", tag, kind, 1) + packed
        is_last = index == len(directories) - 1
        body += struct.pack(f"{order}I", next_of_last if is_last else after)
    return body


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\xff\xd8\xff\xe1", ImageFormat.JPEG),
        (b"\x89PNG\r\n\x1a\n", ImageFormat.PNG),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", ImageFormat.WEBP),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", None),
        (b"II*\x00\x08\x00\x00\x00", ImageFormat.TIFF),
        (b"MM\x00*\x00\x00\x00\x08", ImageFormat.TIFF),
        (b"II+\x00\x08\x00\x00\x00", ImageFormat.TIFF),
        (b"II*\x00\x10\x00\x00\x00CR\x02\x00", ImageFormat.RAW),
        (b"II*\x00\x00\x00\x00\x00IIII", ImageFormat.RAW),
        (b"xxxxxxxxIIII", None),
        (b"IIRO\x08\x00\x00\x00", ImageFormat.RAW),
        (b"IIU\x00\x18\x00\x00\x00", ImageFormat.RAW),
        (b"FUJIFILMCCD-RAW 0201", ImageFormat.RAW),
        (b"\x00MRM\x00", ImageFormat.RAW),
        (b"II\x1a\x00\x00\x00HEAPCCDR", ImageFormat.RAW),
        (b"FOVb\x00", ImageFormat.RAW),
        (b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom", ImageFormat.RAW),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", ImageFormat.HEIF),
        (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1avif", ImageFormat.AVIF),
        (b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ", None),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n", ImageFormat.JXL),
        (b"\xff\x0a\xfa", ImageFormat.JXL),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", ImageFormat.JP2),
        (b"\xff\x4f\xff\x51", ImageFormat.JP2),
        (b"8BPS\x00\x01", ImageFormat.PSD),
        (b"8BPS\x00\x03", None),
        (b"GIF89a", None),
        (b"", None),
    ],
)
def test_format_is_told_by_first_bytes(head, expected):
    assert sniff_format(head.ljust(64, b"\x00") if head else head) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.NEF", ImageFormat.RAW), ("a.dng", ImageFormat.DNG), ("a.tif", ImageFormat.TIFF)],
)
def test_extension_tells_formats_built_on_tiff_apart(name, expected):
    assert sniff_format(make("TIFF")[:4096], name) == expected


def test_extension_never_outweighs_the_bytes():
    assert sniff_format(make("PNG"), "a.nef") == ImageFormat.PNG


@pytest.mark.parametrize("order", ["<", ">"])
def test_dng_and_raw_under_a_tiff_name_are_not_taken_for_a_tiff(order):
    dng = tiff({256: (3, 10), 50706: (4, 1)}, order=order)
    camera_raw = tiff({254: (4, 1), 271: (4, 0), 330: (4, 0)}, order=order)
    full_size_first = tiff({254: (4, 0), 271: (4, 0), 330: (4, 0)}, order=order)

    assert sniff_format(dng, "a.tif") == ImageFormat.DNG
    assert sniff_format(camera_raw, "a.tif") == ImageFormat.RAW
    assert sniff_format(full_size_first, "a.tif") == ImageFormat.TIFF


def test_tiff_whose_first_directory_is_far_away_is_still_a_tiff():
    assert sniff_format(b"II*\x00\x00\x00\x10\x00".ljust(64, b"\x00")) == ImageFormat.TIFF
    broken_field = tiff({254: (4, 1), 271: (4, 0), 330: (4, 0)})[:-4]
    assert sniff_format(broken_field, "a.tif") == ImageFormat.TIFF


def test_camera_tags_that_point_beyond_the_head_do_not_break_the_sniffing():
    entries = struct.pack("<HHII", 254, 4, 9, 60_000) + struct.pack("<HHII", 271, 4, 1, 0)
    entries += struct.pack("<HHII", 330, 4, 1, 0)
    head = b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", 3) + entries + bytes(4)

    assert sniff_format(head, "a.tif") == ImageFormat.TIFF


@given(
    st.binary(max_size=300), st.sampled_from((b"", b"II*\x00", b"MM\x00+", b"\x00\x00\x00\x10ftyp"))
)
def test_sniffing_takes_any_bytes(tail, start):
    assert sniff_format(start + tail, "x.tif") in {None, *ImageFormat}


# -- ids -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pillow_format", WRITABLE)
def test_writing_xmp_keeps_the_id(pillow_format):
    before = make(pillow_format)
    with pyexiv2.ImageData(before) as image:
        image.modify_xmp({"Xmp.dc.subject": ["heron", "dusk"] * 400, "Xmp.dc.title": "A heron"})
        after = image.get_bytes()

    image_format = ImageFormat[pillow_format]
    assert after != before
    assert content_id(after, image_format) == content_id(before, image_format)


@pytest.mark.parametrize("pillow_format", WRITABLE)
def test_another_picture_has_another_id(pillow_format):
    picture = Image.effect_noise((160, 120), 60).convert("RGB")
    other = picture.copy()
    other.putpixel((80, 60), (255, 0, 255))
    image_format = ImageFormat[pillow_format]

    ids = {
        content_id(make(pillow_format, one, lossless=True, quality=95), image_format)
        for one in (picture, other)
    }

    assert len(ids) == 2


@pytest.mark.parametrize("pillow_format", WRITABLE)
def test_id_of_a_file_equals_id_of_its_bytes(pillow_format, tmp_path):
    data = make(pillow_format, Image.effect_noise((1200, 900), 60).convert("RGB"))
    path = tmp_path / "picture"
    path.write_bytes(data)
    image_format = ImageFormat[pillow_format]

    assert content_id_of_file(path, image_format) == content_id(data, image_format)
    assert content_id(memoryview(data), image_format) == content_id(data, image_format)


def test_same_border_and_size_do_not_make_two_scans_the_same():
    scans = []
    for colour in ("navy", "maroon"):
        scan = Image.new("RGB", (800, 800), "white")
        scan.paste(colour, (150, 150, 650, 650))
        scans.append(content_id(make("TIFF", scan), ImageFormat.TIFF))

    assert scans[0] != scans[1]


def test_every_page_of_a_tiff_counts():
    pages = [Image.new("L", (50, 50), shade) for shade in (10, 20, 30)]
    first = make("TIFF", pages[0], save_all=True, append_images=pages[1:])
    second = make("TIFF", pages[0], save_all=True, append_images=[pages[1], pages[1]])

    assert content_id(first, ImageFormat.TIFF) != content_id(second, ImageFormat.TIFF)


def strip_tiff(strip: bytes, thumbnail: bytes, *, is_alone: bool = False) -> bytes:
    """A full-size page and a reduced one, each of one strip at the end of the file."""
    size = len(
        tiff({254: (4, 0), 273: (4, 0), 279: (4, 0)}, {254: (4, 0), 273: (4, 0), 279: (4, 0)})
    )
    return (
        tiff(
            {254: (4, int(is_alone)), 273: (4, size), 279: (4, len(strip))},
            {254: (4, 1), 273: (4, size + len(strip)), 279: (4, len(thumbnail))},
        )
        + strip
        + thumbnail
    )


def test_a_renewed_preview_page_keeps_the_id():
    before, after = strip_tiff(b"pixels", b"old preview"), strip_tiff(b"pixels", b"newer")

    assert content_id(before, ImageFormat.DNG) == content_id(after, ImageFormat.DNG)


def test_reduced_pages_count_when_there_are_no_others():
    one, two = (strip_tiff(b"pixels", preview, is_alone=True) for preview in (b"old", b"new"))

    assert content_id(one, ImageFormat.TIFF) != content_id(two, ImageFormat.TIFF)


def test_tiled_and_big_tiff_are_followed():
    for name in ("Pillow--hopper_bigtiff.tif", "Pillow--tiff_tiled_planar_16bit_RGB.tiff"):
        path = CORPUS / "awkward" / name
        if not path.exists():
            pytest.skip("the shared corpus is not here")
        data = path.read_bytes()
        assert content_id(data + b"a trailer", ImageFormat.TIFF) == content_id(
            data, ImageFormat.TIFF
        )


@pytest.mark.parametrize(
    ("image_format", "data"),
    [
        (ImageFormat.JPEG, b"\xff\xd8\xff\xe0\x00\x00"),
        (ImageFormat.JPEG, b"\xff\xd8\xff\xd9\x00\x00\x00\x00"),
        (ImageFormat.JPEG, b"\xff\xd8" + b"\x00" * 100),
        (ImageFormat.TIFF, b"II*\x00\xff\xff\xff\xff"),
        (ImageFormat.TIFF, b"XX*\x00\x08\x00\x00\x00"),
        (ImageFormat.TIFF, tiff({273: (4, 8), 279: (4, 1 << 30)})),
        (ImageFormat.TIFF, tiff({273: (4, 8)})),
        (ImageFormat.TIFF, tiff({256: (3, 1)})),
        (ImageFormat.PNG, b"\x89PNG\r\n\x1a\n" + bytes(12) * 200_001),
        (ImageFormat.WEBP, b"RIFF\x00\x00\x00\x00WEBP" + bytes(8) * 200_001),
        (ImageFormat.RAW, b"anything"),
        (ImageFormat.PSD, b""),
    ],
)
def test_broken_or_other_files_are_named_by_all_their_bytes(image_format, data):
    assert content_id(data, image_format) != content_id(data + b"!", image_format)


def test_fields_with_absurd_counts_are_refused():
    head = b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", 1)
    entry = struct.pack("<HHII", 273, 4, 0xFFFF_FFFF, 0)
    directory = next(tiff_directories(ByteSource(io.BytesIO(head + entry + bytes(4)))))

    with pytest.raises(MalformedFileError):
        directory.numbers(273)


@pytest.mark.parametrize(
    ("offset", "length", "expected"), [(0, 3, b"abc"), (4, 9, b"e"), (5, 1, b""), (99, 1, b"")]
)
def test_source_gives_what_there_is(offset, length, expected):
    assert ByteSource(io.BytesIO(b"abcde")).read_up_to(offset, length) == expected


@pytest.mark.parametrize(("offset", "length"), [(0, 6), (5, 1), (99, 0), (0, 1 << 60)])
def test_source_refuses_what_is_not_there(offset, length):
    with pytest.raises(MalformedFileError):
        ByteSource(io.BytesIO(b"abcde")).read(offset, length)


def test_directories_that_point_at_each_other_end():
    looping = tiff({256: (3, 1)}, {330: (4, 8)}, next_of_last=8)

    assert len(list(tiff_directories(ByteSource(io.BytesIO(looping))))) == 2


def test_a_flood_of_directories_is_refused():
    flood = tiff(*({256: (3, 1)} for _ in range(600)))

    with pytest.raises(MalformedFileError):
        list(tiff_directories(ByteSource(io.BytesIO(flood))))


def test_stray_bytes_and_fill_bytes_between_segments_are_passed_over():
    plain = make("JPEG")
    odd = plain[:2] + b"\xff\x01" + b"\x00\x00stray" + b"\xff\xff" + plain[2:]

    markers = [marker for marker, _, _ in jpeg_segments(ByteSource(io.BytesIO(odd)))]

    assert markers == [marker for marker, _, _ in jpeg_segments(ByteSource(io.BytesIO(plain)))]
    assert content_id(odd, ImageFormat.JPEG) == content_id(plain, ImageFormat.JPEG)


def test_segments_of_a_picture_without_a_scan_just_end():
    ended = b"\xff\xd8\xff\xfe\x00\x04hi\xff\xd9\x00\x00"

    assert list(jpeg_segments(ByteSource(io.BytesIO(ended)))) == [(0xFE, 2, 6)]


def test_a_flood_of_tiny_segments_ends():
    flood = b"\xff\xd8" + b"\xff\xfe\x00\x02" * 200_001

    assert sum(1 for _ in jpeg_segments(ByteSource(io.BytesIO(flood)))) == 200_000


class CountingStream(io.BytesIO):
    read_bytes = 0

    def read(self, size=-1, /):
        data = super().read(size)
        self.read_bytes += len(data)
        return data


def test_a_long_picture_is_only_sampled():
    stream = CountingStream(make("TIFF", Image.effect_noise((4000, 2000), 60).convert("RGB")))

    _content_id(ByteSource(stream), ImageFormat.TIFF)

    assert stream.read_bytes < 400_000


def test_samples_reach_across_strips_of_any_length():
    strips = [bytes([index % 251]) * (index % 7 * 5000) for index in range(60)]
    whole = io.BytesIO(b"".join(strips))
    split = ByteSource(whole)
    spans, at = [], 0
    for strip in strips:
        spans.append((at, len(strip)))
        at += len(strip)

    pieces = [
        b"".join(split.read(*span) for span in _samples(parts)) for parts in (spans, [(0, at)])
    ]

    assert pieces[0] == pieces[1]
    assert 180_000 < len(pieces[0]) < at


@given(st.data(), st.sampled_from(WRITABLE))
def test_id_of_damaged_files_never_fails(data, pillow_format):
    damaged = bytearray(SMALL[pillow_format])
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])

    assert len(content_id(cut, ImageFormat[pillow_format])) == 32


SMALL = {name: make(name, Image.new("RGB", (8, 8), "teal")) for name in WRITABLE}


@given(st.binary(max_size=400), st.sampled_from(list(ImageFormat)))
@example(b"II+\x00\x08\x00\x00\x00" + b"\xff" * 40, ImageFormat.TIFF)
def test_id_takes_any_bytes(data, image_format):
    assert content_id(data, image_format) == content_id(memoryview(data), image_format)


def test_every_corpus_file_has_one_id_by_bytes_and_by_file():
    if not CORPUS.is_dir():
        pytest.skip("the shared corpus is not here")
    known = {ending for endings in FORMAT_EXTENSIONS.values() for ending in endings}
    ids: dict[str, bytes] = {}
    for path in sorted(CORPUS.rglob("*")):
        image_format = sniff_format(path.read_bytes()[:4096], path.name) if path.is_file() else None
        if image_format is None or path.suffix.lower() not in known:
            continue
        by_file = content_id_of_file(path, image_format)
        assert by_file == content_id(path.read_bytes(), image_format)
        ids[by_file] = path.read_bytes()
    assert len(ids) > 250
