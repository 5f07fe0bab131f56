"""What the trials of ``scripts/`` share: places of their own, victims, full disks, whole states."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

_FILL_TRIES = 50
BALLAST = "ballast.bin"
# Times, inode and place are no metadata; they are looked at apart.
_NOT_COMPARED = ("SourceFile", "System:", "ExifTool:ExifToolVersion")


@dataclass(frozen=True, slots=True)
class State:
    """One file as it is: its bytes and modification time."""

    data: bytes
    mtime_ns: int


def use_own_places(folder: Path) -> None:
    """Gives this process and all that it starts a home in a folder of the trial."""
    for name in ("DATA", "CACHE", "CONFIG", "STATE"):
        os.environ[f"XDG_{name}_HOME"] = str(folder / name.lower())


def children_of(pid: int) -> list[tuple[int, str]]:
    """A process's descendants with their command lines (proc(5))."""
    parents: dict[int, int] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (place / "stat").read_text("latin-1").rsplit(")", 1)[1].split()
                parents[int(place.name)] = int(fields[1])
    found: list[int] = []
    wave = {pid}
    while wave:
        wave = {child for child, parent in parents.items() if parent in wave}
        found += wave
    lines = []
    for child in found:
        with contextlib.suppress(OSError):
            lines.append((child, (Path("/proc") / str(child) / "cmdline").read_text("latin-1")))
    return lines


def victim_of(command_line: str) -> str:
    """What kind of helper a command line is."""
    if "imageworks.metadata" in command_line:
        return "metadata"
    return "image" if "imageworks.prepare" in command_line else ""


@contextlib.contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[bool]:
    """Makes a folder a small file system of its own; False where that is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "ptag-fire", str(folder)]
    with contextlib.suppress(FileNotFoundError):
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            try:
                yield True
            finally:
                subprocess.run(["umount", str(folder)], check=True)
            return
    yield False


def fill_disk(folder: Path, leave_bytes: int) -> None:
    """Takes a disk's room away but for some bytes; `clear_disk` gives it back.

    Whoever writes meanwhile makes a wish for all the room fail as a whole, so it is made again.
    """
    taken = 0
    with (folder / BALLAST).open("wb") as stream:
        for _ in range(_FILL_TRIES):
            status = os.statvfs(folder)
            room = status.f_bavail * status.f_frsize - leave_bytes
            if room <= 0:
                return
            with contextlib.suppress(OSError):
                os.posix_fallocate(stream.fileno(), taken, room)
                taken += room


def clear_disk(folder: Path) -> None:
    """Gives back what `fill_disk` took."""
    (folder / BALLAST).unlink(missing_ok=True)


def some_of(draw: random.Random, items: list[Path], most: int) -> list[Path]:
    """At most that many items, drawn, in their own order; all for 0."""
    if not most or most >= len(items):
        return items
    return sorted(draw.sample(items, most))


def states(folder: Path) -> dict[str, State]:
    """Every file below a folder."""
    return {
        str(path.relative_to(folder)): State(path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def exiftool_dump(folder: Path, *more: str) -> dict[str, dict[str, object]]:
    """All that ExifTool sees in every file; empty where it is not installed."""
    if not shutil.which("exiftool"):
        return {}
    command = ["exiftool", "-a", "-G1", "-s", "-u", "-json", "-q", "-q", *more, "-r", str(folder)]
    done = subprocess.run(command, capture_output=True, check=False)
    return {
        str(Path(entry["SourceFile"]).relative_to(folder)): {
            key: value for key, value in entry.items() if not key.startswith(_NOT_COMPARED)
        }
        for entry in json.loads(done.stdout.decode("utf-8", "surrogateescape") or "[]")
    }


def differences(
    before: dict[str, State], after: dict[str, State], written: set[str], *, since_ns: int
) -> dict[str, list[str]]:
    """What an undo has left, by kind; ``since_ns``: 0 where times had to come back."""
    same = [name for name in before if name in after]
    return {
        "bytes_differ": [name for name in same if before[name].data != after[name].data],
        "missing": sorted(before.keys() - after.keys()),
        "left_over": sorted(after.keys() - before.keys()),
        "times_wrong": [
            name
            for name in same
            if not (
                after[name].mtime_ns >= since_ns
                if since_ns and name in written
                else after[name].mtime_ns == before[name].mtime_ns
            )
        ],
    }
