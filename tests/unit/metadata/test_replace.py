import errno
import io
import os
import shutil
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.metadata import replace as module
from imageworks.metadata import source as source_module
from imageworks.metadata.replace import (
    ReplaceOptions,
    backup_path,
    check_replaceable,
    create_file,
    replace_file,
    staged_replacement,
    sweep_leftovers,
)
from imageworks.metadata.source import has_bytes, read_source
from tests.unit.metadata.pictures import names_in, reason_of

KEEP = ReplaceOptions(keeps_original=True, preserves_mtime=False)
PLAIN = ReplaceOptions(keeps_original=False, preserves_mtime=False)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "a b.jpg"
    path.write_bytes(b"old bytes")
    return path


def test_the_new_bytes_take_the_name_and_mode_owner_and_attributes_stay(photo):
    photo.chmod(0o640)
    os.chown(photo, 1234, 2345) if os.geteuid() == 0 else None
    has_xattr = True
    try:
        os.setxattr(photo, "user.colour", b"red")
    except OSError:
        has_xattr = False
    before = photo.stat()

    replace_file(read_source(photo), b"new", PLAIN)

    after = photo.stat()
    assert photo.read_bytes() == b"new"
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert not has_xattr or os.getxattr(photo, "user.colour") == b"red"
    assert names_in(photo.parent) == ["a b.jpg"]


@pytest.mark.parametrize("preserves", [True, False])
def test_the_modification_time_stays_only_on_request(photo, preserves):
    os.utime(photo, ns=(10**18, 10**18))

    replace_file(
        read_source(photo), b"new", ReplaceOptions(keeps_original=False, preserves_mtime=preserves)
    )

    assert (photo.stat().st_mtime_ns == 10**18) is preserves


def test_the_first_original_is_kept_and_never_overwritten(photo):
    os.utime(photo, ns=(10**18, 10**18))

    replace_file(read_source(photo), b"second", KEEP)
    replace_file(read_source(photo), b"third", KEEP)

    backup = backup_path(photo)
    assert backup.name == "a b.jpg_original"
    assert backup.read_bytes() == b"old bytes"
    assert backup.stat().st_mtime_ns == 10**18
    assert (backup.stat().st_nlink, photo.stat().st_nlink) == (1, 1)
    assert photo.read_bytes() == b"third"


def test_a_backup_without_hard_links_is_a_copy(photo, monkeypatch):
    def no_links(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)

    replace_file(read_source(photo), b"new", KEEP)

    assert backup_path(photo).read_bytes() == b"old bytes"
    assert photo.read_bytes() == b"new"
    assert len(names_in(photo.parent)) == 2


def test_a_failed_replacement_leaves_no_backup_and_no_temporary_file(photo, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "input/output error")

    source = read_source(photo)
    monkeypatch.setattr(Path, "replace", fail)

    assert reason_of(lambda: replace_file(source, b"new", KEEP)) == "disk-error"
    assert names_in(photo.parent) == ["a b.jpg"]
    assert photo.read_bytes() == b"old bytes"


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "disk-error"),
        (errno.ENAMETOOLONG, "write-failed"),
    ],
)
def test_each_refusal_of_the_system_has_its_reason(photo, monkeypatch, number, reason):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    source = read_source(photo)
    monkeypatch.setattr(os, "fsync", fail)

    assert reason_of(lambda: replace_file(source, b"new", KEEP)) == reason
    assert names_in(photo.parent) == ["a b.jpg"]


def test_a_disk_that_gives_back_other_bytes_is_noticed(photo, monkeypatch):
    def flip(descriptor):
        os.pwrite(descriptor, b"X", 0)

    source = read_source(photo)
    monkeypatch.setattr(os, "fsync", flip)

    assert reason_of(lambda: replace_file(source, b"new", PLAIN)) == "disk-error"
    assert photo.read_bytes() == b"old bytes"


def test_a_folder_that_cannot_be_flushed_does_not_undo_the_write(photo, monkeypatch):
    real = os.fsync

    def only_files(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not for folders")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)

    replace_file(read_source(photo), b"new", KEEP)

    assert photo.read_bytes() == b"new"


@pytest.mark.parametrize("how", ["bytes", "gone", "other file", "same size and time"])
def test_a_file_changed_meanwhile_is_left_alone(photo, how):
    source = read_source(photo)
    status = photo.stat()
    if how == "bytes":
        photo.write_bytes(b"other bytes!")
    elif how == "gone":
        photo.unlink()
    elif how == "other file":
        photo.rename(photo.with_name("x"))
        shutil.copy2(photo.with_name("x"), photo)
    else:
        photo.write_bytes(b"OLD BYTES")
        os.utime(photo, ns=(status.st_atime_ns, status.st_mtime_ns))
    expected = photo.read_bytes() if photo.exists() else None

    assert reason_of(lambda: replace_file(source, b"new", PLAIN)) == "changed-meanwhile"
    assert (photo.read_bytes() if photo.exists() else None) == expected


def test_hard_links_stand_in_the_way_but_not_the_own_backup(photo):
    os.link(photo, photo.with_name("a b.jpg_original"))
    check_replaceable(read_source(photo))

    os.link(photo, photo.with_name("third.jpg"))

    assert reason_of(lambda: check_replaceable(read_source(photo))) == "hard-link"


def test_a_foreign_hard_link_stands_in_the_way(photo):
    os.link(photo, photo.with_name("other.jpg"))

    assert reason_of(lambda: check_replaceable(read_source(photo))) == "hard-link"


@pytest.mark.parametrize(("denied", "reason"), [("a b.jpg", "read-only"), ("", "read-only-folder")])
def test_what_is_not_writable_is_found_before_writing(photo, monkeypatch, denied, reason):
    target = photo.parent / denied
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != target)

    assert reason_of(lambda: check_replaceable(read_source(photo))) == reason


def test_an_owner_that_cannot_be_kept_is_a_refusal(photo, monkeypatch):
    source = read_source(photo)
    real = Path.stat

    class Foreign:
        st_uid, st_gid = -2, -2

    def stat_of(path, **more):
        return Foreign() if path.name.endswith(".tmp") else real(path, **more)

    def refuse(*_):
        raise PermissionError(errno.EPERM, "not yours")

    monkeypatch.setattr(Path, "stat", stat_of)
    monkeypatch.setattr(os, "chown", refuse)

    assert reason_of(lambda: replace_file(source, b"new", KEEP)) == "owner"
    monkeypatch.undo()
    assert names_in(photo.parent) == ["a b.jpg"]


def test_attributes_that_cannot_be_kept_are_a_refusal(photo, monkeypatch):
    source = read_source(photo)
    found = {photo: {("user.a", b"1")}}
    monkeypatch.setattr(module, "_attributes", lambda path: found.get(path, set()))

    assert reason_of(lambda: replace_file(source, b"new", PLAIN)) == "attributes"


def test_a_full_disk_is_found_before_writing(photo, monkeypatch):
    source = read_source(photo)
    usage = shutil.disk_usage(photo)._replace(free=1024)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    assert reason_of(lambda: replace_file(source, b"new", PLAIN)) == "disk-full"


@pytest.mark.usefixtures("uncounted")
def test_a_file_size_limit_leaves_the_original_and_no_leftover(photo):
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from imageworks.metadata.replace import ReplaceOptions, replace_file\n"
        "from imageworks.metadata.source import read_source\n"
        "from imageworks.errors import MetadataError\n"
        "source = read_source(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: replace_file(source, b'n' * 100_000, ReplaceOptions(True, False))\n"
        "except MetadataError as error: print(error.reason)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(photo)], capture_output=True, text=True, check=True
    )

    assert done.stdout == "disk-full\n"
    assert photo.read_bytes() == b"old bytes"
    assert names_in(photo.parent) == ["a b.jpg"]


def test_a_new_file_takes_mode_without_execution(photo):
    photo.chmod(0o755)
    made = photo.with_name("a b.xmp")

    create_file(made, b"<x/>", photo.stat())

    assert made.read_bytes() == b"<x/>"
    assert stat.S_IMODE(made.stat().st_mode) == 0o644
    assert made.stat().st_nlink == 1


def test_a_new_file_never_overwrites_one_that_has_appeared(photo, monkeypatch):
    made = photo.with_name("a b.xmp")
    made.write_bytes(b"somebody else's")

    assert reason_of(lambda: create_file(made, b"<x/>", photo.stat())) == "changed-meanwhile"
    monkeypatch.setattr(os, "link", _no_links)
    assert reason_of(lambda: create_file(made, b"<x/>", photo.stat())) != ""

    assert made.read_bytes() == b"somebody else's"
    assert names_in(photo.parent) == ["a b.jpg", "a b.xmp"]


def _no_links(*_):
    raise OSError(errno.EPERM, "no links here")


def test_a_name_of_full_length_still_gets_a_temporary_file(tmp_path):
    path = tmp_path / ("é" * 125 + ".jpg")
    path.write_bytes(b"old")

    replace_file(read_source(path), b"new", PLAIN)

    assert path.read_bytes() == b"new"


def test_only_own_leftovers_of_dead_processes_are_swept(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    stale = tmp_path / f".a\nb.jpg.ptag-{dead.pid}-0123abcd.tmp"
    others = [
        f".a.jpg.ptag-{os.getpid()}-0123abcd.tmp",
        ".a.jpg.ptag-1-0123abcd.tmp",
        f".a.jpg.ptag-{dead.pid}-0123abcd.tmp.jpg",
        f"a.jpg.ptag-{dead.pid}-0123abcd.tmp",
        ".a.jpg.tmp",
    ]
    for name in (stale.name, *others):
        (tmp_path / name).write_bytes(b"")

    assert sweep_leftovers(tmp_path) == [stale]
    assert names_in(tmp_path) == sorted(others)


def test_sweeping_what_cannot_be_read_or_removed_is_no_error(tmp_path, monkeypatch):
    assert sweep_leftovers(tmp_path / "absent") == []
    (tmp_path / f".a.ptag-{2**22 + 1}-0123abcd.tmp").mkdir()

    assert sweep_leftovers(tmp_path) == []


def test_a_process_of_somebody_else_counts_as_alive(tmp_path, monkeypatch):
    def foreign(*_):
        raise PermissionError

    monkeypatch.setattr(os, "kill", foreign)
    (tmp_path / ".a.ptag-77-0123abcd.tmp").write_bytes(b"")

    assert sweep_leftovers(tmp_path) == []


# An access list as the kernel keeps it (linux/posix_acl_xattr.h): version 2, then tag, permissions
# and id of the owner, user 1234, the group, the mask and all others.
ACCESS_LIST = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, permissions, who)
    for tag, permissions, who in (
        (0x01, 6, 0xFFFFFFFF),
        (0x02, 4, 1234),
        (0x04, 4, 0xFFFFFFFF),
        (0x10, 4, 0xFFFFFFFF),
        (0x20, 0, 0xFFFFFFFF),
    )
)


def test_access_lists_stay(photo):
    try:
        os.setxattr(photo, "system.posix_acl_access", ACCESS_LIST)
    except OSError:
        pytest.skip("no access lists here")

    replace_file(read_source(photo), b"new", PLAIN)

    assert os.getxattr(photo, "system.posix_acl_access") == ACCESS_LIST
    assert photo.read_bytes() == b"new"


@pytest.fixture
def immutable(photo):
    """A photograph that not even root may change."""
    if subprocess.run(["chattr", "+i", photo], capture_output=True, check=False).returncode:
        pytest.skip("files cannot be made immutable here")
    yield photo
    subprocess.run(["chattr", "-i", photo], check=True)


@pytest.mark.skipif(not shutil.which("chattr"), reason="chattr is not here")
@pytest.mark.parametrize("options", [PLAIN, KEEP])
def test_an_immutable_file_is_left_alone_and_says_so(immutable, options):
    source = read_source(immutable)

    assert reason_of(lambda: replace_file(source, b"new", options)) == "read-only"
    assert immutable.read_bytes() == b"old bytes"
    assert names_in(immutable.parent) == ["a b.jpg"]


@pytest.fixture
def other_disk(tmp_path):
    """A small file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "ptag-test", place]
    is_root = os.geteuid() == 0
    if not is_root or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_link_to_another_file_system_is_followed_to_the_file(other_disk, tmp_path):
    real = other_disk / "a.jpg"
    real.write_bytes(b"old bytes")
    link = tmp_path / "link.jpg"
    link.symlink_to(real)

    replace_file(read_source(link), b"new", KEEP)

    assert (real.read_bytes(), link.is_symlink()) == (b"new", True)
    assert names_in(other_disk) == ["a.jpg", "a.jpg_original"]


def test_a_read_only_file_system_is_a_refusal(other_disk):
    path = other_disk / "a.jpg"
    path.write_bytes(b"old bytes")
    subprocess.run(["mount", "-o", "remount,ro", other_disk], check=True)
    source = read_source(path)

    assert reason_of(lambda: check_replaceable(source)) == "read-only"
    assert reason_of(lambda: replace_file(source, b"new", PLAIN)) == "read-only"
    assert path.read_bytes() == b"old bytes"


def test_a_disk_without_room_is_refused_before_a_byte_is_written(other_disk, monkeypatch):
    path = other_disk / "a.jpg"
    path.write_bytes(b"old bytes")
    opened = []
    source = read_source(path)
    monkeypatch.setattr(os, "open", lambda *arguments: opened.append(arguments))

    assert reason_of(lambda: replace_file(source, bytes(5_000_000), PLAIN)) == "disk-full"
    assert opened == []


def test_a_staged_file_is_beside_the_old_one_until_its_last_step(photo):
    source = read_source(photo)

    with staged_replacement(source, b"new", PLAIN):
        assert len(names_in(photo.parent)) == 2
        assert photo.read_bytes() == b"old bytes"
    assert names_in(photo.parent) == ["a b.jpg"]
    assert photo.read_bytes() == b"old bytes"

    with staged_replacement(source, b"new", PLAIN) as confirm:
        confirm()()
    assert photo.read_bytes() == b"new"


@given(st.binary(max_size=200), st.binary(max_size=20), st.integers(1, 64))
def test_bytes_of_a_file_compare_whatever_the_block(data, more, block_bytes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_module, "_BLOCK_BYTES", block_bytes)
        for held in {data, data + more, more + data, data[:-1], b""}:
            assert has_bytes(io.BufferedReader(io.BytesIO(held)), data) is (held == data)
