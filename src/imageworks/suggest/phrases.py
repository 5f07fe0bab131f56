"""What models say around a caption: greetings, lead-ins, offers to help, refusals.

Every pattern is anchored and bounded, so that matching stays linear on hostile text.
"""

# ruff: noqa: RUF001  # curly quotes, dashes and full-width marks are what is looked for

from __future__ import annotations

import re

_I = re.IGNORECASE
_PICTURE = r"(?:image|photo|photograph|picture|pic|snapshot|shot|scene)"
_FIELD = r"(?:captions?|titles?|descriptions?|keywords?|tags?|summary|alt[- ]text|hashtags?)"

GREETING = re.compile(
    r"(?:sure|certainly|of course|absolutely|okay|ok)(?: thing)?"
    r"(?:[!.:]+|,(?=\s{1,4}(?:here|i|let)\b))(?:\s+|\Z)",
    _I,
)
LEAD_IN = re.compile(
    rf"(?:(?:here(?:['’]s| is| are)|below (?:is|are)|this is|these are)\b[^:\n.]{{0,80}}"
    rf"\b{_FIELD}\b[^:\n.]{{0,80}}:|(?:here you go|here it is)\s?[:!.])\s*",
    _I,
)
LABEL = re.compile(
    r"[*_#\"]{0,4}\s?(?:(?:image|photo|short|final|suggested) )?(?:caption|title|description"
    r"|alt[- ]text|answer|output|response)[*_\"]{0,4}\s?[:：][*_]{0,4}\s*",
    _I,
)
OF_PICTURE = re.compile(
    rf"(?:an?|the|An?|The|[Tt]his is an?|[Tt]his is the|[Hh]ere is an?) {_PICTURE} of "
    r"|(?:[Pp]hoto|[Pp]hotograph|[Ii]mage|[Pp]icture) of"
    r" (?=(?:an?|the|two|three|four|five|several|some|many)\b)"
)
PICTURE_SHOWS = re.compile(
    rf"(?:the|this|an?) {_PICTURE} (?:clearly |also |simply )?(?:shows|depicts|captures|features"
    r"|displays|presents|portrays|showcases|illustrates|contains)"
    r" (?:that )?(?!how\b|why\b|what\b|where\b|up\b|off\b|to\b)",
    _I,
)
IN_PICTURE = re.compile(
    rf"in (?:the|this) {_PICTURE},? (?:(?:we|you|one|i) (?:can )?(?:clearly )?see(?: that)?"
    r"|there (?:is|are)) |(?:in|on) (?:the|this) (?:image|photo|photograph|picture), |"
    rf"(?:we|you|one|i) can (?:clearly )?see (?=(?:an?|the|two|three|several|some|many)\b)",
    _I,
)
OPENERS = (GREETING, LEAD_IN, LABEL, OF_PICTURE, PICTURE_SHOWS, IN_PICTURE)

CHATTER = re.compile(
    r"(?:please )?(?:let me know\b|feel free\b|i hope (?:this|that|it)\b|hope (?:this|that) helps"
    r"|would you like\b|is there anything else|do you (?:want|need)\b|if you (?:need|want|have any"
    r"|would like|['’]?d like)\b|i(?:['’]d be| would be|['’]m| am) happy to\b|i can also\b"
    r"|this caption\b|these keywords\b|this description (?:captures|provides|is)\b"
    r"|word count\b|\d{1,4} (?:words|characters)\)|note:)",
    _I,
)
REFUSAL = re.compile(
    r"(?:i['’]?m|i am)(?: really| very| so| truly)? sorry\b(?=[,.!]| but\b| i\b|\Z)"
    r"|(?:sorry|apologies|my apologies),?(?: but)? i\b|i apologi[sz]e\b|unfortunately,? i\b"
    r"|(?:but )?i(?: am|['’]m) (?:unable|not able|not allowed) to\b"
    r"|as an? (?:ai|(?:large )?language model)\b(?!-)[^.]{0,40}\bi\b"
    r"|(?:but )?i (?:can(?:['’]t|not| not)|could(?:n['’]t| not)|won['’]t|will not|do not|don['’]t)"
    r" (?:actually )?(?:help|assist|see|view|provide|identify|describe|analy[sz]e|process|access"
    r"|display|comply|fulfil|generate|create|determine|make|recogni[sz]e|answer|have|engage|support)\b"
    r"|(?:no|there is no) (?:image|photo|picture) (?:was|is|has been|attached|provided|to)\b"
    r"|(?:please|could you(?: please)?|you (?:haven['’]t|did not|didn['’]t))"
    r" (?:provide|upload|share|attach)",
    _I,
)

# Words that say nothing about what a photograph shows; compared with `text.fold`.
EMPTY_KEYWORDS = frozenset(
    {
        *("photo", "photos", "photograph", "photographs", "photography", "image", "images"),
        *("picture", "pictures", "pic", "pics", "stock photo", "stock image", "stock photography"),
        *("digital photo", "digital image", "digital photography", "high quality"),
        *("high resolution", "n/a", "na", "none", "null", "nil", "unknown", "undefined", "nothing"),
        *("not applicable", "not available", "not visible", "no keywords", "keyword", "keywords"),
        *("tag", "tags", "caption", "title", "description", "etc", "and more", "and so on", "misc"),
        *("miscellaneous", "string", "keyword1", "keyword2", "keyword3", "json", "true", "false"),
        *("foto", "fotos", "bild", "bilder", "fotografie", "imagen", "immagine", "fotografia"),
    }
)
EMPTY_TEXTS = frozenset(
    {"n/a", "na", "none", "null", "nil", "unknown", "undefined", "string", "nan"}
)

# Always written with a capital in English, so a list in Title Case says nothing about them.
ENGLISH_PROPER_WORDS = frozenset(
    {
        *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "january"),
        *("february", "april", "june", "july", "august", "september", "october", "november"),
        *("december", "christmas", "easter", "halloween", "thanksgiving", "africa", "antarctica"),
        *("asia", "europe", "oceania", "australia", "america", "african", "asian", "european"),
        *("american", "british", "english", "french", "german", "italian", "spanish", "portuguese"),
        *("dutch", "swedish", "norwegian", "danish", "finnish", "icelandic", "russian", "polish"),
        *("greek", "turkish", "chinese", "japanese", "korean", "indian", "thai", "mexican"),
        *("brazilian", "canadian", "australian", "arctic", "atlantic", "pacific", "mediterranean"),
        *("alps", "himalayas", "victorian", "gothic", "buddhist", "christian", "catholic", "hindu"),
        *("muslim", "islamic", "jewish", "buddha", "jesus", "god", "london", "paris", "england"),
        *("france", "germany", "italy", "spain", "portugal", "norway", "sweden", "denmark"),
        *("finland", "iceland", "scotland", "ireland", "wales", "greece", "turkey", "china"),
        *("japan", "india", "thailand", "mexico", "brazil", "canada", "russia", "poland"),
    }
)
