"""Prompts with everything filled in, and the JSON schema of a structured answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imageworks.infer.profiles import PLACEHOLDER_PATTERN, PromptProfile
from imageworks.text import clean_text, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imageworks.models import Stage
    from imageworks.stages import InferenceRequest

CONTEXT_INTRODUCTION = (
    "Facts from the file; they may be unrelated to what is visible. "
    "Do not mention them unless the picture shows it:"
)
_HINT_INTRODUCTION = "The photographer says about this picture: "
_LONGEST_FACT = 300
_LONGEST_HINT = 1000
_FEWEST_KEYWORDS = 6
_MOST_KEYWORDS_BY_DEFAULT = 12
_DEFAULT_MAX_KEYWORDS = 15
_LONGEST_KEYWORD = 64
_CHARACTERS_A_WORD = 14
_CHARACTERS_A_SENTENCE = 320
_JSON_TEXT = r'"(?:[^"\\\x00-\x1f]|\\["\\/nt])+"'
"""A text in JSON (RFC 8259, section 7) with the escapes that prose needs."""
_META_CHARACTERS = re.compile(r"[\\.^$*+?()\[\]{}|]")
_VERDICT_RULE = 'verdict ::= "true" | "false"'
_TOKENS_AROUND = 32
_TOKENS_A_WORD = 8
_TOKENS_A_KEYWORD = 10
_TOKENS_A_SENTENCE = 70
_TOKENS_A_VERDICT = 8

_LANGUAGE_NAMES = {
    "ar": "Arabic",
    "bg": "Bulgarian",
    "ca": "Catalan",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "en-GB": "British English",
    "en-US": "American English",
    "es": "Spanish",
    "et": "Estonian",
    "eu": "Basque",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "ga": "Irish",
    "gl": "Galician",
    "he": "Hebrew",
    "hi": "Hindi",
    "hr": "Croatian",
    "hu": "Hungarian",
    "id": "Indonesian",
    "is": "Icelandic",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "nb": "Norwegian (Bokmål)",
    "nl": "Dutch",
    "nn": "Norwegian (Nynorsk)",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "pt-BR": "Brazilian Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sk": "Slovak",
    "sl": "Slovenian",
    "sr": "Serbian",
    "sv": "Swedish",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
    "zh-CN": "Simplified Chinese",
    "zh-TW": "Traditional Chinese",
}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A system and a user prompt, ready to send."""

    system: str
    user: str


@dataclass(frozen=True, slots=True)
class PromptWriter:
    """Writes the prompts of one profile under one set of settings.

    Attributes:
        profile: The texts.
        language: Language tag (BCP 47) of the answers.
        max_keywords: Most keywords to ask for.
    """

    profile: PromptProfile
    language: str
    max_keywords: int

    def for_stage(self, stage: Stage, request: InferenceRequest) -> Prompt:
        """The prompts that ask for one thing as plain text."""
        return self._filled(self.profile.prompts[stage], request)

    def for_all(self, request: InferenceRequest) -> Prompt:
        """The prompts that ask for everything as one JSON object."""
        return self._filled(self.profile.combined, request)

    def for_verification(self, keywords: Sequence[str]) -> Prompt:
        """The prompts that have keywords confirmed, each by itself."""
        listed = json.dumps(keywords, ensure_ascii=False)
        values = {"language": language_name(self.language), "keywords": listed}
        return Prompt(fill(self.profile.system, values), fill(self.profile.verify, values))

    @staticmethod
    def verdict_schema(keywords: Sequence[str]) -> dict[str, Any]:
        """JSON schema of the answer to `for_verification`: yes or no to each, in their order."""
        return {
            "type": "object",
            "properties": {keyword: {"type": "boolean"} for keyword in keywords},
            "required": list(keywords),
            "additionalProperties": False,
        }

    @staticmethod
    def verdict_pattern(keywords: Sequence[str]) -> str:
        """Regular expression of the answer to `for_verification`, as `answer_pattern`."""
        names = (json.dumps(keyword, ensure_ascii=False) for keyword in keywords)
        literals = (_META_CHARACTERS.sub(r"\\\g<0>", name) for name in names)
        return rf"\{{{', ?'.join(f'{literal}: ?(?:true|false)' for literal in literals)}\}}"

    @staticmethod
    def verdict_grammar(keywords: Sequence[str]) -> str:
        """Grammar of the answer to `for_verification`, in GBNF (llama.cpp, ``grammars/README``).

        One that llama.cpp makes of the schema lets small models fill the answer with blanks.
        """
        names = (json.dumps(keyword, ensure_ascii=False) for keyword in keywords)
        escaped = (f"{name}: ".replace("\\", r"\\").replace('"', r"\"") for name in names)
        pairs = ' ", " '.join(f'"{pair}" verdict' for pair in escaped)
        return f'root ::= "{{" {pairs} "}}"\n{_VERDICT_RULE}'

    @staticmethod
    def verdict_tokens(keywords: Sequence[str]) -> int:
        """Most tokens of the answer to `for_verification`: no token is shorter than a byte."""
        each = (len(keyword.encode()) + _TOKENS_A_VERDICT for keyword in keywords)
        return _TOKENS_AROUND + sum(each)

    def short_tokens(self, stage: Stage) -> int:
        """Most tokens that an answer to one stage takes when it says no more than was asked.

        Counted for tokens of two or three letters, as small models and rare languages have them.
        """
        profile = self.profile
        most = {
            "caption": profile.caption_words * _TOKENS_A_WORD,
            "keywords": self.max_keywords * _TOKENS_A_KEYWORD,
            "description": profile.description_sentences * _TOKENS_A_SENTENCE,
        }
        return _TOKENS_AROUND + most[stage.value]

    def answer_schema(self) -> dict[str, Any]:
        """JSON schema of the answer to `for_all`.

        The lengths keep an answer from running into its token limit. Servers generate the
        properties in this order: the short, sure one first.
        """
        profile = self.profile
        return {
            "type": "object",
            "properties": {
                "caption": {
                    "type": "string",
                    "maxLength": profile.caption_words * _CHARACTERS_A_WORD,
                },
                "keywords": {
                    "type": "array",
                    "items": {"type": "string", "maxLength": _LONGEST_KEYWORD},
                    "maxItems": self.max_keywords,
                },
                "description": {
                    "type": "string",
                    "maxLength": profile.description_sentences * _CHARACTERS_A_SENTENCE,
                },
            },
            "required": ["caption", "keywords", "description"],
            "additionalProperties": False,
        }

    def answer_pattern(self) -> str:
        """Regular expression of the answer to `for_all`, in the compact form of JSON.

        For servers whose schema grammar lets a model write blanks without end (facts on inference,
        section 3.5). Repeats of texts are unbounded: bounds in the hundreds compile slowly.
        """
        more = max(0, self.max_keywords - 1)
        values = {
            "caption": _JSON_TEXT,
            "keywords": rf"\[{_JSON_TEXT}(?:, ?{_JSON_TEXT}){{0,{more}}}\]",
            "description": _JSON_TEXT,
        }
        pairs = ", ?".join(f'"{name}": ?{value}' for name, value in values.items())
        return rf"\{{{pairs}\}}"

    def _filled(self, template: str, request: InferenceRequest) -> Prompt:
        values = {
            "language": language_name(self.language),
            "max_keywords": str(self.max_keywords),
            "keyword_range": keyword_range(self.max_keywords),
            "caption_words": str(self.profile.caption_words),
            "description_sentences": str(self.profile.description_sentences),
            "context": context_block(request.context),
            "hint": _hint_line(request.hint),
        }
        return Prompt(fill(self.profile.system, values), fill(template, values))


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders replaced, in one pass: a brace in a value stays a brace.

    Paragraphs that end up empty go.
    """
    filled = PLACEHOLDER_PATTERN.sub(lambda found: values.get(found[1], found[0]), template)
    paragraphs = (paragraph.strip() for paragraph in filled.split("\n\n"))
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def language_name(tag: str) -> str:
    """English name of a language tag (BCP 47); an unknown tag is described by itself."""
    parts = tag.replace("_", "-").split("-")
    language, region = parts[0].lower(), (parts[1].upper() if len(parts) > 1 else "")
    name = _LANGUAGE_NAMES.get(f"{language}-{region}") or _LANGUAGE_NAMES.get(language)
    return name or f"the language with the tag {one_line(tag, limit=35)}"


def keyword_range(max_keywords: int) -> str:
    """How many keywords to ask for: never a floor that makes a model invent some."""
    highest = max_keywords
    if max_keywords <= _DEFAULT_MAX_KEYWORDS:
        highest = min(max_keywords, _MOST_KEYWORDS_BY_DEFAULT)
    if highest <= _FEWEST_KEYWORDS:
        return f"at most {highest}"
    return f"{_FEWEST_KEYWORDS} to {highest}"


def context_block(context: Mapping[str, str]) -> str:
    """The facts as a labelled list under a warning; empty when there are none."""
    facts = ((clean_text(label), clean_text(fact)) for label, fact in context.items())
    lines = [
        f"- {one_line(label, limit=60)}: {one_line(fact, limit=_LONGEST_FACT)}"
        for label, fact in facts
        if fact
    ]
    return "\n".join([CONTEXT_INTRODUCTION, *lines]) if lines else ""


def _hint_line(hint: str) -> str:
    cleaned = one_line(clean_text(hint), limit=_LONGEST_HINT)
    return f"{_HINT_INTRODUCTION}{cleaned}" if cleaned else ""
