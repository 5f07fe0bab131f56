"""`ptag run`: the unattended batch."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imageworks.cli.flags import positive_number
from imageworks.cli.moments import local_now, next_local_time
from imageworks.cli.progress import progress_printer
from imageworks.errors import BackendError, ExitStatus, UsageError
from imageworks.text import show_path

if TYPE_CHECKING:
    from datetime import datetime

    from imageworks.cli.app import Context
    from imageworks.config import PersonalTaggerConfig
    from imageworks.engine.progress import Progress
    from imageworks.engine.service import EngineService
    from imageworks.stages import RunSummary
    from imageworks.store.library import Library
    from imageworks.store.records import RunRow

logger = logging.getLogger(__name__)

_FOLLOW_S = 0.3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that are no settings."""
    parser.add_argument("folders", nargs="*", type=Path, metavar="PATH", help="as --input")
    parser.add_argument("--redo", action="store_true", help="ask about every image again")
    parser.add_argument(
        "--limit", type=positive_number, metavar="N", help="deal with N images at most"
    )
    parser.add_argument(
        "--until", type=_moment, metavar="HH:MM", help="end at the next such local time"
    )
    parser.add_argument(
        "--retry-failed",
        nargs="?",
        const="any",
        type=_reason,
        metavar="KIND",
        help="only images that failed, all or for this reason (see `ptag status`)",
    )
    parser.add_argument(
        "--watch", action="store_true", help="then tag new files as they come, until stopped"
    )
    parser.add_argument(
        "--detach", action="store_true", help="work in the background, and return at once"
    )
    parser.add_argument("--json", action="store_true", help="end with one JSON object of counts")
    parser.add_argument("--quiet", action="store_true", help="no progress and no closing lines")


def run(context: Context) -> int:
    """Runs a batch to its end and returns the exit status."""
    from imageworks.discover.inputs import check_inputs  # noqa: PLC0415  # the engine's weight
    from imageworks.store.library import Library  # noqa: PLC0415

    options = context.options
    folders = [*context.config.input_paths, *(Path.cwd() / path for path in options.folders)]
    if not folders and not options.retry_failed:
        message = "No folder was named."
        raise UsageError(message, hint="name one: ptag run --input FOLDER.")
    config = replace(context.config, input_paths=check_inputs(folders))
    config = with_registry_file(config, context)
    library = Library(context.library_path, mapped_bytes=0)
    try:
        batch = Batch(library, config, context)
        return batch.run()
    finally:
        library.close()


class Batch:
    """One `ptag run`: becomes the engine of its library, or follows the one that is alive.

    With ``--detach`` it hands the run to an engine of its own session and leaves.
    """

    def __init__(self, library: Library, config: PersonalTaggerConfig, context: Context) -> None:
        self._library = library
        self._config = config
        self._context = context
        self._options = context.options
        self._service: EngineService | None = None
        self._print = progress_printer(sys.stderr, is_quiet=context.options.quiet)

    def run(self) -> int:
        """Takes the run to its end; the exit status."""
        run, is_resumed = self._find_or_create()
        if is_resumed and not self._options.quiet:
            sys.stderr.write(f"Going on with run {run.name}.\n")
        if self._options.detach:
            return self._detach(run)
        summary = asyncio.run(self._work_or_follow(run))
        self._print.finish()
        return self._conclude(run, summary)

    def _find_or_create(self) -> tuple[RunRow, bool]:
        """The run that this command means, and whether it was there."""
        from imageworks.store.records import RunOptions  # noqa: PLC0415

        until = self._options.until
        options = RunOptions(
            is_redo=self._options.redo,
            limit=self._options.limit,
            until_ms=None if until is None else int(until.timestamp() * 1000),
            is_watch=self._options.watch,
            retry_failed=self._options.retry_failed or "",
        )
        runs, config = self._library.runs, self._config.to_json()
        stored = runs.find_unfinished("batch", config, options)
        if stored is None:
            status = "interrupted" if self._options.detach else "pending"
            return runs.create("batch", config, options=options, status=status), False
        kept = replace(options, is_background=stored.options.is_background)
        return runs.set_options(stored.id, kept), True

    def _detach(self, run: RunRow) -> int:
        from imageworks.engine.client import EngineClient  # noqa: PLC0415

        log_path = self._context.paths.log_dir / "engine.log"
        client = EngineClient(self._library, self._config, log_path)
        run = client.go_on(run, run.options)
        if self._options.json:
            sys.stdout.write(json.dumps({"run_id": run.name, "log": str(log_path)}) + "\n")
        elif not self._options.quiet:
            sys.stdout.write(
                f"Run {run.name} works in the background; this terminal may be closed.\n"
                f"Log    {show_path(log_path)}\n"
                "Watch  ptag status   (or open the workstation: ptag)\n"
                "Stop   ptag stop     Pause  ptag pause     Go on  ptag resume\n"
            )
        return int(ExitStatus.DONE)

    async def _work_or_follow(self, run: RunRow) -> RunSummary | None:
        from imageworks.engine.lease import engine_lock  # noqa: PLC0415
        from imageworks.engine.reporting import summarise  # noqa: PLC0415

        lock = engine_lock(self._library.path)
        if not lock.acquire():
            self._library.runs.queue_up(run.id)
            while not lock.acquire():
                current = self._library.runs.get(run.id)
                if current.status == "finished":
                    return summarise(self._library, run.id)
                if current.status == "stopped" or _is_out_of_time(current):
                    return None
                if current.status not in {"pending", "running"}:
                    message = f"Run {run.name} was {current.status}: {current.message}"
                    raise BackendError(message, reason="followed-run-ended")
                self._print.note_totals(current.totals, waiting_for="another engine")
                await asyncio.sleep(_FOLLOW_S)
        try:
            return await self._work(run)
        finally:
            lock.release()

    async def _work(self, run: RunRow) -> RunSummary | None:
        from imageworks.engine.room import through_full_disks  # noqa: PLC0415

        loop = asyncio.get_running_loop()
        work = asyncio.ensure_future(through_full_disks(self._library, lambda: self._serve(run)))
        interrupted = False

        def interrupt() -> None:
            nonlocal interrupted
            is_stopping = self._service is not None and self._service.stop_run()
            if interrupted or not is_stopping:
                work.cancel()
            interrupted = True

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, interrupt)
        try:
            summary = await work
        except asyncio.CancelledError:
            return None
        is_finished = self._library.runs.get(run.id).status == "finished"
        return summary if is_finished and not interrupted else None

    async def _serve(self, run: RunRow) -> RunSummary:
        """Takes the run to its end as the engine of its library."""
        from imageworks.engine.service import EngineService  # noqa: PLC0415

        service = EngineService(self._library, self._context.paths, api_key=self._config.api_key)
        self._service = service
        try:
            await service.start()
            return await service.do_run(run, self._config, on_progress=self._show)
        finally:
            self._service = None
            await service.aclose()

    def _show(self, progress: Progress) -> None:
        self._print.note_totals(progress.as_totals())

    def _conclude(self, run: RunRow, summary: RunSummary | None) -> int:
        run = self._library.runs.get(run.id)
        is_interrupted = summary is None and not _is_out_of_time(run)
        counts = self._library.outcomes.counts(run.id)
        failures = self._library.outcomes.failures(run.id)
        status = ExitStatus.SOME_FAILED if counts.get("failed") else ExitStatus.DONE
        if is_interrupted:
            status = ExitStatus.INTERRUPTED
        left = int(run.totals.get("already_done", 0))
        if not self._options.quiet:
            self._say(run, counts, left, is_interrupted=is_interrupted)
        if self._options.json:
            sys.stdout.write(json.dumps(self._as_json(run, counts, failures, left, status)) + "\n")
        return int(status)

    def _say(self, run: RunRow, counts: dict[str, int], left: int, *, is_interrupted: bool) -> None:
        write = sys.stderr.write
        parts = [f"{count} {state}" for state, count in sorted(counts.items())]
        parts += [f"{left} unchanged since an earlier run"] if left else []
        write(f"Run {run.name}: {', '.join(parts) or 'no images'}.\n")
        for record in self._library.outcomes.records(run.id):
            if record.state == "failed":
                write(f"  {show_path(record.image)}: {'; '.join(record.notes)}\n")
        if run.status == "stopped":
            write("Stopped, as you asked.\n")
        elif _is_out_of_time(run):
            write(f"{run.message} The same command goes on from here.\n")
        elif is_interrupted:
            write("Interrupted. The same command goes on from here.\n")
        else:
            write(f"Results: {show_path(self._config.output_jsonl)}\n")
            write(f"Summary: {show_path(self._config.summary_path)}\n")

    def _as_json(
        self,
        run: RunRow,
        counts: dict[str, int],
        failures: dict[str, int],
        left: int,
        status: ExitStatus,
    ) -> dict[str, Any]:
        return {
            "run_id": run.name,
            "status": run.status,
            "exit_status": int(status),
            "counts": counts,
            "failures": failures,
            "already_done": left,
            "images_per_s": run.totals.get("images_per_s", 0.0),
            "outputs": {
                "jsonl": str(self._config.output_jsonl),
                "summary": str(self._config.summary_path),
                "metrics": str(self._config.metrics_path),
            },
        }


def with_registry_file(config: PersonalTaggerConfig, context: Context) -> PersonalTaggerConfig:
    """The settings with the registry that comes with the program where none is named."""
    from imageworks.model_loader.registry import default_registry_path  # noqa: PLC0415

    is_default = context.settings.source_of("registry_path") == "default"
    if is_default and not config.registry_path.is_file():
        return replace(config, registry_path=default_registry_path())
    return config


def _is_out_of_time(run: RunRow) -> bool:
    """Whether a run ended because its time was up, which is what was asked for."""
    until_ms = run.options.until_ms
    ended_at = run.ended_at
    return (
        run.status == "interrupted"
        and until_ms is not None
        and ended_at is not None
        and ended_at.timestamp() * 1000 >= until_ms
    )


def _moment(text: str) -> datetime:
    try:
        return next_local_time(text, local_now())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _reason(text: str) -> str:
    if not text.strip():
        message = "a reason has letters, such as timeout"
        raise argparse.ArgumentTypeError(message)
    return text.strip()
