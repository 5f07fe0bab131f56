"""`ptag pause`, `ptag resume` and `ptag stop`: what a person tells the engine from any terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from imageworks.errors import UsageError
from imageworks.text import show_path

if TYPE_CHECKING:
    import argparse

    from imageworks.cli.app import Context
    from imageworks.engine.client import EngineClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that are no settings."""
    if parser.prog.endswith(" stop"):
        parser.add_argument(
            "--now", action="store_true", help="drop what is under way; it can be asked again"
        )


def run(context: Context) -> int:
    """Does what the command's name says.

    Raises:
        UsageError: There is no library yet.
    """
    from imageworks.engine.client import EngineClient  # noqa: PLC0415  # only when needed
    from imageworks.store.library import Library  # noqa: PLC0415

    if not context.library_path.exists():
        message = f"There is no library at {show_path(context.library_path)}."
        raise UsageError(message, hint="name another with --store FILE, or start with: ptag FOLDER")
    library = Library(context.library_path)
    try:
        client = EngineClient(library, context.config, context.paths.log_dir / "engine.log")
        if context.options.command == "stop":
            _stop(client, is_now=context.options.now)
        elif context.options.command == "pause":
            client.pause()
            _say("Paused: nothing more is asked, accepted files are still written.")
            _say("Go on with: ptag resume")
        else:
            _say("Asking goes on." if client.resume() else "It was not paused.")
    finally:
        library.close()
    return 0


def _stop(client: EngineClient, *, is_now: bool) -> None:
    view = client.view()
    if view.batch is None or not view.is_batch_active:
        _say("No batch is under way.")
        return
    client.stop_batch(view.batch, is_now=is_now)
    how = "now; what was under way is dropped" if is_now else "after what is under way"
    _say(f"Run {view.batch.name} stops {how}.")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
