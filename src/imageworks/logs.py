"""Logging for screen, engine and commands: plain lines, no control characters, no secrets."""

from __future__ import annotations

import logging
import logging.handlers
import sys
from typing import TYPE_CHECKING

from imageworks.errors import ConfigError
from imageworks.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LEVEL_VARIABLE = "IMAGEWORKS_LOG_LEVEL"
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_MAX_FILE_BYTES = 2_000_000
_KEPT_FILES = 3


class _HarmlessFormatter(logging.Formatter):
    """One record, one run of printable lines: names and server texts cannot drive the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return "\n".join(one_line(line, limit=2000) for line in text.split("\n"))


def log_level(environment: Mapping[str, str], *, default: int = logging.WARNING) -> int:
    """The level that ``IMAGEWORKS_LOG_LEVEL`` asks for.

    Raises:
        ConfigError: The variable holds something else than a level's name.
    """
    word = environment.get(LEVEL_VARIABLE, "").strip().upper()
    if not word:
        return default
    if word not in _LEVELS:
        message = f"Setting {LEVEL_VARIABLE} from the environment is {one_line(word)!r}."
        raise ConfigError(message, hint=f"use one of: {', '.join(_LEVELS)}.")
    return int(getattr(logging, word))


def log_to_stderr(level: int) -> None:
    """Sends the program's log to standard error, for commands."""
    _install(logging.StreamHandler(sys.stderr), level)


def log_to_file(path: Path, level: int) -> None:
    """Sends the program's log to a rotating file, for screen and engine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=_MAX_FILE_BYTES, backupCount=_KEPT_FILES, encoding="utf-8", delay=True
    )
    _install(handler, level)


def _install(handler: logging.Handler, level: int) -> None:
    handler.setFormatter(_HarmlessFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("imageworks")
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
