"""Request bodies of ``/v1/chat/completions``, built as bytes around the picture.

A picture is encoded once and the same base64 goes into every request about it: servers then reuse
their cached prefix (facts: picture first, text after), and no JSON encoder walks over 100 KB of it.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imageworks.infer.prompts import Prompt

_FIXED_SEED = 20_260
_SEEDS_PER_SAMPLE = 100
_ANOTHER_SAMPLE_TEMPERATURE = 0.7
_ANOTHER_TRY_TEMPERATURE = 0.4
SCHEMA_NAME = "photo"
_SCHEMA_WORDS = re.compile(r"response_format|schema|grammar|guided|structured", re.IGNORECASE)
_PATTERN_WORDS = re.compile(r"structured_outputs|\bregex", re.IGNORECASE)
_THINKING_WORDS = re.compile(r"chat_template|reasoning_effort|thinking", re.IGNORECASE)
_SAMPLING_WORDS = re.compile(r"\b(seed|top_p|temperature)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        max_tokens: Most tokens of the answer.
        temperature: 0..2.
        top_p: 0..1.
        seed: The same seed and request give the same answer where a server honours it.
    """

    max_tokens: int
    temperature: float
    top_p: float
    seed: int = _FIXED_SEED

    def for_try(self, sample: int, resample: int) -> Sampling:
        """The sampling of another answer to the same question.

        Args:
            sample: The person's wish for another answer, 0 for the first.
            resample: How many answers of this request were unusable.

        A seed changes nothing where the likeliest token is always taken, so a low temperature is
        raised with it.
        """
        temperature = self.temperature
        if sample:
            temperature = max(temperature, _ANOTHER_SAMPLE_TEMPERATURE)
        elif resample:
            temperature = max(temperature, _ANOTHER_TRY_TEMPERATURE)
        seed = self.seed + sample * _SEEDS_PER_SAMPLE + resample
        return replace(self, temperature=temperature, seed=seed)


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which optional fields a server takes.

    Attributes:
        thinking_off: Fields that switch thinking off, as this backend spells them.
        has_old_limit_name: The token limit is called ``max_tokens``, not ``max_completion_tokens``.
        has_schema: ``response_format`` with a JSON schema.
        has_sampling: ``temperature``, ``top_p`` and ``seed`` of our choice.
        has_stream_options: ``stream_options``, for token counts at the end of a stream.
        has_logprobs: ``logprobs``, the probability of each token.
        has_pattern: ``structured_outputs`` with a regular expression, as vLLM takes it.
        has_grammar: ``grammar`` in GBNF, as llama.cpp takes it.
    """

    thinking_off: tuple[tuple[str, Any], ...] = ()
    has_old_limit_name: bool = True
    has_schema: bool = True
    has_sampling: bool = True
    has_stream_options: bool = True
    has_logprobs: bool = False
    has_pattern: bool = False
    has_grammar: bool = False

    def without(self, complaint: str) -> Dialect | None:  # noqa: PLR0911  # one return a field
        """The dialect that leaves out what a server complains about; None when nothing is left."""
        if self.has_grammar and "grammar" in complaint.lower():
            return replace(self, has_grammar=False)
        if self.has_pattern and _PATTERN_WORDS.search(complaint):
            return replace(self, has_pattern=False)
        if self.has_schema and _SCHEMA_WORDS.search(complaint):
            return replace(self, has_schema=False)
        if self.thinking_off and _THINKING_WORDS.search(complaint):
            return replace(self, thinking_off=())
        if self.has_old_limit_name and "max_completion_tokens" in complaint:
            return replace(self, has_old_limit_name=False)
        if self.has_logprobs and "logprobs" in complaint:
            return replace(self, has_logprobs=False)
        if self.has_stream_options and "stream_options" in complaint:
            return replace(self, has_stream_options=False)
        if self.has_sampling and _SAMPLING_WORDS.search(complaint):
            return replace(self, has_sampling=False)
        return None

    def loses_schema(self, complaint: str) -> bool:
        """Whether a complaint leads to going on without schemas or patterns."""
        simpler = self.without(complaint)
        return simpler is not None and (simpler.has_schema, simpler.has_pattern) != (
            self.has_schema,
            self.has_pattern,
        )


def encode_picture(jpeg: bytes) -> bytes:
    """The picture as it stands in a data URL; empty for no picture."""
    return b64encode(jpeg)


def chat_body(  # noqa: PLR0913  # the parts of one request
    model: str,
    prompt: Prompt,
    picture: bytes,
    sampling: Sampling,
    dialect: Dialect,
    *,
    schema: dict[str, Any] | None = None,
    pattern: str = "",
    grammar: str = "",
    is_streamed: bool = False,
) -> bytes:
    """The body of a chat request: system, then picture, then text.

    The picture goes as an object with a ``data:image/jpeg;base64,`` URL, the one form that vLLM,
    llama.cpp, LMDeploy, Ollama and LM Studio all take.

    Args:
        model: The model's id as the server lists it.
        prompt: System and user text.
        picture: From `encode_picture`; empty for a question without one.
        sampling: How to choose tokens.
        dialect: What the server takes.
        schema: JSON schema of the answer, left out when the dialect has none.
        pattern: Regular expression that takes the schema's place where the dialect has patterns.
        grammar: Grammar that does so where the dialect has grammars.
        is_streamed: The answer is to come piece by piece.
    """
    options = _options(sampling, dialect)
    if grammar and dialect.has_grammar:
        options["grammar"] = grammar
    elif pattern and dialect.has_pattern:
        options["structured_outputs"] = {"regex": pattern}
    elif schema is not None and dialect.has_schema:
        options["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": SCHEMA_NAME, "strict": True, "schema": schema},
        }
    if is_streamed:
        options["stream"] = True
        if dialect.has_stream_options:
            options["stream_options"] = {"include_usage": True}
    head = f'{{"model":{_json(model)},"messages":['
    if prompt.system:
        head += f'{{"role":"system","content":{_json(prompt.system)}}},'
    head += '{"role":"user","content":'
    tail = f"}}],{_json(options)[1:]}"
    text = _json(prompt.user)
    if not picture:
        return f"{head}{text}{tail}".encode()
    before = f'{head}[{{"type":"image_url","image_url":{{"url":"data:image/jpeg;base64,'
    after = f'"}}}},{{"type":"text","text":{text}}}]{tail}'
    return b"".join((before.encode(), picture, after.encode()))


def _options(sampling: Sampling, dialect: Dialect) -> dict[str, Any]:
    limit_name = "max_tokens" if dialect.has_old_limit_name else "max_completion_tokens"
    options: dict[str, Any] = {limit_name: sampling.max_tokens}
    if dialect.has_sampling:
        # Ollama takes 1.0 for both where they are left out.
        options["temperature"] = sampling.temperature
        options["top_p"] = sampling.top_p
        options["seed"] = sampling.seed
    options["stream"] = False
    if dialect.has_logprobs:
        options["logprobs"] = True
    options.update(dialect.thinking_off)
    return options


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
