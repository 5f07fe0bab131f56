"""Finds images: a filter's criteria become SQL with parameters, and full-text phrases.

What a person typed is only ever a parameter, or a quoted string inside a full-text query
(sqlite.org, "SQLite FTS5 Extension", section 3.1), so that none of it is syntax.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from imageworks.models import ImageState
from imageworks.store.criteria import FilterKey, ImageQuery, SortOrder
from imageworks.store.id_load import IdLoad
from imageworks.store.images import below, in_states
from imageworks.store.schema import KEYWORD_MARK
from imageworks.store.spacing import spaced
from imageworks.text import fold

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from imageworks.store.criteria import Criterion
    from imageworks.store.library import Library

_SHORTEST_PREFIX = 3
_IN_FTS = "i.id IN (SELECT rowid FROM fts WHERE fts MATCH ?)"
_CONDITIONS = {
    FilterKey.FOLDER: "i.folder_id IN (SELECT id FROM folder WHERE instr(folded(path), ?))",
    FilterKey.NAME: "instr(folded(i.name), ?)",
    FilterKey.MODEL: "i.suggestion_id IN (SELECT x.id FROM suggestion x WHERE x.models IN"
    " (SELECT y.models FROM (SELECT DISTINCT models FROM suggestion) y, json_each(y.models) m"
    " WHERE instr(folded(m.value), ?)))",
    FilterKey.FAILED: "(i.state = 'failed' AND instr(folded(i.reason), ?))",
}
_FLAGS = {
    # What the file lacked when the suggestion was made: an accept would add it.
    "changed": "i.suggestion_id IN (SELECT id FROM suggestion WHERE new_keywords > 0)",
    "draft": "i.id IN (SELECT image_id FROM draft)",
}
_STATE_RANK = " ".join(f"WHEN '{state}' THEN {rank}" for rank, state in enumerate(ImageState))
_CONFIDENCE = "(SELECT confidence FROM suggestion WHERE id = i.suggestion_id)"
_ORDERS = {
    SortOrder.FOUND: "i.id",
    SortOrder.NAME: "CAST(i.name AS TEXT) COLLATE NOCASE, i.folder_id, i.id",
    SortOrder.NEWEST: "i.taken DESC NULLS LAST, i.id",
    SortOrder.OLDEST: "i.taken NULLS LAST, i.id",
    SortOrder.STATE: f"CASE i.state {_STATE_RANK} END, i.id",
    SortOrder.UNSURE: f"{_CONFIDENCE} NULLS LAST, i.id",
    SortOrder.SURE: f"{_CONFIDENCE} DESC NULLS LAST, i.id",
    SortOrder.DISAGREEMENT: "(SELECT disagreement FROM suggestion WHERE id = i.suggestion_id)"
    " DESC NULLS LAST, i.id",
}


class Search:
    """The library's images by what a person asks for. See `Library`."""

    def __init__(self, library: Library) -> None:
        self._library = library
        library.connection.create_function("folded", 1, _folded, deterministic=True)

    def ids(
        self,
        query: ImageQuery = ImageQuery(),  # noqa: B008  # frozen
        *,
        states: Iterable[ImageState] = (),
        folders: Sequence[Path] = (),
        order: SortOrder = SortOrder.FOUND,
    ) -> list[int]:
        """Ids of the images that meet all criteria, in some states, in or below some folders.

        A file that shares another one's card, as the RAW beside a JPEG does, is left out.

        Args:
            query: The criteria.
            states: Any of these; all when empty.
            folders: Folders or files; the whole library when empty.
            order: The order of the ids.
        """
        text, values = _statement(query, list(states), folders, order)
        rows = self._library.connection.execute(text, values)
        return [row[0] for row in rows]

    def load_ids(
        self,
        query: ImageQuery = ImageQuery(),  # noqa: B008  # frozen
        *,
        states: Iterable[ImageState] = (),
        folders: Sequence[Path] = (),
        order: SortOrder = SortOrder.FOUND,
    ) -> IdLoad:
        """The same as `ids`, in a thread."""
        text, values = _statement(query, list(states), folders, order)
        return IdLoad(self._library.path, text, values, _folded)

    def finish(self, load: IdLoad) -> array[int]:
        """What a load has found, waiting for it if need be.

        Raises:
            StoreError: The library could not be read.
        """
        with self._library.errors():
            return load.result()

    def ids_around(
        self, image_id: int, *, folders: Sequence[Path] = (), before: int, after: int
    ) -> list[int]:
        """Ids next to an image in the order of discovery, without asking for all of them."""
        where, values = _shown_in(folders)
        earlier = self._library.connection.execute(
            f"SELECT i.id FROM image i WHERE {where} AND i.id < ? ORDER BY i.id DESC LIMIT ?",  # noqa: S608  # fixed parts
            (*values, image_id, before),
        ).fetchall()
        later = self._library.connection.execute(
            f"SELECT i.id FROM image i WHERE {where} AND i.id >= ? ORDER BY i.id LIMIT ?",  # noqa: S608  # fixed parts
            (*values, image_id, after),
        )
        return [row[0] for row in reversed(earlier)] + [row[0] for row in later]


def _statement(
    query: ImageQuery, states: Sequence[ImageState], folders: Sequence[Path], order: SortOrder
) -> tuple[str, list[bytes | int | str]]:
    condition, values = _shown_in(folders)
    where = [condition]
    for wanted in (states, _wanted_states(query)):
        if wanted:
            clause, state_values = in_states(wanted)
            where.append(clause)
            values += state_values
    for criterion in query.criteria:
        if criterion.key is FilterKey.STATE and not criterion.is_negated:
            continue  # among the wanted states
        clause, value = _condition(criterion)
        where.append(f"({clause}) IS NOT TRUE" if criterion.is_negated else clause)
        values += value
    return (
        f"SELECT i.id FROM image i WHERE {' AND '.join(where)} ORDER BY {_ORDERS[order]}",  # noqa: S608  # fixed parts
        values,
    )


def _shown_in(folders: Sequence[Path]) -> tuple[str, list[bytes | int | str]]:
    """SQL for images that have a card of their own, in or below folders, or named themselves."""
    values: list[bytes | int | str] = []
    if not folders:
        return "i.lead_id IS NULL", values
    clause, folder_values = below(folders, with_files=False)
    values += folder_values
    named = []
    for path in folders:
        named.append("(f.path = ? AND x.name = ?)")
        values += [os.fsencode(path.parent), os.fsencode(path.name)]
    return (
        f"i.lead_id IS NULL AND (+i.folder_id IN (SELECT f.id FROM folder f WHERE {clause})"  # noqa: S608  # fixed parts
        " OR +i.id IN (SELECT x.id FROM image x JOIN folder f ON f.id = x.folder_id"
        f" WHERE {' OR '.join(named)}))"
    ), values


def _wanted_states(query: ImageQuery) -> list[str]:
    return [
        criterion.value
        for criterion in query.criteria
        if criterion.key is FilterKey.STATE and not criterion.is_negated
    ]


def _condition(criterion: Criterion) -> tuple[str, list[str]]:
    match criterion.key:
        case FilterKey.TEXT:
            return _IN_FTS, [_text_match(criterion)]
        case FilterKey.CAPTION:
            return _IN_FTS, [f"caption : {_quoted(criterion.value)}"]
        case FilterKey.KEYWORD:
            return _IN_FTS, [f"keywords : {_keyword_match(criterion.value)}"]
        case FilterKey.STATE:
            return "i.state = ?", [criterion.value]
        case FilterKey.IS:
            return _FLAGS[criterion.value], []
        case _:
            return _CONDITIONS[criterion.key], [fold(criterion.value)]


def _text_match(criterion: Criterion) -> str:
    may_go_on = not criterion.is_phrase and len(criterion.value) >= _SHORTEST_PREFIX
    return f"{_quoted(criterion.value)}{' *' if may_go_on else ''}"


def _keyword_match(value: str) -> str:
    """A whole keyword stands between two marks; with ``*`` at its end only its start does."""
    if value.endswith("*"):
        return f"{_quoted(f'{KEYWORD_MARK} {value}')} *"
    return _quoted(f"{KEYWORD_MARK} {value} {KEYWORD_MARK}")


def _quoted(text: str) -> str:
    # A query ends at a NUL for SQLite, and an open quote would be an error.
    return '"' + spaced(text).replace("\0", " ").replace('"', '""') + '"'


def _folded(value: bytes | str | None) -> str:
    """A name or word as it is compared; what is not UTF-8 in a name matches nothing."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else os.fsencode(value).decode("utf-8", "replace")
    return text.lower() if text.isascii() and text.isprintable() else fold(text)
