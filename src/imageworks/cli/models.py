"""`ptag models`: the registry, and what each role resolves to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from imageworks.cli.run import with_registry_file
from imageworks.errors import UsageError
from imageworks.text import one_line, show_path

if TYPE_CHECKING:
    import argparse

    from imageworks.cli.app import Context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments but settings."""
    parser.description = "Registry entries, their roles, and which entry each role resolves to."


def run(context: Context) -> int:
    """Prints entries and roles."""
    from imageworks.model_loader.registry import load_registry  # noqa: PLC0415  # only when needed

    config = with_registry_file(context.config, context)
    registry = load_registry(config.registry_path)
    write = sys.stdout.write
    write(f"Registry {show_path(config.registry_path)}\n")
    for entry in registry.entries:
        marks = " (deprecated)" if entry.is_deprecated else ""
        write(f"  {one_line(entry.name)}{marks}\n")
        write(f"    {entry.backend} {one_line(entry.base_url)}\n")
        write(f"    roles: {', '.join(entry.roles)}; can: {', '.join(entry.capabilities)}\n")
        if entry.aliases:
            write(f"    aliases: {', '.join(map(one_line, entry.aliases))}\n")
    write("Roles\n")
    for stage, role in (
        ("caption", config.caption_role),
        ("keywords", config.keyword_role),
        ("description", config.description_role),
    ):
        try:
            resolved = registry.resolve(role).name
        except UsageError as error:
            resolved = f"nothing: {error.message}"
        write(f"  {stage:<12} {one_line(role):<16} -> {one_line(resolved)}\n")
    if not config.use_registry:
        write("These are used with --use-registry; without it the model settings count.\n")
    return 0
