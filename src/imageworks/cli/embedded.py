"""`ptag embedded`: the vision models on this disk, and how to get one."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from imageworks.cli.progress import duration
from imageworks.errors import UsageError
from imageworks.text import one_line, show_path

if TYPE_CHECKING:
    import argparse
    from pathlib import Path
    from typing import TextIO

    from imageworks.cli.app import Context

_LIVE_EVERY_S = 0.2
_PLAIN_EVERY_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and with which model."""
    parser.description = (
        "The embedded backend runs llama.cpp on a model of this disk. `list` shows the models that"
        " Ollama, LM Studio, llama.cpp and the Hugging Face hub left here, and those that"
        " `get MODEL` can fetch."
    )
    parser.add_argument("action", nargs="?", choices=("list", "get"), default="list")
    parser.add_argument("model", nargs="?", metavar="MODEL", help="which one to fetch")


def run(context: Context) -> int:
    """Lists models, or fetches one."""
    options = context.options
    if options.action == "list":
        if options.model is not None:
            message = "`ptag embedded list` takes no model."
            raise UsageError(message, hint=f"did you mean `ptag embedded get {options.model}`?")
        return _list(context)
    if options.model is None:
        message = "Which model to fetch was not said."
        raise UsageError(message, hint="`ptag embedded list` names them.")
    return _get(options.model, models_folder(context))


def models_folder(context: Context) -> Path:
    """Where fetched models are kept."""
    from imageworks.infer.embedded_models import MODELS_FOLDER  # noqa: PLC0415  # only when needed

    return context.paths.data_dir / MODELS_FOLDER


def _list(context: Context) -> int:
    from imageworks.infer.embedded_hub import recommended_models  # noqa: PLC0415  # only when needed
    from imageworks.infer.embedded_models import (  # noqa: PLC0415
        best_model,
        find_models,
        model_places,
    )
    from imageworks.infer.embedded_server import (  # noqa: PLC0415
        RUNTIME_HINT,
        is_runtime_installed,
    )

    write = sys.stdout.write
    found = find_models(model_places(models_folder(context)))
    best = best_model(found)
    write("On this disk (* is used when none is named)\n" if found else "On this disk: none\n")
    for model in found:
        write(f"{'*' if model is best else ' '} {model.describe()}\n")
        write(f"    {show_path(model.model_path)}\n")
        if model.obstacle:
            write(f"    {one_line(model.obstacle)}\n")
    write("To fetch with `ptag embedded get MODEL`\n")
    for offer in recommended_models():
        write(f"  {offer.id:<14} {offer.size_bytes / 1e9:4.1f} GB  {offer.advice}\n")
    if not is_runtime_installed():
        write(f"llama.cpp is not installed: {RUNTIME_HINT}\n")
    return 0


def _get(name: str, folder: Path) -> int:
    from imageworks.infer.embedded_hub import (  # noqa: PLC0415  # loads httpx
        HubDownload,
        model_of_id,
        recommended_models,
    )

    model = model_of_id(name, recommended_models())
    target = folder / model.id
    sys.stderr.write(
        f"{model.title}, {model.size_bytes / 1e9:.1f} GB, {model.licence},"
        f" from {model.repository}\n"
    )
    progress = _Progress(sys.stderr)
    try:
        HubDownload(model, target, on_progress=progress.note).run()
    finally:
        progress.finish()
    sys.stdout.write(f"{model.title} is in {show_path(target)}\n")
    sys.stdout.write("Use it with --backend embedded.\n")
    return 0


class _Progress:
    """A live line on a terminal, plain lines elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_live = stream.isatty()
        self._began_s = self._said_s = time.monotonic()
        self._began_bytes: int | None = None
        self._is_shown = False

    def note(self, done_bytes: int, all_bytes: int) -> None:
        """Takes how much is there."""
        now_s = time.monotonic()
        if self._began_bytes is None:
            self._began_bytes = done_bytes
        every_s = _LIVE_EVERY_S if self._is_live else _PLAIN_EVERY_S
        if now_s - self._said_s < every_s and done_bytes < all_bytes:
            return
        self._said_s = now_s
        line = f"{done_bytes / 1e9:.2f} of {all_bytes / 1e9:.2f} GB"
        rate = (done_bytes - self._began_bytes) / max(now_s - self._began_s, 0.001)
        if rate > 0 and done_bytes < all_bytes:
            line += f"  {rate / 1e6:.1f} MB/s  {duration((all_bytes - done_bytes) / rate)} left"
        self._stream.write(f"\r\x1b[K{line}" if self._is_live else f"{line}\n")
        self._stream.flush()
        self._is_shown = True

    def finish(self) -> None:
        """Moves on to the next line."""
        if self._is_live and self._is_shown:
            self._stream.write("\n")
