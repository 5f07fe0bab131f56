"""`ptag metrics`: the metrics history as a table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from imageworks.text import show_path

if TYPE_CHECKING:
    import argparse

    from imageworks.cli.app import Context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments but settings."""
    parser.description = "Past runs by model and profile: speed, tokens, failures."


def run(context: Context) -> int:
    """Prints the table."""
    from imageworks.report.metrics_history import MetricsHistory  # noqa: PLC0415  # only when needed
    from imageworks.report.table import comparison_table, runs_table  # noqa: PLC0415

    history = MetricsHistory(context.config.metrics_path).load()
    if not history:
        sys.stdout.write(f"No runs yet in {show_path(context.config.metrics_path)}.\n")
        return 0
    sys.stdout.write(f"{runs_table(history)}\n{comparison_table(history)}")
    return 0
