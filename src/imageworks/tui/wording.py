"""Figures and names in words: short enough for one line, harmless to a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imageworks.text import one_line
from imageworks.tui.states import STATE_SIGNS, glyph_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imageworks.config import PersonalTaggerConfig
    from imageworks.engine.client import EngineView
    from imageworks.models import ImageState


def duration_text(seconds: float) -> str:
    """A span of time: ``3 s``, ``2 min 5 s``, ``1 h 20 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count_text(number: int, noun: str) -> str:
    """``1 image``, ``1,234 images``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def counts_text(counts: Mapping[ImageState, int], *, is_unicode: bool) -> str:
    """How many images are in each state that has any."""
    parts = [
        f"{glyph_of(state, is_unicode=is_unicode)} {counts[state]:,} {sign.word}"
        for state, sign in STATE_SIGNS.items()
        if counts.get(state)
    ]
    return "  ".join(parts)


def progress_text(view: EngineView) -> str:
    """What the engine does, and how far the batch is; empty when nothing is under way."""
    totals = view.totals
    if not view.is_batch_active:
        return _between_batches(view)
    if not totals.get("total"):
        waiting = "The batch starts" if view.is_alive else "The batch waits for the engine"
        return f"{waiting}: {one_line(view.activity, limit=80)}" if view.activity else f"{waiting}."
    total = f"{totals['total']:,}{'+' if totals.get('is_scanning') else ''}"
    parts = [f"Batch {totals.get('done', 0):,} of {total}"]
    if totals.get("images_per_s"):
        parts.append(rate_text(totals["images_per_s"]))
    if totals.get("eta_s") is not None:
        parts.append(f"{duration_text(totals['eta_s'])} left")
    if totals.get("failed"):
        parts.append(f"{totals['failed']:,} failed")
    if totals.get("message"):
        parts.append(one_line(str(totals["message"]), limit=120))
    return " · ".join(parts)


def rate_text(images_per_s: float) -> str:
    """Images per second, or per minute where that reads better."""
    if images_per_s >= 1:
        return f"{images_per_s:.1f} images/s"
    return f"{images_per_s * 60:.1f} images/min"


def model_text(config: PersonalTaggerConfig) -> str:
    """What will be asked: backend, models and profile."""
    if config.backend == "builtin":
        return "the built-in classifier"
    if config.use_registry:
        roles = (config.caption_role, config.keyword_role, config.description_role)
        names = f"registry roles {', '.join(dict.fromkeys(roles))}"
    else:
        names = ", ".join(dict.fromkeys(config.models().values()))
    return one_line(f"{names} at {config.backend}, profile {config.prompt_profile}", limit=200)


def shorten_middle(text: str, width: int) -> str:
    """Text no longer than so many characters, with its end kept: names differ at their ends."""
    if len(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    tail = (width - 1) * 2 // 3
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def tokens_text(tokens: Mapping[str, Any] | None) -> str:
    """Prompt and completion tokens, and how fast they came."""
    if not tokens:
        return ""
    parts = [
        f"{int(tokens[name]):,} {name}" for name in ("prompt", "completion") if tokens.get(name)
    ]
    if tokens.get("per_s"):
        parts.append(f"{tokens['per_s']:.1f} per second")
    return " · ".join(parts)


def _between_batches(view: EngineView) -> str:
    if view.unwritten:
        return f"{count_text(view.unwritten, 'image')} to write"
    activity = one_line(view.activity, limit=120)
    return "" if activity.lower() in {"", "idle"} else activity
