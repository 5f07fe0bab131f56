"""One image process: reads requests from a pipe, decodes, writes results to a pipe.

Started by `processes` as ``python -m imageworks.prepare.worker``. It ends when its pipe is closed,
which is also what happens when the parent is killed, even in the middle of a decode.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from imageworks.errors import DecodeError
from imageworks.prepare.messages import LENGTH, Request, encode
from imageworks.prepare.picture import prepare_image

if TYPE_CHECKING:
    from imageworks.models import PreparedImage

    RequestQueue = queue.SimpleQueue[Request | None]

_LAST_WORDS_S = 1.0
_OUT_OF_MEMORY_SCORE = "500"


def serve(requests: BinaryIO, results: BinaryIO) -> None:
    """Answers requests in turn until their stream ends."""
    waiting: RequestQueue = queue.SimpleQueue()
    # A thread of its own notices the end of the stream while a decode is running.
    threading.Thread(target=_read_requests, args=(requests, waiting), daemon=True).start()
    while (request := waiting.get()) is not None:
        results.write(encode(answer(request)))
        results.flush()


def answer(request: Request) -> PreparedImage | DecodeError:
    """The prepared picture, or why there is none."""
    try:
        return prepare_image(request.path, request.format, request.cache, request.budget)
    except DecodeError as error:
        return error


def _read_requests(requests: BinaryIO, waiting: RequestQueue) -> None:
    try:
        while head := requests.read(LENGTH.size):
            body = requests.read(*LENGTH.unpack(head))
            waiting.put(pickle.loads(body))  # noqa: S301  # from the parent process
    finally:
        waiting.put(None)
        time.sleep(_LAST_WORDS_S)
        os._exit(1)  # still decoding, and nobody waits for it any more


def main() -> None:
    """The process itself; its niceness is the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    os.nice(int(sys.argv[1]))
    with contextlib.suppress(OSError):  # a decoder is to go before the engine or the screen
        Path("/proc/self/oom_score_adj").write_text(_OUT_OF_MEMORY_SCORE, encoding="ascii")
    requests, results = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # libtiff writes its complaints there
        os.dup2(silent, stream)
    with contextlib.suppress(BrokenPipeError):
        serve(requests, results)


if __name__ == "__main__":
    main()
