"""An image process: decodes what it is asked for, in turn.

Started by `processes` as ``python -m imageworks.prepare.worker``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imageworks.children import serve
from imageworks.errors import DecodeError
from imageworks.prepare.picture import prepare_image

if TYPE_CHECKING:
    from imageworks.prepare.messages import Request
    from imageworks.stages import PreparedImage

_OUT_OF_MEMORY_SCORE = 500


def answer(request: Request) -> PreparedImage | DecodeError:
    """The prepared picture, or why there is none."""
    try:
        return prepare_image(request.path, request.format, request.cache, request.budget)
    except DecodeError as error:
        return error


if __name__ == "__main__":
    serve(answer, oom_score=_OUT_OF_MEMORY_SCORE)
