"""Whether a person has been told how a batch ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imageworks.store.library import Library
    from imageworks.store.records import RunRow

_SEEN = "summary.seen"


def unseen_batch(library: Library) -> RunRow | None:
    """The latest batch when it has ended with something done, and nobody has been told of it."""
    run = library.runs.current_batch()
    if run is None or run.ended_at is None or run.status in {"pending", "running"}:
        return None
    if not run.totals.get("done"):
        return None
    return None if library.session.recall(_SEEN) == _mark(run) else run


def note_seen(library: Library, run: RunRow) -> None:
    """Takes note that a person has been told how a batch ended."""
    if run.ended_at is not None and library.session.recall(_SEEN) != _mark(run):
        library.session.remember(_SEEN, _mark(run))


def _mark(run: RunRow) -> str:
    """One end of one run: a batch that goes on ends again."""
    return f"{run.name} {run.ended_at}"
