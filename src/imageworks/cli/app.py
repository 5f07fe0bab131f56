"""From words to a command, and from its errors to one clear line and an exit status."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import select
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from imageworks.cli.flags import add_setting_flags, setting_flags_of
from imageworks.config import (
    PersonalTaggerConfig,
    PersonalTaggerSettings,
    load_settings,
    setting_specs,
)
from imageworks.errors import ExitStatus, ImageworksError, UsageError
from imageworks.logs import log_level, log_to_stderr
from imageworks.paths import AppPaths, app_paths
from imageworks.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROGRAM = "ptag"
_GONE_STATUS = 128 + signal.SIGPIPE
DESCRIPTION = (
    "Review what a local vision-language model says about your photographs, in a terminal;"
    " XMP is written only after you accept."
)


class OneLineParser(argparse.ArgumentParser):
    """A parser whose complaints are a line and a hint, like those of the rest of the program."""

    def error(self, message: str) -> NoReturn:
        """Complains of the words given.

        Raises:
            UsageError: Always.
        """
        raise UsageError(message, hint=f"`{PROGRAM} COMMAND --help` lists what there is.")


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its module in this room, and what ``--help`` says of it.

    Attributes:
        module: Has ``add_arguments(parser)`` and ``run(context) -> int``.
        settings: Names of the settings that are flags of it.
    """

    module: str
    help: str
    settings: tuple[str, ...] = ()


_REVIEW_SETTINGS = (
    *("recursive", "backend", "base_url", "api_key", "timeout", "model", "prompt_profile"),
    *("max_keywords", "backup_originals", "overwrite_metadata", "sidecar", "fields", "theme"),
    *("images", "store_path", "embedded_model", "embedded_mmproj"),
)
_BACKEND_SETTINGS = (
    *("backend", "base_url", "api_key", "timeout", "model", "caption_model", "keyword_model"),
    *("description_model", "prompt_profile", "use_registry", "registry_path", "caption_role"),
    *("keyword_role", "description_role", "embedded_model", "embedded_mmproj"),
)
_SCREEN_ONLY = frozenset({"theme", "images", "keymap"})
_RUN_SETTINGS = tuple(name for name in setting_specs() if name not in _SCREEN_ONLY)
_REPORT_SETTINGS = ("store_path", "output_jsonl", "summary_path")
_WRITE_SETTINGS = (
    *("overwrite_metadata", "sidecar", "on_hazard", "content_credentials", "dng", "write_iptc"),
    *("fields", "hierarchy"),
)
_DOCTOR_SETTINGS = (*_BACKEND_SETTINGS, *_WRITE_SETTINGS, "store_path")
COMMANDS: dict[str, Command] = {
    "review": Command("review", "open the workstation (also: ptag [PATH…])", _REVIEW_SETTINGS),
    "run": Command("run", "tag folders unattended: ask, write XMP, report", _RUN_SETTINGS),
    "apply": Command("apply", "write what was accepted and is not yet on disk", ("store_path",)),
    "undo": Command("undo", "put back the earlier metadata of files it wrote", ("store_path",)),
    "backups": Command("backups", "first originals: list, put back or remove them"),
    "status": Command("status", "what waits, what runs, what failed", ("store_path",)),
    "pause": Command("control", "ask nothing more until resumed", ("store_path",)),
    "resume": Command("control", "go on asking after a pause", ("store_path",)),
    "stop": Command("control", "stop the batch that runs", ("store_path",)),
    "report": Command("report", "write a run's reports again", _REPORT_SETTINGS),
    "metrics": Command("metrics", "compare past runs by model and profile", ("metrics_path",)),
    "preflight": Command("preflight", "probe the model server, one line each", _BACKEND_SETTINGS),
    "models": Command("models", "registry entries, and what roles resolve to", _BACKEND_SETTINGS),
    "profiles": Command("profiles", "list, show or copy prompt profiles"),
    "embedded": Command("embedded", "vision models on this disk, and how to get one"),
    "doctor": Command("doctor", "check this machine, say how to mend it", _DOCTOR_SETTINGS),
    "demo": Command("demo", "the whole loop on sample photographs, offline"),
}
ALIASES = {"list-registry": "models"}


@dataclass(frozen=True, slots=True)
class Context:
    """What a command gets.

    Attributes:
        options: The command's own arguments.
        settings: All settings with their sources.
        config: The same, frozen, with every path made absolute.
        reload: Reads all sources of settings again.
    """

    options: argparse.Namespace
    settings: PersonalTaggerSettings
    config: PersonalTaggerConfig
    paths: AppPaths
    reload: Callable[[], PersonalTaggerSettings]

    @property
    def library_path(self) -> Path:
        """The store that the settings name."""
        return self.config.store_path or self.paths.library


def run_command_line(words: Sequence[str]) -> int:
    """Runs one command; errors become one line on standard error and an exit status."""
    _take_closed_streams()
    words = with_default_command(words)
    parser = build_parser(words[0])
    try:
        with _ended_by_a_closed_pipe():  # `ptag --help | head`
            options = parser.parse_args(words)
        status = _run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        if not _has_reader_gone():
            raise
        # What is left would be written, and complained about, at exit (signal, "Note on SIGPIPE").
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _GONE_STATUS
    except ImageworksError as error:
        complain(error)
        return int(error.exit_status)
    except KeyboardInterrupt:
        return int(ExitStatus.INTERRUPTED)
    return status


def _take_closed_streams() -> None:
    """Opens the null device for standard streams that were closed, as by ``>&-`` in a crontab.

    Their numbers would go to the next files that are opened, and what libraries print to those.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


@contextlib.contextmanager
def _ended_by_a_closed_pipe() -> Iterator[None]:
    """Lets the system end the program quietly when nobody reads what it prints.

    Only for a while: a server or a child that goes away must not take the program with it.
    """
    usual = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        yield
    finally:
        sys.stdout.flush()
        signal.signal(signal.SIGPIPE, usual)


def _has_reader_gone() -> bool:
    """Whether nobody reads standard output any more, as after `ptag status | head`."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def with_default_command(words: Sequence[str]) -> list[str]:
    """The words with ``review`` before them when they do not begin with a command."""
    first = words[0] if words else ""
    if first in COMMANDS or first in ALIASES or first in {"-h", "--help", "--version"}:
        return list(words)
    return ["review", *words]


def build_parser(first: str = "") -> argparse.ArgumentParser:
    """The parser of the whole command line; help texts come from the settings' declarations.

    Args:
        first: The first word. Where it is a command, the others get no arguments of their own:
            to import all their modules would take longer than most commands do.
    """
    wanted = ALIASES.get(first, first)
    parser = OneLineParser(
        prog=PROGRAM,
        description=DESCRIPTION,
        epilog="`ptag COMMAND --help` tells more. `ptag PATH…` opens the workstation.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        aliases = [alias for alias, target in ALIASES.items() if target == name]
        sub = commands.add_parser(
            name,
            help=command.help,
            description=f"{command.help[0].upper()}{command.help[1:]}.",
            aliases=aliases,
            allow_abbrev=False,
        )
        if wanted == name or wanted not in COMMANDS:
            _module(command).add_arguments(sub)
            add_setting_flags(sub, command.settings)
        sub.set_defaults(command=name)
    return parser


def complain(error: ImageworksError) -> None:
    """Says what went wrong, and what to try, on standard error."""
    sys.stderr.write(f"{PROGRAM}: {one_line(error.message, limit=2000)}\n")
    if error.hint:
        sys.stderr.write(f"  hint: {one_line(error.hint, limit=2000)}\n")


def _run(options: argparse.Namespace) -> int:
    log_to_stderr(log_level(os.environ))
    paths = app_paths()
    working_dir = Path.cwd()
    reload = partial(
        load_settings,
        paths,
        working_dir=working_dir,
        environment=os.environ,
        flags=setting_flags_of(options),
    )
    settings = reload()
    config = settings.resolve().with_absolute_paths(working_dir)
    context = Context(options=options, settings=settings, config=config, paths=paths, reload=reload)
    return int(_module(COMMANDS[options.command]).run(context))


def _module(command: Command):  # type: ignore[no-untyped-def]  # noqa: ANN202  # a module by name
    return importlib.import_module(f"imageworks.cli.{command.module}")
