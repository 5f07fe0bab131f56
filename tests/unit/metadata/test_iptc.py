import contextlib
import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.errors import MetadataError
from imageworks.metadata import iptc, iptc_proof
from imageworks.metadata.exiv2 import Exiv2View
from imageworks.metadata.iptc import Digest, IptcChange, updated_block
from imageworks.metadata.splice import undo_splice, unpack_undo
from imageworks.models import MetadataTarget
from imageworks.text import clean_text
from tests.unit.metadata.pictures import (
    app_segment,
    bag,
    done_or_refused,
    exiftool,
    jpeg_with,
    mpf_segment,
    packet,
    request,
    writer,
    xmp_segment,
)

LEFT = "Its older IPTC keywords and texts were left as they are."
UTF8 = (1, 90, b"\x1b%G")


def dataset(record, number, value):
    return struct.pack(">BBBH", 0x1C, record, number, len(value)) + value


def iim(*datasets):
    return b"".join(dataset(*one) for one in datasets)


def resource(number, data, name=b"\0\0"):
    return (
        b"8BIM"
        + struct.pack(">H", number)
        + name
        + struct.pack(">I", len(data))
        + data
        + b"\0" * (len(data) % 2)
    )


def block(*datasets, digest="absent", others=()):
    """Photoshop resources with this IPTC data, a thumbnail before and others after it."""
    data = iim(*datasets)
    sums = {"current": hashlib.md5(data, usedforsecurity=False).digest(), "stale": b"s" * 16}
    return b"".join(
        (
            resource(0x0409, b"thumbnail", name=b"\x05named"),
            resource(0x0404, data),
            resource(0x0425, sums[digest]) if digest in sums else b"",
            *others,
        )
    )


def photoshop_segment(raw):
    return app_segment(0xED, b"Photoshop 3.0\0" + raw)


def file_with(folder, *segments):
    path = folder / "a.jpg"
    path.write_bytes(jpeg_with(*segments))
    return path


def change(keywords=("heron",), title="T", caption="C"):
    return IptcChange(tuple(keywords), title, caption)


@pytest.mark.parametrize("digest", ["absent", "current", "stale"])
def test_the_older_block_is_kept_in_step_and_exiftool_agrees(tmp_path, digest):
    raw = block((2, 0, b"\0\4"), (2, 25, b"old"), (2, 80, b"Ann"), digest=digest)
    path = file_with(tmp_path, photoshop_segment(raw))
    before = path.read_bytes()

    outcome = writer().write(request(path, "Zoë's heron", ("Vögel",), "It waits.\nLong."))

    assert (outcome.target, outcome.notes) == (MetadataTarget.FILE, ())
    tags = exiftool(path)
    assert tags["IPTC:Keywords"] == ["old", "Vögel"]
    assert tags["IPTC:ObjectName"] == "Zoë's heron"
    assert tags["IPTC:Caption-Abstract"] == "It waits.\nLong."
    assert tags["IPTC:By-line"] == "Ann"
    assert tags["IPTC:CodedCharacterSet"] == "UTF8"
    merged = exiftool(path, "-use", "MWG", "-MWG:all")
    assert merged["Keywords"] == ["old", "Vögel"]
    assert merged["Description"] == "It waits.\nLong."
    is_current = tags.get("Photoshop:IPTCDigest") == tags["File:CurrentIPTCDigest"]
    assert is_current is (digest == "current")
    assert (
        not writer().write(request(path, "Zoë's heron", ("Vögel",), "It waits.\nLong.")).is_changed
    )
    (undo,) = unpack_undo(outcome.undo)
    assert undo_splice(path.read_bytes(), undo) == before


def test_every_text_becomes_utf8_together(tmp_path):
    raw = block(
        (2, 25, "Vögel".encode("latin-1")),
        (2, 80, "Jürgen".encode("latin-1")),
        (2, 105, b"\x93quoted\x94"),
    )
    path = file_with(tmp_path, photoshop_segment(raw))
    before = exiftool(path)

    writer().write(request(path))

    after = exiftool(path)
    assert after["IPTC:Keywords"] == ["Vögel", "heron", "river"]
    for name in ("IPTC:By-line", "IPTC:Headline"):
        assert after[name] == before[name]
    assert "Jürgen".encode() in path.read_bytes()


def test_all_other_resources_and_data_sets_keep_their_bytes():
    rest = ((2, 0, b"\0\4"), (2, 200, b"\0\x0b"), (2, 202, b"\xff\xd8\x80"), (3, 10, b"\xe9"))
    kept = resource(0x03ED, b"\0\x48\0\1")
    raw = block(*rest, (2, 25, b"a"), (2, 55, b"20260501"), others=[kept])

    new = updated_block(raw, change(("b", "c")))

    assert new.startswith(resource(0x0409, b"thumbnail", name=b"\x05named"))
    assert new.endswith(kept)
    for one in (*rest, (2, 55, b"20260501")):
        assert dataset(*one) in new
    assert dataset(2, 25, b"b") + dataset(2, 25, b"c") in new
    assert dataset(*UTF8) in new
    assert iptc_proof.is_sound_change(raw, new, change(("b", "c")))


def test_new_data_sets_stand_where_their_number_belongs():
    raw = block((1, 0, b"\0\4"), (2, 0, b"\0\4"), (2, 80, b"Ann"), (3, 1, b"x"))

    new = updated_block(raw, change(("k",)))

    expected = iim(
        (1, 0, b"\0\4"),
        UTF8,
        (2, 0, b"\0\4"),
        (2, 5, b"T"),
        (2, 25, b"k"),
        (2, 80, b"Ann"),
        (2, 120, b"C"),
        (3, 1, b"x"),
    )
    assert resource(0x0404, expected) in new


@pytest.mark.parametrize(
    "datasets",
    [(), ((2, 0, b"\0\4"),), ((1, 90, b"\x1b%G"), (2, 0, b"\0\4"))],
)
def test_a_block_with_nothing_in_it_stays_as_it_is(tmp_path, datasets):
    segment = photoshop_segment(block(*datasets))
    path = file_with(tmp_path, segment)

    outcome = writer().write(request(path))

    assert outcome.notes == ()
    assert segment in path.read_bytes()


def test_a_file_without_such_a_block_gets_none(tmp_path):
    path = file_with(tmp_path)

    writer().write(request(path))

    assert b"8BIM" not in path.read_bytes()


def test_the_block_is_left_alone_where_that_is_wanted(tmp_path):
    segment = photoshop_segment(block((2, 25, b"old")))
    path = file_with(tmp_path, segment)

    outcome = writer(write_iptc="never").write(request(path))

    assert outcome.notes == (LEFT,)
    assert segment in path.read_bytes()


def test_long_values_end_at_a_whole_character():
    long = "ä" * 40
    new = updated_block(
        block((2, 25, b"x")), change((long, "ok"), title="€" * 30, caption="𝄞" * 600)
    )

    assert iptc.stored_texts(new, iptc.KEYWORD) == ("ä" * 32, "ok")
    assert iptc.stored_texts(new, iptc.TITLE) == ("€" * 21,)
    assert iptc.stored_texts(new, iptc.CAPTION) == ("𝄞" * 500,)


def test_values_that_say_the_same_keep_their_bytes():
    over_long = b"k" * 70
    raw = block(UTF8, (2, 25, over_long), (2, 120, b"one\r\ntwo "), (2, 5, b"T"))

    assert updated_block(raw, change(("k" * 70,), caption="one\ntwo")) == raw


def test_an_empty_text_takes_its_data_set_out():
    new = updated_block(block(UTF8, (2, 5, b"T"), (2, 25, b"a"), (2, 80, b"x")), change((), "", ""))

    assert new == block(UTF8, (2, 80, b"x"))


def test_texts_that_are_not_ours_stay(tmp_path):
    raw = block(UTF8, (2, 5, b"Own title"), (2, 120, b"Own caption"), (2, 25, b"a"))
    path = file_with(tmp_path, photoshop_segment(raw))

    writer(fields={"caption": "photoshop:Headline"}).write(
        request(path, "Headline", is_caption_edited=True)
    )

    new = path.read_bytes()
    assert dataset(2, 5, b"Own title") in new
    assert dataset(2, 120, b"Own caption") in new
    assert dataset(2, 25, b"heron") in new


UNUSUAL = {
    "two blocks": block((2, 25, b"a")) + resource(0x0404, iim((2, 25, b"b"))),
    "two digests": block((2, 25, b"a"), digest="stale", others=[resource(0x0425, b"t" * 16)]),
    "a data set too long": resource(0x0404, b"\x1c\2\x19\0\x09abc"),
    "half a data set": resource(0x0404, iim((2, 25, b"a")) + b"\x1c\2"),
    "no data set": resource(0x0404, iim((2, 25, b"a")) + b"garbage"),
    "a resource too long": b"8BIM\4\4\0\0\0\0\xff\xff" + iim((2, 25, b"a")),
    "half a resource": block((2, 25, b"a")) + b"8BIM\4",
    "a name too long": block((2, 25, b"a")) + b"8BIM\4\5\xffabc",
    "unknown bytes": block((2, 25, b"a")) + b"????",
    "both encodings": block((2, 25, "ä".encode()), (2, 25, b"\xe4")),
    "a wrong declaration": block(UTF8, (2, 25, b"\xe4")),
    "an unknown declaration": block((1, 90, b"\x1b%/I"), (2, 25, b"\xe4")),
    "no Latin either": block((2, 25, b"\x81\xe4")),
    "private records": block((2, 25, b"\xe4"), (240, 1, b"\xe4")),
    "two captions": block((2, 120, b"a"), (2, 120, b"b")),
}


@pytest.mark.parametrize("raw", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_what_is_unusual_stays_byte_for_byte(tmp_path, raw):
    segment = photoshop_segment(raw)
    path = file_with(tmp_path, segment)

    outcome = writer().write(request(path))

    assert outcome.target is MetadataTarget.FILE
    assert segment in path.read_bytes()
    assert exiftool(path)["XMP-dc:Subject"][-2:] == ["heron", "river"]
    with pytest.raises(MetadataError) as caught:
        updated_block(raw, change())
    assert caught.value.reason == "iptc-unusual"


@pytest.mark.parametrize("escape", [b"\x1b.A", b"\x1b-A"])
def test_a_declared_latin_block_is_understood(escape):
    new = updated_block(block((1, 90, escape), (2, 25, b"V\xf6gel")), change(("Vögel",)))

    assert iptc.stored_texts(new, iptc.KEYWORD) == ("Vögel",)
    assert iptc.stored_texts(new, iptc.CHARACTER_SET) == ("\x1b%G",)


def test_undeclared_utf8_is_declared_and_kept():
    raw = block((2, 25, "Vögel".encode()), (2, 80, "Zoë".encode()))

    new = updated_block(raw, change(("Vögel",)))

    assert dataset(2, 80, "Zoë".encode()) in new
    assert dataset(*UTF8) in new


def test_extended_data_sets_are_read_and_kept():
    big = b"\x1c\2\x78\x80\4" + struct.pack(">I", 40_000) + b"x" * 40_000
    raw = resource(0x0404, big + dataset(2, 25, b"a"))

    assert iptc.read_iptc(raw)[0].caption == "x" * 40_000
    assert big in updated_block(raw, IptcChange(("b",), title=None, caption=None))


def test_a_long_latin_text_is_transcoded_as_an_extended_data_set():
    raw = block((2, 118, b"\xe4" * 20_000), (2, 25, b"a"))

    new = updated_block(raw, change(("a",)))

    assert iptc.stored_texts(new, (2, 118)) == ("ä" * 20_000,)


def split(raw, size):
    return b"".join(photoshop_segment(raw[at : at + size]) for at in range(0, len(raw), size))


def test_a_block_split_over_segments_is_kept_in_step(tmp_path):
    raw = block((2, 25, b"old"), others=[resource(0x0FA0, b"p" * 90_000)])
    path = file_with(tmp_path, split(raw, 60_000))

    outcome = writer().write(request(path))

    assert outcome.notes == ()
    tags = exiftool(path)
    assert tags["IPTC:Keywords"] == ["old", "heron", "river"]
    assert path.read_bytes().count(b"Photoshop 3.0\0") == 2


def test_parts_that_do_not_join_are_left(tmp_path):
    raw = block((2, 25, b"old"))
    parts = (photoshop_segment(raw[:30]), app_segment(0xE5, b"x"), photoshop_segment(raw[30:]))
    path = file_with(tmp_path, *parts)

    writer().write(request(path))

    assert b"".join(parts) in path.read_bytes()


def test_a_block_that_would_outgrow_its_segment_is_left_and_told(tmp_path):
    raw = block((2, 25, b"old"), others=[resource(0x0FA0, b"p" * 65_390)])
    segment = photoshop_segment(raw)
    path = file_with(tmp_path, segment)

    outcome = writer().write(request(path, "T" * 60, ("k" * 60, "l" * 60), "C" * 500))

    assert outcome.notes == (LEFT,)
    assert segment in path.read_bytes()


def test_a_block_behind_a_picture_index_is_left(tmp_path):
    segment = photoshop_segment(block((2, 25, b"old")))
    path = file_with(tmp_path, mpf_segment(0), segment)

    outcome = writer().write(request(path))

    assert outcome.notes == (LEFT,)
    assert segment in path.read_bytes()


def test_a_person_takes_a_keyword_out_of_both_blocks(tmp_path):
    raw = block(UTF8, (2, 25, b"keep"), (2, 25, b"wrong"))
    xmp = packet(bag("dc:subject", "keep", "wrong"))
    path = file_with(tmp_path, xmp_segment(xmp), photoshop_segment(raw))

    writer().write(request(path, keywords=(), removed_keywords=("wrong",)))

    tags = exiftool(path)
    assert (tags["IPTC:Keywords"], tags["XMP-dc:Subject"]) == ("keep", ["keep"])
    assert writer().read(path).keywords == ("keep",)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda new: new.replace(b"Ann", b"Ane"),
        lambda new: new.replace(b"thumbnail", b"thumbnaiL"),
        lambda new: new.replace(dataset(2, 25, b"heron"), dataset(2, 25, b"crane")),
        lambda new: new.replace(b"\x1b%G", b"\x1b%H"),
        lambda new: new[:-1] + b"?",
    ],
)
def test_the_proof_sees_any_other_change(spoil):
    raw = block((2, 25, b"old"), (2, 80, b"Ann"), digest="current")
    new = updated_block(raw, change())
    assert iptc_proof.is_sound_change(raw, new, change())

    assert not iptc_proof.is_sound_change(raw, spoil(new), change())


def test_the_second_reader_has_to_agree_on_the_block():
    raw = updated_block(block((2, 25, b"old"), (2, 80, b"\xe4")), change())
    names = "Iptc.Application2."
    before = Exiv2View(iptc={f"{names}Keywords": "old", f"{names}Byline": "\xe4"})
    after = {f"{names}Keywords": ["heron"], f"{names}Byline": "\xc3\xa4"}

    def agrees(view):
        return iptc_proof.is_same_to_exiv2(before, view, raw, change())

    assert agrees(Exiv2View(iptc=after))
    assert not agrees(Exiv2View(iptc={**after, f"{names}Keywords": ["crane"]}))
    assert not agrees(Exiv2View(iptc={**after, f"{names}Byline": "\xc3\xa5"}))
    assert not agrees(Exiv2View(iptc=after, exif={"Exif.Image.Make": "X"}))


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("20260501", "102030+0200", "2026-05-01T10:20:30+02:00"),
        ("2026-05-01", "10:20:30-05:00", "2026-05-01T10:20:30-05:00"),
        ("20260501", "102030", "2026-05-01T10:20:30"),
        ("20260501", "", "2026-05-01"),
        ("20260501", "1020", "2026-05-01"),
        ("00000000", "", ""),
        ("May 2026", "", ""),
        ("2026050", "102030", ""),
    ],
)
def test_dates_are_read(date, time, expected):
    assert iptc.iso_date(date, time) == expected


def test_the_digest_tells_whether_another_program_was_here():
    for state in ("absent", "current", "stale"):
        assert iptc.read_iptc(block((2, 25, b"a"), digest=state))[1] is Digest[state.upper()]
    assert iptc.read_iptc(resource(0x0409, b"x")) == (iptc.IptcTexts(), Digest.ABSENT)


TEXT = st.text(max_size=90).map(clean_text)
DATASETS = st.lists(
    st.tuples(
        st.sampled_from([(2, 25), (2, 80), (2, 55), (2, 202), (1, 60), (3, 1)]),
        st.binary(max_size=20) | st.text(max_size=20).map(str.encode),
    ),
    max_size=6,
)


@given(
    datasets=DATASETS,
    keywords=st.lists(TEXT.filter(bool), max_size=4),
    title=TEXT,
    caption=TEXT,
    digest=st.sampled_from(["absent", "current", "stale"]),
)
def test_any_sound_block_is_changed_soundly_once_or_left(
    datasets, keywords, title, caption, digest
):
    raw = block(*((*key, value) for key, value in datasets), digest=digest)
    asked = IptcChange(tuple(keywords), title, caption)
    new = raw
    with contextlib.suppress(MetadataError):
        new = updated_block(raw, asked)

    if new != raw:
        assert iptc_proof.is_sound_change(raw, new, asked)
        assert updated_block(new, asked) == new
        found = iptc.read_iptc(new)[0]
        for text in keywords:
            kept = {k for k in found.keywords if iptc.is_cut_form(k, clean_text(text), 64)}
            assert kept or clean_text(iptc.cut(text, 64).decode()) in found.keywords


@given(st.binary(max_size=120))
def test_any_bytes_are_read_or_refused(data):
    """What is understood can be changed, and then says what was asked for, once and for all."""
    for raw in (data, resource(0x0404, data), b"8BIM" + data):
        told = done_or_refused(lambda raw=raw: iptc.read_iptc(raw)[0])
        size_bytes = done_or_refused(lambda raw=raw: iptc.measure(raw)[0])
        new = done_or_refused(lambda raw=raw: updated_block(raw, change()))
        if new is None:
            continue
        assert size_bytes <= len(raw)
        assert len(told.title) + len(told.caption) + sum(map(len, told.keywords)) <= len(raw)
        assert new == raw or iptc_proof.is_sound_change(raw, new, change())
        assert updated_block(new, change()) == new
