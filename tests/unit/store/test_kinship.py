"""Pairs and groups: found by indexes, the same as by comparing all with all."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imageworks.models import DecisionKind, ImageFormat, ImageState
from imageworks.review.session import ReviewSession
from imageworks.review.steps import finish
from imageworks.stages import DiscoveredImage
from imageworks.store.kinship import BURST_BITS, BURST_S, NEAR_BITS
from tests.support.review_library import ReviewLibrary, tags_of

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOK = 0x0F0F_33CC_55AA_6699
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[ReviewLibrary]:
    library = ReviewLibrary(tmp_path / "library")
    yield library
    library.library.close()


def flipped(value: int, count: int, start: int = 0) -> int:
    """A hash in which so many bits differ, spread over its bands."""
    for place in range(count):
        value ^= 1 << ((start + place * 11) % 64)
    return value


def add(made: ReviewLibrary, name: str, look: int, taken_at: datetime | None = None) -> int:
    image_id = made.add(name, tags_of(name))
    made.add_look(image_id, perceptual_hash=look, taken_at=taken_at)
    return image_id


def add_file(made: ReviewLibrary, path: Path, format_: ImageFormat = ImageFormat.JPEG) -> int:
    return made.library.images.record_found(DiscoveredImage(path, format_, 1, 1, 1)).id


def test_pictures_that_hardly_differ_are_a_group_in_one_folder(made: ReviewLibrary) -> None:
    first = add(made, "a.jpg", LOOK)
    near = add(made, "b.jpg", flipped(LOOK, NEAR_BITS))
    add(made, "c.jpg", flipped(LOOK, NEAR_BITS + 1, start=5))

    assert made.library.kinship.members(first) == [first, near]
    row = made.library.images.get(near)
    assert row is not None
    assert row.group_size == 2


def test_burst_may_differ_more_but_only_within_its_seconds(made: ReviewLibrary) -> None:
    first = add(made, "a.jpg", LOOK, NOON)
    burst = add(made, "b.jpg", flipped(LOOK, BURST_BITS), NOON + timedelta(seconds=BURST_S))
    late = NOON + timedelta(seconds=2 * BURST_S + 1)
    add(made, "c.jpg", flipped(LOOK, BURST_BITS, start=3), late)

    assert made.library.kinship.members(burst) == [first, burst]


def test_kin_of_kin_join_two_groups(made: ReviewLibrary) -> None:
    ids = [add(made, "a.jpg", LOOK), add(made, "b.jpg", flipped(LOOK, 8))]
    assert made.library.kinship.members(ids[0]) == []

    ids.append(add(made, "c.jpg", flipped(LOOK, 4)))

    assert made.library.kinship.members(ids[1]) == ids


def test_picture_that_changed_leaves_its_group(made: ReviewLibrary) -> None:
    first, second = add(made, "a.jpg", LOOK), add(made, "b.jpg", LOOK)

    made.add_look(second, perceptual_hash=~LOOK & (1 << 64) - 1 ^ 0xFF)

    assert made.library.kinship.members(first) == []
    third = add(made, "c.jpg", LOOK)
    assert made.library.kinship.members(first) == [first, third]


def test_picture_between_groups_joins_them_all_whoever_was_first(made: ReviewLibrary) -> None:
    looks = [LOOK, *(flipped(LOOK, 4, start=start) for start in (0, 5, 9))]
    apart = [
        add(made, f"{number}.jpg", flipped(look, 3, start=40))
        for number, look in enumerate(looks[1:])
    ]
    late = [add(made, f"late-{number}.jpg", look) for number, look in enumerate(looks)]

    groups = {tuple(sorted(made.library.kinship.members(i))) for i in apart + late}
    assert groups == {tuple(sorted(apart + late))}


def test_folder_of_copies_costs_each_picture_the_same(made: ReviewLibrary) -> None:
    def statements(number: int) -> int:
        image_id = made.add(f"{number}.jpg", tags_of("copy"))
        count = 0

        def counted(_sql: str) -> None:
            nonlocal count
            count += 1

        made.library.connection.set_trace_callback(counted)
        made.add_look(image_id, perceptual_hash=LOOK, taken_at=NOON)
        made.library.connection.set_trace_callback(None)
        return count

    with made.library.transaction():
        costs = [statements(number) for number in range(60)]

    assert max(costs[2:]) == min(costs[2:])
    assert len(made.library.kinship.members(1)) == 60


def test_newest_copies_are_enough_to_be_kin_of_all(
    made: ReviewLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imageworks.store.kinship._MOST_CANDIDATES", 3)

    ids = [add(made, f"{number}.jpg", LOOK, NOON) for number in range(20)]

    assert made.library.kinship.members(ids[0]) == ids


def test_flat_pictures_are_like_nothing(made: ReviewLibrary) -> None:
    for number, look in enumerate((0, 0, 1, (1 << 64) - 1, (1 << 64) - 1)):
        add(made, f"{number}.jpg", look, NOON)

    assert made.library.connection.execute("SELECT count(*) FROM kin").fetchone()[0] == 0


def test_pictures_of_other_folders_are_no_near_duplicates(made: ReviewLibrary) -> None:
    first = add(made, "a.jpg", LOOK)
    other = add_file(made, made.photos / "deep" / "b.jpg")
    made.add_look(other, perceptual_hash=LOOK)

    assert made.library.kinship.members(first) == []


@pytest.mark.parametrize("seed", range(3))
def test_groups_are_those_of_comparing_all_with_all(made: ReviewLibrary, seed: int) -> None:
    source = random.Random(seed)
    bases = [source.getrandbits(64) for _ in range(8)]
    looks = {}
    with made.library.transaction():
        for number in range(120):
            look = source.choice(bases)
            for _ in range(source.randrange(6)):
                look ^= 1 << source.randrange(64)
            looks[add(made, f"{number}.jpg", look)] = look

    wanted = {image_id: {image_id} for image_id in looks}
    for image_id, look in looks.items():
        for other, other_look in looks.items():
            is_near = other < image_id and (look ^ other_look).bit_count() <= NEAR_BITS
            if is_near and wanted[image_id] is not wanted[other]:
                wanted[image_id] |= wanted[other]
                for member in wanted[other]:
                    wanted[member] = wanted[image_id]
    for image_id, group in wanted.items():
        found = made.library.kinship.members(image_id) or [image_id]
        assert sorted(found) == sorted(group)


@pytest.mark.parametrize("is_raw_first", [True, False])
@pytest.mark.parametrize("names", [("i.JPG", "i.CR3"), ("i.heic", "i.dng"), ("i.b.jpg", "i.b.nef")])
def test_raw_and_its_jpeg_are_one_card(
    made: ReviewLibrary, names: tuple[str, str], *, is_raw_first: bool
) -> None:
    formats = {
        ".JPG": ImageFormat.JPEG,
        ".jpg": ImageFormat.JPEG,
        ".heic": ImageFormat.HEIF,
        ".dng": ImageFormat.DNG,
    }
    ids = {}
    for name in sorted(names, key=names.index, reverse=is_raw_first):
        path = made.photos / name
        ids[name] = add_file(made, path, formats.get(path.suffix, ImageFormat.RAW))
    made.library.kinship.pair_new(100)
    for number, image_id in enumerate(ids.values()):
        made.add_look(image_id, perceptual_hash=flipped(LOOK, number))

    developed, raw = (ids[name] for name in names)
    assert made.library.search.ids() == [developed]
    assert made.library.kinship.followers(developed) == [raw]
    assert made.library.kinship.members(developed) == []


@pytest.mark.parametrize(
    "others",
    [["i.jpg", "i.heic"], ["j.jpg"], ["i.png"], ["i.jpg.jpg"], ["i"], ["I.jpg"]],
)
def test_raw_without_one_developed_file_of_its_stem_has_a_card_of_its_own(
    made: ReviewLibrary, others: list[str]
) -> None:
    raw = add_file(made, made.photos / "i.cr2", ImageFormat.RAW)
    for name in others:
        add_file(made, made.photos / name)

    assert made.library.kinship.pair_new(10) == (0, False)
    assert raw in made.library.search.ids()


def test_jpeg_found_after_its_raw_takes_it_onto_its_card(made: ReviewLibrary) -> None:
    raw = add_file(made, made.photos / "i.cr2", ImageFormat.RAW)
    made.library.kinship.pair_new(10)
    jpeg = add_file(made, made.photos / "i.jpg")

    made.add_look(jpeg, perceptual_hash=LOOK)

    assert made.library.kinship.followers(jpeg) == [raw]


def test_pairs_are_looked_for_a_few_at_a_time(made: ReviewLibrary) -> None:
    for number in range(5):
        add_file(made, made.photos / f"{number}.nef", ImageFormat.RAW)
        add_file(made, made.photos / f"{number}.jpg")

    found = [made.library.kinship.pair_new(2) for _ in range(4)]

    assert found == [(2, True), (2, True), (1, False), (0, False)]


def test_decision_on_a_card_is_one_for_both_files_and_taken_back_for_both(
    made: ReviewLibrary,
) -> None:
    jpeg = made.add("i.jpg", tags_of("A boat", ["boat"]))
    raw = add_file(made, made.photos / "i.nef", ImageFormat.RAW)
    made.library.kinship.pair_new(10)
    session = ReviewSession(made.library, made.config, undo_window_s=0)

    session.accept(jpeg, tags_of("My boat", ["boat"]))

    writes = made.library.decisions.begin_writes(10)
    assert {write.image_id for write in writes} == {jpeg, raw}
    assert {write.choice.tags.caption for write in writes} == {"My boat"}
    made.library.decisions.reopen_interrupted()
    session.undo()
    assert made.states() == {"i.jpg": ImageState.SUGGESTED, "i.nef": ImageState.DISCOVERED}
    session.redo()
    finish(session.many.decide(DecisionKind.REJECT, [jpeg, raw]))
    assert made.states() == {"i.jpg": ImageState.REJECTED, "i.nef": ImageState.REJECTED}


def test_late_suggestion_for_the_raw_does_not_undo_the_decision(made: ReviewLibrary) -> None:
    jpeg = made.add("i.jpg", tags_of("A boat", ["boat"]))
    raw = add_file(made, made.photos / "i.nef", ImageFormat.RAW)
    made.library.kinship.pair_new(10)
    made.library.queue.add(made.run.id, [raw])
    made.library.queue.claim(made.run.id, 1)
    session = ReviewSession(made.library, made.config)

    session.accept(jpeg)
    made.suggest(raw, tags_of("Another boat"))

    assert made.states()["i.nef"] is ImageState.ACCEPTED
    assert made.library.decisions.count_intended() == 2


def test_moved_jpeg_leaves_the_raw_behind(made: ReviewLibrary) -> None:
    jpeg = add_file(made, made.photos / "i.jpg")
    raw = add_file(made, made.photos / "i.nef", ImageFormat.RAW)
    made.library.kinship.pair_new(10)
    made.add_look(jpeg, perceptual_hash=LOOK)
    moved = add_file(made, made.photos / "away" / "i.jpg")
    made.add_look(moved, perceptual_hash=LOOK)

    made.library.images.adopt_moved(jpeg, moved)

    assert made.library.search.ids() == [jpeg, raw]
    assert made.library.kinship.followers(jpeg) == []


def test_what_only_the_other_file_of_a_pair_got_goes_when_it_is_accepted_no_more(
    made: ReviewLibrary,
) -> None:
    """An earlier accept that reached the RAW alone must not leave its words there."""
    jpeg = made.add("a.jpg", tags_of("A boat", ["boat"]))
    raw = add_file(made, made.photos / "a.nef", ImageFormat.RAW)
    made.library.kinship.pair_new(10)
    session = ReviewSession(made.library, made.config, undo_window_s=0)
    session.accept(jpeg, tags_of("A boat", ["boat", "island"]))
    session.accept(jpeg, tags_of("A red boat", ["boat"]))

    shown, other = (
        made.library.decisions.choice(row.decision_id or 0)
        for row in made.library.images.rows([jpeg, raw])
    )

    assert shown.removed_keywords == ()
    assert other.removed_keywords == ("island",)
