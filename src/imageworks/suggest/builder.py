"""Stage 4 as one call: an engine's answers in, a suggestion ready for review out."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imageworks.errors import AnswerError
from imageworks.models import Stage, Suggestion, Tags
from imageworks.suggest.clean import (
    clean_caption,
    clean_description,
    complete_sentences,
    is_refusal,
    sentences,
)
from imageworks.suggest.confidence import with_probabilities
from imageworks.suggest.fields import RawKeyword, split_keyword_text
from imageworks.suggest.keywords import clean_keywords
from imageworks.suggest.parse import NOTE_CUT, NOTE_ONLY_THOUGHTS, ParsedAnswer, read_answer
from imageworks.suggest.tolerant_json import CutText

if TYPE_CHECKING:
    from imageworks.models import Keyword, StageAnswer
    from imageworks.stages import InferenceResult

logger = logging.getLogger(__name__)

NOTE_PLAIN = "the answer was plain text: caption and description are taken from it"


@dataclass(slots=True)
class _Draft:
    """What the answers gave so far; a later answer to the same stage replaces an earlier one."""

    caption: str = ""
    keywords: tuple[RawKeyword, ...] = ()
    description: str = ""
    notes: list[str] = field(default_factory=list)
    refused: list[Stage] = field(default_factory=list)
    has_fields: bool = False


def build_suggestion(
    result: InferenceResult, *, max_keywords: int, language: str = "en"
) -> Suggestion:
    """The caption, keywords and description that an engine's answers hold, cleaned.

    Args:
        result: All exchanges about one picture.
        max_keywords: Most keywords to keep, counted after cleaning.
        language: As in the settings.

    Raises:
        AnswerError: Nothing usable; reason ``empty-answer``, ``refused`` or ``unusable-answer``.
    """
    draft = _Draft()
    for answer in result.answers:
        _take(answer, draft)
    keywords = clean_keywords(
        draft.keywords,
        max_keywords=max_keywords,
        language=language,
        keep_scores=result.has_honest_scores,
        prose=f"{draft.caption} {draft.description}",
    )
    asked_for_keywords = [a for a in result.answers if Stage.KEYWORDS in a.stages]
    keywords = with_probabilities(keywords, next(reversed(asked_for_keywords), None))
    is_empty = not (draft.caption or keywords or draft.description)
    # A classifier that recognises nothing has answered; a model that says nothing has not.
    if is_empty and not (result.has_honest_scores and draft.has_fields):
        raise _nothing_usable(result, draft)
    asked = {stage for answer in result.answers for stage in answer.stages}
    missing = () if is_empty else _missing(asked, draft, keywords)
    notes = [*result.notes, *draft.notes, *missing]
    tags = Tags(draft.caption, keywords, draft.description)
    return Suggestion(tags, tuple(dict.fromkeys(notes)))


def _take(answer: StageAnswer, draft: _Draft) -> None:
    """Adds what one exchange says about the stages that it asked."""
    parsed = read_answer(answer.text, is_truncated=answer.is_truncated)
    draft.notes += parsed.notes
    draft.has_fields = draft.has_fields or _has_fields(parsed)
    if parsed.prose and is_refusal(parsed.prose):
        draft.refused += answer.stages
        return
    if parsed.prose and len(answer.stages) > 1 and not _has_fields(parsed):
        _take_plain(parsed.prose, answer.stages, draft)
        return
    if Stage.CAPTION in answer.stages:
        _take_caption(parsed, draft)
    if Stage.KEYWORDS in answer.stages:
        listed = parsed.keywords or _listed(parsed.prose)
        draft.keywords = listed or draft.keywords
    if Stage.DESCRIPTION in answer.stages:
        _take_description(parsed, draft)


def _take_caption(parsed: ParsedAnswer, draft: _Draft) -> None:
    text = _whole(parsed.prose if parsed.caption is None else parsed.caption)
    if is_refusal(text):
        draft.refused.append(Stage.CAPTION)
        return
    draft.caption = clean_caption(text) or draft.caption


def _take_description(parsed: ParsedAnswer, draft: _Draft) -> None:
    text = _whole(parsed.prose if parsed.description is None else parsed.description)
    if is_refusal(text):
        draft.refused.append(Stage.DESCRIPTION)
        return
    draft.description = clean_description(text) or draft.description


def _take_plain(prose: str, stages: tuple[Stage, ...], draft: _Draft) -> None:
    """Prose where fields were asked: all of it is the description, its start the caption."""
    description = clean_description(_whole(prose))
    if len(description.split()) < 3:
        return
    draft.notes.append(NOTE_PLAIN)
    if Stage.CAPTION in stages:
        draft.caption = clean_caption(sentences(description)[0])
    if Stage.DESCRIPTION in stages:
        draft.description = description


def _has_fields(parsed: ParsedAnswer) -> bool:
    return not (parsed.caption is None and parsed.keywords is None and parsed.description is None)


def _listed(prose: str) -> tuple[RawKeyword, ...]:
    return tuple(RawKeyword(text) for text in split_keyword_text(prose))


def _whole(text: str) -> str:
    """A text as it is; one that was cut off, up to its last whole sentence."""
    return complete_sentences(text) if isinstance(text, CutText) else text


def _missing(asked: set[Stage], draft: _Draft, keywords: tuple[Keyword, ...]) -> list[str]:
    """One note for each stage that was asked and got no usable answer."""
    got = {
        Stage.CAPTION: bool(draft.caption),
        Stage.KEYWORDS: bool(keywords),
        Stage.DESCRIPTION: bool(draft.description),
    }
    return [
        f"the model declined to give {stage.value}"
        if stage in draft.refused
        else f"the answer held no usable {stage.value}"
        for stage in Stage
        if stage in asked and not got[stage]
    ]


def _nothing_usable(result: InferenceResult, draft: _Draft) -> AnswerError:
    logger.debug("no field in %s answers, notes: %s", len(result.answers), draft.notes)
    if not any(answer.text.strip() for answer in result.answers):
        message = "The model's answer is empty."
        hint = "ask again; if it stays empty, try another model or check the server's log."
        return AnswerError(message, hint=hint, reason="empty-answer")
    if draft.refused:
        message = "The model declined to describe this picture."
        return AnswerError(message, hint="ask again, or try another model.", reason="refused")
    message = "The model's answer holds no caption, keywords or description."
    hint = "look at the raw answer; ask again, or try another profile or model."
    if NOTE_ONLY_THOUGHTS in draft.notes:
        message = "The model thought until its tokens ran out and did not answer."
        hint = "turn thinking off in the server, or raise --max-new-tokens."
    elif NOTE_CUT in draft.notes:
        message = "The model's answer was cut off before anything in it was complete."
        hint = "raise --max-new-tokens."
    return AnswerError(message, hint=hint, reason="unusable-answer")
