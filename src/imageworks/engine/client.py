"""The screen's and the commands' way to the engine: start it, give it work, see how it fares."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from imageworks.config import ENVIRONMENT_PREFIX
from imageworks.engine.lease import is_engine_alive, screen_lock
from imageworks.store.records import RunRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from imageworks.config import PersonalTaggerConfig
    from imageworks.store.library import Library


@dataclass(frozen=True, slots=True)
class EngineView:
    """How the engine fares, read from the library.

    Attributes:
        is_alive: An engine process works on this library.
        activity: What it says it does; empty when none is alive.
        batch: The batch that runs or waits, else the latest, else None.
        waiting: Images on the queue.
        unwritten: Accepted images that are not yet on disk.
    """

    is_alive: bool
    activity: str
    batch: RunRow | None
    waiting: int
    unwritten: int

    @property
    def is_batch_active(self) -> bool:
        """Whether a batch runs or waits for its turn."""
        return self.batch is not None and self.batch.status in {"pending", "running"}

    @property
    def totals(self) -> Mapping[str, Any]:
        """The batch's figures: see `engine.progress.Progress`."""
        return {} if self.batch is None else self.batch.totals


class EngineClient:
    """One process's connection to the engine of a library.

    Args:
        library: The library that both share.
        config: Settings of this process; the engine that it starts gets the same.
        log_path: Where an engine that it starts logs to.
    """

    def __init__(self, library: Library, config: PersonalTaggerConfig, log_path: Path) -> None:
        self._library = library
        self._config = config
        self._log_path = log_path
        self._screen_lock = screen_lock(library.path)
        self._started: list[int] = []

    def attach(self) -> None:
        """Says that a screen is open, so that an engine waits for it."""
        self._screen_lock.acquire()

    def detach(self) -> None:
        """Says that this screen is closed; an idle engine then ends."""
        self._screen_lock.release()

    def ensure_running(self) -> None:
        """Starts an engine of its own session unless one is alive; two started at once are one."""
        if is_engine_alive(self._library.path):
            return
        command = [sys.executable, "-m", "imageworks.engine.worker", str(self._library.path)]
        environment = dict(os.environ)
        environment[f"{ENVIRONMENT_PREFIX}API_KEY"] = self._config.api_key
        environment["IMAGEWORKS_ENGINE_LOG"] = str(self._log_path)
        silent = [
            (os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0o600) for number in range(3)
        ]
        pid = os.posix_spawn(sys.executable, command, environment, file_actions=silent, setsid=True)
        self._started.append(pid)

    def start_batch(self, config: PersonalTaggerConfig) -> RunRow:
        """Adds a batch with its own settings and sees that an engine works on it."""
        run = self._library.runs.create("batch", config.to_json())
        self.ensure_running()
        return run

    def start_review_batch(self, folders: Sequence[Path]) -> RunRow:
        """Adds a batch that asks about these folders and leaves every decision to the person."""
        return self.start_batch(
            replace(self._config, input_paths=tuple(folders), review_later=True)
        )

    def stop_batch(self, run: RunRow) -> None:
        """Asks the engine to stop a batch; what is under way is finished, the rest is left."""
        self._library.session.wish("stop", run.name)
        self.ensure_running()

    def request_scan(self, folders: Sequence[Path]) -> None:
        """Asks the engine to look for new files in these folders without asking about them."""
        config = replace(self._config, input_paths=tuple(folders))
        self._library.session.wish("scan", config.to_json())
        self.ensure_running()

    def view(self) -> EngineView:
        """How things stand now."""
        self._reap()
        is_alive = is_engine_alive(self._library.path)
        lease = self._library.session.lease() if is_alive else None
        runs = self._library.runs.latest(20)
        active = [run for run in runs if run.status in {"running", "pending"}]
        batch = active[-1] if active else (runs[0] if runs else None)
        return EngineView(
            is_alive=is_alive,
            activity="" if lease is None else lease.activity,
            batch=batch,
            waiting=self._library.queue.count(),
            unwritten=self._library.decisions.count_intended(),
        )

    def _reap(self) -> None:
        """Lets engines that this process started and that have ended leave the process table."""
        self._started = [pid for pid in self._started if os.waitpid(pid, os.WNOHANG)[0] == 0]
