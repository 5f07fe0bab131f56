"""`ptag status`: what waits, what runs, what failed, in one screen."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from imageworks.cli.progress import progress_line
from imageworks.models import ImageState
from imageworks.text import one_line, show_path

if TYPE_CHECKING:
    import argparse

    from imageworks.cli.app import Context
    from imageworks.engine.client import EngineView
    from imageworks.store.library import Library

_LISTED_FAILURES = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that are no settings."""
    parser.add_argument("--json", action="store_true", help="one JSON object instead")


def run(context: Context) -> int:
    """Prints how the library stands."""
    from imageworks.engine.client import EngineClient  # noqa: PLC0415  # only when needed
    from imageworks.store.library import Library  # noqa: PLC0415

    if not context.library_path.exists():
        _print_empty(context)
        return 0
    library = Library(context.library_path)
    try:
        client = EngineClient(library, context.config, context.paths.log_dir / "engine.log")
        view = client.view()
        if context.options.json:
            sys.stdout.write(json.dumps(_as_json(library, view)) + "\n")
        else:
            _print(library, view)
    finally:
        library.close()
    return 0


def _print_empty(context: Context) -> None:
    if context.options.json:
        sys.stdout.write(json.dumps({"library": str(context.library_path), "images": {}}) + "\n")
        return
    sys.stdout.write(
        f"No library yet at {show_path(context.library_path)}.\nStart with: ptag FOLDER\n"
    )


def _as_json(library: Library, view: EngineView) -> dict[str, Any]:
    batch = view.batch
    return {
        "library": str(library.path),
        "images": {str(state): count for state, count in library.images.counts().items()},
        "failures": library.images.failures(),
        "waiting": view.waiting,
        "unwritten": view.unwritten,
        "engine": {
            "is_alive": view.is_alive,
            "activity": view.activity,
            "pid": view.pid,
            "host": view.host,
            "paused_since": None if view.pause is None else view.pause.since.isoformat(),
        },
        "batch": None
        if batch is None
        else {"run_id": batch.name, "status": batch.status, "totals": dict(batch.totals)},
    }


def _engine_text(view: EngineView) -> str:
    paused = "" if view.pause is None else view.pause.text()
    if not view.is_alive:
        return " · ".join(part for part in ("not running", paused) if part)
    parts = [one_line(view.activity, limit=200), f"process {view.pid} on {one_line(view.host)}"]
    if paused and paused not in view.activity:
        parts.append(paused)
    return " · ".join(parts)


def _print(library: Library, view: EngineView) -> None:
    write = sys.stdout.write
    counts = library.images.counts()
    write(f"Library  {show_path(library.path)}\n")
    write(f"Images   {sum(counts.values())}\n")
    for state in ImageState:
        if counts.get(state):
            write(f"  {state:<11} {counts[state]}\n")
    write(f"To write {view.unwritten}\n")
    write(f"Engine   {_engine_text(view)}\n")
    if view.batch is not None:
        write(f"Batch    {view.batch.name} {view.batch.status}  {progress_line(view.totals)}\n")
        if view.batch.message:
            write(f"         {view.batch.message}\n")
    failures = library.images.failures()
    for reason, count in failures.items():
        write(f"Failed   {count} {reason}\n")
    failed_ids = library.images.ids(states=[ImageState.FAILED])[:_LISTED_FAILURES]
    for row in library.images.rows(failed_ids):
        write(f"  {show_path(row.path)}: {row.trouble}\n")
    if counts.get(ImageState.SUGGESTED):
        write("Review with: ptag\n")
