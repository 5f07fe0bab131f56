"""The morning after in words: the same lines on the screen and from `ptag report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imageworks.text import one_line, show_path

if TYPE_CHECKING:
    from imageworks.engine.morning import MorningAfter


def morning_lines(morning: MorningAfter) -> list[str]:
    """Lines of plain text, harmless to a terminal."""
    run = morning.run
    lines = [f"Batch {one_line(run.name)}: {run.status}{_span(morning)}"]
    if run.message:
        lines.append(f"  {one_line(run.message, limit=300)}")
    lines += [f"Done     {_done(morning)}"]
    if morning.left:
        lines.append(f"Left     {morning.left:,} images; the next batch goes on with them")
    lines += [
        f"Failed   {count:,} {one_line(reason, limit=60)}"
        for reason, count in morning.failures.items()
    ]
    lines += [
        f"  {show_path(row.path)}: {one_line(row.trouble, limit=200)}" for row in morning.failed
    ]
    if morning.failures:
        lines.append("Try them again with: ptag run --retry-failed [KIND]")
    lines.append(f"Review   {_review(morning)}")
    if morning.unwritten:
        lines.append(f"To write {morning.unwritten:,}")
    return lines


def span_text(seconds: float) -> str:
    """A span of time in the two largest units that matter: ``3 h 20 min``."""
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest_s} s" if minutes else f"{rest_s} s"


def _span(morning: MorningAfter) -> str:
    run = morning.run
    if run.started_at is None or run.ended_at is None:
        return ""
    began, ended = run.started_at.astimezone(), run.ended_at.astimezone()
    return f", {began:%d %b %H:%M} to {ended:%d %b %H:%M} ({span_text(run.worked_s)} of work)"


def _done(morning: MorningAfter) -> str:
    parts = [f"{count:,} {state}" for state, count in sorted(morning.counts.items())]
    return ", ".join(parts) or "no images"


def _review(morning: MorningAfter) -> str:
    if not morning.waiting:
        return "nothing waits for you"
    waits = f"{morning.waiting:,} wait for you"
    if morning.review_s is None or morning.pace_s is None:
        return f"{waits}; no pace yet"
    return f"{waits}; about {span_text(morning.review_s)} at {morning.pace_s:.1f} s each"
