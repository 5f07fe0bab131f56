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
    """

    concurrency: int = 8
    thinking_off: tuple[tuple[str, Any], ...] = ()
    has_slots_page: bool = False


_TEMPLATE_SWITCH = (("chat_template_kwargs", {"enable_thinking": False}),)

# Ollama works on one request at a time and LM Studio on four as they come; llama.cpp starts with
# four slots; vLLM and LMDeploy batch as many as memory allows.
_TRAITS = {
    "lmdeploy": ServerTraits(thinking_off=_TEMPLATE_SWITCH),
    "vllm": ServerTraits(thinking_off=_TEMPLATE_SWITCH),
    "llamacpp": ServerTraits(concurrency=4, thinking_off=_TEMPLATE_SWITCH, has_slots_page=True),
    "ollama": ServerTraits(concurrency=1, thinking_off=(("reasoning_effort", "none"),)),
    "lmstudio": ServerTraits(concurrency=4),
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
