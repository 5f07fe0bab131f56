"""The way past Textual's screen to the terminal: for pictures, which are no text."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.widget import Widget


class Outlet:
    """Writes to an app's terminal in order with what the app itself writes.

    Args:
        widget: Any widget of the app. Of an app without a terminal everything is swallowed.
    """

    def __init__(self, widget: Widget) -> None:
        self._widget = widget

    @property
    def is_open(self) -> bool:
        """Whether there is a terminal at the other end."""
        app = self._widget.app
        return self._driver is not None and not app.is_headless and not app.is_web

    def write(self, text: str) -> None:
        """Sends text after all that was sent before."""
        if self.is_open and self._driver is not None:
            self._driver.write(text)

    def is_behind(self) -> bool:
        """Whether a refresh of the widget is still to be written."""
        dirty: set[Widget] = getattr(self._widget.screen, "_dirty_widgets", set())
        return self._widget in dirty or bool(getattr(self._widget, "_repaint_required", False))

    def is_blocked(self) -> bool:
        """Whether there is output that the system has not taken yet."""
        thread = getattr(self._driver, "_writer_thread", None)
        if thread is None:
            return False
        try:
            if thread._queue.qsize():  # noqa: SLF001  # Textual tells it nowhere else
                return True
            return not select.select([], [thread.fileno()], [], 0)[1]
        except (AttributeError, OSError, ValueError):
            return False

    @property
    def _driver(self) -> Any:  # noqa: ANN401  # Textual's, of any platform
        return self._widget.app._driver  # noqa: SLF001  # the only way to its terminal
