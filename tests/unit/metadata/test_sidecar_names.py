import os

import pytest

from imageworks.metadata.sidecar import SidecarNames, owns_stem


def touch(folder, *names):
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder / names[0]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["IMG.CR2"], "IMG.xmp"),
        (["IMG.HEIC", "other.CR2.xmp"], "IMG.HEIC.xmp"),
        (["IMG.HEIC", "other.xmp", "v1.2.xmp"], "IMG.xmp"),
        (["IMG.CR2", "IMG.JPG"], "IMG.xmp"),
        (["IMG.JPG", "IMG.CR2"], "IMG.JPG.xmp"),
        (["IMG.heic", "IMG.dng"], "IMG.heic.xmp"),
        (["IMG.dng", "IMG.heic"], "IMG.xmp"),
        (["IMG.jpg", "IMG.heic"], "IMG.jpg.xmp"),
        (["IMG.heic", "IMG.jpg"], "IMG.xmp"),
        (["IMG.jpg", "IMG.png"], "IMG.jpg.xmp"),
        (["IMG.jpg", "IMG2.png"], "IMG.xmp"),
        (["IMG.NEF", "IMG.JPG", "IMG.JPG.xmp"], "IMG.xmp"),
        (["IMG.NEF", "a.JPG", "a.PNG", "a.PNG.xmp"], "IMG.xmp"),
        (["IMG.NEF", "a.NEF", "a.JPG", "a.NEF.xmp"], "IMG.NEF.xmp"),
        (["IMG.NEF", "a.JPG", "a.JPG.xmp"], "IMG.NEF.xmp"),
    ],
)
def test_a_new_sidecar_is_named_as_its_neighbours_and_never_takes_the_raw_ones_name(
    tmp_path, names, expected
):
    path = touch(tmp_path, *names)

    assert SidecarNames().new(path).name == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["IMG.CR2"], []),
        (["IMG.CR2", "IMG.xmp"], ["IMG.xmp"]),
        (["IMG.CR2", "IMG.XMP"], ["IMG.XMP"]),
        (["IMG.CR2", "IMG.xmp", "IMG.CR2.xmp"], ["IMG.CR2.xmp", "IMG.xmp"]),
        (["IMG.jpg", "IMG.CR2", "IMG.xmp"], []),
        (["IMG.jpg", "IMG.CR2", "IMG.xmp", "IMG.jpg.xmp"], ["IMG.jpg.xmp"]),
        (["IMG.jpg", "IMG.png", "IMG.xmp"], []),
        (["IMG.jpg", "IMG.xmp"], ["IMG.xmp"]),
        (["IMG.CR2", "IMG.CR2.XMP", "IMG.XMP"], ["IMG.CR2.XMP", "IMG.XMP"]),
        (["IMG.CR2", "IMG_xmp", "IMG.xmp.bak", "xmp", "IMG2.xmp"], []),
        (["IMG.CR2", "IMG_1.xmp", "IMG.JPG.xmp"], []),
        (["IMG.CR2", "IMG.JPG", "IMG.xmp", "IMG.JPG.xmp"], ["IMG.xmp"]),
        (["IMG.dng", "IMG.CR2", "IMG.xmp"], []),
    ],
)
def test_the_sidecars_that_exist_are_found(tmp_path, names, expected):
    path = touch(tmp_path, *names)

    assert [found.name for found in SidecarNames().existing(path)] == expected


def test_one_file_under_two_spellings_is_found_once(tmp_path):
    path = touch(tmp_path, "IMG.CR2", "IMG.xmp")
    os.link(tmp_path / "IMG.xmp", tmp_path / "IMG.XMP")

    assert len(SidecarNames().existing(path)) == 1


def test_the_style_of_a_folder_is_looked_up_again_after_a_minute(tmp_path):
    now = [0.0]
    names = SidecarNames(clock=lambda: now[0])
    path = touch(tmp_path, "IMG.CR2")
    assert names.new(path).name == "IMG.xmp"
    touch(tmp_path, "other.nef.xmp")

    assert names.new(path).name == "IMG.xmp"
    now[0] = 61.0
    assert names.new(path).name == "IMG.CR2.xmp"


def test_many_folders_do_not_fill_the_memory(tmp_path):
    names = SidecarNames()

    for number in range(300):
        folder = tmp_path / str(number)
        folder.mkdir()
        names.new(folder / "a.cr2")

    assert len(names._styles) <= 256


def test_a_name_that_is_too_long_for_a_sidecar_has_none(tmp_path):
    path = touch(tmp_path, "x" * 251 + ".cr2")

    assert SidecarNames().existing(path) == ()
    assert owns_stem(path)


def test_a_folder_that_cannot_be_listed_has_no_style(tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError

    monkeypatch.setattr("os.scandir", refuse)

    assert SidecarNames().new(tmp_path / "a.cr2").name == "a.xmp"
