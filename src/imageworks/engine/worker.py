"""The engine as a process of its own: `python -m imageworks.engine.worker LIBRARY`.

Started by a screen that has work and finds no engine. It ends when nothing is left to do and no
screen is open. Its settings come with each run from the library; the key for the server and the
log file come from the environment, because neither belongs into a list of processes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path

from imageworks.config import ENVIRONMENT_PREFIX
from imageworks.engine.lease import FileLock, engine_lock, is_screen_open
from imageworks.engine.room import through_full_disks
from imageworks.engine.service import EngineService
from imageworks.errors import ImageworksError
from imageworks.logs import log_level, log_to_file
from imageworks.paths import app_paths
from imageworks.store.library import Library
from imageworks.text import show_path

logger = logging.getLogger(__name__)

LOG_VARIABLE = "IMAGEWORKS_ENGINE_LOG"
_LOOK_S = 1.0
_LOCK_PAUSE_S = 0.1
_LINGER_S = 3.0
_NICENESS = 5
_SESSION_RANK = Path("/proc/self/autogroup")
_RANK_TRIES = 5
_RANK_PAUSE_S = 0.1
_LOCK_TRIES = 5


async def serve_on(library: Library, *, api_key: str) -> None:
    """Serves through full disks and locks: begins anew once the library can be written.

    Raises:
        StoreError: The library cannot be used, for a reason that does not pass.
    """
    stop = asyncio.Event()

    async def serve_unless_told_to_end() -> None:
        if not stop.is_set():
            await serve(library, api_key=api_key, stop=stop)

    await through_full_disks(library, serve_unless_told_to_end)


async def serve(
    library: Library,
    *,
    api_key: str,
    linger_s: float = _LINGER_S,
    stop: asyncio.Event | None = None,
) -> None:
    """Works until nothing is left to do and no screen has been open for a while.

    Raises:
        LibraryBusyError: An engine on another machine works on this library.
    """
    service = EngineService(library, app_paths(), api_key=api_key)
    stop = stop or asyncio.Event()

    def end() -> None:
        stop.set()
        service.stop_run()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # a terminal that closes is none of ours
    await service.start()
    needed_at_s = time.monotonic()
    try:
        while not stop.is_set():
            service.check()
            is_worked = await service.do_pending_run()
            if is_worked or _is_needed(library):
                needed_at_s = time.monotonic()
            elif time.monotonic() - needed_at_s >= linger_s:
                break
            if not is_worked:
                await service.pulse.wait(min(linger_s, _LOOK_S))
    finally:
        await service.aclose()


def _is_needed(library: Library) -> bool:
    """Whether somebody looks on, or accepted files or a person's own wishes wait."""
    return (
        is_screen_open(library.path)
        or library.decisions.count_intended() > 0
        or bool(library.queue.runs_of_kind("review"))
    )


def _stand_back() -> None:
    """Lets the screen and other programs go first, and so do all children of this process.

    Where the system shares the processor among sessions first, niceness counts only within one, and
    an engine leads its own: sched(7), "The autogroup feature".
    """
    niceness = os.nice(_NICENESS)
    if os.getsid(0) != os.getpid():
        return
    for _ in range(_RANK_TRIES):
        try:
            _SESSION_RANK.write_text(str(niceness), encoding="ascii")
        except BlockingIOError:  # the system grants one such wish in a tenth of a second
            time.sleep(_RANK_PAUSE_S)
        except OSError as error:  # not Linux, or not shared so
            logger.debug("The session keeps its rank: %s", error)
            return
        else:
            return


def _take(lock: FileLock) -> bool:
    """Takes the lock, patiently: who looks whether an engine is alive holds it for a moment."""
    for _ in range(_LOCK_TRIES):
        if lock.acquire():
            return True
        time.sleep(_LOCK_PAUSE_S)
    return False


def main() -> int:
    """Runs the engine unless one is alive already; the exit status."""
    library_path = Path(sys.argv[1])
    log_path = os.environ.get(LOG_VARIABLE)
    if log_path:
        log_to_file(Path(log_path), log_level(os.environ, default=logging.INFO))
    lock = engine_lock(library_path)
    if not _take(lock):
        return 0
    _stand_back()
    api_key = os.environ.get(f"{ENVIRONMENT_PREFIX}API_KEY", "EMPTY")
    library = Library(library_path, mapped_bytes=0)
    logger.info("Engine %d works on %s.", os.getpid(), show_path(library_path))
    try:
        asyncio.run(serve_on(library, api_key=api_key))
    except ImageworksError as error:
        logger.error("The engine ended: %s", error)  # noqa: TRY400  # said in one line
        return int(error.exit_status)
    finally:
        library.close()
        lock.release()
    logger.info("Engine %d has ended.", os.getpid())
    return 0


if __name__ == "__main__":
    sys.exit(main())
