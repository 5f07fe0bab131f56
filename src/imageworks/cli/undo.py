"""`ptag undo`: puts back the exact earlier metadata of files that this program wrote."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.cli.flags import positive_number
from imageworks.cli.service import until_done
from imageworks.errors import ExitStatus, UsageError
from imageworks.text import show_path

if TYPE_CHECKING:
    import argparse

    from imageworks.cli.app import Context
    from imageworks.store.library import Library
    from imageworks.store.records import JournalEntry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which writes to undo, or to do again."""
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="PATH", help="photographs or folders"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--run", metavar="ID", help="all writes of a run; `last` is the latest")
    which.add_argument("--last", type=positive_number, metavar="N", help="the last N writes")
    parser.add_argument("--redo", action="store_true", help="write again what was undone")
    parser.add_argument("--list", action="store_true", help="only tell what could be undone")


def run(context: Context) -> int:
    """Undoes, redoes or lists; 1 when something could not be put back."""
    from imageworks.store.library import Library  # noqa: PLC0415  # only when needed

    library = Library(context.library_path)
    try:
        if context.options.redo:
            return _redo(library, context)
        entries = _chosen(library, context)
        if context.options.list:
            _list(entries)
            return int(ExitStatus.DONE)
        return _undo(library, context, entries)
    finally:
        library.close()


def _chosen(library: Library, context: Context) -> list[JournalEntry]:
    options = context.options
    folders = [Path.cwd() / folder for folder in options.folders]
    if options.run is not None:
        found = library.runs.find(options.run)
        if found is None:
            message = f"There is no run {options.run}."
            raise UsageError(message, hint="`ptag status` names the latest.")
        return library.journal.undoable(run_id=found.id, folders=folders)
    if options.last is None and not folders and not options.list:
        message = "Which writes to undo was not said."
        raise UsageError(message, hint="name photographs, --run ID or --last N; --list shows them.")
    return library.journal.undoable(folders=folders, last=options.last)


def _list(entries: list[JournalEntry]) -> None:
    for entry in entries:
        when = f"{entry.at:%Y-%m-%d %H:%M:%S}"
        sys.stdout.write(f"{when}  {entry.target:<12} {show_path(entry.path)}\n")
        if entry.undo_note:
            sys.stdout.write(f"{'':<21}{entry.undo_note}\n")
    sys.stdout.write(f"{len(entries)} writes can be undone.\n")


def _undo(library: Library, context: Context, entries: list[JournalEntry]) -> int:
    wanted = {entry.id for entry in entries} | library.journal.undos_due()
    library.journal.request_undo(entries)
    asyncio.run(until_done(library, context, lambda: library.journal.count_undos() == 0))
    failed = [entry for entry in library.journal.failed_undos() if entry.id in wanted]
    noted = [e for e in library.journal.undone() if e.id in wanted and e.undo_note]
    sys.stdout.write(f"{len(wanted) - len(failed)} undone, {len(failed)} failed.\n")
    for entry in (*noted, *failed):
        sys.stdout.write(f"  {show_path(entry.path)}: {entry.undo_note}\n")
    return int(ExitStatus.SOME_FAILED if failed else ExitStatus.DONE)


def _redo(library: Library, context: Context) -> int:
    folders = [Path.cwd() / folder for folder in context.options.folders]
    entries = [
        entry
        for entry in library.journal.undone(last=context.options.last)
        if not folders or any(entry.path.is_relative_to(folder) for folder in folders)
    ]
    for entry in entries:
        library.journal.redo(entry)
    asyncio.run(until_done(library, context, lambda: library.decisions.count_intended() == 0))
    failed = set(library.decisions.failed_writes()) & {entry.image_id for entry in entries}
    sys.stdout.write(f"{len(entries) - len(failed)} written again, {len(failed)} failed.\n")
    return int(ExitStatus.SOME_FAILED if failed else ExitStatus.DONE)
