"""What goes through the pipes between a program and its metadata process.

Frames: four bytes of length, big endian, then the body. Requests to the child are pickled. Replies
are JSON: the child reads hostile files, so what it says must not be able to run anything here. One
byte before each reply tells that work on the request has begun.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imageworks import errors
from imageworks.config import PersonalTaggerConfig
from imageworks.errors import ImageworksError, MetadataError
from imageworks.metadata.explain import Explanation
from imageworks.models import ExistingMetadata, MetadataTarget
from imageworks.stages import WriteOutcome, WriteRequest

if TYPE_CHECKING:
    from typing import BinaryIO


HEADER_BYTES = 4
BEGUN = b"+"
MAX_FRAME_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Opening:
    """The first request: what the child is to be."""

    config: PersonalTaggerConfig
    is_dry_run: bool


@dataclass(frozen=True, slots=True)
class Go:
    """The parent has journalled what the child is about to write."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What the child is about to write; it waits for `Go`."""

    outcome: WriteOutcome


@dataclass(frozen=True, slots=True)
class Explain:
    """A file to be explained."""

    path: Path


Request = Opening | Path | Explain | WriteRequest | Go
"""A path asks to read it."""
Reply = ExistingMetadata | Explanation | WriteOutcome | Intent


def encode_request(request: Request) -> bytes:
    """A request as a frame; the API key of a config never gets into it."""
    if isinstance(request, Opening):
        config = dataclasses.replace(request.config, api_key="EMPTY")
        request = dataclasses.replace(request, config=config)
    return _framed(pickle.dumps(request))


def read_request(stream: BinaryIO) -> Request | None:
    """The next request, or None when the parent has gone."""
    header = stream.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return None
    body = stream.read(body_size_bytes(header))
    if len(body) < body_size_bytes(header):
        return None
    request: Request = pickle.loads(body)  # noqa: S301  # from the process that started this one
    return request


def encode_reply(reply: Reply | ImageworksError) -> bytes:
    """A reply or an error as a frame."""
    if isinstance(reply, ImageworksError):
        content: dict[str, Any] = {
            "error": type(reply).__name__,
            "message": reply.message,
            "hint": reply.hint,
            "reason": reply.reason,
        }
    elif isinstance(reply, Intent):
        content = {"Intent": dataclasses.asdict(reply.outcome)}
    else:
        content = {type(reply).__name__: dataclasses.asdict(reply)}
    return _framed(json.dumps(content, default=_plain).encode("ascii"))


def decode_reply(body: bytes) -> Reply:
    """A reply out of its frame.

    Raises:
        ImageworksError: The error that the child met.
        MetadataError: ``metadata-crash``: the child does not make sense.
    """
    try:
        content = json.loads(body)
        if "error" in content:
            error = _error(content)
        elif "Intent" in content:
            return Intent(_outcome(content["Intent"]))
        elif "Explanation" in content:
            return _explanation(content["Explanation"])
        elif "WriteOutcome" in content:
            return _outcome(content["WriteOutcome"])
        else:
            return _existing(content["ExistingMetadata"])
    except (ValueError, TypeError, KeyError, AttributeError) as fault:
        message = "The metadata process gave an answer that makes no sense."
        raise MetadataError(message, hint="try again.", reason="metadata-crash") from fault
    raise error


def body_size_bytes(header: bytes) -> int:
    """The length in a frame's header."""
    (size,) = struct.unpack(">I", header)
    return int(size)


def _framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Path):
        return os.fspath(value)
    raise TypeError(value)


def _error(content: dict[str, Any]) -> ImageworksError:
    kind = getattr(errors, str(content["error"]), MetadataError)
    is_ours = isinstance(kind, type) and issubclass(kind, ImageworksError)
    made: ImageworksError = (kind if is_ours else MetadataError)(
        str(content["message"]), hint=str(content["hint"]), reason=str(content["reason"])
    )
    return made


def _outcome(content: dict[str, Any]) -> WriteOutcome:
    target_path = content["target_path"]
    return WriteOutcome(
        target=MetadataTarget(content["target"]),
        is_changed=bool(content["is_changed"]),
        notes=_texts(content["notes"]),
        before=_existing(content["before"]),
        target_path=None if target_path is None else Path(str(target_path)),
        identity_before=str(content["identity_before"]),
        identity_after=str(content["identity_after"]),
        undo=base64.b64decode(content["undo"], validate=True),
    )


def _explanation(content: dict[str, Any]) -> Explanation:
    return Explanation(
        path=Path(str(content["path"])),
        format=str(content["format"]),
        size_bytes=int(content["size_bytes"]),
        parts=tuple((str(name), str(value)) for name, value in content["parts"]),
        sidecars=_paths(content["sidecars"]),
        target=MetadataTarget(content["target"]),
        target_paths=_paths(content["target_paths"]),
        reason=str(content["reason"]),
        obstacles=_texts(content["obstacles"]),
        notes=_texts(content["notes"]),
        existing=_existing(content["existing"]),
    )


def _existing(content: dict[str, Any]) -> ExistingMetadata:
    rating, gps = content["rating"], content["gps"]
    known: dict[str, Any] = {
        field.name: _texts(value) if isinstance(value := content[field.name], list) else str(value)
        for field in dataclasses.fields(ExistingMetadata)
    }
    known["rating"] = None if rating is None else int(rating)
    known["gps"] = None if gps is None else (float(gps[0]), float(gps[1]))
    known["has_credentials"] = bool(content["has_credentials"])
    return ExistingMetadata(**known)


def _paths(values: list[object]) -> tuple[Path, ...]:
    return tuple(Path(str(value)) for value in values)


def _texts(values: list[object]) -> tuple[str, ...]:
    return tuple(str(value) for value in values)
