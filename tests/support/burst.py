"""Keys for a Textual app as a slow line delivers them: all at once, nobody waiting in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from textual import events
from textual.keys import _character_to_key

if TYPE_CHECKING:
    from textual.pilot import Pilot


async def burst(pilot: Pilot[Any], *keys: str) -> None:
    """Sends keys, by name or as single characters, and returns when they have had their effect."""
    driver = pilot.app._driver
    assert driver is not None
    for key in keys:
        is_character = len(key) == 1
        name = _character_to_key(key) if is_character else key
        event = events.Key(name, key if is_character else None)
        event.set_sender(pilot.app)
        driver.send_message(event)
    are_routed = asyncio.Event()
    pilot.app.call_later(are_routed.set)
    await are_routed.wait()
    focused = pilot.app.focused
    if focused is not None:
        have_arrived = asyncio.Event()
        focused.call_later(have_arrived.set)
        await have_arrived.wait()
    await pilot.pause(0)
