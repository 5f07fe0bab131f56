"""A run's outputs: the JSONL as images end; summary, contact sheet and metrics at its end."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.asking import measure
from imageworks.files import whole_file
from imageworks.model_loader.metrics import BatchRunMetrics
from imageworks.report.contact_sheet import write_contact_sheet
from imageworks.report.jsonl import JsonlWriter, json_line
from imageworks.report.markdown import write_markdown_summary
from imageworks.report.metrics_history import MetricsHistory
from imageworks.stages import PersonalTaggerRecord, RunSummary

if TYPE_CHECKING:
    from pathlib import Path

    from imageworks.infer.engine import BaseInferenceEngine
    from imageworks.store.library import Library
    from imageworks.store.records import RunRow

logger = logging.getLogger(__name__)

_WITHOUT_ADDRESS = frozenset({"builtin", "embedded", "auto"})
"""Backends whose server and model the settings do not tell."""

_LINES_AT_ONCE = 200


class RunReporter:
    """Writes one run's outputs from the library; an image's line is written once.

    Args:
        config: Names the output files.

    Raises:
        StoreError: An output cannot be written.
    """

    def __init__(self, library: Library, run: RunRow, config: PersonalTaggerConfig) -> None:
        self._library = library
        self._run = run
        self._config = config
        self._jsonl = JsonlWriter(config.output_jsonl)
        self._already_there = self._jsonl.finished_keys()

    def flush(self) -> list[PersonalTaggerRecord]:
        """Appends the lines of images that have ended since, and returns their records."""
        flushed: list[PersonalTaggerRecord] = []
        while batch := self._library.outcomes.unreported(self._run.id, _LINES_AT_ONCE):
            for _, record in batch:
                # A kill may have come between the line and its mark in the library.
                if (record.run_id, str(record.image)) not in self._already_there:
                    self._jsonl.append(record)
            self._already_there = set()
            self._library.outcomes.mark_reported(self._run.id, [image_id for image_id, _ in batch])
            flushed += [record for _, record in batch]
        return flushed

    def finish(self, engine: BaseInferenceEngine, *, concurrency: int) -> RunSummary:
        """Writes summary, contact sheet and metrics; the run's figures."""
        self.flush()
        self._jsonl.close()
        summary = replace(
            summarise(self._library, self._run.id),
            models=engine.models(),
            engine_note=engine.describe(),
        )
        write_reports(self._library, self._run.id, summary, self._config.summary_path)
        history = MetricsHistory(self._config.metrics_path)
        history.append(run_metrics(self._library, self._run.id, summary, concurrency=concurrency))
        return summary

    def close(self) -> None:
        """Closes the JSONL without the closing reports."""
        self._jsonl.close()


def write_reports(library: Library, run_id: int, summary: RunSummary, summary_path: Path) -> None:
    """Writes the Markdown summary and, beside it, the HTML contact sheet."""
    write_markdown_summary(summary_path, summary, library.outcomes.records(run_id))
    sheet = summary_path.with_suffix(".html")
    write_contact_sheet(sheet, summary, library.outcomes.records(run_id))


def write_jsonl(library: Library, run_id: int, path: Path) -> None:
    """Writes all lines of one run, whole or not at all."""
    with whole_file(path) as stream:
        for record in library.outcomes.records(run_id):
            stream.write(json_line(record).decode())


def summarise(library: Library, run_id: int) -> RunSummary:
    """A run's head figures from the library."""
    run = library.runs.get(run_id)
    config = PersonalTaggerConfig.from_json(run.config)
    counts = library.outcomes.counts(run_id)
    done = sum(counts.values())
    is_ended = run.status == "finished"
    return RunSummary(
        run_id=run.name,
        started_at=run.started_at or run.created_at,
        ended_at=run.ended_at if is_ended else None,
        backend=config.backend,
        base_url="" if config.backend in _WITHOUT_ADDRESS else config.base_url[0],
        models=library.runs.models(run_id) or _configured_models(config),
        prompt_profile=config.prompt_profile,
        counts=counts,
        failures=library.outcomes.failures(run_id),
        images_per_s=done / run.worked_s if run.worked_s > 0 else 0.0,
    )


def _configured_models(config: PersonalTaggerConfig) -> dict[str, str]:
    return {} if config.backend in _WITHOUT_ADDRESS else config.models()


def collect_metrics(library: Library, run_id: int) -> BatchRunMetrics:
    """A run's measurements, from what the library kept of each image."""
    metrics = BatchRunMetrics()
    for timing, retries in library.runs.measurements(run_id):
        measure(metrics, timing)
        metrics.add_retries(retries)
    prompt_tokens, completion_tokens = library.runs.tokens(run_id)
    metrics.add_tokens(prompt=prompt_tokens, completion=completion_tokens)
    for reason, count in library.outcomes.failures(run_id).items():
        for _ in range(count):
            metrics.add_failure(reason)
    return metrics


def run_metrics(
    library: Library, run_id: int, summary: RunSummary, *, concurrency: int
) -> dict[str, Any]:
    """A run as the metrics history keeps it."""
    run = library.runs.get(run_id)
    metrics = collect_metrics(library, run_id)
    metrics.add_concurrency(concurrency)
    metrics.images = sum(summary.counts.values())
    return {
        "run_id": summary.run_id,
        "started_at": summary.started_at.isoformat(),
        "ended_at": None if run.ended_at is None else run.ended_at.isoformat(),
        "backend": summary.backend,
        "base_url": summary.base_url,
        "models": dict(summary.models),
        "prompt_profile": summary.prompt_profile,
        "counts": dict(summary.counts),
        **metrics.summary(working_s=run.worked_s),
    }
