"""What a server's refusal means for this picture and for the run, told by status and words.

The type of the error says whom it concerns, its ``reason`` what to do next; `retry` acts on both:

=======================  ==================================================================
`TransientBackendError`  the same request may succeed later
`AnswerError`            this picture only; reasons in `RESAMPLE_REASONS` deserve another try
`BackendError`           the whole run: no key, no such model, wrong address
=======================  ==================================================================
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from imageworks.errors import AnswerError, BackendError, ImageworksError, TransientBackendError
from imageworks.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imageworks.infer.responses import ServerComplaint

RESAMPLE_REASONS = frozenset(
    {"bad-sample", "empty-answer", "whitespace-loop", "repetition", "answer-too-long"}
)
"""Reasons of an `AnswerError` after which another sample may be usable."""

UNSUPPORTED = "unsupported-field"
"""Reason of an `AnswerError`: the server does not take a field of the request."""

# Words of vLLM 0.32, llama.cpp build 11549, LMDeploy and Ollama (recorded or read in August 2026).
_CONTEXT_WORDS = re.compile(
    r"context (length|size|window)|prompt (is )?too long|exceed_context|max_model_len",
    re.IGNORECASE,
)
_TEXT_ONLY_WORDS = re.compile(
    r"not a multimodal model|image input is not supported|does not support (image|vision)"
    r"|required for image input|mmproj|only supported by certain models|vision is not",
    re.IGNORECASE,
)
_FIELD_WORDS = re.compile(
    r"response_format|json_schema|\bschema\b|grammar|guided|structured|chat_template"
    r"|reasoning_effort|does not support thinking|max_tokens|max_completion_tokens|\bseed\b"
    r"|\bstream_options\b|\blogprobs\b|\btop_p\b|\btemperature\b"
    r"|unrecognized request argument|unsupported parameter",
    re.IGNORECASE,
)
_PICTURE_WORDS = re.compile(r"\bimages?\b|base64|jpeg|picture", re.IGNORECASE)
_MODEL_WORDS = re.compile(r"\bmodels?\b", re.IGNORECASE)
_LOADING_WORDS = re.compile(r"loading|starting up|warming", re.IGNORECASE)
_BAD_SAMPLE_WORDS = re.compile(r"does not match the expected", re.IGNORECASE)
_GATEWAY_STATUSES = {408, 499, 502, 504, 520, 522, 523, 524}
_BUSY_STATUSES = {503, 529}


def failure_of(  # noqa: PLR0911  # one return a kind of failure
    status: int, said: ServerComplaint, headers: Mapping[str, str], *, url: str
) -> ImageworksError:
    """The error that a response with an error status stands for.

    Args:
        status: HTTP status, 300 or more.
        said: What the response's body complains about.
        headers: The response's headers; ``Retry-After`` and ``Location`` count.
        url: The request's address without credentials, for the message.
    """
    words = f"{said.message} {said.kind}"
    quoted = f": {said.message}" if said.message else "."
    if 300 <= status < 400:
        return _redirected(url, headers)
    if status in {401, 403}:
        message = f"{url} does not accept the key (status {status}){quoted}"
        return BackendError(message, hint="set --api-key.", reason="not-authorised")
    if status == 429 or status in _BUSY_STATUSES or status in _GATEWAY_STATUSES:
        return _later(status, words, quoted, headers, url=url)
    if _TEXT_ONLY_WORDS.search(words):
        message = f"The model does not take pictures{quoted}"
        hint = "choose a vision-language model with --model."
        return BackendError(message, hint=hint, reason="text-only")
    if status in {404, 405}:
        return _not_there(status, words, quoted, url=url)
    if status >= 500 and status != 501:
        return _server_error(status, words, quoted, url=url)
    return _refused(status, words, quoted, url=url)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The server's ``Retry-After`` in seconds (RFC 9110, 10.2.3), or None.

    ``retry-after-ms``, which OpenAI's and Azure's gateways send beside it, is the more exact one.
    The form with a date is not read: no model server sends it.
    """
    for name, units_per_s in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,8}(\.\d{1,6})?", value):
            return float(value) / units_per_s
    return None


def _later(
    status: int, words: str, quoted: str, headers: Mapping[str, str], *, url: str
) -> TransientBackendError:
    if status == 429:
        reason, what = "rate-limited", "takes no more requests for now"
    elif status in _BUSY_STATUSES:
        is_loading = _LOADING_WORDS.search(words)
        reason, what = ("loading", "is still loading") if is_loading else ("busy", "is busy")
    else:
        reason, what = "gateway", "did not pass the request on"
    message = f"{url} {what} (status {status}){quoted}"
    return TransientBackendError(message, reason=reason, retry_after_s=retry_after_s(headers))


def _not_there(status: int, words: str, quoted: str, *, url: str) -> BackendError:
    if _MODEL_WORDS.search(words):
        message = f"{url} does not serve this model{quoted}"
        hint = "`ptag preflight` names the models it serves; choose one with --model."
        return BackendError(message, hint=hint, reason="model-missing")
    message = f"{url} does not exist on that server (status {status}){quoted}"
    hint = "check --base-url; most servers want /v1 at its end."
    return BackendError(message, hint=hint, reason="wrong-path")


def _server_error(status: int, words: str, quoted: str, *, url: str) -> ImageworksError:
    if _BAD_SAMPLE_WORDS.search(words):
        message = f"The model's answer did not have the form asked for{quoted}"
        return AnswerError(message, hint="try again.", reason="bad-sample")
    if _CONTEXT_WORDS.search(words) or _PICTURE_WORDS.search(words):
        return _refused(status, words, quoted, url=url)
    message = f"{url} failed inside (status {status}){quoted}"
    return TransientBackendError(message, hint="see the server's log.", reason="server-error")


def _refused(status: int, words: str, quoted: str, *, url: str) -> AnswerError:
    if _CONTEXT_WORDS.search(words):
        message = f"The picture and the prompt do not fit the model's context{quoted}"
        hint = (
            "start the server with a longer context, lower --max-new-tokens, or lower "
            "long_edge_px in the prompt profile."
        )
        return AnswerError(message, hint=hint, reason="context-overflow")
    if status in {400, 422, 501} and _FIELD_WORDS.search(words):
        message = f"The server does not take a part of the request (status {status}){quoted}"
        return AnswerError(message, reason=UNSUPPORTED)
    if status == 413:
        message = f"The server finds the picture too large (status 413){quoted}"
        hint = "lower long_edge_px in the prompt profile."
        return AnswerError(message, hint=hint, reason="too-large")
    if _PICTURE_WORDS.search(words):
        message = f"The server does not take this picture (status {status}){quoted}"
        return AnswerError(message, reason="picture-refused")
    message = f"{url} refused the request (status {status}){quoted}"
    return AnswerError(message, reason="request-refused")


def _redirected(url: str, headers: Mapping[str, str]) -> BackendError:
    target = one_line(headers.get("location", "another address"), limit=200)
    message = f"{url} sends on to {target}."
    return BackendError(message, hint="give the final address as --base-url.", reason="redirect")
