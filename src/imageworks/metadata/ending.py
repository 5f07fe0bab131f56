"""The end of a file that has lost its name, put off until nobody waits for it.

A rename over a photograph gives its space back before it returns, which takes as long as to write
it. Where somebody has the file open, that happens when it is closed.
"""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOUNTS = "/proc/self/mountinfo"
_LOCAL_DISKS = frozenset({b"ext2", b"ext3", b"ext4", b"f2fs", b"xfs"})
"""What takes a name from an open file in one step. NFS and FUSE would give the file another name
first, SMB would refuse."""

_ends = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ending")


@contextlib.contextmanager
def outlasting(path: Path, device: int) -> Iterator[None]:
    """Keeps a file from ending within the context, also without a name; it ends soon after it.

    Does nothing where the file's disk is not known to bear that.

    Args:
        path: The file.
        device: Its device, as in ``st_dev``.

    Raises:
        OSError: It cannot be opened.
    """
    if not _is_local_disk(device):
        yield
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        yield
    finally:
        _ends.submit(os.close, descriptor)


def _is_local_disk(device: int) -> bool:
    """Looked up each time: another disk can be there under the same number.

    proc_pid_mountinfo(5): the third field is the device, the type follows a lone hyphen.
    """
    wanted = f"{os.major(device)}:{os.minor(device)}".encode("ascii")
    try:
        with open(_MOUNTS, "rb") as mounts:  # noqa: PTH123  # a kernel file
            lines = mounts.read().splitlines()
    except OSError:
        return False
    kinds = {
        line.partition(b" - ")[2].partition(b" ")[0]
        for line in lines
        if line.split(b" ", 3)[2:3] == [wanted]
    }
    return bool(kinds) and kinds <= _LOCAL_DISKS
