"""Which keywords a model confirms when it is asked about each, and how sure it is of its yes.

Short yes-or-no questions are more reliable than what a model lists by itself (facts on inference,
section 6). Only a plain "no" counts against a keyword: what was not answered is not denied.
"""

# ruff: noqa: RUF001  # dashes are what is looked for

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from imageworks.models import Keyword
from imageworks.suggest.confidence import least_probability
from imageworks.suggest.envelope import open_envelope
from imageworks.text import fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from imageworks.models import StageAnswer

# Possessive: an answer full of quotes or blanks is walked over once.
_PAIR = re.compile(
    r'"((?:[^"\\]|\\.)*+)"\s*+:\s*+"?(true|false|yes|no)\b', re.IGNORECASE | re.DOTALL
)
_LINE = re.compile(
    r"^[ \t>*_#|•–-]{0,12}(?:\d{1,3}[.)][ \t]{1,4})?[*_\"']{0,3}(.{1,80}?)[*_\"'?]{0,3}"
    r"[ \t]{0,4}[:=|–—-][ \t*_\"']{0,6}(true|false|yes|no)\b",
    re.IGNORECASE | re.MULTILINE,
)
_YES = frozenset({"true", "yes"})


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of asking about each keyword.

    Attributes:
        keywords: Those that were not denied, in their order, with the probability of the yes.
        denied: Those that the model takes back.
        unanswered: How many of ``keywords`` got no clear answer.
    """

    keywords: tuple[Keyword, ...]
    denied: tuple[Keyword, ...]
    unanswered: int


class _Verdict(NamedTuple):
    is_yes: bool
    start: int
    end: int


def unverified(keywords: Iterable[Keyword]) -> tuple[Keyword, ...]:
    """The keywords without a score: no other number stands in for a yes that was not given."""
    return tuple(replace(keyword, score=None) for keyword in keywords)


def read_verdicts(keywords: Sequence[Keyword], answer: StageAnswer) -> Verified:
    """The keywords that an answer does not deny; total: an answer may be anything.

    A keyword that is answered both ways has no clear answer. The score of one that is confirmed is
    the probability of its yes, where the server tells; all others have none.
    """
    body = open_envelope(answer.text).body
    asked = {fold(keyword.text) for keyword in keywords}
    verdicts = _verdicts(_PAIR, body, asked) or _verdicts(_LINE, body, asked)
    kept, denied = [], []
    unanswered = 0
    for keyword in keywords:
        found = verdicts.get(fold(keyword.text), ())
        answers = {verdict.is_yes for verdict in found}
        if answers == {False}:
            denied.append(keyword)
            continue
        is_confirmed = answers == {True}
        unanswered += not is_confirmed
        score = _probability(answer, body, found[0]) if is_confirmed else None
        kept.append(replace(keyword, score=score))
    return Verified(tuple(kept), tuple(denied), unanswered)


def _verdicts(
    pattern: re.Pattern[str], body: str, asked: set[str]
) -> Mapping[str, Sequence[_Verdict]]:
    """Every verdict on something that was asked, by its folded text."""
    found: dict[str, list[_Verdict]] = defaultdict(list)
    for match in pattern.finditer(body):
        key = fold(_plain(match[1]))
        if key in asked:
            found[key].append(_Verdict(match[2].lower() in _YES, *match.span(2)))
    return found


def _plain(text: str) -> str:
    """A text out of JSON; as it stands where it is none."""
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text


def _probability(answer: StageAnswer, body: str, verdict: _Verdict) -> float | None:
    """How probable the tokens of a verdict are, where they are known to spell it."""
    tokens = answer.token_logprobs
    text = "".join(token for token, _ in tokens)
    offset = text.find(body)
    if offset < 0 or text.strip() != answer.text.strip():
        return None
    ends = list(accumulate(len(token) for token, _ in tokens))
    return least_probability(tokens, ends, offset + verdict.start, offset + verdict.end)
