import os
import threading

import pytest

from imageworks.metadata import ending as module
from imageworks.metadata.ending import outlasting
from imageworks.metadata.replace import ReplaceOptions, replace_file
from imageworks.metadata.source import read_source

PLAIN = ReplaceOptions(keeps_original=False, preserves_mtime=False)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"old bytes")
    return path


@pytest.fixture
def mounted(tmp_path, monkeypatch):
    """Says what is mounted, one line per (device, kind)."""

    def mount(*mounts):
        lines = [
            f"36 35 {os.major(device)}:{os.minor(device)} / /mnt/a\\040b rw - {kind} /dev/a rw"
            for device, kind in mounts
        ]
        table = tmp_path / "mountinfo"
        table.write_text("\n".join(lines) + "\n")
        monkeypatch.setattr(module, "_MOUNTS", str(table))

    return mount


@pytest.fixture
def closed(monkeypatch):
    """The number of links of each file as it is closed in the background, and a way to wait."""
    links, real = [], os.close
    seen = threading.Semaphore(0)

    def close(descriptor):
        if threading.current_thread().name.startswith("ending"):
            links.append(os.fstat(descriptor).st_nlink)
            seen.release()
        real(descriptor)

    monkeypatch.setattr(os, "close", close)
    return links, lambda: seen.acquire(timeout=10)


def test_a_replaced_file_ends_after_its_replacement_and_soon(photo, mounted, closed):
    device = photo.stat().st_dev
    mounted((device, "ext4"))
    links, wait = closed

    replace_file(read_source(photo), b"new", PLAIN)

    assert photo.read_bytes() == b"new"
    assert wait()
    assert links == [0]


def test_a_file_that_was_not_replaced_is_closed_as_well(photo, mounted, closed):
    device = photo.stat().st_dev
    mounted((device, "xfs"))
    links, wait = closed

    with pytest.raises(ZeroDivisionError), outlasting(photo, device):
        1 / 0  # noqa: B018  # any error

    assert wait()
    assert links == [1]
    assert photo.read_bytes() == b"old bytes"


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuseblk", "overlay", "btrfs", "ext45"])
def test_no_file_is_held_open_where_that_could_cost_it_its_name(photo, mounted, monkeypatch, kind):
    device = photo.stat().st_dev
    mounted((device + 1, "ext4"), (device, kind), (device, "ext4"))
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("it was opened"))

    with outlasting(photo, device):
        pass


def test_nothing_is_held_open_where_the_mounts_are_not_told(photo, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MOUNTS", str(tmp_path / "none"))
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("it was opened"))

    with outlasting(photo, photo.stat().st_dev):
        pass
