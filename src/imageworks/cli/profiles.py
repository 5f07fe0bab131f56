"""`ptag profiles`: list, show and copy prompt profiles."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from imageworks.errors import UsageError
from imageworks.text import one_line, show_path

if TYPE_CHECKING:
    import argparse

    from imageworks.cli.app import Context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and with which profile."""
    parser.add_argument(
        "action", nargs="?", choices=("list", "show", "copy"), default="list", help="default: list"
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="the profile to show or copy")


def run(context: Context) -> int:
    """Lists, shows or copies."""
    from imageworks.infer.profiles import ProfileBook  # noqa: PLC0415  # only when needed

    book = ProfileBook(context.paths.profiles_dir)
    action, name = context.options.action, context.options.name
    if action != "list" and not name:
        message = f"`ptag profiles {action}` needs a profile's name."
        raise UsageError(message, hint=f"one of: {', '.join(book.names())}.")
    if action == "copy":
        target = book.copy_to_user(name)
        sys.stdout.write(f"{show_path(target)}\nEdit it; it counts from the next image on.\n")
    elif action == "show":
        sys.stdout.write(book.text(name))
    else:
        for known in book.names():
            mark = "*" if known == context.config.prompt_profile else " "
            sys.stdout.write(f"{mark} {known:<20} {one_line(book.get(known).description)}\n")
    return 0
