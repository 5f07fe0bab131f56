"""Every error a user can meet, as one tree.

```
ImageworksError                exit status
├── UsageError                 2   command line, config or input path is wrong
│   └── ConfigError            2   one setting is wrong; names key and source
├── BackendError               3   the model server cannot be used
│   └── TransientBackendError  3   the same request may succeed later
├── StoreError                 4   the library or an output cannot be written
│   └── LibraryBusyError       4   another engine works on this library
└── PhotoError                 1   one photograph cannot be handled; the batch goes on
    ├── DecodeError            1   its pixels cannot be read
    ├── AnswerError            1   the model's answer cannot be used
    └── MetadataError          1   its metadata cannot be read or safely written
```
"""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """What the program tells the shell (contract, section 2)."""

    DONE = 0
    SOME_FAILED = 1
    USAGE = 2
    BACKEND = 3
    STORE = 4
    INTERRUPTED = 130


class ImageworksError(Exception):
    """An error to show to the person: what and where, and what to try.

    Args:
        message: One sentence that names the thing (file, URL, model, key).
        hint: What to do about it; empty when the message says it all.
        reason: A short stable word for counting and filtering, such as ``timeout``.
    """

    exit_status = ExitStatus.SOME_FAILED

    def __init__(self, message: str, *, hint: str = "", reason: str = "error") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.reason = reason

    def __str__(self) -> str:
        """The message, with its hint where there is one."""
        return f"{self.message} hint: {self.hint}" if self.hint else self.message


class UsageError(ImageworksError):
    """The command line, the config or an input path is wrong."""

    exit_status = ExitStatus.USAGE


class ConfigError(UsageError):
    """A setting is unknown, of the wrong type or out of range."""


class BackendError(ImageworksError):
    """The model server cannot be used."""

    exit_status = ExitStatus.BACKEND


class TransientBackendError(BackendError):
    """The server could not answer this time; asking again may help.

    ``retry_after_s`` is the server's own wish in seconds, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        reason: str = "transient",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint, reason=reason)
        self.retry_after_s = retry_after_s


class StoreError(ImageworksError):
    """The library or an output file cannot be read or written."""

    exit_status = ExitStatus.STORE


class LibraryBusyError(StoreError):
    """Another engine holds this library's lease."""


class PhotoError(ImageworksError):
    """One photograph cannot be handled; it becomes ``failed`` with this reason."""


class DecodeError(PhotoError):
    """The picture's pixels cannot be read."""


class AnswerError(PhotoError):
    """The model's answer to this photograph cannot be used."""


class MetadataError(PhotoError):
    """The photograph's metadata cannot be read, or not be written without harm."""
