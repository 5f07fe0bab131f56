"""Fetches a recommended model from its hub: whole, proven, and going on where it was cut off."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import re
import shutil
import time
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import IO, TYPE_CHECKING

import httpx

from imageworks.errors import BackendError, StoreError, UsageError
from imageworks.files import sync_folder
from imageworks.infer.transport import is_local_host
from imageworks.text import one_line, show_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

HUB_URL = "https://huggingface.co"
HUB_VARIABLE = "HF_ENDPOINT"
"""Names another address of the hub, as in huggingface_hub."""

_TABLE = "embedded_models.toml"
_PIECE_BYTES = 1024 * 1024
_SPARE_BYTES = 500_000_000
_MOST_CUTS = 5
_PAUSE_S = 1.0
_TIMEOUT = httpx.Timeout(connect=10, read=60, write=10, pool=None)
_SHA256 = re.compile(r'(?:W/)?"?([0-9a-f]{64})"?')
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a hub's repository.

    Attributes:
        name: In the repository, and on disk.
        size_bytes: Its size at the revision.
        sha256: Its checksum in hex; empty takes the hub's word.
    """

    name: str
    size_bytes: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model that can be fetched.

    Attributes:
        id: What a person types.
        title: Its name.
        advice: For whom it is.
        licence: Its SPDX name.
        repository: Such as ``Qwen/Qwen3-VL-4B-Instruct-GGUF``.
        revision: The commit that sizes and checksums belong to.
        files: The model and its projector.
    """

    id: str
    title: str
    advice: str
    licence: str
    repository: str
    revision: str
    files: tuple[HubFile, ...]

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files)


def recommended_models() -> tuple[HubModel, ...]:
    """The models that ``ptag embedded get`` knows, best first."""
    text = resources.files("imageworks.infer").joinpath(_TABLE).read_text("utf-8")
    return tuple(
        HubModel(
            **{name: value for name, value in row.items() if isinstance(value, str)},
            files=(HubFile(**row["model"]), HubFile(**row["projector"])),
        )
        for row in tomllib.loads(text)["model"]
    )


def model_of_id(name: str, models: Sequence[HubModel]) -> HubModel:
    """The model of an id.

    Raises:
        UsageError: There is none; names those that there are.
    """
    for model in models:
        if model.id == name.lower():
            return model
    known = ", ".join(model.id for model in models)
    message = f"No model {one_line(name, limit=80)!r} is known. Known are: {known}."
    raise UsageError(message, hint="`ptag embedded list` tells about them.", reason="no-model")


class HubDownload:
    """Fetches the files of one model into a folder.

    A file stands under its own name only once it is whole and its checksum right; until then it is
    ``NAME.part``, and the next attempt goes on from there.

    Args:
        model: What to fetch.
        folder: Where to.
        on_progress: Told the bytes that are there, and all, of the model.
        environment: May name another hub.
        sleep: Waits so many seconds.
        free_bytes: Free space at a folder.
    """

    def __init__(
        self,
        model: HubModel,
        folder: Path,
        *,
        on_progress: Callable[[int, int], None] = lambda _done, _all: None,
        environment: Mapping[str, str] = os.environ,
        sleep: Callable[[float], None] = time.sleep,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._model = model
        self._folder = folder
        self._on_progress = on_progress
        self._sleep = sleep
        self._free_bytes = free_bytes
        self._hub = (environment.get(HUB_VARIABLE) or HUB_URL).rstrip("/")
        self._before_bytes = 0

    def run(self) -> tuple[Path, ...]:
        """Fetches what is missing; the files.

        Raises:
            BackendError: There is no network, the hub has no such file, or sends another one.
            StoreError: The disk has no room, cannot be written, or another download is at work.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _disk_error(self._folder, error) from error
        with _locked(self._folder / ".download.lock"):
            self._check_space()
            host = httpx.URL(self._hub).host
            with httpx.Client(
                timeout=_TIMEOUT, follow_redirects=True, trust_env=not is_local_host(host)
            ) as client:
                paths = tuple(self._fetch(client, file) for file in self._model.files)
        return paths

    def _check_space(self) -> None:
        there_bytes = sum(
            _size(path) for file in self._model.files for path in self._names(file) if path.exists()
        )
        needed_bytes = max(0, self._model.size_bytes - there_bytes)
        free_bytes = self._free_bytes(self._folder)
        if needed_bytes and free_bytes < needed_bytes + _SPARE_BYTES:
            message = (
                f"{self._model.title} needs {(needed_bytes + _SPARE_BYTES) / 1e9:.1f} GB at"
                f" {show_path(self._folder)}, where {free_bytes / 1e9:.1f} GB are free."
            )
            raise StoreError(message, hint="make room, or fetch a smaller model.", reason="no-room")

    def _names(self, file: HubFile) -> tuple[Path, Path]:
        return self._folder / file.name, self._folder / f"{file.name}.part"

    # -- one file ----------------------------------------------------------------------

    def _fetch(self, client: httpx.Client, file: HubFile) -> Path:
        path, part = self._names(file)
        if not (path.exists() and _size(path) == file.size_bytes):
            sha256 = self._ask_checksum(client, file)
            try:
                self._fetch_part(client, file, part, sha256)
                part.replace(path)
                sync_folder(self._folder)
            except OSError as error:
                raise _disk_error(part, error) from error
        self._before_bytes += file.size_bytes
        self._on_progress(self._before_bytes, self._model.size_bytes)
        return path

    def _fetch_part(self, client: httpx.Client, file: HubFile, part: Path, sha256: str) -> None:
        """Fills the ``.part`` file and proves it."""
        with part.open("a+b") as stream:
            arrived = _Arrived(stream, file.size_bytes)
            cuts = 0
            while arrived.size_bytes < file.size_bytes:
                before_bytes = arrived.size_bytes
                try:
                    self._receive(client, file, arrived)
                except (httpx.TransportError, _CutError) as error:
                    cuts = 1 if arrived.size_bytes > before_bytes else cuts + 1
                    if cuts >= _MOST_CUTS or isinstance(error, httpx.ConnectError):
                        raise self._cut_off(error) from error
                    logger.info("cut off at %d bytes; going on", arrived.size_bytes)
                    self._sleep(_PAUSE_S * cuts)
            stream.flush()
            os.fsync(stream.fileno())
        if arrived.sha256 != sha256:
            part.unlink()
            message = f"{file.name} arrived damaged: its checksum is not the one expected."
            raise BackendError(message, hint="run the same command again.", reason="bad-checksum")

    def _receive(self, client: httpx.Client, file: HubFile, arrived: _Arrived) -> None:
        """Appends what the hub sends after what is there."""
        begin = arrived.size_bytes
        headers = {"Range": f"bytes={begin}-", "Accept-Encoding": "identity"}
        with client.stream("GET", self._url(file), headers=headers) as response:
            self._check_status(response, file)
            if response.status_code != httpx.codes.PARTIAL_CONTENT and begin:
                arrived.restart()  # this hub cannot go on half-way
            elif begin and not response.headers.get("content-range", "").startswith(
                f"bytes {begin}-"
            ):
                raise _CutError
            for piece in response.iter_raw():
                if arrived.size_bytes + len(piece) > file.size_bytes:
                    raise self._other_file(file)
                arrived.append(piece)
                done_bytes = self._before_bytes + arrived.size_bytes
                self._on_progress(done_bytes, self._model.size_bytes)
        if arrived.size_bytes < file.size_bytes:
            raise _CutError

    def _ask_checksum(self, client: httpx.Client, file: HubFile) -> str:
        """The checksum to expect; the hub is asked whether it still has that very file.

        Source: huggingface_hub ``docs/source/en/guides/download.md`` and its ``file_download.py``:
        ``X-Linked-Etag`` is the SHA-256 of a large file, ``X-Linked-Size`` its size.
        """
        try:
            response = client.head(
                self._url(file), follow_redirects=False, headers={"Accept-Encoding": "identity"}
            )
            self._check_status(response, file)
        except (httpx.TransportError, _CutError) as error:
            raise self._cut_off(error) from error
        size = response.headers.get("x-linked-size") or ""
        told = _SHA256.fullmatch(response.headers.get("x-linked-etag", "").strip())
        if size and size != str(file.size_bytes):
            raise self._other_file(file)
        if told and file.sha256 and told[1] != file.sha256:
            raise self._other_file(file)
        if not told and not file.sha256:
            message = f"{self._hub} tells no checksum for {file.name}, so it was not fetched."
            raise BackendError(message, hint="fetch it by hand.", reason="no-checksum")
        return file.sha256 or (told[1] if told else "")

    def _url(self, file: HubFile) -> str:
        model = self._model
        return f"{self._hub}/{model.repository}/resolve/{model.revision}/{file.name}"

    # -- errors ------------------------------------------------------------------------

    def _check_status(self, response: httpx.Response, file: HubFile) -> None:
        status = response.status_code
        if status < httpx.codes.BAD_REQUEST:
            return
        if status in {httpx.codes.TOO_MANY_REQUESTS, 500, 502, 503, 504}:
            message = f"status {status}"
            raise _CutError(message)
        message = f"{self._hub} does not give out {file.name}: status {status}."
        hint = "choose another model: `ptag embedded list`."
        raise BackendError(message, hint=hint, reason="not-on-hub")

    def _other_file(self, file: HubFile) -> BackendError:
        message = f"{self._hub} has another {file.name} than expected; it was not taken."
        hint = "choose another model, or update this program."
        return BackendError(message, hint=hint, reason="other-file")

    def _cut_off(self, error: Exception) -> BackendError:
        said = one_line(str(error) or type(error).__name__, limit=200).rstrip(".")
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)):
            message = f"There is no network, or {self._hub} cannot be reached: {said}."
            hint = "models on this disk can be named with --embedded-model."
            return BackendError(message, hint=hint, reason="no-network")
        message = f"{self._hub} does not send the whole file: {said}."
        hint = "run the same command again later; it goes on where it was."
        return BackendError(message, hint=hint, reason="connection-lost")


class _CutError(Exception):
    """The hub sent less than it should have, or has no time now."""


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keeps a second download out of the same folder."""
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"Another download into {show_path(path.parent)} is at work."
            raise StoreError(message, hint="wait for it.", reason="busy") from error
        yield


class _Arrived:
    """What of a file is there, with its checksum so far.

    Args:
        stream: Opened for appending and reading; begun again when it holds too much.
        most_bytes: The whole file's size.
    """

    def __init__(self, stream: IO[bytes], most_bytes: int) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        if stream.seek(0, os.SEEK_END) > most_bytes:
            stream.truncate(0)
        stream.seek(0)
        while piece := stream.read(_PIECE_BYTES):
            self._note(piece)

    @property
    def sha256(self) -> str:
        """In hex."""
        return self._digest.hexdigest()

    def append(self, piece: bytes) -> None:
        self._stream.write(piece)
        self._note(piece)

    def restart(self) -> None:
        self._stream.truncate(0)
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def _note(self, piece: bytes) -> None:
        self._digest.update(piece)
        self.size_bytes += len(piece)


def _size(path: Path) -> int:
    return path.stat().st_size


def _disk_error(path: Path, error: OSError) -> StoreError:
    message = f"{show_path(path)} cannot be written: {error.strerror or error}."
    hint = "make room and run the same command again; it goes on where it was."
    reason = "no-room" if error.errno in _NO_SPACE else "unwritable"
    return StoreError(message, hint=hint, reason=reason)
