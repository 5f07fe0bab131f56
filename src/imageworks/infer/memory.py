"""What servers turned out to take and not to take, kept from run to run.

A cache: whatever is wrong with the file, asking works as if it were not there.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imageworks.infer.payload import Dialect

logger = logging.getLogger(__name__)

_MOST_SERVERS = 64
_MOST_BYTES = 1024 * 1024
_SWITCHES = (
    "has_old_limit_name",
    "has_schema",
    "has_sampling",
    "has_stream_options",
    "has_logprobs",
    "has_pattern",
    "has_grammar",
)


class ServerMemory:
    """Refused fields by server, model and version.

    Args:
        path: The file; None remembers nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def recall(self, key: str, dialect: Dialect) -> Dialect:
        """The dialect without what this server refused before."""
        refused = self._read().get(key)
        if not isinstance(refused, list):
            return dialect
        if "thinking_off" in refused:
            dialect = replace(dialect, thinking_off=())
        switches = {name: False for name in _SWITCHES if name in refused}
        return replace(dialect, **switches)  # type: ignore[arg-type]  # all of them are bools

    def note(self, key: str, dialect: Dialect) -> None:
        """Keeps what a server refuses."""
        if self._path is None:
            return
        refused = [name for name in _SWITCHES if not getattr(dialect, name)]
        if not dialect.thinking_off:
            refused.append("thinking_off")
        known = self._read()
        known.pop(key, None)
        known[key] = refused
        newest = dict(list(known.items())[-_MOST_SERVERS:])
        try:
            self._write(self._path, newest)
        except OSError as error:
            logger.info("What servers take is not kept: %s", error)

    def _read(self) -> dict[str, Any]:
        if self._path is None:
            return {}
        try:
            with self._path.open("rb") as file:
                found = json.loads(file.read(_MOST_BYTES))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @staticmethod
    def _write(path: Path, known: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(known, file)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise


def server_key(base_url: str, model: str, version: str) -> str:
    """What identifies a server's abilities; another version may have others."""
    return json.dumps([base_url, model, version])
