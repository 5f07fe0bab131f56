"""`ptag backups`: the first originals that were kept, and what to do with them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.errors import ExitStatus, MetadataError, UsageError
from imageworks.text import one_line, show_path

if TYPE_CHECKING:
    import argparse

    from imageworks.cli.app import Context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to look, and what to do."""
    parser.description = (
        "Lists the first originals (NAME.EXT_original) that writes have kept, with their size."
        " `ptag undo` is the finer tool: it takes back metadata only."
    )
    parser.add_argument(
        "places", nargs="*", type=Path, metavar="PATH", help="folders or photographs; default: here"
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--restore", action="store_true", help="put the originals back")
    action.add_argument("--remove", action="store_true", help="remove these backups for good")


def run(context: Context) -> int:
    """Lists, restores or removes; 1 when one could not be handled."""
    from imageworks.metadata import backups  # noqa: PLC0415  # only when needed

    options = context.options
    if (options.restore or options.remove) and not options.places:
        message = "Which backups was not said."
        raise UsageError(message, hint="name folders or photographs.")
    places = [Path.cwd() / place for place in options.places] or [Path.cwd()]
    count = size_bytes = failed = 0
    for backup in backups.find_backups(places, context.paths.originals_dir):
        count += 1
        size_bytes += backup.size_bytes
        try:
            if options.restore:
                backups.restore_backup(backup)
            elif options.remove:
                backups.remove_backup(backup)
        except MetadataError as error:
            failed += 1
            sys.stdout.write(f"{one_line(str(error))}\n")
            continue
        note = (
            "  (same as the file)" if _is_idle(context) and backups.is_superfluous(backup) else ""
        )
        sys.stdout.write(f"{backup.size_bytes / 1e6:9.1f} MB  {show_path(backup.path)}{note}\n")
    done = "restored" if options.restore else "removed" if options.remove else "kept"
    sys.stdout.write(f"{count - failed} backups {done}, {size_bytes / 1e6:.1f} MB.\n")
    return int(ExitStatus.SOME_FAILED if failed else ExitStatus.DONE)


def _is_idle(context: Context) -> bool:
    return not (context.options.restore or context.options.remove)
