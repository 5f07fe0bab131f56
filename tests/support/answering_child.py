"""A child for the tests: each request is the name of what it is to do."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from imageworks.children import serve


def answer(request: object) -> object:
    """What was asked for."""
    if request == "about":
        return {
            "arguments": sys.argv[1:],
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "session": os.getsid(0),
            "process_group": os.getpgrp(),
            "oom_score": int(Path("/proc/self/oom_score_adj").read_text("ascii")),
            "modules": sorted(sys.modules),
            "environment": dict(os.environ),
        }
    if request == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if request == "hang":
        threading.Event().wait()
    if request == "print":
        os.write(1, b"TIFFReadDirectory: warning")
        os.write(2, b"TIFFReadDirectory: warning")
    if isinstance(request, int):
        return bytes(request)
    return request


if __name__ == "__main__":
    serve(answer, oom_score=700)
