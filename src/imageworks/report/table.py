"""The metrics history as plain text: every run, and models and profiles side by side."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from imageworks.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_NOTHING = "–"  # noqa: RUF001  # the sign for "no figure"
_MAX_CELL_COLUMNS = 40


def runs_table(runs: Iterable[Mapping[str, Any]]) -> str:
    """One line per run in the order given; a figure that a run lacks is a dash."""
    head = (
        *("started", "model", "profile", "images", "failed", "img/s", "tok/s"),
        *("ttft p50", "stall max", "image p50", "image p95", "conc.", "retries", "accepted"),
    )
    rows = [
        (
            _text(run, "started_at")[:16].replace("T", " ") or _NOTHING,
            model_of(run),
            _text(run, "prompt_profile") or _NOTHING,
            _figure(_number(run, "images"), "{:.0f}"),
            _figure(_failed(run), "{:.0f}"),
            _figure(_number(run, "images_per_s"), "{:.2f}"),
            _figure(_number(run, "tokens_per_s"), "{:.1f}"),
            _seconds(_number(run, "ttft", "p50")),
            _seconds(_measured(run, "stall", "max")),
            _seconds(_image_s(run, "p50")),
            _seconds(_image_s(run, "p95")),
            _figure(_number(run, "concurrency", "max"), "{:.0f}"),
            _figure(_number(run, "retries"), "{:.0f}"),
            _share(_number(run, "review", "acceptance_ratio")),
        )
        for run in runs
    ]
    return _table(head, rows, text_columns=3)


def comparison_table(runs: Iterable[Mapping[str, Any]]) -> str:
    """One line per model and profile: averages over their runs, weighted by images."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for run in runs:
        key = (model_of(run), _text(run, "prompt_profile") or _NOTHING)
        groups.setdefault(key, []).append(run)
    head = (
        *("model", "profile", "runs", "images", "failed", "img/s", "tok/s", "image p50"),
        *("accepted", "edits", "kw kept", "kw removed", "kw added"),
    )
    rows = [
        (
            *key,
            str(len(group)),
            _figure(_total(group, lambda run: _number(run, "images")), "{:.0f}"),
            _figure(_total(group, _failed), "{:.0f}"),
            _figure(_weighted(group, lambda run: _number(run, "images_per_s")), "{:.2f}"),
            _figure(_weighted(group, lambda run: _number(run, "tokens_per_s")), "{:.1f}"),
            _seconds(_weighted(group, lambda run: _image_s(run, "p50"))),
            _share(_weighted(group, lambda run: _number(run, "review", "acceptance_ratio"))),
            _figure(
                _weighted(group, lambda run: _number(run, "review", "edit_distance")), "{:.1f}"
            ),
            *(_reviewed(group, what) for what in ("kept", "removed", "added")),
        )
        for key, group in groups.items()
    ]
    return _table(head, rows, text_columns=2)


def model_of(run: Mapping[str, Any]) -> str:
    """The model of a run, or those of its stages where they differ; a dash when it names none."""
    models = run.get("models")
    names = models.values() if isinstance(models, dict) else [run.get("model")]
    distinct = dict.fromkeys(one_line(name) for name in names if isinstance(name, str) and name)
    return " + ".join(distinct) or _NOTHING


def _text(run: Mapping[str, Any], key: str) -> str:
    value = run.get(key)
    return one_line(value) if isinstance(value, str) else ""


def _number(run: Mapping[str, Any], *keys: str) -> float | None:
    value: Any = run
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number else None


def _measured(run: Mapping[str, Any], series: str, figure: str) -> float | None:
    """A figure of a series that may be empty: nothing was streamed in that run."""
    return _number(run, series, figure) if _number(run, series, "count") else None


def _failed(run: Mapping[str, Any]) -> float | None:
    failures = run.get("failures")
    if not isinstance(failures, dict):
        return None
    return float(sum(count for count in failures.values() if isinstance(count, int)))


def _image_s(run: Mapping[str, Any], figure: str) -> float | None:
    """Seconds of model time for one image: phase ``infer`` if the run has it, else its stages'."""
    stages = run.get("stages")
    if not isinstance(stages, dict):
        return None
    whole = _number(stages, "infer", figure)
    if whole is not None:
        return whole
    wanted = {"caption", "keywords", "description", "verify"}
    asked = [name for name in stages if wanted & {*name.split("+")}]
    parts = [part for name in asked if (part := _number(stages, name, figure)) is not None]
    return sum(parts) if parts else None


def _total(
    group: Sequence[Mapping[str, Any]], figure: Callable[[Mapping[str, Any]], float | None]
) -> float | None:
    found = [value for run in group if (value := figure(run)) is not None]
    return sum(found) if found else None


def _reviewed(group: Sequence[Mapping[str, Any]], what: str) -> str:
    return _figure(_total(group, lambda run: _number(run, "review", f"keywords_{what}")), "{:.0f}")


def _weighted(
    group: Sequence[Mapping[str, Any]], figure: Callable[[Mapping[str, Any]], float | None]
) -> float | None:
    pairs = [
        (value, max(_number(run, "images") or 0.0, 1.0))
        for run in group
        if (value := figure(run)) is not None
    ]
    weight = sum(images for _, images in pairs)
    return sum(value * images for value, images in pairs) / weight if pairs else None


def _figure(value: float | None, pattern: str) -> str:
    return _NOTHING if value is None else pattern.format(value)


def _seconds(value: float | None) -> str:
    return _figure(value, "{:.2f} s")


def _share(ratio: float | None) -> str:
    return _NOTHING if ratio is None else f"{ratio * 100:.0f} %"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, text_columns: int) -> str:
    """Columns in line; the first ones to the left, figures to the right."""
    if not rows:
        return "No runs yet."
    shown = [[_fitted(cell) for cell in row] for row in [head, *rows]]
    widths = [max(map(_columns, column)) for column in zip(*shown, strict=True)]
    lines = [
        "  ".join(
            _padded(cell, width, is_text=place < text_columns)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in shown
    ]
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join(lines)


def _padded(cell: str, width: int, *, is_text: bool) -> str:
    filler = " " * (width - _columns(cell))
    return cell + filler if is_text else filler + cell


def _fitted(cell: str) -> str:
    if _columns(cell) <= _MAX_CELL_COLUMNS:
        return cell
    while _columns(cell) > _MAX_CELL_COLUMNS - 1:
        cell = cell[:-1]
    return cell + "…"


def _columns(text: str) -> int:
    """Terminal columns: wide characters take two, combining ones none (Unicode TR 11)."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
