"""The metrics history: every run's figures in one JSON file, whole or not at all."""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from imageworks.errors import StoreError
from imageworks.files import output_error, refuse_photograph, whole_file
from imageworks.report.jsonl import to_json
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

logger = logging.getLogger(__name__)


class MetricsHistory:
    """The runs in a metrics file.

    A run is what `BatchRunMetrics.summary` gives, with ``run_id``, ``started_at`` (ISO 8601),
    ``backend``, ``models`` (by stage) and ``prompt_profile`` beside it and, once reviewed,
    ``review``: ``acceptance_ratio``, ``edit_distance``, ``keywords_kept``, ``keywords_removed``,
    ``keywords_added``.

    Args:
        path: The file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.kept_aside: Path | None = None
        """Where an unreadable history was moved by `append`; None as a rule."""

    def load(self) -> tuple[dict[str, Any], ...]:
        """All runs, oldest first; none when the file does not exist.

        Raises:
            StoreError: The file cannot be read; reason ``corrupt`` when it is no metrics history.
        """
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise output_error(self._path, error) from error
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._corrupt() from error
        runs = value.get("history") if isinstance(value, dict) else None
        if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
            raise self._corrupt()
        return tuple(runs)

    def append(self, run: Mapping[str, Any]) -> None:
        """Adds a run; one with the same ``run_id`` is replaced in its place.

        A file that is no metrics history is kept aside as ``NAME.corrupt-N``, with a warning in the
        log; see `kept_aside`.

        Raises:
            StoreError: The file cannot be read or written; it is as it was.
        """
        refuse_photograph(self._path)
        with self._locked():
            runs = [*self._load_or_keep_aside()]
            known = [place for place, old in enumerate(runs) if _same_run(old, run)]
            if known:
                runs[known[0]] = dict(run)
            else:
                runs.append(dict(run))
            document = _sayable({"history": runs, "last": dict(run)})
            with whole_file(self._path) as stream:
                stream.write(to_json(document, indent=2) + "\n")

    def _load_or_keep_aside(self) -> tuple[dict[str, Any], ...]:
        try:
            return self.load()
        except StoreError as error:
            if error.reason != "corrupt":
                raise
        try:
            self.kept_aside = self._keep_aside()
        except OSError as error:
            raise output_error(self._path, error) from error
        logger.warning(
            "%s is no metrics history; it was kept as %s and a new one begun",
            show_path(self._path),
            show_path(self.kept_aside),
        )
        return ()

    def _keep_aside(self) -> Path:
        """Gives the file a name of its own; a link first, as that never replaces another file."""
        number = 1
        while True:
            aside = self._path.with_name(f"{self._path.name}.corrupt-{number}")
            try:
                os.link(self._path, aside)
            except FileExistsError:
                number += 1
                continue
            self._path.unlink()
            return aside

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keeps two programs from losing each other's run: a lock on the file's folder."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise output_error(self._path, error) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError as error:  # some network file systems have no locks
                logger.debug("no lock for %s: %s", show_path(self._path), error.strerror)
            yield
        finally:
            os.close(descriptor)

    def _corrupt(self) -> StoreError:
        message = f"{show_path(self._path)} is no metrics history."
        hint = "mend or move it; the next run keeps it aside and begins a new one."
        return StoreError(message, hint=hint, reason="corrupt")


def _same_run(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return bool(new.get("run_id")) and old.get("run_id") == new.get("run_id")


def _sayable(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    """A value without the numbers that JSON cannot say."""
    if isinstance(value, dict):
        return {str(key): _sayable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_sayable(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
