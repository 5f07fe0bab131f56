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
from imageworks.engine.service import EngineService
from imageworks.logs import log_level, log_to_file
from imageworks.paths import app_paths
from imageworks.store.library import Library

logger = logging.getLogger(__name__)

LOG_VARIABLE = "IMAGEWORKS_ENGINE_LOG"
_POLL_S = 0.1
_LINGER_S = 3.0
_NICENESS = 5
_LOCK_TRIES = 5


async def serve(library: Library, *, api_key: str, linger_s: float = _LINGER_S) -> None:
    """Works until nothing is left to do and no screen has been open for a while."""
    service = EngineService(library, app_paths(), api_key=api_key)
    stop = asyncio.Event()

    def end() -> None:
        stop.set()
        service.stop_run()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # a terminal that closes is none of ours
    await service.start()
    try:
        idle_s = 0.0
        while not stop.is_set() and idle_s < linger_s:
            service.check()
            if await service.do_pending_run():
                idle_s = 0.0
                continue
            is_needed = is_screen_open(library.path) or library.decisions.count_intended() > 0
            idle_s = 0.0 if is_needed else idle_s + _POLL_S
            await asyncio.sleep(_POLL_S)
    finally:
        await service.aclose()


def _take(lock: FileLock) -> bool:
    """Takes the lock, patiently: who looks whether an engine is alive holds it for a moment."""
    for _ in range(_LOCK_TRIES):
        if lock.acquire():
            return True
        time.sleep(_POLL_S)
    return False


def main() -> int:
    """Runs the engine unless one is alive already."""
    library_path = Path(sys.argv[1])
    log_path = os.environ.get(LOG_VARIABLE)
    if log_path:
        log_to_file(Path(log_path), log_level(os.environ, default=logging.INFO))
    lock = engine_lock(library_path)
    if not _take(lock):
        return 0
    os.nice(_NICENESS)
    library = Library(library_path)
    try:
        asyncio.run(serve(library, api_key=os.environ.get(f"{ENVIRONMENT_PREFIX}API_KEY", "EMPTY")))
    finally:
        library.close()
        lock.release()
    return 0


if __name__ == "__main__":
    sys.exit(main())
