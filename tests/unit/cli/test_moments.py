"""Times of day on the command line."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.cli.moments import local_now, next_local_time

BERLIN = ZoneInfo("Europe/Berlin")
FIRST = datetime.fromisoformat("2020-01-01T00:00:00")
LAST = datetime.fromisoformat("2030-01-01T00:00:00")


@pytest.mark.parametrize(
    ("now", "text", "expected"),
    [
        ("2026-06-01T22:00:00+02:00", "07:00", "2026-06-02T07:00:00+02:00"),
        ("2026-06-01T06:59:59+02:00", "7:00", "2026-06-01T07:00:00+02:00"),
        ("2026-06-01T07:00:00+02:00", "07:00", "2026-06-02T07:00:00+02:00"),
        # The night that is an hour short, and the one that is an hour long.
        ("2026-03-28T23:00:00+01:00", "07:00", "2026-03-29T07:00:00+02:00"),
        ("2026-03-28T23:00:00+01:00", "02:30", "2026-03-29T03:30:00+02:00"),
        ("2026-10-25T01:00:00+02:00", "02:30", "2026-10-25T02:30:00+02:00"),
        ("2026-10-25T02:40:00+02:00", "02:30", "2026-10-25T02:30:00+01:00"),
    ],
)
def test_the_next_time_of_day_knows_summer_time(now, text, expected):
    moment = datetime.fromisoformat(now).astimezone(BERLIN)

    assert next_local_time(text, moment).timestamp() == datetime.fromisoformat(expected).timestamp()


@given(
    now=st.datetimes(FIRST, LAST, timezones=st.just(BERLIN)),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
)
def test_it_is_ahead_and_within_a_day_and_an_hour(now, hour, minute):
    moment = next_local_time(f"{hour:02}:{minute:02}", now)

    assert 0 < moment.timestamp() - now.timestamp() <= timedelta(hours=26).total_seconds()


@pytest.mark.parametrize("text", ["", "7", "24:00", "07:60", "seven", "07:00:00", "-1:00"])
def test_what_is_no_time_of_day_is_refused(text):
    with pytest.raises(ValueError, match="no time of day"):
        next_local_time(text, local_now())
