"""Times of day, as people give them on the command line."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_CLOCK = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


def next_local_time(text: str, now: datetime) -> datetime:
    """The next moment at which a clock in the zone of ``now`` shows this time of day.

    A time that the switch to summer time leaves out comes an hour later; one that the switch back
    repeats comes at its first showing that is still ahead.

    Args:
        text: ``HH:MM``, 00:00 to 23:59.
        now: With its zone, or without one for this machine's.

    Raises:
        ValueError: The text is no time of day.
    """
    match = _CLOCK.fullmatch(text)
    if match is None:
        message = f"{text!r} is no time of day such as 07:00."
        raise ValueError(message)
    for days in range(3):
        day = now + timedelta(days=days)
        for fold in (0, 1):
            moment = day.replace(
                hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0, fold=fold
            )
            if moment.timestamp() > now.timestamp():
                return moment
    raise AssertionError(text)


def local_now() -> datetime:
    """Now, as this machine's clock shows it; a time without a zone is local."""
    return datetime.now()  # noqa: DTZ005  # its zone is the machine's, with its summer time
