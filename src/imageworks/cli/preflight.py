"""`ptag preflight`: probes the model server."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from imageworks.cli.run import with_registry_file
from imageworks.errors import ExitStatus
from imageworks.text import one_line

if TYPE_CHECKING:
    import argparse

    from imageworks.cli.app import Context
    from imageworks.infer.engine import ProbeResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments but settings."""
    parser.description = "Lists models, asks for a text and for a look at a small picture."


def run(context: Context) -> int:
    """Prints a line for each probe; 3 when one failed."""
    probes = asyncio.run(probe(context))
    for result in probes:
        mark = "ok  " if result.is_ok else "FAIL"
        sys.stdout.write(f"{mark} {result.name}: {one_line(result.message)}\n")
        if result.hint:
            sys.stdout.write(f"     hint: {one_line(result.hint)}\n")
    return int(ExitStatus.DONE if all(p.is_ok for p in probes) else ExitStatus.BACKEND)


async def probe(context: Context) -> tuple[ProbeResult, ...]:
    """The backend's probes under these settings."""
    from imageworks.engine.backends import open_engine  # noqa: PLC0415  # its weight

    config = with_registry_file(context.config, context)
    engine, _, _ = await open_engine(config, context.paths)
    try:
        return await engine.preflight()
    finally:
        await engine.aclose()
