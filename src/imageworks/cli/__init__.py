"""The commands. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> int:
    """Runs a command line and returns the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    if words == ["--version"]:
        from importlib.metadata import version  # noqa: PLC0415  # the fast way out

        sys.stdout.write(f"ptag {version('imageworks-personal-tagger')}\n")
        return 0
    from imageworks.cli.app import run_command_line  # noqa: PLC0415  # see above

    return run_command_line(words)
