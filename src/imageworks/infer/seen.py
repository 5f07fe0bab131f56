"""Whether a server can have seen the picture that it was sent, told by the tokens it counted.

Ollama trims a conversation that it thinks too long from the front, where the picture is, and says
nothing (facts on inference, section 3.2).
"""

from __future__ import annotations

NOTE_NOT_SEEN = "the server may not have looked at the picture; check what the answer says"

# ITU-T T.81 (JPEG), table B.1: start-of-frame markers, all but DHT, JPG and DAC among C0..CF.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PIXELS_PER_TOKEN = 32 * 32
# The fewest that a family spends on a picture of a megapixel (Gemma 3: 256, whatever its size).
_MOST_EXPECTED = 256
_FEWEST_TO_JUDGE = 64
# English takes four to five characters a token; other scripts take fewer.
_CHARACTERS_PER_TOKEN = 5


def may_be_unseen(jpeg: bytes, text: str, prompt_tokens: int | None) -> bool:
    """Whether the prompt counts too few tokens to hold this picture beside this text.

    Args:
        jpeg: As sent.
        text: System and user prompt.
        prompt_tokens: As the server counted, or None.
    """
    size = jpeg_size(jpeg)
    if prompt_tokens is None or size is None:
        return False
    expected = min(_MOST_EXPECTED, size[0] * size[1] // _PIXELS_PER_TOKEN)
    if expected < _FEWEST_TO_JUDGE:
        return False
    return prompt_tokens < len(text) / _CHARACTERS_PER_TOKEN + expected / 2


def jpeg_size(jpeg: bytes) -> tuple[int, int] | None:
    """Width and height in a JPEG's frame header (ITU-T T.81, B.2.2), or None."""
    at = 2
    while at + 9 <= len(jpeg) and jpeg[at] == 0xFF:
        marker = jpeg[at + 1]
        if marker in _FRAME_MARKERS:
            height, width = jpeg[at + 5 : at + 7], jpeg[at + 7 : at + 9]
            return int.from_bytes(width, "big"), int.from_bytes(height, "big")
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return None
