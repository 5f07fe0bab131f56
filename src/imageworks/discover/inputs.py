"""What a person names as input, checked before anything begins."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.errors import UsageError
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Sequence


def check_inputs(inputs: Sequence[Path]) -> tuple[Path, ...]:
    """The inputs as absolute paths, links not resolved, each once, in their order.

    Raises:
        UsageError: One is missing, cannot be read, or is neither a file nor a folder.
    """
    absolute = dict.fromkeys(Path(os.path.abspath(path)) for path in inputs)  # noqa: PTH100  # keeps links
    for path in absolute:
        try:
            _try_reading(path)
        except OSError as error:
            message = f"{show_path(path)} cannot be read: {error.strerror}."
            raise UsageError(message, hint="check the input path.", reason="input") from error
    return tuple(absolute)


def _try_reading(path: Path) -> None:
    if path.is_dir():
        with os.scandir(path):
            return
    path.stat()  # missing: says so
    if not path.is_file():
        message = f"{show_path(path)} is neither a file nor a folder."
        raise UsageError(message, hint="give photographs or folders.", reason="input")
    with path.open("rb"):
        return
