"""The metadata process: reads requests from standard input until its parent has gone.

Run as ``python -m imageworks.metadata.worker`` by `MetadataProcess`. It ends by itself once a file
has changed the process-wide state of Exiv2; its parent then starts a clean one.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.children import take_pipes
from imageworks.errors import ImageworksError
from imageworks.metadata import exiv2
from imageworks.metadata.wire import BEGUN, Explain, Go, Intent, Opening, encode_reply, read_request
from imageworks.metadata.writer import DryRunMetadataWriter, PersonalMetadataWriter
from imageworks.stages import WriteOutcome, WriteRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from imageworks.metadata.base import MetadataWriter
    from imageworks.metadata.wire import Reply, Request

_SWITCH_S = 0.0002
"""How long a proof may hold up the thread that writes a draft, which mostly waits for the disk."""


def main() -> None:
    """Serves requests; an interrupt meant for the parent does not end a write half-way."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.setswitchinterval(_SWITCH_S)
    requests, replies = take_pipes()  # Exiv2 prints to descriptor 1
    serve(requests, replies)


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answers until the requests end, the parent is gone, or Exiv2 is no longer clean."""
    opening = read_request(requests)
    if not isinstance(opening, Opening):
        return
    kind = DryRunMetadataWriter if opening.is_dry_run else PersonalMetadataWriter
    writer = kind(opening.config)
    fresh = exiv2.serialised_canary()
    is_clean = True
    while is_clean and (request := read_request(requests)) is not None:
        try:
            replies.write(BEGUN)
            replies.flush()
            reply = _answer(writer, request, lambda intent: _announce(requests, replies, intent))
            replies.write(encode_reply(reply))
            replies.flush()
            # After the reply: what fails here is not this file's fault, and nobody has to wait.
            is_clean = exiv2.serialised_canary() == fresh
        except BrokenPipeError:
            return


def _announce(requests: BinaryIO, replies: BinaryIO, intent: WriteOutcome) -> None:
    """Tells the parent what is about to be written and waits until it is in the journal."""
    replies.write(encode_reply(Intent(intent)))
    replies.flush()
    if not isinstance(read_request(requests), Go):
        raise BrokenPipeError


def _answer(
    writer: MetadataWriter, request: Request, announce: Callable[[WriteOutcome], None]
) -> Reply | ImageworksError:
    try:
        if isinstance(request, WriteRequest):
            return writer.write(request, announce)
        if isinstance(request, Path):
            return writer.read(request)
        if isinstance(request, Explain):
            return writer.explain(request.path)
        message = f"the metadata process was sent {request} out of turn"
        raise TypeError(message)
    except ImageworksError as error:
        return error


if __name__ == "__main__":
    main()
