"""What belongs together: the two files of a RAW and JPEG pair, bursts and near-duplicates.

Two pictures are kin when few bits of their perceptual hashes differ: up to `BURST_BITS` when they
were taken within `BURST_S` of each other, up to `NEAR_BITS` anywhere in one folder. Kin of kin are
one group. Candidates come from indexes and never from all images: by capture time, and by bands of
the hash, of which at least one is equal where no more than `NEAR_BITS` bits differ.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from imageworks.models import FORMAT_EXTENSIONS, ImageFormat

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from imageworks.store.library import Library

BURST_S = 10
BURST_BITS = 6
NEAR_BITS = 4

_BAND_WIDTHS = (13, 13, 13, 13, 12)
_BAND_SHIFT = 13
_MOST_CANDIDATES = 500
# A picture with hardly a difference between neighbouring cells is like any other such picture.
_FEWEST_BITS = 6
_WATERMARK = "kinship.raw-seen"
_RAW = (ImageFormat.RAW, ImageFormat.DNG)
_DEVELOPED = (ImageFormat.JPEG, ImageFormat.HEIF)
_DEVELOPED_ENDINGS = frozenset(
    ending.encode() for format_ in _DEVELOPED for ending in FORMAT_EXTENSIONS[format_]
)
_RAW_ENDINGS = frozenset(
    ending.encode() for format_ in _RAW for ending in FORMAT_EXTENSIONS[format_]
)


class Kinship:
    """The library's pairs and groups. See `Library`."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def pair_new(self, limit: int) -> tuple[int, bool]:
        """Looks at RAW files found since, at most so many; pairs made, and whether more wait.

        The developed file of a pair leads: it is the card. The RAW follows.
        """
        seen = int(self._library.session.recall(_WATERMARK, "0"))
        rows = self._library.connection.execute(
            "SELECT id, folder_id, name FROM image"
            " WHERE format IN ('raw', 'dng') AND id > ? ORDER BY id LIMIT ?",
            (seen, limit),
        ).fetchall()
        if not rows:
            return 0, False
        with self._library.transaction() as connection:
            made = sum(_pair(connection, row["id"], row["folder_id"], row["name"]) for row in rows)
            self._library.session.remember(_WATERMARK, str(rows[-1]["id"]))
        return made, len(rows) == limit

    def followers(self, image_id: int) -> list[int]:
        """The files that share an image's card; none as a rule."""
        rows = self._library.connection.execute(
            "SELECT id FROM image WHERE lead_id=? ORDER BY id", (image_id,)
        )
        return [row[0] for row in rows]

    def members(self, image_id: int) -> list[int]:
        """The group that an image is in, itself too, in order of capture; empty without one."""
        rows = self._library.connection.execute(
            "SELECT m.image_id FROM kin k JOIN kin m ON m.group_id = k.group_id"
            " JOIN image i ON i.id = m.image_id WHERE k.image_id=? ORDER BY i.taken, i.id",
            (image_id,),
        )
        ids = [row[0] for row in rows]
        return ids if len(ids) > 1 else []

    def relate(self, image_id: int) -> None:
        """Finds an image's kin after its hash and time have been recorded."""
        with self._library.transaction() as connection:
            row = _facts(connection, image_id)
            if row["lead_id"] is not None or _pair_any(connection, row):
                return
            if row["hash"] is None or not _is_telling(int(row["hash"], 16)):
                return
            for band in _bands(int(row["hash"], 16)):
                connection.execute(
                    "INSERT OR IGNORE INTO hash_band VALUES (?,?,?)",
                    (row["folder_id"], band, image_id),
                )
            for other in _alike(connection, row):
                _join(connection, image_id, other)

    def forget(self, image_id: int) -> None:
        """Takes an image out of its group, before its hash changes or it goes."""
        with self._library.transaction() as connection:
            row = _facts(connection, image_id)
            connection.execute("DELETE FROM kin WHERE image_id=?", (image_id,))
            if row["hash"] is None:
                return
            connection.executemany(
                "DELETE FROM hash_band WHERE folder_id=? AND band=? AND image_id=?",
                [(row["folder_id"], band, image_id) for band in _bands(int(row["hash"], 16))],
            )


def _facts(connection: sqlite3.Connection, image_id: int) -> sqlite3.Row:
    row: sqlite3.Row = connection.execute(
        "SELECT id, folder_id, name, format, taken, perceptual_hash AS hash, lead_id"
        " FROM image WHERE id=?",
        (image_id,),
    ).fetchone()
    return row


def _bands(value: int) -> list[int]:
    """The hash cut into pieces, each with its place in front."""
    bands = []
    for place, width in enumerate(_BAND_WIDTHS):
        bands.append(place << _BAND_SHIFT | value & ((1 << width) - 1))
        value >>= width
    return bands


def _is_telling(value: int) -> bool:
    return _FEWEST_BITS <= value.bit_count() <= 64 - _FEWEST_BITS


def _alike(connection: sqlite3.Connection, row: sqlite3.Row) -> list[int]:
    value = int(row["hash"], 16)
    alike = {}
    for other in _burst_candidates(connection, row):
        distance = (int(other["perceptual_hash"], 16) ^ value).bit_count()
        if distance <= BURST_BITS and _is_telling(int(other["perceptual_hash"], 16)):
            alike[other["id"]] = distance
    for other in _band_candidates(connection, row, value):
        distance = (int(other["perceptual_hash"], 16) ^ value).bit_count()
        if distance <= NEAR_BITS:
            alike[other["id"]] = distance
    return list(alike)


def _burst_candidates(connection: sqlite3.Connection, row: sqlite3.Row) -> list[sqlite3.Row]:
    if row["taken"] is None:
        return []
    span_ms = BURST_S * 1000
    return connection.execute(
        "SELECT id, perceptual_hash FROM image WHERE taken BETWEEN ? AND ? AND id <> ?"
        " AND perceptual_hash IS NOT NULL AND lead_id IS NULL LIMIT ?",
        (row["taken"] - span_ms, row["taken"] + span_ms, row["id"], _MOST_CANDIDATES),
    ).fetchall()


def _band_candidates(
    connection: sqlite3.Connection, row: sqlite3.Row, value: int
) -> list[sqlite3.Row]:
    bands = _bands(value)
    return connection.execute(
        "SELECT DISTINCT i.id, i.perceptual_hash FROM hash_band b JOIN image i ON i.id = b.image_id"  # noqa: S608  # marks
        f" WHERE b.folder_id=? AND b.band IN ({','.join('?' * len(bands))}) AND b.image_id <> ?"
        " AND i.perceptual_hash IS NOT NULL AND i.lead_id IS NULL"
        " ORDER BY b.image_id DESC LIMIT ?",
        (row["folder_id"], *bands, row["id"], _MOST_CANDIDATES),
    ).fetchall()


def _join(connection: sqlite3.Connection, image_id: int, other_id: int) -> None:
    """Makes one group of two images and of the groups that they are in."""
    rows = connection.execute(
        "SELECT group_id FROM kin WHERE image_id IN (?, ?)", (image_id, other_id)
    ).fetchall()
    groups = sorted({row["group_id"] for row in rows})
    group_id = groups[0] if groups else min(image_id, other_id)
    connection.executemany(
        "UPDATE kin SET group_id=? WHERE group_id=?", [(group_id, old) for old in groups[1:]]
    )
    connection.executemany(
        "INSERT OR IGNORE INTO kin VALUES (?, ?)", [(image_id, group_id), (other_id, group_id)]
    )


def _pair_any(connection: sqlite3.Connection, row: sqlite3.Row) -> bool:
    """Pairs a file that was found after its partner; whether it follows now."""
    if row["format"] in _RAW:
        return _pair(connection, row["id"], row["folder_id"], row["name"])
    if row["format"] in _DEVELOPED:
        for raw in _siblings(connection, row["folder_id"], row["name"], _RAW_ENDINGS):
            _pair(connection, raw["id"], row["folder_id"], raw["name"])
    return False


def _pair(connection: sqlite3.Connection, raw_id: int, folder_id: int, name: bytes) -> bool:
    """Lets a RAW follow the one developed file of its stem; with several, nobody can tell which."""
    developed = _siblings(connection, folder_id, name, _DEVELOPED_ENDINGS)
    if len(developed) != 1:
        return False
    connection.execute("DELETE FROM kin WHERE image_id=?", (raw_id,))
    connection.execute("UPDATE image SET lead_id=? WHERE id=?", (developed[0]["id"], raw_id))
    return True


def _siblings(
    connection: sqlite3.Connection, folder_id: int, name: bytes, endings: frozenset[bytes]
) -> Sequence[sqlite3.Row]:
    """Files of the same stem with one of some endings; the index on names finds them."""
    stem = os.path.splitext(name)[0]  # noqa: PTH122  # bytes
    rows = connection.execute(
        "SELECT id, name FROM image WHERE folder_id=? AND name > ? AND name < ?",
        (folder_id, stem + b".", stem + b"/"),  # a slash comes right behind a full stop
    ).fetchall()
    return [
        row
        for row in rows
        if os.path.splitext(row["name"])[0] == stem  # noqa: PTH122
        and os.path.splitext(row["name"])[1].lower() in endings  # noqa: PTH122
    ]
