"""Reads a streamed chat completion (server-sent events) and notices when it runs away."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from imageworks.errors import AnswerError

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_BLANK_RUN = 64
"""Blanks in a row after which an answer is a whitespace loop: llama.cpp's own grammar allows 21."""

_RUNAWAYS = {
    "whitespace-loop": "The model filled its answer with blanks.",
    "repetition": "The model repeats itself without end.",
    "answer-too-long": "The model's answer does not end.",
}
_REPEATED_CHARACTERS = 240
_LONGEST_UNIT = 60
_LOOK_EVERY_CHARACTERS = 64
_CHUNKS_PER_TOKEN = 2
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
_MOST_BUFFERED_BYTES = 1024 * 1024


class StreamReader:
    """One streamed answer, put together as it comes.

    Args:
        most_tokens: Limit that was asked for; a server that ignores it is cut off.

    Attributes:
        ttft_s: When the first text came, or None before.
        longest_stall_s: Longest wait between two pieces of text, in seconds.
        is_done: The server said that this was all.
        error: What the server complained about inside the stream; None as a rule.
    """

    def __init__(self, *, most_tokens: int) -> None:
        self._most_chunks = most_tokens * _CHUNKS_PER_TOKEN
        self._buffer = b""
        self._texts: list[str] = []
        self._reasoning: list[str] = []
        self._logprobs: list[Any] = []
        self._finish = ""
        self._usage: Mapping[str, Any] = {}
        self._model = ""
        self._guard = RunawayGuard()
        self._last_at_s: float | None = None
        self.ttft_s: float | None = None
        self.longest_stall_s = 0.0
        self.is_done = False
        self.error: dict[str, Any] | None = None

    def feed(self, data: bytes, at_s: float) -> None:
        """Takes in bytes that came so many seconds after sending.

        Raises:
            AnswerError: The answer runs away: ``whitespace-loop``, ``repetition``,
                ``answer-too-long``; or ``bad-sample``: a piece of it cannot be read.
        """
        *lines, self._buffer = _LINE_END.split(self._buffer + data)
        if len(self._buffer) > _MOST_BUFFERED_BYTES:
            raise _runaway(reason="answer-too-long")
        for line in lines:
            self._read_line(line, at_s)

    def value(self) -> dict[str, Any]:
        """What came so far, in the shape of a plain completion; for `responses.read_chat`."""
        choice: dict[str, Any] = {
            "message": {
                "content": "".join(self._texts),
                "reasoning": "".join(self._reasoning),
            },
            "finish_reason": self._finish,
        }
        if self._logprobs:
            choice["logprobs"] = {"content": self._logprobs}
        return {"choices": [choice], "usage": dict(self._usage), "model": self._model}

    def _read_line(self, line: bytes, at_s: float) -> None:
        field, _, content = line.partition(b":")
        if field.strip() != b"data":
            return  # comments, event names, blank lines
        content = content.strip()
        if not content or (self._finish and content != b"[DONE]" and content[:1] != b"{"):
            return  # keeps the connection awake, or no more text is to come
        if content == b"[DONE]":
            self.is_done = True
            return
        self._read_event(_event(content), at_s)

    def _read_event(self, event: dict[str, Any], at_s: float) -> None:
        if event.get("error"):
            self.error = event
            return
        if isinstance(event.get("usage"), dict):
            self._usage = event["usage"]
        if isinstance(event.get("model"), str):
            self._model = event["model"]
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return  # the last event has usage alone
        if isinstance(choice.get("finish_reason"), str):
            self._finish = choice["finish_reason"]
        logprobs = choice.get("logprobs")
        if isinstance(logprobs, dict) and isinstance(logprobs.get("content"), list):
            self._logprobs += logprobs["content"]
        delta = choice.get("delta")
        if isinstance(delta, dict):
            self._read_delta(delta, at_s)

    def _read_delta(self, delta: dict[str, Any], at_s: float) -> None:
        for name in ("reasoning", "reasoning_content"):
            if isinstance(delta.get(name), str):
                self._reasoning.append(delta[name])
        text = delta.get("content")
        if not isinstance(text, str) or not text:
            return
        if self.ttft_s is None:
            self.ttft_s = at_s
        elif self._last_at_s is not None:
            self.longest_stall_s = max(self.longest_stall_s, at_s - self._last_at_s)
        self._last_at_s = at_s
        self._texts.append(text)
        if len(self._texts) > self._most_chunks:
            raise _runaway(reason="answer-too-long")
        self._guard.feed(text)


def _event(content: bytes) -> dict[str, Any]:
    """The object in a line of data.

    Raises:
        AnswerError: ``bad-sample``: it holds none, so a piece of the answer is lost.
    """
    try:
        event = json.loads(content.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        event = None
    if isinstance(event, dict):
        return event
    message = "A piece of the model's answer arrived damaged."
    raise AnswerError(message, hint="see the server's log.", reason="bad-sample")


class RunawayGuard:
    """Notices in a growing text that nothing more will come of it."""

    def __init__(self) -> None:
        self._tail = ""
        self._since_look = 0
        self._blanks = 0

    def feed(self, text: str) -> None:
        """Takes in the next piece.

        Raises:
            AnswerError: ``whitespace-loop`` or ``repetition``.
        """
        stripped = text.rstrip()
        blanks = len(text) - len(stripped)
        self._blanks = blanks if stripped else self._blanks + blanks
        if self._blanks > LONGEST_BLANK_RUN:
            raise _runaway(reason="whitespace-loop")
        self._tail = (self._tail + text)[-_REPEATED_CHARACTERS:]
        self._since_look += len(text)
        if self._since_look >= _LOOK_EVERY_CHARACTERS:
            self._since_look = 0
            if is_repeating(self._tail):
                raise _runaway(reason="repetition")


def is_repeating(text: str) -> bool:
    """Whether a text ends in the same few words over and over."""
    tail = text[-_REPEATED_CHARACTERS:]
    if len(tail) < _REPEATED_CHARACTERS:
        return False
    return any(tail[unit:] == tail[:-unit] for unit in range(1, _LONGEST_UNIT + 1))


def _runaway(*, reason: str) -> AnswerError:
    hint = "try again, or try another model."
    return AnswerError(_RUNAWAYS[reason], hint=hint, reason=reason)
