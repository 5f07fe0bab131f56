"""What a walk found is taken over folder by folder; nothing known is lost by it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.discover.walk import list_folders
from imageworks.models import ImageFormat, ImageState
from imageworks.stages import FolderListing, KnownFolder, ListedFile
from imageworks.store.library import Library

HOUR_S = 3600


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.jpg", "b.png", "sub/c.jpg"):
        (folder / name).write_bytes(b"picture")
    settle(folder)
    return folder


def settle(*folders):
    """Makes folders look as if they had stood as they are for an hour."""
    before_s = time.time() - HOUR_S
    for folder in folders:
        for place, _, _ in os.walk(folder):
            os.utime(place, (before_s, before_s))


def scan(library, root, **options):
    listings = list(list_folders([root], **options))
    library.folders.record(listings)
    return [listing.path for listing in listings]


def rows(library):
    return library.images.rows(library.images.ids())


def test_files_are_taken_over_by_their_names_and_counted(library, photos):
    scan(library, photos)

    assert [row.path.name for row in rows(library)] == ["a.jpg", "b.png", "c.jpg"]
    assert library.images.counts() == {ImageState.DISCOVERED: 3}
    assert [row.path.name for row in library.images.uninspected([photos], 0, 2)] == [
        "a.jpg",
        "b.png",
    ]


def test_taking_over_the_same_twice_changes_nothing(library, photos):
    scan(library, photos)
    before = rows(library)

    scan(library, photos)

    assert rows(library) == before
    assert library.images.counts() == {ImageState.DISCOVERED: 3}


def test_known_folders_are_walked_again_only_when_a_name_came_or_went(library, photos):
    scan(library, photos)
    (photos / "sub" / "new.jpg").write_bytes(b"picture")

    walked = scan(library, photos, known=library.folders.known())

    assert walked == [photos / "sub"]
    assert library.images.counts() == {ImageState.DISCOVERED: 4}


def test_folder_that_changed_a_moment_ago_is_not_relied_on(library, photos):
    os.utime(photos)
    scan(library, photos)

    known = library.folders.known()

    assert known[str(photos)] == KnownFolder(None, (str(photos / "sub"),))
    assert known[str(photos / "sub")].mtime_ns == (photos / "sub").stat().st_mtime_ns


def test_changed_file_has_to_be_read_again(library, photos):
    scan(library, photos)
    connection = library.connection
    connection.execute("UPDATE image SET content='abc', is_inspected=1")
    (photos / "a.jpg").write_bytes(b"another picture")

    scan(library, photos)

    found = {row["name"]: row for row in connection.execute("SELECT * FROM image")}
    assert (found[b"a.jpg"]["content"], found[b"a.jpg"]["size"]) == (None, 15)
    assert found[b"b.png"]["content"] == "abc"
    assert [row.path.name for row in library.images.uninspected([photos], 0, 9)] == ["a.jpg"]


def test_file_that_is_gone_is_forgotten_unless_something_is_known_of_it(library, photos):
    scan(library, photos)
    library.connection.execute("UPDATE image SET content='abc' WHERE name=?", (b"b.png",))
    (photos / "a.jpg").unlink()
    (photos / "b.png").unlink()

    scan(library, photos)

    assert [row.path.name for row in rows(library)] == ["b.png", "c.jpg"]
    assert library.images.counts() == {ImageState.DISCOVERED: 2}


def test_file_that_another_choice_of_endings_leaves_out_is_kept(library, photos):
    scan(library, photos)

    scan(library, photos, extensions=[".jpg"])

    assert len(rows(library)) == 3


@given(
    names=st.sets(
        st.binary(min_size=1, max_size=12).filter(
            lambda name: not set(name) & {0, 0x2F} and name not in {b".", b".."}
        ),
        max_size=6,
    )
)
def test_any_name_comes_back_as_it_was(names, tmp_path_factory):
    library = Library(tmp_path_factory.mktemp("names") / "library.sqlite3")
    files = tuple(
        ListedFile(os.fsdecode(name), ImageFormat.JPEG, 10, 20, 30) for name in sorted(names)
    )

    (folder_id,) = library.folders.record([FolderListing(Path("/photos"), 0, files)])

    found = list(library.folders.found(folder_id, [file.name for file in files]))
    stored = library.images.rows([image.id for image in found])
    assert [os.fsencode(row.path.name) for row in stored] == sorted(names)


def test_files_of_a_large_folder_are_found_in_the_order_asked_and_no_sooner(library):
    files = tuple(ListedFile(f"{n:04}.jpg", ImageFormat.JPEG, 10, 20, n) for n in range(600))
    (folder_id,) = library.folders.record([FolderListing(Path("/photos"), 0, files)])
    names = [file.name for file in reversed(files)]
    read: list[str] = []
    library.connection.set_trace_callback(read.append)

    found = library.folders.found(folder_id, names)
    ids = [next(found).id for _ in range(100)]
    assert len(read) == 1
    ids += [image.id for image in found]

    library.connection.set_trace_callback(None)
    assert [row.path.name for row in library.images.rows(ids)] == names
    assert len(read) > 1


def test_one_folder_that_comes_twice_is_one_folder(library):
    first, second = (ListedFile(f"{name}.jpg", ImageFormat.JPEG, 10, 20, 30) for name in "ab")
    folder = Path("/photos")

    ids = library.folders.record(
        [FolderListing(folder, 50, (first,)), FolderListing(folder, 0, (second,))]
    )

    assert len(set(ids)) == 1
    assert [row.path.name for row in rows(library)] == ["a.jpg", "b.jpg"]
    assert library.images.counts() == {ImageState.DISCOVERED: 2}
    assert library.folders.known()["/photos"].mtime_ns == 50


def test_many_folders_and_files_are_all_taken_over(library):
    files = tuple(
        ListedFile(f"{number}.jpg", ImageFormat.JPEG, number + 1, 20, 30) for number in range(600)
    )
    others = [FolderListing(Path(f"/photos/{number}"), 50, ()) for number in range(600)]

    ids = library.folders.record([*others, FolderListing(Path("/photos"), 50, files)])

    assert len(set(ids)) == 601
    assert library.folders.files(Path("/photos")) == {
        file.name: (file.size_bytes, file.mtime_ns) for file in files
    }
    assert library.folders.record(others) == ids[:-1]


def test_images_are_found_by_their_states(library, photos):
    scan(library, photos)
    library.images.set_state(2, ImageState.FAILED, reason="decode")

    both = [ImageState.DISCOVERED, ImageState.FAILED]

    assert library.images.ids(states=[ImageState.FAILED]) == [2]
    assert library.images.ids(states=[ImageState.DISCOVERED]) == [1, 3]
    assert library.images.ids(states=both) == library.search.ids(states=both) == [1, 2, 3]
    assert library.search.ids(states=[ImageState.FAILED]) == [2]
    assert library.images.failures() == {"decode": 1}
