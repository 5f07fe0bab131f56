"""What people tell the engine of a library, kept in the library so that it outlives every process.

A pause is a state, not a message: an engine that starts while it stands does not ask either.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from imageworks.store.records import moment

if TYPE_CHECKING:
    from imageworks.store.library import Library

STOP = "stop"
"""Kind of a wish: a batch, by its run's name, ends after what is under way."""

STOP_NOW = "stop-now"
"""Kind of a wish: a batch ends at once; what is under way is dropped and may be asked again."""

SCAN = "scan"
"""Kind of a wish: look for files, by a config in JSON."""

_PAUSE = "engine.pause"


@dataclass(frozen=True, slots=True)
class Pause:
    """A person has told the engine to ask nothing until told otherwise."""

    since: datetime

    def text(self) -> str:
        """In words, in local time."""
        return f"paused since {self.since.astimezone():%d %b %H:%M}"


def pause(library: Library) -> None:
    """Has the engine ask nothing more; what is under way is finished, accepted files are written.

    A second pause keeps the time of the first.
    """
    if current_pause(library) is None:
        library.session.remember(_PAUSE, json.dumps({"since_ms": library.now_ms()}))


def resume(library: Library) -> bool:
    """Lets the engine ask again; False when it was not paused."""
    if current_pause(library) is None:
        return False
    library.session.remember(_PAUSE, "")
    return True


def current_pause(library: Library) -> Pause | None:
    """The pause that stands, or None."""
    value = library.session.recall(_PAUSE)
    return Pause(moment(int(json.loads(value)["since_ms"]))) if value else None
