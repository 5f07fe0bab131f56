"""Long text in the person's own editor, by way of a private file."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.errors import UsageError
from imageworks.text import clean_text, one_line, show_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

logger = logging.getLogger(__name__)

_FALLBACKS = ("nano", "vi")
_NOT_RUN = (126, 127)
"""What a shell says of a program that it cannot run or find (POSIX, "Shell Command Language")."""


def editor_command(environment: Mapping[str, str]) -> list[str]:
    """The editor that the person has chosen: ``$VISUAL``, ``$EDITOR``, else one that is here.

    Raises:
        UsageError: There is none, or its command cannot be read.
    """
    for name in ("VISUAL", "EDITOR"):
        if environment.get(name, "").strip():
            try:
                return shlex.split(environment[name])
            except ValueError as error:
                message = f"${name} cannot be read: {one_line(str(error))}."
                raise UsageError(message, hint="mend its quotes.") from error
    found = next((path for path in map(shutil.which, _FALLBACKS) if path), None)
    if found is None:
        message = "No editor is known."
        raise UsageError(message, hint="set the variable EDITOR.")
    return [found]


def edit_text(text: str, command: Sequence[str], *, is_multiline: bool) -> str:
    """The text as the person leaves it in the editor, cleaned; blocks until then.

    The file is in a folder of its own, and only its owner can read either. They go when all is
    well; where the editor fails after something was written, they stay and the error names them.

    Args:
        text: What to begin with.
        command: The editor and its arguments; the file's path is put behind.
        is_multiline: False: line ends become spaces.

    Raises:
        UsageError: The editor failed; the field keeps its text.
    """
    folder = Path(tempfile.mkdtemp(prefix="ptag-edit-"))
    path = folder / "text.txt"
    before = f"{text}\n".encode("utf-8", "replace")
    try:
        _write_private(path, before)
        problem = _run([*command, str(path)])
        after = path.read_bytes()
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        message = f"The editor's file cannot be used: {error.strerror}."
        raise UsageError(message, hint="the field keeps its text.") from error
    if problem:
        hint = "the field keeps its text"
        if after != before:
            hint += f"; what the editor wrote is in {show_path(path)}"
        else:
            shutil.rmtree(folder, ignore_errors=True)
        raise UsageError(problem, hint=f"{hint}.", reason="editor")
    shutil.rmtree(folder, ignore_errors=True)
    return clean_text(after.decode("utf-8-sig", "replace"), keep_newlines=is_multiline)


def _write_private(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _run(command: Sequence[str]) -> str:
    """Runs the editor on this terminal; why it failed, or nothing."""
    name = one_line(command[0], limit=80)
    try:
        status = subprocess.run(command, check=False).returncode  # noqa: S603  # the person's own
    except OSError as error:
        return f"The editor {name} cannot be started: {error.strerror}."
    if status in _NOT_RUN:
        return f"The editor {name} cannot be started."
    return f"The editor {name} ended with status {status}." if status else ""
