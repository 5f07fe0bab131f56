"""The JSONL output: one object per image, a whole line at a time, valid after any kill."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import stat
from datetime import UTC
from typing import TYPE_CHECKING, Any

from imageworks.errors import StoreError
from imageworks.files import output_error, refuse_photograph
from imageworks.models import MetadataTarget
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from imageworks.models import Keyword
    from imageworks.stages import PersonalTaggerRecord

logger = logging.getLogger(__name__)

SCHEMA_VERSION = "2.0"
RECENT_LINES = 2000

_LINE_START = b'{"schema_version"'

_BLOCK_BYTES = 1 << 16
_MAX_RECENT_BYTES = 1 << 26
# Valid in JSON, but no UTF-8 (lone surrogates), or line ends to some readers.
_TO_ESCAPE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def record_to_json(record: PersonalTaggerRecord) -> dict[str, Any]:
    """The object of one image (contract, section 6), in the order of the contract."""
    tags = record.tags
    decision = record.decision
    target = record.metadata_target
    return {
        "schema_version": SCHEMA_VERSION,
        "image": str(record.image),
        "content_id": record.content_id,
        "caption": tags.caption,
        "keywords": [_keyword(keyword) for keyword in tags.keywords],
        "description": tags.description,
        "backend": record.backend,
        "base_url": record.base_url,
        "models": dict(record.models),
        "prompt_profile": record.prompt_profile,
        "prompts": {
            name: {"system": answer.system, "user": answer.user}
            for answer in record.answers
            for name in answer.names
        },
        "responses": {name: answer.text for answer in record.answers for name in answer.names},
        "timing": _timing(record),
        "tokens": _tokens(record),
        "state": record.state.value,
        "decision": {"by": decision.by, "at": _utc(decision.at)} if decision else None,
        "metadata_written": record.is_metadata_written,
        "metadata_target": None if target is MetadataTarget.NONE else target.value,
        "notes": list(record.notes),
        "duration_seconds": _finite(record.duration_s),
        "run_id": record.run_id,
        "created_at": _utc(record.created_at),
    }


def json_line(record: PersonalTaggerRecord) -> bytes:
    r"""The record as one line of UTF-8, with its line end.

    A byte of a path that is not UTF-8 is written as ``\udcNN`` (PEP 383), so that `os.fsencode`
    gives the path back.
    """
    return to_json(record_to_json(record)).encode() + b"\n"


def to_json(value: Mapping[str, Any], *, indent: int | None = None) -> str:
    """JSON without a character that cannot be encoded or that breaks a line for some reader."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    return _TO_ESCAPE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class JsonlWriter:
    """Appends records to a file; use as a context manager or call `close`.

    Opening makes missing folders and takes away a last line that a kill left torn.

    Args:
        path: The file; it may exist. What is no regular file, such as a pipe, is only written.
        fsync: Makes every line durable before `append` returns.

    Raises:
        StoreError: The file cannot be opened or written, or holds something else; names it.
    """

    def __init__(self, path: Path, *, fsync: bool = False) -> None:
        refuse_photograph(path)
        self._path = path
        self._fsync = fsync
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o666)
        except OSError as error:
            raise output_error(path, error) from error
        self._is_regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        try:
            if self._is_regular:
                self._heal()
        except OSError as error:
            self.close()
            raise output_error(path, error) from error
        except StoreError:
            self.close()
            raise

    def __enter__(self) -> JsonlWriter:
        """The writer itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Closes the file."""
        self.close()

    def append(self, record: PersonalTaggerRecord) -> None:
        """Writes one line whole: if the disk takes only a part of it, that part is taken back."""
        line = json_line(record)
        try:
            start = os.fstat(self._descriptor).st_size
            self._write(line, start)
            if self._fsync and self._is_regular:
                os.fsync(self._descriptor)
        except OSError as error:
            raise output_error(self._path, error) from error

    def finished_keys(self) -> set[tuple[str, str]]:
        """Run id and image of the last 2000 lines, for going on after a kill without repeats."""
        if not self._is_regular:
            return set()
        keys: set[tuple[str, str]] = set()
        try:
            lines = self._recent_lines()
        except OSError as error:
            raise output_error(self._path, error) from error
        for line in lines:
            value = _parsed(line)
            if isinstance(value, dict):
                run_id, image = value.get("run_id"), value.get("image")
                if isinstance(run_id, str) and isinstance(image, str):
                    keys.add((run_id, image))
        return keys

    def close(self) -> None:
        """Closes the file; closing twice does no harm."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, line: bytes, start: int) -> None:
        written = 0
        try:
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError:
            size = os.fstat(self._descriptor).st_size
            if self._is_regular and written and size == start + written:
                os.ftruncate(self._descriptor, start)
            raise

    def _heal(self) -> None:
        """Takes away the torn line at the end, if there is one; harms no file of another kind."""
        size = os.fstat(self._descriptor).st_size
        tail = self._last_bytes(size, stop_at_line_end=True)
        is_torn = bool(tail) and (tail.startswith(_LINE_START) or _LINE_START.startswith(tail))
        is_blank = not tail.strip(b"\0")  # a lost power supply leaves zeros
        is_whole = bool(tail) and _parsed(tail) is not None
        begins = self._first_bytes()
        if not (begins in {b"", b"{", b"\0"} and (is_torn or is_blank or is_whole)):
            message = f"{show_path(self._path)} holds something else than JSONL."
            raise StoreError(message, hint="name another file.", reason="foreign-file")
        if is_whole:
            os.write(self._descriptor, b"\n")
        if is_whole or not tail:
            return
        os.ftruncate(self._descriptor, size - len(tail))
        logger.warning(
            "%s ended in a torn line; its %d bytes were taken away",
            show_path(self._path),
            len(tail),
        )

    def _first_bytes(self) -> bytes:
        with self._path.open("rb") as stream:
            return stream.read(1)

    def _recent_lines(self) -> list[bytes]:
        size = os.fstat(self._descriptor).st_size
        return self._last_bytes(size, stop_at_line_end=False).split(b"\n")[-RECENT_LINES - 1 :]

    def _last_bytes(self, size: int, *, stop_at_line_end: bool) -> bytes:
        """The end of the file: what follows its last line end, or its last 2000 lines and more."""
        blocks: list[bytes] = []
        line_ends = 0
        start = size
        with self._path.open("rb") as stream:
            while start > 0 and line_ends <= RECENT_LINES and size - start < _MAX_RECENT_BYTES:
                begin = max(0, start - _BLOCK_BYTES)
                stream.seek(begin)
                block = stream.read(start - begin)
                if stop_at_line_end and b"\n" in block:
                    blocks.append(block[block.rindex(b"\n") + 1 :])
                    break
                blocks.append(block)
                line_ends += block.count(b"\n")
                start = begin
        return b"".join(reversed(blocks))


def _parsed(line: bytes) -> Any:  # noqa: ANN401  # from JSON
    """The value of a line; None where it is not whole."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _keyword(keyword: Keyword) -> dict[str, Any]:
    value: dict[str, Any] = {
        "keyword": keyword.text,
        "score": _finite(keyword.score),
        "origin": keyword.origin.value,
    }
    if keyword.path:
        value["hierarchy"] = list(keyword.path)
    return value


def _timing(record: PersonalTaggerRecord) -> dict[str, float | None]:
    """Seconds per stage or phase; a request for several stages is named ``caption+keywords``."""
    timing = {name: _finite(seconds) for name, seconds in record.timing_s.items()}
    for answer in record.answers:
        name = "+".join(answer.names)
        timing.setdefault(name, _finite(answer.duration_s))
    first_ttft_s = next((a.ttft_s for a in record.answers if a.ttft_s is not None), None)
    if first_ttft_s is not None:
        timing.setdefault("ttft_s", _finite(first_ttft_s))
    stalls_s = [a.longest_stall_s for a in record.answers if a.longest_stall_s is not None]
    if stalls_s:
        timing.setdefault("stall_s", _finite(max(stalls_s)))
    return timing


def _tokens(record: PersonalTaggerRecord) -> dict[str, int | None]:
    """Tokens over all exchanges; null where the server counted none."""
    prompt = [a.prompt_tokens for a in record.answers if a.prompt_tokens is not None]
    completion = [a.completion_tokens for a in record.answers if a.completion_tokens is not None]
    return {
        "prompt": sum(prompt) if prompt else None,
        "completion": sum(completion) if completion else None,
    }


def _finite(number: float | None) -> float | None:
    """A number that JSON can say, to the microsecond; None for any other."""
    return round(number, 6) if number is not None and math.isfinite(number) else None


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
