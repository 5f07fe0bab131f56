"""Looking closer at the picture."""

from __future__ import annotations

from imageworks.tui.hands.hands import Hands


class LookingHands(Hands):
    """Zoom and pan; the next image is shown whole again."""

    def do_zoom_in(self) -> None:
        """Twice as close."""
        self.preview.zoom_in()
        self._say_zoom()

    def do_zoom_out(self) -> None:
        """Half as close."""
        self.preview.zoom_out()
        self._say_zoom()

    def do_zoom_reset(self) -> None:
        """The whole picture."""
        self.preview.zoom_reset()
        self._say_zoom()

    def do_pan_left(self) -> None:
        """Looks further to the left."""
        self.preview.pan(-1, 0)

    def do_pan_right(self) -> None:
        """Looks further to the right."""
        self.preview.pan(1, 0)

    def do_pan_up(self) -> None:
        """Looks further up."""
        self.preview.pan(0, -1)

    def do_pan_down(self) -> None:
        """Looks further down."""
        self.preview.pan(0, 1)

    def _say_zoom(self) -> None:
        zoom = self.preview.zoom
        self.say("The whole picture." if zoom == 1 else f"{zoom:g} times as close.")
