"""Asks a server, before the first picture, whether it can do the work; says what to try if not."""

from __future__ import annotations

import asyncio
import difflib
import time
from typing import TYPE_CHECKING

from imageworks.errors import BackendError, ImageworksError, TransientBackendError
from imageworks.infer.engine import ProbeResult
from imageworks.infer.probe_picture import probe_jpeg
from imageworks.infer.responses import is_model_list, model_ids, model_owner
from imageworks.text import one_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from imageworks.infer.transport import ServerConnection

_LOADING_POLL_S = 1.0
_MOST_NAMES = 12
_WRONG_PATH_REASONS = frozenset({"wrong-path", "not-json", "redirect"})


class Preflight:
    """The probes of one server: its model list, a text completion, a completion with a picture.

    Args:
        connection: The server.
        models: The models needed, each once.
        ask: Asks a model about a picture (or about none, when empty) for a word or two.
        timeout_s: Longest wait for a server that is still loading.
        sleep: Waits so many seconds.
        clock: Monotonic time in seconds.

    Attributes:
        listed: The models that the server listed, once probed.
        owner: Who the server says owns them.
    """

    def __init__(
        self,
        connection: ServerConnection,
        models: Sequence[str],
        ask: Callable[[str, bytes], Awaitable[None]],
        *,
        timeout_s: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._models = tuple(models)
        self._ask = ask
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._clock = clock
        self.listed: tuple[str, ...] = ()
        self.owner = ""

    async def run(self) -> tuple[ProbeResult, ...]:
        """The probes in order, ending with the first that failed."""
        results = [await self._probe("models", self._check_models)]
        for name, picture in (("text completion", b""), ("vision completion", probe_jpeg())):
            for model in self._models:
                if not results[-1].is_ok:
                    return tuple(results)
                results.append(await self._probe(name, self._completion(model, picture)))
        return tuple(results)

    async def _probe(self, name: str, check: Callable[[], Awaitable[str]]) -> ProbeResult:
        started_s = self._clock()
        try:
            message = await check()
        except ImageworksError as error:
            latency_s = self._clock() - started_s
            return ProbeResult(
                name,
                is_ok=False,
                message=error.message,
                hint=error.hint,
                latency_s=latency_s,
                reason=error.reason,
            )
        return ProbeResult(name, is_ok=True, message=message, latency_s=self._clock() - started_s)

    async def _check_models(self) -> str:
        url = self._connection.base_url
        try:
            page = await self._wait_until_loaded()
        except BackendError as error:
            if error.reason in _WRONG_PATH_REASONS and await self._is_path_forgotten():
                message = f"A model server answers at {url}, but not at this path."
                hint = f"did you mean --base-url {url}/v1?"
                raise BackendError(message, hint=hint, reason="wrong-path") from error
            raise
        self.listed = model_ids(page)
        self.owner = model_owner(page)
        for model in self._models:
            if not is_listed(model, self.listed):
                raise _missing(model, self.listed, url)
        return f"{url} serves {', '.join(one_line(model, limit=80) for model in self._models)}."

    async def _wait_until_loaded(self) -> object:
        url = self._connection.base_url
        started_s = self._clock()
        while True:
            try:
                page = await self._connection.page("/models")
            except TransientBackendError as error:
                waited_s = self._clock() - started_s
                if error.reason not in {"loading", "busy"}:
                    raise
                if waited_s + _LOADING_POLL_S > self._timeout_s:
                    message = f"{url} is still loading after {waited_s:.0f} s."
                    hint = "wait and try again, or raise --timeout."
                    raise BackendError(message, hint=hint, reason="loading") from error
            else:
                if is_model_list(page):
                    return page
                message = f"{url}/models is not a list of models."
                hint = "check that --base-url is the address of an OpenAI-compatible server."
                raise BackendError(message, hint=hint, reason="wrong-path")
            await self._sleep(_LOADING_POLL_S)

    async def _is_path_forgotten(self) -> bool:
        if self._connection.base_url.endswith("/v1"):
            return False
        try:
            return is_model_list(await self._connection.page("/v1/models"))
        except BackendError:
            return False

    def _completion(self, model: str, picture: bytes) -> Callable[[], Awaitable[str]]:
        async def check() -> str:
            shown = one_line(model, limit=80)
            try:
                await self._ask(model, picture)
            except BackendError as error:
                if error.reason != "text-only":
                    raise
                message = f"{shown} answers text only; it does not take pictures."
                hint = f"choose a vision-language model with --model. {_served(self.listed)}"
                raise BackendError(message, hint=hint, reason="text-only") from error
            return f"{shown} takes pictures." if picture else f"{shown} answers."

        return check


def is_listed(model: str, listed: Sequence[str]) -> bool:
    """Whether a server that lists these ids knows a model; Ollama's ``:latest`` may be left out."""
    return model in listed or f"{model}:latest" in listed


def nearest_model(model: str, listed: Sequence[str]) -> str:
    """The listed id most like a model's name, or an empty text when none is."""
    by_folded = {_folded(name): name for name in reversed(listed)}
    close = difflib.get_close_matches(_folded(model), by_folded, n=1, cutoff=0.5)
    return by_folded[close[0]] if close else ""


def _folded(model: str) -> str:
    """The last part of a name such as ``Qwen/Qwen2.5-VL-7B`` or ``/models/qwen2.5-vl.gguf``."""
    return model.rstrip("/").rpartition("/")[2].lower().removesuffix(".gguf")


def _missing(model: str, listed: Sequence[str], url: str) -> BackendError:
    message = f"{url} does not serve the model {one_line(model, limit=80)}. {_served(listed)}"
    nearest = nearest_model(model, listed) or (listed[0] if len(listed) == 1 else "")
    hint = "choose one with --model."
    if nearest:
        hint = f"use --model {one_line(nearest, limit=120)}"
    elif not listed:
        hint = "load a vision-language model in the server."
    return BackendError(message, hint=hint, reason="model-missing")


def _served(listed: Sequence[str]) -> str:
    if not listed:
        return "It serves no model."
    names = ", ".join(one_line(name, limit=80) for name in listed[:_MOST_NAMES])
    more = len(listed) - _MOST_NAMES
    return f"It serves: {names} and {more} more." if more > 0 else f"It serves: {names}."
