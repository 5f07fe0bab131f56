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
    from collections.abc import Mapping, Sequence

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

    def lead(self, image_id: int) -> int | None:
        """The file whose card a RAW shares; None for one with a card of its own."""
        row = self._library.connection.execute(
            "SELECT lead_id FROM image WHERE id=?", (image_id,)
        ).fetchone()
        return None if row is None else row[0]

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
            connection.executemany(
                "INSERT OR IGNORE INTO hash_band VALUES (?,?,?)",
                [(row["folder_id"], band, image_id) for band in _bands(int(row["hash"], 16))],
            )
            alike = _alike(connection, row)
            if alike:
                _join(connection, image_id, alike)

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


def _alike(connection: sqlite3.Connection, row: sqlite3.Row) -> dict[int, int | None]:
    """The pictures like one, each with the group that it is in."""
    value = int(row["hash"], 16)
    alike: dict[int, int | None] = {}
    for candidates, most_bits in (
        (_burst_candidates(connection, row), BURST_BITS),
        (_band_candidates(connection, row, value), NEAR_BITS),
    ):
        # In a folder of copies, hundreds of candidates have one and the same hash.
        is_near: dict[str, bool] = {}
        for other_id, text, group_id in candidates:
            if text not in is_near:
                other = int(text, 16)
                is_near[text] = _is_telling(other) and (other ^ value).bit_count() <= most_bits
            if is_near[text]:
                alike[other_id] = group_id
    return alike


def _burst_candidates(connection: sqlite3.Connection, row: sqlite3.Row) -> list[sqlite3.Row]:
    if row["taken"] is None:
        return []
    span_ms = BURST_S * 1000
    return connection.execute(
        "SELECT i.id, i.perceptual_hash, k.group_id FROM image i"
        " LEFT JOIN kin k ON k.image_id = i.id WHERE i.taken BETWEEN ? AND ? AND i.id <> ?"
        " AND i.perceptual_hash IS NOT NULL AND i.lead_id IS NULL LIMIT ?",
        (row["taken"] - span_ms, row["taken"] + span_ms, row["id"], _MOST_CANDIDATES),
    ).fetchall()


def _band_candidates(
    connection: sqlite3.Connection, row: sqlite3.Row, value: int
) -> list[sqlite3.Row]:
    """The newest of each band: no more are looked at, however many a folder has."""
    bands = _bands(value)
    newest = (
        "SELECT image_id FROM (SELECT image_id FROM hash_band WHERE folder_id=? AND band=?"
        " AND image_id <> ? ORDER BY image_id DESC LIMIT ?)"
    )
    return connection.execute(
        "SELECT i.id, i.perceptual_hash, k.group_id"  # noqa: S608  # fixed parts
        f" FROM ({' UNION '.join([newest] * len(bands))}) b JOIN image i ON i.id = b.image_id"
        " LEFT JOIN kin k ON k.image_id = i.id"
        " WHERE i.perceptual_hash IS NOT NULL AND i.lead_id IS NULL",
        [x for band in bands for x in (row["folder_id"], band, row["id"], _MOST_CANDIDATES)],
    ).fetchall()


def _join(connection: sqlite3.Connection, image_id: int, others: Mapping[int, int | None]) -> None:
    """Makes one group of an image, of others that are like it, and of the groups they are in."""
    groups = sorted({group_id for group_id in others.values() if group_id is not None})
    group_id = groups[0] if groups else min(image_id, *others)
    connection.executemany(
        "UPDATE kin SET group_id=? WHERE group_id=?", [(group_id, old) for old in groups[1:]]
    )
    new = [image_id, *(other for other, group in others.items() if group is None)]
    connection.executemany(
        "INSERT OR IGNORE INTO kin VALUES (?, ?)", [(member, group_id) for member in new]
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
