"""What is known beforehand about each kind of model server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ServerTraits:
    """A kind of server.

    Attributes:
        concurrency: Requests to keep under way until something better is known.
        thinking_off: Request fields that switch a hybrid model's thinking off.
        has_slots_page: Tells its slots at ``/props``, as llama.cpp does.
        look_every_s: Shortest time between looks at its metrics, in seconds.
        has_pattern: Takes a regular expression for its answer.
        has_grammar: Takes a grammar in llama.cpp's notation (GBNF) for its answer.
        has_logprobs: Gives the probability of each token when asked.
        streams_batch: A batch's answers are streamed too: only then does a request that is ended
            give its slot back at once, and with few slots the cost does not bind.
    """

    concurrency: int = 8
    thinking_off: tuple[tuple[str, Any], ...] = ()
    has_slots_page: bool = False
    look_every_s: float = 0.0
    has_logprobs: bool = False
    has_pattern: bool = False
    has_grammar: bool = False
    streams_batch: bool = False


_TEMPLATE_SWITCH = (("chat_template_kwargs", {"enable_thinking": False}),)

# Ollama works on one request at a time and LM Studio on four as they come; llama.cpp starts with
# four slots; vLLM and LMDeploy batch as many as memory allows.
_TRAITS = {
    "lmdeploy": ServerTraits(thinking_off=_TEMPLATE_SWITCH),
    "vllm": ServerTraits(thinking_off=_TEMPLATE_SWITCH, has_logprobs=True, has_pattern=True),
    "llamacpp": ServerTraits(
        concurrency=4,
        thinking_off=_TEMPLATE_SWITCH,
        has_slots_page=True,
        look_every_s=2.0,
        has_logprobs=True,
        has_grammar=True,
        streams_batch=True,
    ),
    "ollama": ServerTraits(
        concurrency=1, thinking_off=(("reasoning_effort", "none"),), streams_batch=True
    ),
    "lmstudio": ServerTraits(concurrency=4, streams_batch=True),
}

_OWNERS = {"vllm": "vllm", "llamacpp": "llamacpp", "lmdeploy": "lmdeploy", "library": "ollama"}

LOCAL_SERVERS = (
    ("lmdeploy", "http://localhost:24001/v1"),
    ("lmdeploy", "http://localhost:23333/v1"),
    ("vllm", "http://localhost:8000/v1"),
    ("ollama", "http://localhost:11434/v1"),
    ("llamacpp", "http://localhost:8080/v1"),
    ("lmstudio", "http://localhost:1234/v1"),
)
"""Backends with the address at which each is usually found on this machine, best first."""


def traits_of(backend: str) -> ServerTraits:
    """What is known about a backend; careful guesses for an unknown one."""
    return _TRAITS.get(backend, ServerTraits())


def backend_of_owner(owner: str, otherwise: str) -> str:
    """The backend that lists its models under this owner's name."""
    return _OWNERS.get(owner.lower(), otherwise)
