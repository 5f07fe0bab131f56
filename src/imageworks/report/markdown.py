"""The Markdown summary: a header about the run, then a table per folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.files import whole_file
from imageworks.models import ImageState, MetadataTarget
from imageworks.text import escape_markdown, show_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from imageworks.stages import PersonalTaggerRecord, RunSummary

_TABLE_HEAD = "| image | caption | keywords | status |\n| --- | --- | --- | --- |\n"


def write_markdown_summary(
    path: Path, summary: RunSummary, records: Iterable[PersonalTaggerRecord]
) -> None:
    """Writes the summary, whole or not at all; text from models and names is escaped.

    Args:
        path: The file to write.
        summary: For the header.
        records: In any order; folders come in the order of their first image.

    Raises:
        StoreError: The file cannot be written.
    """
    folders: dict[Path, list[str]] = {}
    for record in records:
        folders.setdefault(record.image.parent, []).append(_row(record))
    with whole_file(path) as stream:
        stream.write(_header(summary))
        for folder, rows in folders.items():
            stream.write(f"\n## {_path_cell(folder)}\n\n{_count_of(rows)}\n\n{_TABLE_HEAD}")
            stream.writelines(rows)


def status_text(record: PersonalTaggerRecord) -> str:
    """What became of an image, in words: its state, where its metadata went, or why not."""
    state = record.state.value
    if record.is_metadata_written and record.metadata_target is not MetadataTarget.NONE:
        state = f"{state} ({record.metadata_target.value})"
    is_odd = record.state in {ImageState.FAILED, ImageState.SKIPPED}
    return f"{state}: {'; '.join(record.notes)}" if is_odd and record.notes else state


def counted(counts: Iterable[tuple[str, int]]) -> str:
    """Counts in one line, those of zero left out; ``none`` when all are."""
    return ", ".join(f"{count} {name}" for name, count in counts if count) or "none"


def moment_text(moment: datetime) -> str:
    """A moment for people, with its offset from UTC."""
    return moment.isoformat(sep=" ", timespec="seconds").replace("+00:00", " UTC")


def summary_rows(summary: RunSummary) -> list[tuple[str, str]]:
    """What the head of a report says of its run: label and plain text, nothing escaped."""
    ended = moment_text(summary.ended_at) if summary.ended_at else "not finished"
    engine = f" ({summary.engine_note})" if summary.engine_note else ""
    models = dict.fromkeys(summary.models.values())
    rows = [
        ("Run", summary.run_id),
        ("Started", moment_text(summary.started_at)),
        ("Ended", ended),
        ("Backend", f"{summary.backend}{engine} {summary.base_url}".strip()),
        ("Model", ", ".join(models) if len(models) == 1 else _by_stage(summary)),
        ("Prompt profile", summary.prompt_profile),
        ("Images", counted(summary.counts.items())),
        ("Failures", counted(summary.failures.items())),
        ("Throughput", f"{summary.images_per_s:.2f} images/s"),
    ]
    return [(label, text) for label, text in rows if text]


def _by_stage(summary: RunSummary) -> str:
    return ", ".join(f"{stage}: {model}" for stage, model in summary.models.items())


def _header(summary: RunSummary) -> str:
    lines = [f"| {label} | {escape_markdown(text)} |" for label, text in summary_rows(summary)]
    table = "\n".join(["| | |", "| --- | --- |", *lines])
    return f"# Personal Tagger summary\n\n{table}\n"


def _row(record: PersonalTaggerRecord) -> str:
    keywords = ", ".join(keyword.text for keyword in record.tags.keywords)
    cells = [
        _path_cell(Path(record.image.name)),
        escape_markdown(record.tags.caption),
        escape_markdown(keywords),
        escape_markdown(status_text(record)),
    ]
    return f"| {' | '.join(cells)} |\n"


def _count_of(rows: list[str]) -> str:
    return "1 image" if len(rows) == 1 else f"{len(rows)} images"


def _path_cell(path: Path) -> str:
    return escape_markdown(show_path(path))
