"""`ptag review`: opens the workstation."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.errors import UsageError
from imageworks.logs import log_level, log_to_file

if TYPE_CHECKING:
    import argparse

    from imageworks.cli.app import Context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that are no settings."""
    parser.add_argument(
        "folders",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="folders or files to review; none: where the last session stopped",
    )


def run(context: Context) -> int:
    """Opens the review screen and returns its exit status."""
    refuse_without_terminal()
    from imageworks.config.user_file import UserSettingsFile  # noqa: PLC0415  # after the refusal
    from imageworks.discover.inputs import check_inputs  # noqa: PLC0415
    from imageworks.engine.client import EngineClient  # noqa: PLC0415
    from imageworks.store.library import Library  # noqa: PLC0415
    from imageworks.tui.app import run_review  # noqa: PLC0415  # Textual takes its time

    named = [Path.cwd() / folder for folder in context.options.folders]
    folders = check_inputs(named or context.config.input_paths)
    log_path = context.paths.log_dir / "screen.log"
    log_to_file(log_path, log_level(os.environ))
    library = Library(context.library_path)
    try:
        client = EngineClient(library, context.config, context.paths.log_dir / "engine.log")
        return run_review(
            library,
            context.config,
            client,
            folders,
            log_path=log_path,
            themes_dir=context.paths.themes_dir,
            vocabulary_path=context.paths.vocabulary,
            settings=(UserSettingsFile(context.paths.user_config), context.reload),
        )
    finally:
        library.close()


def refuse_without_terminal() -> None:
    """Raises a UsageError where a screen cannot be drawn."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        message = "The review workstation needs a terminal; input or output is a pipe or a file."
        raise UsageError(message, hint="use ptag run --input FOLDER, or ptag status.")
    if os.environ.get("TERM", "") in {"", "dumb"}:
        message = "This terminal cannot draw a screen (TERM is dumb or not set)."
        raise UsageError(message, hint="use ptag run --input FOLDER, or set TERM.")
