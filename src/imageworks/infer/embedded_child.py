"""llama.cpp's server in a process of its own: `python -P -m imageworks.infer.embedded_child`.

Standard input brings one JSON line, an `Order`; standard output takes one back, ``{"url": ...}`` or
``{"error": ...}``. Then standard input says nothing more: its end is the end of this process, and
so is the end of the process that started it, however that ended. The key comes this way because a
list of processes is no place for it. What llama.cpp logs goes to standard error.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

_PR_SET_PDEATHSIG = 1  # prctl(2), linux/prctl.h
_WARNINGS = 2  # llama.cpp common/log.h: 1 errors, 2 warnings, 3 information
_LIKELY_VICTIM = "600"  # proc(5), oom_score_adj: -1000 never to 1000 first


@dataclass(frozen=True, slots=True)
class Order:
    """What to serve.

    Attributes:
        model: GGUF file of the language model.
        projector: GGUF file of the part that sees.
        name: Under which the model is listed.
        key: Needed by whoever asks.
        slots: Requests worked on at once.
        context_tokens: Of each slot.
        threads: CPU threads for one step.
        parent_pid: The process whose end is the end of this one.
    """

    model: str
    projector: str
    name: str
    key: str
    slots: int
    context_tokens: int
    threads: int
    parent_pid: int

    def to_line(self) -> bytes:
        """One line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Order:
        """The order of `to_line`."""
        return cls(**json.loads(line))


def main() -> NoReturn:
    """Serves until standard input ends."""
    order = Order.from_line(sys.stdin.buffer.readline())
    _die_with(order.parent_pid)
    reply = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # llama.cpp prints to both
    try:
        server = _serve(order)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        reply.write(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode() + b"\n")
        os._exit(1)
    reply.write(json.dumps({"url": str(server.listening_address)}).encode() + b"\n")
    reply.close()
    while os.read(0, 4096):
        pass
    # Taking the server down in order can wait for ever for its threads (seen in build 11549).
    os._exit(0)


def _die_with(parent_pid: int) -> None:
    """Has the system end this process with its parent, even while a model is being loaded."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with contextlib.suppress(OSError):  # when memory runs out, this one goes, not the engine
            Path("/proc/self/oom_score_adj").write_text(_LIKELY_VICTIM, "ascii")
    if os.getppid() != parent_pid:  # it ended before it could be followed
        os._exit(0)


def _serve(order: Order) -> Any:  # noqa: ANN401  # xllamacpp ships no types
    """The server, listening; its model is loaded."""
    import xllamacpp  # noqa: PLC0415  # an extra: its absence is told in the reply

    params = xllamacpp.CommonParams()
    params.model.path = order.model
    params.mmproj.path = order.projector
    params.model_alias = {order.name}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [order.key]
    params.n_parallel = order.slots
    params.n_ctx = order.slots * order.context_tokens
    params.cpuparams.n_threads = order.threads
    params.cpuparams_batch.n_threads = order.threads
    params.endpoint_metrics = True
    params.endpoint_slots = True
    params.ui = False
    # Its cache of past prompts would take 8 GB and more, and no photograph comes twice.
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    params.verbosity = _WARNINGS
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
