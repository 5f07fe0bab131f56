"""Reads what a server sends back, however it is malformed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imageworks.errors import AnswerError, TransientBackendError
from imageworks.infer.streaming import is_repeating
from imageworks.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN_CHARACTERS = 160
_VALUE_BEGUN = re.compile(r':\s*(?:(?:\[\s*)?"\s*\w|true|false)')
_LONGEST_WHITESPACE_RUN = 64


@dataclass(frozen=True, slots=True)
class ChatResponse:
    """A chat completion as far as it could be read.

    Attributes:
        text: The answer; may be empty.
        reasoning: What a thinking model thought; empty as a rule.
        model: The model that the server names; some echo whatever was asked for.
        finish_reason: ``stop``, ``length`` or another word of the server; empty when it has none.
        prompt_tokens: As counted by the server, or None.
        completion_tokens: As counted by the server, or None.
        token_logprobs: The answer's tokens with their natural log-probabilities; may be empty.
    """

    text: str
    reasoning: str = ""
    model: str = ""
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    token_logprobs: tuple[tuple[str, float], ...] = ()

    @property
    def is_truncated(self) -> bool:
        """The answer ran into its token limit."""
        return self.finish_reason == "length"


@dataclass(frozen=True, slots=True)
class ServerComplaint:
    """An error that a server describes in a body.

    Attributes:
        message: Its words, made safe for one line.
        kind: Its ``type``, such as ``exceed_context_size_error``; may be empty.
        status: The status that the body itself names, or None.
    """

    message: str
    kind: str = ""
    status: int | None = None


def read_json(body: bytes, url: str) -> Any:  # noqa: ANN401  # from outside; narrowed by the readers
    """The JSON in a body.

    Raises:
        TransientBackendError: Not JSON, as when a proxy answers with a page of its own.
    """
    text = body.decode("utf-8", "replace")
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        shown = one_line(" ".join(text.split()), limit=_SHOWN_CHARACTERS)
        what = "a web page" if _is_html(text) else "something that is not JSON"
        message = f"{url} answered with {what}: {shown!r}."
        hint = "check that --base-url is the address of an OpenAI-compatible server."
        raise TransientBackendError(message, hint=hint, reason="not-json") from error


def read_complaint(body: bytes) -> ServerComplaint:
    """The error in the body of an error response; without words where it says nothing readable."""
    try:
        value = json.loads(body.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        return ServerComplaint("")
    return complaint_in(value) or ServerComplaint("")


def complaint_in(value: Any) -> ServerComplaint | None:  # noqa: ANN401  # from outside; narrowed here
    """The error in a decoded body, in any of the envelopes seen, or None when it holds none.

    vLLM, llama.cpp, Ollama: ``{"error": {...}}`` or ``{"error": "text"}``; LMDeploy: a top-level
    ``{"object": "error", ...}``; FastAPI: ``{"detail": ...}``.
    """
    if not isinstance(value, dict):
        return None
    error = value.get("error")
    if isinstance(error, str) and error:
        return ServerComplaint(_shown(error))
    if isinstance(error, dict) and error:
        return _complaint(error)
    if value.get("object") == "error":
        return _complaint(value)
    detail = value.get("detail")
    if detail and "choices" not in value:
        return ServerComplaint(_shown(detail if isinstance(detail, str) else json.dumps(detail)))
    return None


def read_chat(value: Any) -> ChatResponse:  # noqa: ANN401  # from outside; narrowed here
    """A chat completion from decoded JSON; what is missing or of a wrong type is left empty.

    Of several choices the first with text counts.
    """
    envelope = value if isinstance(value, dict) else {}
    best: tuple[str, str, str] = ("", "", "")
    logprobs: tuple[tuple[str, float], ...] = ()
    for text, reasoning, finish, told in _choices(envelope):
        if not any(best) or (text and not best[0]):
            best, logprobs = (text, reasoning, finish), told
    usage = envelope.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    model = envelope.get("model")
    return ChatResponse(
        text=best[0],
        reasoning=best[1],
        model=_well_formed(model) if isinstance(model, str) else "",
        finish_reason=best[2],
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        token_logprobs=logprobs,
    )


def usable_text(response: ChatResponse, *, is_structured: bool) -> str:
    """The text of an answer that is worth reading on.

    Args:
        response: The answer.
        is_structured: It was to be a JSON object.

    Raises:
        AnswerError: ``thinking-only``: the model thought and said nothing; ``empty-answer``;
            ``whitespace-loop``: the answer ran full of blanks before its first value;
            ``repetition``: it ends in the same words over and over.
    """
    text = response.text
    if not text.strip():
        if "{" in response.reasoning and "}" in response.reasoning:
            return response.reasoning
        raise _nothing_said(response)
    if is_structured and _is_whitespace_loop(response):
        message = "The model filled its answer with blanks."
        hint = "try again, or start vLLM with disable_any_whitespace (see the documentation)."
        raise AnswerError(message, hint=hint, reason="whitespace-loop")
    if is_repeating(text.rstrip()):
        message = "The model repeats itself without end."
        raise AnswerError(message, hint="try again, or try another model.", reason="repetition")
    return text


def model_ids(value: Any) -> tuple[str, ...]:  # noqa: ANN401  # from outside; narrowed here
    """The ids that ``/v1/models`` lists, in order, each once; aliases after their model."""
    data = value.get("data") if isinstance(value, dict) else None
    found: dict[str, None] = {}
    for entry in data if isinstance(data, list) else ():
        if isinstance(entry, dict):
            aliases = entry.get("aliases")
            names = [entry.get("id"), *(aliases if isinstance(aliases, list) else ())]
            found.update(dict.fromkeys(name for name in names if isinstance(name, str) and name))
    return tuple(found)


def model_owner(value: Any) -> str:  # noqa: ANN401  # from outside; narrowed here
    """The first listed model's owner, such as ``vllm``, ``llamacpp`` or ``library`` (Ollama)."""
    data = value.get("data") if isinstance(value, dict) else None
    first = data[0] if isinstance(data, list) and data else None
    owner = first.get("owned_by") if isinstance(first, dict) else None
    return owner if isinstance(owner, str) else ""


def is_model_list(value: Any) -> bool:  # noqa: ANN401  # from outside; narrowed here
    """Whether a decoded body has the shape of ``/v1/models``."""
    return isinstance(value, dict) and isinstance(value.get("data"), list)


def _nothing_said(response: ChatResponse) -> AnswerError:
    if response.reasoning.strip():
        message = "The model only thought and gave no answer."
        hint = "choose a model without thinking, or raise --max-new-tokens."
        return AnswerError(message, hint=hint, reason="thinking-only")
    hint = "try again." if not response.is_truncated else "raise --max-new-tokens."
    return AnswerError("The model's answer is empty.", hint=hint, reason="empty-answer")


def _is_whitespace_loop(response: ChatResponse) -> bool:
    blanks_at_end = len(response.text) - len(response.text.rstrip())
    is_cut = response.is_truncated or blanks_at_end > _LONGEST_WHITESPACE_RUN
    is_json_begun = response.text.lstrip().startswith("{")
    return is_cut and is_json_begun and not _VALUE_BEGUN.search(response.text)


def _choices(
    envelope: dict[str, Any],
) -> Iterator[tuple[str, str, str, tuple[tuple[str, float], ...]]]:
    choices = envelope.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        message = choice.get("message")
        message = message if isinstance(message, dict) else {"content": choice.get("text")}
        reasoning = _joined(message.get("reasoning")) or _joined(message.get("reasoning_content"))
        finish = choice.get("finish_reason")
        finish = finish if isinstance(finish, str) else ""
        yield _joined(message.get("content")), reasoning, finish, _logprobs(choice.get("logprobs"))


def _logprobs(value: Any) -> tuple[tuple[str, float], ...]:  # noqa: ANN401  # from outside; narrowed here
    content = value.get("content") if isinstance(value, dict) else None
    found = []
    for entry in content if isinstance(content, list) else ():
        token = entry.get("token") if isinstance(entry, dict) else None
        logprob = entry.get("logprob") if isinstance(entry, dict) else None
        if not isinstance(token, str) or not isinstance(logprob, int | float):
            return ()
        found.append((_well_formed(token), float(logprob)))
    return tuple(found)


def _joined(content: Any) -> str:  # noqa: ANN401  # from outside; narrowed here
    """Text of a message's content: a text, null, or a list of parts."""
    if isinstance(content, str):
        return _well_formed(content)
    if isinstance(content, dict):
        return _joined(content.get("text"))
    if isinstance(content, list):
        return "".join(_joined(part) for part in content if isinstance(part, (str, dict)))
    return ""


def _well_formed(text: str) -> str:
    """Text without lone surrogates, which JSON escapes can spell and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _count(value: Any) -> int | None:  # noqa: ANN401  # from outside; narrowed here
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if is_count else None


def _complaint(error: dict[str, Any]) -> ServerComplaint:
    message, kind, code = error.get("message"), error.get("type"), error.get("code")
    text = message if isinstance(message, str) and message else json.dumps(error)
    return ServerComplaint(
        message=_shown(text),
        kind=kind if isinstance(kind, str) else "",
        status=code if isinstance(code, int) and 400 <= code <= 599 else None,
    )


def _shown(text: str) -> str:
    return one_line(" ".join(text.split()), limit=400)


def _is_html(text: str) -> bool:
    return text.lstrip()[:15].lower().startswith(("<!doctype", "<html", "<head", "<body"))
