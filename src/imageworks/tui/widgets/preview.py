"""The picture pane: the newest wish, quickly and roughly first, then as well as can be shown."""

from __future__ import annotations

import time
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

from textual.message import Message

from imageworks.tui.pictures import kitty
from imageworks.tui.pictures.canvas import PictureCanvas
from imageworks.tui.pictures.messages import PictureReply, PictureRequest, PictureWish
from imageworks.tui.pictures.process import PictureProcess
from imageworks.tui.pictures.rows import ascii_rows, half_block_rows, wire_bytes
from imageworks.tui.terminal import Graphics, Renderer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from textual.timer import Timer

__all__ = ["PictureWish", "PreviewPane"]

_DEBOUNCE_S = 0.04  # a held key draws its last picture only
_HELD_KEY_S = 0.15
_REST_S = 0.1
_STALE_S = 0.25
_KEPT_REPLIES = 64
_AHEAD = 3
_CLOSEST_ZOOM = 64.0
_SLOW_WORDS = {
    Renderer.HALF: "The line is slow: photographs are now drawn with coloured blocks.",
    Renderer.ASCII: "The line is very slow: photographs are now drawn with letters.",
}


class PreviewPane(PictureCanvas):
    """Shows one picture as well as the terminal can and its line allows.

    Args:
        graphics: How to draw; None for pictures of characters.
        is_colour: Whether colours may be used.
    """

    class Slowed(Message):
        """The line was too slow, and photographs are drawn in a cheaper way from now on."""

        def __init__(self, renderer: Renderer) -> None:
            super().__init__()
            self.renderer = renderer
            self.text = _SLOW_WORDS[renderer]

    def __init__(self, *, graphics: Graphics | None, is_colour: bool) -> None:
        graphics = graphics or Graphics(Renderer.HALF)
        super().__init__(is_in_tmux=graphics.is_in_tmux)
        is_drawn = graphics.renderer is not Renderer.OFF
        self.renderer = graphics.renderer if is_colour or not is_drawn else Renderer.ASCII
        self._cell_px = (graphics.cell_width_px, graphics.cell_height_px)
        self._process = PictureProcess(self._take)
        self._replies: OrderedDict[PictureRequest, PictureReply] = OrderedDict()
        self._wish: PictureWish | None = None
        self._instead = ""
        self._upcoming: tuple[PictureWish, ...] = ()
        self._wished_at_s = 0.0
        self._zoom = 1.0
        self._centre = (0.5, 0.5)
        self._closest_zoom = _CLOSEST_ZOOM
        self._part = (0.0, 0.0, 1.0, 1.0)
        self._timer: Timer | None = None
        self._drawn: PictureRequest | None = None
        self._characters_of: object = None

    # What the screen calls

    @property
    def zoom(self) -> float:
        """How close the picture is looked at; 1 is the whole of it."""
        return self._zoom

    def show(self, wish: PictureWish | None, upcoming: Iterable[PictureWish] = ()) -> None:
        """Shows another picture soon; the one there stays for the moment until then.

        Args:
            wish: What to show; None for nothing.
            upcoming: What is likely to be wished next, most likely first.
        """
        self._upcoming = tuple(other.files for other in upcoming)[:_AHEAD]
        self._instead = "" if wish is None else wish.text
        files = None if wish is None else wish.files
        if files == self._wish:
            if self._text:
                self.write_text(self._instead)
            return
        if files is None or not files.is_of_same_photograph(self._wish):
            self._reset_view()
        self._wish = files
        now_s = time.monotonic()
        is_held = now_s - self._wished_at_s < _HELD_KEY_S
        self._wished_at_s = now_s
        self._set_timer(_DEBOUNCE_S if is_held else 0, self._look)

    def zoom_in(self) -> None:
        """Twice as close, up to two pixels of the screen for one of the photograph."""
        self._look_at(min(self._zoom * 2, self._closest_zoom), self._centre)

    def zoom_out(self) -> None:
        """Half as close."""
        self._look_at(max(self._zoom / 2, 1.0), self._centre)

    def zoom_reset(self) -> None:
        """The whole picture."""
        self._look_at(1.0, (0.5, 0.5))

    def pan(self, right: int, down: int) -> None:
        """Moves what is looked at by half of what is seen; negative for left and up."""
        left, top, width, height = self._part
        across = left + width / 2 + right * width / 2
        along = top + height / 2 + down * height / 2
        self._look_at(
            self._zoom,
            (
                min(max(across, width / 2), 1 - width / 2),
                min(max(along, height / 2), 1 - height / 2),
            ),
        )

    # What happens by itself

    def on_resize(self) -> None:
        """Draws the picture anew in its new size."""
        self._drawn = self._characters_of = None
        self._look()

    async def on_unmount(self) -> None:
        """Leaves nothing behind: no process, and nothing in the terminal's memory."""
        self.workers.cancel_node(self)
        self.free_image()
        await self._process.aclose()

    def free_image(self) -> None:
        """Takes the picture out of the terminal's memory; it is drawn again when it is due."""
        super().free_image()
        self._drawn = self._characters_of = None

    def _return_to_terminal(self, app: object) -> None:
        super()._return_to_terminal(app)
        self._look()

    def _reset_view(self) -> None:
        self._zoom, self._closest_zoom = 1.0, _CLOSEST_ZOOM
        self._centre, self._part = (0.5, 0.5), (0.0, 0.0, 1.0, 1.0)

    def _set_timer(self, delay_s: float, act: object) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if not self.is_attached:
            return
        if delay_s:
            self._timer = self.set_timer(delay_s, act)  # type: ignore[arg-type]  # both are methods
        else:
            self._look()

    def _look(self) -> None:
        """Draws what is at hand, and asks for what can be had quickly."""
        wish = self._wish
        if wish is None or not self._can_draw(wish):
            self.workers.cancel_group(self, "picture")
            self._drawn = None
            self.write_text(self._instead)
            return
        whole, quick = self._request(wish), self._request(wish, is_quick=True)
        if (reply := self._known(whole)) is not None:
            self._draw(whole, reply)
        elif (reply := self._known(quick)) is not None and reply.has_picture:
            self._draw(quick, reply)
        elif reply is None and self._zoom == 1:
            self._process.want([quick])
        else:
            self._rest()
            return
        self._set_timer(_REST_S, self._rest)

    def _rest(self) -> None:
        """Asks for the picture as well as it can be had, and for those that may come next."""
        wish = self._wish
        if wish is None or not self._can_draw(wish):
            return
        if not self._shows(wish):
            self._set_timer(_STALE_S, self._give_way)
        quick = self._known(self._request(wish, is_quick=True))
        is_best = quick is not None and quick.is_final and quick.has_picture
        wanted = [] if is_best and not self.renderer.is_graphics else [self._request(wish)]
        ahead = [other for other in self._upcoming if self._can_draw(other)]
        wanted += [self._request(other, is_quick=True) for other in ahead]
        wanted += [self._request(other) for other in ahead]
        self._process.want([request for request in wanted if request not in self._replies])

    def _give_way(self) -> None:
        """Takes another photograph's picture away, when this one's is long in coming."""
        if self._wish is not None and not self._shows(self._wish):
            self.write_text(self._instead)

    def _shows(self, wish: PictureWish) -> bool:
        return self._drawn is not None and wish.is_of_same_photograph(self._drawn.wish)

    def _look_at(self, zoom: float, centre: tuple[float, float]) -> None:
        wish = self._wish
        if wish is None or not self._can_draw(wish):
            return
        self._zoom, self._centre = zoom, centre if zoom > 1 else (0.5, 0.5)
        request = self._request(wish)
        if (reply := self._known(request)) is not None:
            self._draw(request, reply)
        else:
            self._process.want([request])

    def _can_draw(self, wish: PictureWish) -> bool:
        return wish.has_picture and self.renderer is not Renderer.OFF and bool(self.size)

    def _request(self, wish: PictureWish, *, is_quick: bool = False) -> PictureRequest:
        is_rough = is_quick and self.renderer.is_graphics
        is_seen = wish == self._wish and not is_quick
        most = kitty.most_cells()
        return PictureRequest(
            wish=wish,
            columns=min(most, self.size.width),
            rows=min(most, self.size.height),
            cell_px=self._cell_px,
            renderer=Renderer.HALF if is_rough else self.renderer,
            is_quick=is_quick,
            zoom=self._zoom if is_seen else 1.0,
            centre=self._centre if is_seen else (0.5, 0.5),
        )

    def _known(self, request: PictureRequest) -> PictureReply | None:
        reply = self._replies.get(request)
        if reply is not None:
            self._replies.move_to_end(request)
        return reply

    def _take(self, request: PictureRequest, reply: PictureReply) -> None:
        """Keeps a reply, and draws it if it is what is wished for now."""
        self._replies[request] = reply
        while len(self._replies) > _KEPT_REPLIES:
            self._replies.popitem(last=False)
        wish = self._wish
        if wish is None or request.wish != wish or not self.is_attached:
            return
        if request == self._request(wish):
            if reply.has_picture:
                self._draw(request, reply)
            elif not self._shows(wish):
                self.write_text(self._instead)
        elif request == self._request(wish, is_quick=True):
            if not reply.has_picture:
                self._rest()
            elif not self._shows(wish):
                self._draw(request, reply)

    def _draw(self, request: PictureRequest, reply: PictureReply) -> None:
        if not reply.has_picture:
            self.write_text(self._instead)
            return
        if not request.is_quick:
            self._take_view(request, reply)
        if self._drawn == request:
            return
        self._drawn = request
        paint: Callable[[], Awaitable[None]] = partial(self._paint, request, reply)
        self.run_worker(paint, group="picture", exclusive=True)

    def _take_view(self, request: PictureRequest, reply: PictureReply) -> None:
        """Goes on from the view that the picture really has."""
        if reply.zoom < request.zoom:
            self._closest_zoom = reply.zoom
        left, top, width, height = self._part = reply.part
        self._zoom, self._centre = reply.zoom, (left + width / 2, top + height / 2)
        if reply.zoom == 1:
            self._centre = (0.5, 0.5)

    async def _paint(self, request: PictureRequest, reply: PictureReply) -> None:
        seen = (request.wish, request.columns, request.rows, request.zoom, request.centre)
        if self._characters_of != seen:
            await self._paint_characters(request, reply)
            self._characters_of = seen
        if reply.graphics_bytes:
            if self._outlet.is_open:
                await self.link.known()
            if self.link.is_slow_for(reply.graphics_bytes):
                self._slow_down(Renderer.HALF)
            elif not reply.png:
                await self.send_sixels(reply)
            elif await self.send_png(reply):
                self._characters_of = None
                await self.reveal_image(reply)
            else:
                self._slow_down(Renderer.HALF)
        self.ask_in_quiet()

    async def _paint_characters(self, request: PictureRequest, reply: PictureReply) -> None:
        is_ascii = request.renderer is Renderer.ASCII
        rows = (ascii_rows if is_ascii else half_block_rows)(reply.pixels, reply.columns)
        await self.reveal(rows, reply.columns)
        if not is_ascii and self.link.is_slow_for(wire_bytes(rows)):
            self._slow_down(Renderer.ASCII)

    def _slow_down(self, renderer: Renderer) -> None:
        if self.renderer is renderer:
            return
        self.renderer = renderer
        self._replies.clear()
        self.post_message(self.Slowed(renderer))
        if renderer is Renderer.ASCII and self._wish is not None:
            self._process.want([self._request(self._wish)])
