"""Folders in, images out: each once, in order, with nothing lost in silence."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from imageworks.discover.inputs import check_inputs
from imageworks.discover.walk import discover_images, list_folders
from imageworks.errors import UsageError
from imageworks.models import ImageFormat
from imageworks.stages import DiscoveredImage, KnownFolder, ListedFile, SkippedPath

CORPUS = Path(__file__).parents[4] / "shared" / "corpus"


@pytest.fixture(scope="session")
def jpeg_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("jpeg") / "a.jpg"
    Image.new("RGB", (20, 10), "teal").save(path)
    return path.read_bytes()


@pytest.fixture
def tree(tmp_path, jpeg_bytes):
    """Makes files below tmp_path/photos; returns that folder."""

    photos: Path = tmp_path / "photos"

    def make(*names: str) -> Path:
        for name in names:
            path = photos / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg_bytes)
        return photos

    return make


def found(*inputs: Path, **options: Any) -> tuple[list[Path], dict[Path, str]]:
    images, skipped = [], {}
    for item in discover_images(inputs, **options):
        if isinstance(item, DiscoveredImage):
            images.append(item.path)
        else:
            assert item.path not in skipped
            skipped[item.path] = item.reason
    return images, skipped


def names(root: Path, images: list[Path]) -> list[str]:
    return [str(path.relative_to(root)) for path in images]


def test_files_come_by_name_then_folders_depth_first(tree):
    root = tree("b.jpg", "A.jpg", "c/z.jpg", "B2/x.jpg", "B2/deep/y.jpg", "a2.jpg")

    images, skipped = found(root)

    expected = ["A.jpg", "a2.jpg", "b.jpg", "B2/x.jpg", "B2/deep/y.jpg", "c/z.jpg"]
    assert names(root, images) == expected
    assert skipped == {}


def test_folders_within_are_left_alone_when_not_recursive(tree):
    root = tree("a.jpg", "sub/b.jpg")

    assert names(root, found(root, is_recursive=False)[0]) == ["a.jpg"]


def test_inputs_that_overlap_give_each_file_once(tree):
    root = tree("a.jpg", "sub/b.jpg", "sub/c.jpg")

    for inputs in (
        [root, root / "sub"],
        [root / "sub", root],
        [root / "sub" / "b.jpg", root],
        [root, root / "sub" / "b.jpg"],
        [root, root],
        [root / "a.jpg", root / "a.jpg", root],
    ):
        assert sorted(names(root, found(*inputs)[0])) == ["a.jpg", "sub/b.jpg", "sub/c.jpg"]


def test_only_the_wanted_extensions_are_looked_at(tree):
    root = tree("a.jpg", "b.png", "c.JPEG", "d.txt", "e.xmp", "f")

    assert names(root, found(root, extensions=["JPG", ".jpeg"])[0]) == ["a.jpg", "c.JPEG"]


def test_file_of_another_extension_is_never_opened(tree, monkeypatch):
    root = tree("a.jpg", "b.xmp", "c.mov")
    opened = []
    plain_open = Path.open

    def spy(self, *args, **options):
        opened.append(self.name)
        return plain_open(self, *args, **options)

    monkeypatch.setattr(Path, "open", spy)
    found(root)

    assert opened == ["a.jpg"]


def test_given_file_is_taken_whatever_its_extension(tree):
    root = tree("photo.data", ".hidden", "notes.txt")
    (root / "notes.txt").write_text("no picture")

    images, skipped = found(root / "photo.data", root / ".hidden", root / "notes.txt")

    assert names(root, images) == ["photo.data", ".hidden"]
    assert skipped[root / "notes.txt"].startswith("not an image")


def test_backups_temporary_files_and_sidecars_are_not_taken(tree):
    root = tree("a.jpg", "a.jpg_original", ".a.jpg.ptag-12ab.tmp", "a.xmp", "._a.jpg", "b.jpg.xmp")

    assert found(root) == ([root / "a.jpg"], {})
    assert found(root / "a.jpg_original")[0] == []


def test_hidden_files_and_folders_are_passed_over_and_said(tree):
    root = tree("a.jpg", ".b.jpg", ".cache/c.jpg", ".DS_Store")

    images, skipped = found(root)

    assert names(root, images) == ["a.jpg"]
    assert skipped == {root / ".b.jpg": "hidden", root / ".cache": "hidden"}


@pytest.mark.parametrize("name", ["@eaDir", "$RECYCLE.BIN", "Mine.photoslibrary"])
def test_other_programs_folders_are_passed_over(tree, name):
    root = tree("a.jpg", f"{name}/b.jpg")

    images, skipped = found(root)

    assert names(root, images) == ["a.jpg"]
    assert skipped == {root / name: "another program's folder"}


def test_hidden_folder_given_as_input_is_walked(tree):
    root = tree(".mine/a.jpg")

    assert names(root, found(root / ".mine")[0]) == [".mine/a.jpg"]


# -- links -----------------------------------------------------------------------------------------


def test_link_to_a_folder_elsewhere_is_followed(tree, tmp_path, jpeg_bytes):
    root = tree("a.jpg")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.jpg").write_bytes(jpeg_bytes)
    (root / "link").symlink_to(tmp_path / "elsewhere")

    assert names(root, found(root)[0]) == ["a.jpg", "link/b.jpg"]


def test_link_loops_end_and_are_said(tree):
    root = tree("a.jpg", "sub/b.jpg")
    (root / "sub" / "up").symlink_to(root)
    (root / "sub" / "self").symlink_to(root / "sub")

    images, skipped = found(root)

    assert names(root, images) == ["a.jpg", "sub/b.jpg"]
    assert set(skipped) == {root / "sub" / "up", root / "sub" / "self"}


def test_folder_keeps_its_real_path_when_a_link_to_it_comes_first(tree):
    root = tree("z/a.jpg")
    (root / "b").symlink_to(root / "z")

    images, skipped = found(root)

    assert names(root, images) == ["z/a.jpg"]
    assert skipped == {root / "b": "link to a folder that is walked itself"}


def test_two_links_to_one_folder_elsewhere_give_its_files_once(tree, tmp_path, jpeg_bytes):
    root = tree("a.jpg")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.jpg").write_bytes(jpeg_bytes)
    for name in ("one", "two"):
        (root / name).symlink_to(tmp_path / "elsewhere")

    images, skipped = found(root)

    assert names(root, images) == ["a.jpg", "one/b.jpg"]
    assert skipped == {root / "two": "folder already visited"}


def test_link_to_a_folder_that_the_walk_leaves_out_is_followed(tree):
    root = tree("a.jpg", ".store/b.jpg")
    (root / "shown").symlink_to(root / ".store")

    assert names(root, found(root)[0]) == ["a.jpg", "shown/b.jpg"]


def test_link_to_a_file_is_taken_unless_the_file_is_found_itself(tree, tmp_path, jpeg_bytes):
    root = tree("a.jpg", ".hidden/h.jpg")
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(jpeg_bytes)
    (root / "inner.jpg").symlink_to(root / "a.jpg")
    (root / "outer.jpg").symlink_to(outside)
    (root / "outer2.jpg").symlink_to(outside)
    (root / "unhidden.jpg").symlink_to(root / ".hidden" / "h.jpg")

    images, skipped = found(root)

    assert names(root, images) == ["a.jpg", "outer.jpg", "unhidden.jpg"]
    assert skipped[root / "inner.jpg"] == "link to a file that is found itself"
    assert skipped[root / "outer2.jpg"] == "another link to a file already taken"


def test_link_below_a_walk_that_is_not_recursive_is_judged_by_its_folder(tree):
    root = tree("a.jpg", "sub/b.jpg")
    (root / "link.jpg").symlink_to(root / "sub" / "b.jpg")

    assert names(root, found(root, is_recursive=False)[0]) == ["a.jpg", "link.jpg"]


def test_broken_link_is_said_and_no_failure(tree):
    root = tree("a.jpg")
    (root / "gone.jpg").symlink_to(root / "nowhere.jpg")

    skipped = [item for item in discover_images([root]) if isinstance(item, SkippedPath)]

    assert skipped == [SkippedPath(root / "gone.jpg", "broken link")]


def test_linked_folder_as_input_keeps_its_own_path(tree, tmp_path):
    tree("a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "photos")

    assert found(tmp_path / "link")[0] == [tmp_path / "link" / "a.jpg"]


# -- strange and unreadable ------------------------------------------------------------------------


@pytest.mark.parametrize("name", [b"caf\xe9.jpg", b"new\nline.jpg", b"\x1b[31mred.jpg", b"-rf.jpg"])
def test_strange_names_are_taken_as_they_are(tree, jpeg_bytes, name):
    root = tree("a.jpg")
    (root / "a.jpg").unlink()
    path = root / os.fsdecode(name)
    path.write_bytes(jpeg_bytes)

    images, _ = found(root)

    assert images == [path]
    assert os.fsencode(images[0]).endswith(name)


def test_fifo_and_folder_under_an_images_name_do_not_stop_the_walk(tree):
    root = tree("a.jpg", "folder.jpg/b.jpg")
    os.mkfifo(root / "pipe.jpg")

    images, skipped = found(root)

    assert names(root, images) == ["a.jpg", "folder.jpg/b.jpg"]
    assert skipped == {root / "pipe.jpg": "not a regular file"}


def test_folder_that_cannot_be_read_is_said_and_the_rest_goes_on(tree, monkeypatch):
    root = tree("a.jpg", "locked/b.jpg", "open/c.jpg")
    plain_scandir = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return plain_scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    images, skipped = found(root)

    assert names(root, images) == ["a.jpg", "open/c.jpg"]
    assert skipped == {root / "locked": "folder cannot be read: Permission denied"}


class FailingEntry:
    """A directory entry whose disk fails."""

    def __init__(self, path: Path, *, fails_at: tuple[str, ...]) -> None:
        self.name, self.path, self._fails_at = path.name, str(path), fails_at

    def _fail(self, where: str) -> None:
        if where in self._fails_at:
            raise OSError(5, "Input/output error")

    def is_dir(self) -> bool:
        self._fail("is_dir")
        return False

    def is_symlink(self) -> bool:
        return False

    def stat(self) -> os.stat_result:
        self._fail("stat")
        return Path(self.path).stat()


@pytest.mark.parametrize(
    ("name", "fails_at", "is_failure"),
    [
        ("a.jpg", ("stat",), True),
        ("a.jpg", ("is_dir", "stat"), True),
        ("sub", ("is_dir",), False),
    ],
)
def test_entry_that_the_disk_refuses_is_said(tmp_path, monkeypatch, name, fails_at, is_failure):
    entry = FailingEntry(tmp_path / name, fails_at=fails_at)
    monkeypatch.setattr(os, "scandir", lambda _folder: contextlib.nullcontext([entry]))

    items = list(discover_images([tmp_path]))

    reason = "cannot be read: Input/output error"
    assert items == [SkippedPath(tmp_path / name, reason, is_failure=is_failure)]


def test_plain_files_are_listed_without_being_opened(tree, monkeypatch):
    root = tree("a.jpg", "sub/b.JPG")
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("opened"))

    listings = list(list_folders([root]))

    assert [(listing.path, listing.mtime_ns) for listing in listings] == [
        (root, root.stat().st_mtime_ns),
        (root / "sub", (root / "sub").stat().st_mtime_ns),
    ]
    status = (root / "a.jpg").stat()
    assert listings[0].entries == (
        ListedFile("a.jpg", ImageFormat.JPEG, status.st_size, status.st_mtime_ns, status.st_ino),
    )


def test_known_folders_are_left_out_while_their_time_stands(tree):
    root = tree("a.jpg", "same/b.jpg", "same/deep/c.jpg", "changed/d.jpg")
    below = {root: ("changed", "same"), root / "same": ("deep",)}
    known = {
        str(folder): KnownFolder(
            folder.stat().st_mtime_ns, tuple(str(folder / name) for name in below.get(folder, ()))
        )
        for folder in (root, root / "same", root / "same" / "deep")
    }
    known[str(root / "changed")] = KnownFolder(1, ())

    (listing,) = list_folders([root], known=known)

    assert listing.path == root / "changed"
    assert [entry.name for entry in listing.entries] == ["d.jpg"]


def test_given_file_that_vanished_is_a_failure(tmp_path):
    gone = tmp_path / "gone.jpg"

    (item,) = discover_images([gone])

    assert item == SkippedPath(gone, "cannot be read: No such file or directory", is_failure=True)


def test_first_image_comes_before_the_rest_is_walked(tree):
    root = tree("a.jpg", "sub/b.jpg")
    walking = discover_images([root])

    first = next(walking)
    (root / "sub" / "late.jpg").write_bytes(first.path.read_bytes())

    assert [item.path.name for item in walking] == ["b.jpg", "late.jpg"]


_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\x00"), min_size=1, max_size=20)


@given(st.sets(_NAMES.map(lambda name: name + ".jpg"), min_size=1, max_size=6))
@example({"..jpg"})
def test_every_file_with_any_name_is_accounted_for_once(tmp_path_factory, jpeg_bytes, chosen):
    root = tmp_path_factory.mktemp("names")
    for name in chosen:
        (root / name).write_bytes(jpeg_bytes)

    images, skipped = found(root)

    own = {root / name for name in chosen if name.startswith("._")}
    assert sorted([*images, *skipped]) == sorted({root / name for name in chosen} - own)


def test_corpus_is_walked_whole():
    if not CORPUS.is_dir():
        pytest.skip("the shared corpus is not here")

    items = list(discover_images([CORPUS]))

    images = [item for item in items if isinstance(item, DiscoveredImage)]
    failures = [item for item in items if isinstance(item, SkippedPath) and item.is_failure]
    assert len(images) > 300
    assert all(item.reason.startswith("not an image") for item in failures)


# -- inputs ----------------------------------------------------------------------------------------


def test_inputs_become_absolute_and_unique_with_links_kept(tree, tmp_path, monkeypatch):
    root = tree("a.jpg")
    (tmp_path / "link").symlink_to(root)
    monkeypatch.chdir(tmp_path)

    checked = check_inputs([Path("photos"), Path("link"), Path("photos/../photos"), root])

    assert checked == (root, tmp_path / "link")


def test_missing_input_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"gone.*No such file") as caught:
        check_inputs([tmp_path / "gone\x1b"])

    assert "\x1b" not in str(caught.value)


def test_input_that_is_no_file_is_refused_without_opening_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UsageError, match="neither a file nor a folder"):
        check_inputs([tmp_path / "pipe"])


def test_input_that_cannot_be_read_is_refused(tree, monkeypatch):
    root = tree("a.jpg")

    def refuse(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(os, "scandir", refuse)

    for path in (root, root / "a.jpg"):
        with pytest.raises(UsageError, match="Permission denied"):
            check_inputs([path])


def test_readable_inputs_are_accepted(tree):
    root = tree("a.jpg")

    assert check_inputs([root, root / "a.jpg"]) == (root, root / "a.jpg")
