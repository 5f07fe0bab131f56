"""`ptag report`: writes a run's reports again from the library."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from imageworks.errors import UsageError
from imageworks.text import show_path

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from imageworks.cli.app import Context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that are no settings."""
    parser.add_argument("--run", metavar="ID", default="last", help="which run; default: the last")


def run(context: Context) -> int:
    """Writes JSONL, Markdown summary and contact sheet of one run."""
    from imageworks.engine import reporting  # noqa: PLC0415  # only when needed
    from imageworks.engine.morning import morning_after  # noqa: PLC0415
    from imageworks.engine.morning_text import morning_lines  # noqa: PLC0415
    from imageworks.engine.told import note_seen  # noqa: PLC0415
    from imageworks.store.library import Library  # noqa: PLC0415

    library = Library(context.library_path)
    try:
        found = library.runs.find(context.options.run)
        if found is None:
            message = f"There is no run {context.options.run}."
            raise UsageError(message, hint="`ptag status` names the latest.")
        config = context.config
        jsonl = _jsonl_path(context, found.name)
        reporting.write_jsonl(library, found.id, jsonl)
        summary = reporting.summarise(library, found.id)
        reporting.write_reports(library, found.id, summary, config.summary_path)
        note_seen(library, found)
        sys.stdout.writelines(f"{line}\n" for line in morning_lines(morning_after(library, found)))
    finally:
        library.close()
    sheet = config.summary_path.with_suffix(".html")
    for path in (jsonl, config.summary_path, sheet):
        sys.stdout.write(f"{show_path(path)}\n")
    return 0


def _jsonl_path(context: Context, run_name: str) -> Path:
    """The file named on the command line, else one of its own beside that of the runs."""
    usual = context.config.output_jsonl
    if context.settings.source_of("output_jsonl").startswith("flag"):
        return usual
    return usual.with_name(f"{usual.stem}-{run_name}{usual.suffix}")
