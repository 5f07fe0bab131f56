"""The screen's and the commands' way to the engine: start it, give it work, see how it fares."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from imageworks.children import command_for, own_environment
from imageworks.config import ENVIRONMENT_PREFIX
from imageworks.engine import control
from imageworks.engine.attention import look_at
from imageworks.engine.control import SCAN, STOP, STOP_NOW, Pause
from imageworks.engine.lease import is_alive_elsewhere, is_engine_alive, screen_lock
from imageworks.engine.told import note_seen, unseen_batch
from imageworks.paths import app_paths
from imageworks.store.records import RunOptions, RunRow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from imageworks.config import PersonalTaggerConfig
    from imageworks.engine.morning import MorningAfter
    from imageworks.models import Stage
    from imageworks.store.library import Library


_PLAIN_OPTIONS = RunOptions()


@dataclass(frozen=True, slots=True)
class EngineView:
    """How the engine fares, read from the library.

    Attributes:
        is_alive: An engine process works on this library.
        activity: What it says it does; empty when none is alive.
        batch: The batch that runs or waits, else the latest, else None.
        waiting: Images on the queue.
        unwritten: Accepted images that are not yet on disk.
        pid: The engine's process; 0 when none is alive.
        host: The machine that it is on.
        pause: The pause that stands, or None.
    """

    is_alive: bool
    activity: str
    batch: RunRow | None
    waiting: int
    unwritten: int
    pid: int = 0
    host: str = ""
    pause: Pause | None = None

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

    def use_config(self, config: PersonalTaggerConfig) -> None:
        """Starts batches and engines with other settings from now on."""
        self._config = config

    def attach(self) -> None:
        """Says that a screen is open, so that an engine waits for it."""
        self._screen_lock.acquire()

    def detach(self) -> None:
        """Says that this screen is closed; an idle engine then ends."""
        self._screen_lock.release()

    def ensure_running(self) -> None:
        """Starts an engine of its own session unless one is alive; two started at once are one."""
        self._reap()
        if self._started or is_engine_alive(self._library.path):
            return  # one that is just starting holds no lock yet
        command = command_for("imageworks.engine.worker", str(self._library.path))
        environment = own_environment()
        environment[f"{ENVIRONMENT_PREFIX}API_KEY"] = self._config.api_key
        environment["IMAGEWORKS_ENGINE_LOG"] = str(self._log_path)
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        # What a library or Python itself says goes to the log too.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        streams = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0o600),
            (os.POSIX_SPAWN_OPEN, 1, str(self._log_path), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        pid = os.posix_spawn(
            sys.executable, command, environment, file_actions=streams, setsid=True
        )
        self._started.append(pid)

    @property
    def log_path(self) -> Path:
        """Where an engine that this process starts logs to."""
        return self._log_path

    def start_batch(
        self, config: PersonalTaggerConfig, options: RunOptions = _PLAIN_OPTIONS
    ) -> RunRow:
        """Adds a batch with its own settings and sees that an engine works on it."""
        options = replace(options, is_background=True)
        run = self._library.runs.create("batch", config.to_json(), options=options)
        self.ensure_running()
        return run

    def go_on(self, run: RunRow, options: RunOptions) -> RunRow:
        """Gives a run that waits, or did not come to its end, to whichever engine is alive."""
        run = self._library.runs.set_options(run.id, replace(options, is_background=True))
        self._library.runs.queue_up(run.id)
        self.ensure_running()
        return run

    def check_folders(self, folders: Sequence[Path]) -> tuple[Path, ...]:
        """The folders as absolute paths.

        Raises:
            UsageError: One is missing or cannot be read.
        """
        from imageworks.discover.inputs import check_inputs  # noqa: PLC0415  # seldom needed

        return check_inputs(folders)

    def profile_names(self) -> tuple[str, ...]:
        """The prompt profiles that can be chosen."""
        from imageworks.infer.profiles import ProfileBook  # noqa: PLC0415  # seldom needed

        return ProfileBook(app_paths().profiles_dir).names()

    def stop_batch(self, run: RunRow, *, is_now: bool = False) -> None:
        """Asks the engine to stop a batch; what is left can be asked for again.

        Args:
            run: The batch.
            is_now: Drop what is under way; else its answers are waited for and kept.
        """
        self._library.session.wish(STOP_NOW if is_now else STOP, run.name)
        self.ensure_running()

    def look_at(self, image_ids: Sequence[int]) -> None:
        """Has a batch ask first about what the person looks at, in this order."""
        look_at(self._library, image_ids)

    def ask_again(self, image_id: int, hint: str = "", *, stage: Stage | None = None) -> None:
        """Asks for another suggestion of one image, before all others and without a batch.

        Args:
            image_id: The image.
            hint: What the person says about it.
            stage: The one field to ask for; None for all.
        """
        self._library.session.wish_suggestion(image_id, hint, stage=stage)
        self.ensure_running()

    def pause(self) -> None:
        """Has the engine, now and after every restart, ask nothing until `resume`."""
        control.pause(self._library)

    def resume(self) -> bool:
        """Lets the engine ask again; False when it was not paused."""
        was_paused = control.resume(self._library)
        if self.view().is_batch_active:
            self.ensure_running()
        return was_paused

    def request_scan(self, folders: Sequence[Path]) -> None:
        """Asks the engine to look for new files in these folders without asking about them."""
        config = replace(self._config, input_paths=tuple(folders))
        self._library.session.wish(SCAN, config.to_json())
        self.ensure_running()

    def change_mark(self) -> tuple[int, int]:
        """Two numbers of which one changes whenever `view` may."""
        return self._library.change_mark()

    def morning_after(self) -> MorningAfter | None:
        """How the batch that ran last went; None before the first. It counts as told now."""
        from imageworks.engine.morning import morning_after  # noqa: PLC0415  # seldom asked

        run = self._library.runs.current_batch()
        if run is None:
            return None
        note_seen(self._library, run)
        return morning_after(self._library, run)

    def unseen_batch(self) -> RunRow | None:
        """A batch whose end no person has been told of, or None."""
        return unseen_batch(self._library)

    def note_seen(self, run: RunRow) -> None:
        """Takes note that a person has been told how a batch ended."""
        note_seen(self._library, run)

    def view(self) -> EngineView:
        """How things stand now."""
        self._reap()
        lease = self._library.session.lease()
        is_alive = is_engine_alive(self._library.path) or is_alive_elsewhere(self._library, lease)
        said = lease if is_alive else None
        return EngineView(
            is_alive=is_alive,
            activity="" if said is None else said.activity,
            batch=self._library.runs.current_batch(),
            waiting=self._library.queue.count(),
            unwritten=self._library.decisions.count_intended(),
            pid=0 if said is None else said.pid,
            host="" if said is None else said.host,
            pause=control.current_pause(self._library),
        )

    def _reap(self) -> None:
        """Lets engines that this process started and that have ended leave the process table."""
        self._started = [pid for pid in self._started if os.waitpid(pid, os.WNOHANG)[0] == 0]
