"""The picture process: decodes, shrinks and encodes, so that no key ever waits for it.

Started by `process` as ``python -m imageworks.tui.pictures.worker``.
"""

from __future__ import annotations

import contextlib
import logging
import math
from functools import partial
from typing import TYPE_CHECKING

from imageworks.children import serve
from imageworks.errors import DecodeError
from imageworks.prepare import showing
from imageworks.prepare.showing import Framing, Shown, Viewer
from imageworks.tui.pictures.messages import PictureReply, PictureRequest, SixelTile
from imageworks.tui.terminal import Renderer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from PIL import Image

logger = logging.getLogger(__name__)

_HALF_BLOCK_COLOURS = 64  # a third of the size of all colours on a compressed line
_SIXEL_COLOURS = 64
_SIXEL_ROW_PX = 6
_TILE_COLUMNS = 8
_THUMBNAIL_PX = 320
_OUT_OF_MEMORY_SCORE = 600  # before the screen and the engine


def answer(request: PictureRequest, viewer: Viewer) -> PictureReply:
    """The picture drawn as asked; an empty reply where there is none."""
    framing = _framing(request)
    for path in _sources(request, framing):
        try:
            shown = viewer.show(path, framing)
        except DecodeError as error:
            logger.info("%s", error)
            continue
        return _drawn(request, shown, is_final=not request.is_quick or _is_small(framing))
    if request.is_quick and request.wish.original is not None:
        with contextlib.suppress(DecodeError):
            found = showing.embedded_thumbnail(request.wish.original, framing)
            if found is not None:
                return _drawn(request, found, is_final=False)
    return PictureReply(is_final=not request.is_quick)


def _framing(request: PictureRequest) -> Framing:
    width_px, height_px = request.cell_px
    if request.renderer.is_graphics:
        box, shape = (request.columns * width_px, request.rows * height_px), 1.0
    else:
        box, shape = (request.columns, request.rows * 2), width_px / (height_px / 2)
    return Framing(box, shape, request.zoom, request.centre)


def _is_small(framing: Framing) -> bool:
    return max(framing.box_px) <= _THUMBNAIL_PX and framing.zoom <= 1


def _sources(request: PictureRequest, framing: Framing) -> Iterator[Path]:
    """The files to try, best first."""
    wish = request.wish
    if request.is_quick:
        order = [wish.thumbnail]
    elif request.zoom > 1:
        order = [wish.original, wish.preview, wish.thumbnail]
    elif _is_small(framing):
        order = [wish.thumbnail, wish.preview, wish.original]
    else:
        order = [wish.preview, wish.original, wish.thumbnail]
    return (path for path in order if path is not None)


def _drawn(request: PictureRequest, shown: Shown, *, is_final: bool) -> PictureReply:
    width, height = shown.frame.size_px
    if request.renderer.is_graphics:
        columns = min(request.columns, math.ceil(width / request.cell_px[0]))
        rows = min(request.rows, math.ceil(height / request.cell_px[1]))
        lines = max(1, round(height / request.cell_px[1] * 2))
        small = showing.smaller(shown.picture, (columns, min(lines, rows * 2)))
    else:
        columns, rows, small = width, (height + 1) // 2, shown.picture
    pixels = (
        showing.grey_pixels(small, (columns, rows))
        if request.renderer is Renderer.ASCII
        else showing.colour_pixels(small, _HALF_BLOCK_COLOURS)
    )
    return PictureReply(
        columns=columns,
        rows=rows,
        pixels=pixels,
        png=showing.png_of(shown.picture) if request.renderer is Renderer.KITTY else b"",
        sixels=tuple(_sixels(request, shown.picture)),
        part=shown.frame.part,
        zoom=shown.frame.zoom,
        is_final=is_final,
    )


def _sixels(request: PictureRequest, picture: Image.Image) -> Iterator[SixelTile]:
    """Tiles of whole cells and whole sixels: each can be sent by itself, between other output."""
    if request.renderer is not Renderer.SIXEL:
        return
    width_px, height_px = request.cell_px
    rows = _SIXEL_ROW_PX // math.gcd(height_px, _SIXEL_ROW_PX)
    tile_px = (_TILE_COLUMNS * width_px, rows * height_px)
    try:
        # Its renderables and widgets ask the terminal when they are imported; this does not.
        from textual_image import _sixel  # noqa: PLC0415  # only where it is used

        for left, top, tile in showing.tiles(picture, tile_px, _SIXEL_COLOURS):
            data = _sixel.image_to_sixels(tile)
            yield SixelTile(left // width_px, top // height_px, data)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        logger.warning("No Sixel pictures: %s", error)  # a private name of 0.12 to 0.14


if __name__ == "__main__":
    serve(partial(answer, viewer=Viewer()), oom_score=_OUT_OF_MEMORY_SCORE)
