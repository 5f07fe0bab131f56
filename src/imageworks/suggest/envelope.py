"""What is around an answer: a model's thinking, its control tokens, code fences."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Longest answer looked at: 8192 tokens (the most that can be asked for) of 32 characters each.
MAX_ANSWER_CHARACTERS = 262_144

_THINK_TAGS = "think|thinking|thought|thoughts|reasoning|reflection|scratchpad"
_THINK_OPEN = re.compile(rf"<(?:{_THINK_TAGS})>|\[THINK\]|◁think▷|<unused94>", re.IGNORECASE)
_THINK_CLOSE = re.compile(rf"</(?:{_THINK_TAGS})>|\[/THINK\]|◁/think▷|<unused95>", re.IGNORECASE)
# Channels: OpenAI's harmony format (`<|channel|>final<|message|>`) and Gemma 4's own spelling of
# it (`<|channel>thought … <channel|>`).
_CHANNEL = re.compile(
    r"<\|channel\|?>\s*([A-Za-z_]{1,20})[^<\n]{0,80}(?:<\|message\|?>|\n|(?=<channel\|>))?"
)
_CHANNEL_END = re.compile(r"<channel\|>|<\|end\|>|<\|return\|>|<\|call\|>")
_ANSWER_CHANNELS = {"final", "answer", "response", "commentary"}
# `<|im_end|>`, `<|begin_of_box|>`, `<end_of_turn>`, `</s>` and other marks of chat templates.
_CONTROL_TOKEN = re.compile(
    r"<\|[^|<>\n]{1,40}\|?>|<[a-z_]{1,20}\|>|</?s>|<(?:start|end)_of_(?:turn|text|image)>"
    r"|<(?:eos|bos|pad|unk)>|\[/?INST\]|</?(?:answer|response|output|final_answer)>",
    re.IGNORECASE,
)
_FENCE = re.compile(
    r"(?:`{3,}|~{3,})(?:(?:jsonc?|json5|javascript|js|python|py|ya?ml|xml|html|text|plaintext|txt"
    r"|markdown|md)\b)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """An answer without what surrounds it.

    Attributes:
        body: All that is meant for a reader, without fence marks.
        fenced: What the first code fence held; None where there is no fence.
        has_only_thoughts: The model thought and never got to answer.
    """

    body: str
    fenced: str | None
    has_only_thoughts: bool


def open_envelope(text: str) -> Envelope:
    """The answer that a text holds; total, in time linear in its length."""
    text = text[:MAX_ANSWER_CHARACTERS]
    spoken = _without_thoughts(_final_channel(text))
    spoken = _CONTROL_TOKEN.sub("\n", spoken)
    parts = _FENCE.split(spoken)
    fenced = parts[1].strip() if len(parts) > 1 else None
    return Envelope(
        body="\n".join(parts).strip(),
        fenced=fenced or None,
        has_only_thoughts=bool(text.strip()) and not spoken.strip(),
    )


def _final_channel(text: str) -> str:
    """What was said in the answering channels; the text itself where it has no channels."""
    marks = list(_CHANNEL.finditer(text))
    if not marks:
        return text
    spoken = [text[: marks[0].start()]]
    for number, mark in enumerate(marks):
        end = marks[number + 1].start() if number + 1 < len(marks) else len(text)
        content = text[mark.end() : end]
        closing = _CHANNEL_END.search(content)
        if mark[1].lower() in _ANSWER_CHANNELS:
            spoken.append(content[: closing.start()] if closing else content)
        elif closing:
            spoken.append(content[closing.end() :])
    return "\n".join(spoken)


def _without_thoughts(text: str) -> str:
    """The text without its thinking blocks; one without an end hides all that follows.

    A closing tag alone ends a block that the chat template opened.
    """
    if text.lstrip().startswith(("{", "[{")):
        return text
    closings = list(_THINK_CLOSE.finditer(text))
    first_opening = _THINK_OPEN.search(text)
    if closings and (first_opening is None or closings[0].start() < first_opening.start()):
        text = text[closings[0].end() :]
    spoken: list[str] = []
    position = 0
    while opening := _THINK_OPEN.search(text, position):
        spoken.append(text[position : opening.start()])
        closing = _THINK_CLOSE.search(text, opening.end())
        position = closing.end() if closing else len(text)
    spoken.append(text[position:])
    return "\n".join(spoken)
