"""What the test server understands and says: requests, replies and faults, without a socket."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

MODEL = "Qwen2.5-VL-7B-AWQ"
PROBE_TOKENS = 16
"""A chat request for fewer tokens than this is a probe of preflight, not a question."""

_ADJECTIVES = ("amber", "brisk", "calm", "early", "foggy", "golden", "hazy", "jade", "lone", "pale")
_NOUNS = ("bridge", "canal", "dune", "ferry", "garden", "harbour", "island", "lantern", "pier")


@dataclass(frozen=True, slots=True)
class AskedRequest:
    """One request as the server understood it.

    Attributes:
        method: ``GET`` or ``POST``.
        path: With its query string.
        headers: Names in lower case.
        body: The decoded JSON; empty for other bodies.
        raw: The body's bytes.
        model: The model asked for.
        image: The decoded bytes of the first picture; empty when there is none.
        system: Text of the system message.
        user: Text of the user message, parts joined by newlines.
        index: 0 for the first request of this server.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    raw: bytes
    model: str = ""
    image: bytes = b""
    system: str = ""
    user: str = ""
    index: int = 0

    @property
    def is_chat(self) -> bool:
        return self.path.split("?")[0].endswith("/chat/completions")

    @property
    def is_structured(self) -> bool:
        return "response_format" in self.body

    @property
    def is_probe(self) -> bool:
        limit = self.body.get("max_tokens", self.body.get("max_completion_tokens"))
        return isinstance(limit, int) and limit < PROBE_TOKENS

    @property
    def image_sha256(self) -> str:
        return hashlib.sha256(self.image).hexdigest() if self.image else ""

    @property
    def stage(self) -> str:
        """``all``, ``caption``, ``keywords``, ``description`` or ``verify``, by the question."""
        prompt = self.user.lower()
        if "is each of these keywords clearly true" in prompt:
            return "verify"
        if self.is_structured or "json" in prompt:
            return "all"
        if "keyword" in prompt:
            return "keywords"
        return "description" if "sentence" in prompt and "describe" in prompt else "caption"

    @property
    def keywords_to_verify(self) -> list[str]:
        """The keywords that are to be confirmed, as the prompt lists them."""
        lists = re.findall(r"\[.*\]", self.user) if self.stage == "verify" else []
        return [str(keyword) for keyword in json.loads(lists[0])] if lists else []


@dataclass(frozen=True, slots=True)
class Reply:
    """A chat answer in full control; None leaves a field out.

    ``content`` may be anything JSON knows: null and lists of parts too.
    """

    content: Any = ""
    finish_reason: str | None = "stop"
    reasoning: str | None = None
    reasoning_content: str | None = None
    prompt_tokens: int | None = 258
    completion_tokens: int | None = 40
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong instead of an answer.

    Attributes:
        kind: ``status``, ``body``, ``cut``, ``reset``, ``hang`` or ``stall``.
        status: HTTP status of ``status``, ``body`` and ``cut``.
        message: Text of the error envelope of ``status``.
        retry_after: The ``Retry-After`` header, as it is sent.
        body: The raw bytes of ``body``, and of ``cut`` before the connection goes.
        content_type: Of ``body``.
        headers: More headers.
    """

    kind: str
    status: int = 200
    message: str = ""
    retry_after: str = ""
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def status_fault(status: int, message: str = "", *, retry_after: str = "") -> Fault:
    """An error status with OpenAI's envelope."""
    return Fault("status", status=status, message=message, retry_after=retry_after)


def html_fault(status: int = 200) -> Fault:
    """A web page where JSON should be."""
    page = b"<!doctype html><html><body><h1>It works!</h1></body></html>"
    return Fault("body", status=status, body=page, content_type="text/html")


def garbage_fault() -> Fault:
    """Bytes that are neither UTF-8 nor JSON."""
    return Fault("body", body=b"\xff\xfe\x00\x80{\xc3\x28]")


def body_fault(body: bytes | str, status: int = 200) -> Fault:
    """Any body at all."""
    return Fault("body", status=status, body=body.encode() if isinstance(body, str) else body)


def cut_fault(body: bytes = b'{"choices": [{"message": {"con') -> Fault:
    """A response that ends before its announced length."""
    return Fault("cut", body=body)


def reset_fault() -> Fault:
    """The connection is reset before any byte of the response."""
    return Fault("reset")


def hang_fault() -> Fault:
    """No answer until `OpenAIServer.release_hung` or the end of the server."""
    return Fault("hang")


def stall_fault(*events: str) -> Fault:
    """The beginning of a stream, after which nothing comes while the client stays."""
    return replace(sse_fault(*events), kind="stall")


def sse_fault(*events: str) -> Fault:
    """A whole stream of such events."""
    body = "".join(f"data: {event}\n\n" for event in events).encode()
    return Fault("body", body=body, content_type="text/event-stream")


def stream_fault(answered: Mapping[str, Any], *, characters: int = 8) -> Fault:
    """A completion as a stream of small pieces, as vLLM sends it."""
    (choice,) = answered["choices"]
    message = choice["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    thoughts = ("reasoning", "reasoning_content")
    deltas += [{name: message[name]} for name in thoughts if name in message]
    text = message["content"] if isinstance(message["content"], str) else ""
    pieces = [text[i : i + characters] for i in range(0, len(text), characters)]
    deltas += [{"content": piece} for piece in pieces]
    events: list[dict[str, Any]]
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    last = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
    events += [{"choices": [last]}, {"choices": [], "usage": answered.get("usage")}]
    return sse_fault(*map(json.dumps, events), "[DONE]")


Script = Callable[[AskedRequest], "str | dict[str, Any] | Reply | Fault"]


def words_of(image: bytes) -> tuple[str, str, str]:
    """An adjective, a noun and eight hex digits that depend on every byte of the picture."""
    digest = hashlib.sha256(image).digest()
    adjective = _ADJECTIVES[digest[0] % len(_ADJECTIVES)]
    return adjective, _NOUNS[digest[1] % len(_NOUNS)], digest.hex()[:8]


def default_tags(image: bytes) -> dict[str, Any]:
    """The caption, keywords and description that the default script gives a picture."""
    adjective, noun, mark = words_of(image)
    return {
        "caption": f"A {adjective} {noun} numbered {mark}",
        "keywords": [adjective, noun, "outdoors", f"mark {mark}"],
        "description": f"The picture shows a {adjective} {noun}. Its number is {mark}.",
    }


def default_script(request: AskedRequest) -> str | dict[str, Any]:
    """Answers derived from the picture's bytes, shaped by what was asked."""
    tags = default_tags(request.image)
    match request.stage:
        case "all":
            return tags
        case "keywords":
            return ", ".join(tags["keywords"])
        case "verify":
            return dict.fromkeys(request.keywords_to_verify, True)
        case stage:
            return str(tags[stage])


def understood(
    method: str, path: str, headers: Mapping[str, str], raw: bytes, index: int
) -> AskedRequest:
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    image = b""
    texts: dict[str, list[str]] = {"system": [], "user": []}
    for message in body.get("messages", []):
        content = message.get("content") or ""
        parts: list[dict[str, Any]]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for part in parts:
            if part.get("type") == "text":
                texts.setdefault(message.get("role", ""), []).append(part.get("text", ""))
            elif part.get("type") == "image_url" and not image:
                image = _decoded(part["image_url"]["url"])
    return AskedRequest(
        method=method,
        path=path,
        headers=headers,
        body=body,
        raw=raw,
        model=str(body.get("model", "")),
        image=image,
        system="\n".join(texts["system"]),
        user="\n".join(texts["user"]),
        index=index,
    )


def _decoded(url: str) -> bytes:
    try:
        return base64.b64decode(url.partition(",")[2], validate=True)
    except binascii.Error:
        return b""


def completion(reply: Reply, model: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.content}
    if reply.reasoning is not None:
        message["reasoning"] = reply.reasoning
    if reply.reasoning_content is not None:
        message["reasoning_content"] = reply.reasoning_content
    completion: dict[str, Any] = {
        "id": "chatcmpl-test",
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish_reason}],
    }
    if reply.prompt_tokens is not None and reply.completion_tokens is not None:
        completion["usage"] = {
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": reply.completion_tokens,
            "total_tokens": reply.prompt_tokens + reply.completion_tokens,
        }
    return {**completion, **reply.extra}


def error_body(status: int, message: str) -> bytes:
    text = message or HTTPStatus(status).phrase
    return json.dumps({"error": {"message": text, "type": "error", "code": status}}).encode()


def response_head(answer: Fault, length: int) -> bytes:
    announced = length + 1000 if answer.kind == "cut" else length
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {announced}",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
    ]
    if answer.retry_after:
        lines.append(f"Retry-After: {answer.retry_after}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
