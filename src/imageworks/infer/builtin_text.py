"""The built-in engine's answer in words: only what is known, and how it is known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from imageworks.models import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imageworks.infer.builtin_facts import PictureFacts
    from imageworks.infer.builtin_words import Finding

CAPTION_THINGS = 2


def compose_answer(
    chains: Sequence[Sequence[Finding]], facts: PictureFacts, stages: Sequence[Stage]
) -> str:
    """The answer as JSON, with a field for each stage asked.

    Keywords run from the narrowest to the broadest word of the surest thing, then the next thing,
    then the facts: what a limit on their number cuts off is what says least.
    """
    fields: dict[str, Any] = {
        Stage.CAPTION.value: compose_caption(chains, facts),
        Stage.KEYWORDS.value: _keywords(chains, facts),
        Stage.DESCRIPTION.value: compose_description(chains, facts),
    }
    return json.dumps({stage.value: fields[stage.value] for stage in stages}, ensure_ascii=False)


def _keywords(chains: Sequence[Sequence[Finding]], facts: PictureFacts) -> list[dict[str, Any]]:
    found = [
        {"keyword": finding.word, "score": round(finding.score, 4), "path": list(finding.path)}
        for chain in chains
        for finding in chain
    ]
    known = {keyword["keyword"] for keyword in found}
    plain = [word for word in (*facts.measured, *facts.recorded) if word not in known]
    return [*found, *({"keyword": word, "score": None, "path": []} for word in plain)]


def compose_caption(chains: Sequence[Sequence[Finding]], facts: PictureFacts) -> str:
    """One sentence, or nothing where nothing is known."""
    if not chains:
        return _plain_caption(facts)
    things = " and ".join(chain[0].phrase for chain in chains[:CAPTION_THINGS])
    night = " at night" if facts.is_night else ""
    colour = ", in black and white" if facts.is_monochrome else ""
    return f"Probably {things}{night}{colour}."


def _plain_caption(facts: PictureFacts) -> str:
    words = [
        *(["dark"] if facts.is_dark and not facts.is_night else []),
        *(["black-and-white"] if facts.is_monochrome else []),
        "panorama" if facts.is_panorama else "picture",
        *(["taken at night"] if facts.is_night else []),
    ]
    if words == ["picture"] and not facts.main_colour:
        return ""
    colour = f", mostly {facts.main_colour}" if facts.main_colour else ""
    return f"A {' '.join(words)}{colour}."


def compose_description(chains: Sequence[Sequence[Finding]], facts: PictureFacts) -> str:
    """What was found, how sure, and where from; nothing where nothing is known."""
    sentences = []
    if chains:
        listed = ", ".join(
            f"{finding.word} {_percent(finding.score)} %" for chain in chains for finding in chain
        )
        sentences.append(f"Found by the built-in object classifier (ImageNet objects): {listed}.")
    if facts.measured:
        sentences.append(f"Measured: {', '.join(facts.measured)}.")
    if facts.recorded:
        sentences.append(f"Recorded by the camera: {', '.join(facts.recorded)}.")
    return " ".join(sentences)


def _percent(score: float) -> int:
    """Whole percent; never 100, since a classifier is never certain."""
    return min(99, round(100 * score))
