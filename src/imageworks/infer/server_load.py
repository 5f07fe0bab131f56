"""What a server tells about its own queue, read from its metrics page."""

from __future__ import annotations

import re
from dataclasses import dataclass

_VALUE = r"(?:\{[^}\n]{0,2000}\})?[ \t]+([0-9.eE+]{1,30})[ \t]*(?:[0-9]{1,20}[ \t]*)?$"
# Gauge names: vLLM 0.32 and llama.cpp build 11549 (`--metrics`) as recorded, LMDeploy as in its
# source of August 2026. The lines are Prometheus text, version 0.0.4.
_RUNNING = re.compile(
    rf"^(?:vllm:num_requests_running|llamacpp:requests_processing|lmdeploy:num_requests_running)"
    rf"{_VALUE}",
    re.MULTILINE,
)
_WAITING = re.compile(
    rf"^(?:vllm:num_requests_waiting|llamacpp:requests_deferred|lmdeploy:num_requests_waiting)"
    rf"{_VALUE}",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """Requests in a server, whoever sent them.

    Attributes:
        running: Being worked on.
        waiting: Accepted and not begun.
    """

    running: int
    waiting: int


def read_load(text: str) -> ServerLoad | None:
    """The load in a metrics page, engines added up; None when the page does not tell it."""
    running, waiting = _total(_RUNNING, text), _total(_WAITING, text)
    return None if running is None or waiting is None else ServerLoad(running, waiting)


def _total(gauge: re.Pattern[str], text: str) -> int | None:
    try:
        values = [float(found[1]) for found in gauge.finditer(text)]
        return int(sum(values)) if values else None
    except (ValueError, OverflowError):
        return None
