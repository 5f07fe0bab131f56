"""Stands in for the embedded server's child: takes the same order, serves made-up answers.

A picture that holds ``POISON`` kills it; one that holds ``ONCE`` does so once, as the file named by
the first argument remembers; with ``always`` there, every picture does. ``REFUSE`` gets a 401.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from imageworks.infer.embedded_child import Order
from tests.support.openai_answers import AskedRequest, default_script
from tests.support.openai_server import OpenAIServer, status_fault


def main() -> None:
    """Serves until standard input ends."""
    order = Order.from_line(sys.stdin.buffer.readline())
    memory = Path(sys.argv[1])

    def script(request: AskedRequest) -> Any:
        is_fatal = b"POISON" in request.image or "always" in sys.argv
        if b"ONCE" in request.image and not memory.exists():
            memory.touch()
            is_fatal = True
        if is_fatal and not request.is_probe:
            os.kill(os.getpid(), signal.SIGKILL)
        if b"REFUSE" in request.image:
            return status_fault(401, "not today")
        return default_script(request)

    server = OpenAIServer(
        script,
        models=[order.name],
        api_key=order.key,
        owned_by="llamacpp",
        total_slots=order.slots,
    )
    with server:
        print(f'{{"url": "{server.root_url}"}}', flush=True)  # noqa: T201  # the protocol
        while os.read(0, 4096):
            pass


if __name__ == "__main__":
    main()
