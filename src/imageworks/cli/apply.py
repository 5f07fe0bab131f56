"""`ptag apply`: writes what was accepted and is not yet on disk."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from imageworks.cli.service import until_done
from imageworks.errors import ExitStatus
from imageworks.text import show_path

if TYPE_CHECKING:
    import argparse

    from imageworks.cli.app import Context
    from imageworks.store.library import Library


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments but settings."""
    parser.description = (
        "Writes accepted metadata that is not yet on disk, and tries those again that failed."
    )


def run(context: Context) -> int:
    """Writes all that is accepted; 1 when some could not be written."""
    from imageworks.store.library import Library  # noqa: PLC0415  # only when needed

    library = Library(context.library_path)
    try:
        return asyncio.run(_apply(library, context))
    finally:
        library.close()


async def _apply(library: Library, context: Context) -> int:
    retried = library.decisions.failed_writes()
    if retried:
        session = library.runs.create("review", context.config.to_json(), status="finished")
        for image_id in retried:
            library.decisions.retry(image_id, session.id)
    library.decisions.hasten_writes()
    waiting = library.decisions.intended()
    await until_done(library, context, lambda: library.decisions.count_intended() == 0)
    return _report(library, waiting)


def _report(library: Library, waiting: list[int]) -> int:
    failed = library.images.rows(library.decisions.failed_writes())
    states = [library.decisions.made(decision_id).write_state for decision_id in waiting]
    sys.stdout.write(f"{states.count('written')} written, {len(failed)} failed.\n")
    for row in failed:
        sys.stdout.write(f"  {show_path(row.path)}: {row.trouble}\n")
    return int(ExitStatus.SOME_FAILED if failed else ExitStatus.DONE)
