"""Opens the workstation and closes it in order, whatever ends it."""

from __future__ import annotations

import gc
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from imageworks.tui.terminal import TerminalQuestion

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping, Sequence
    from pathlib import Path

    from imageworks.config import PersonalTaggerConfig
    from imageworks.engine.client import EngineClient
    from imageworks.review.session import ReviewSession
    from imageworks.store.library import Library
    from imageworks.tui.screens.settings import SettingsSource

_REMOTE_FRAMES_PER_S = "20"


@contextmanager
def _uncollected() -> Iterator[None]:
    """Looks for no rubbish until the first frame.

    What is made until then stays to the end; to look through it again and again while it grows
    would take a tenth of the time to that frame.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.enable()


@_uncollected()
def run_review(  # noqa: PLR0913  # all by name; what one session is made of
    library: Library,
    config: PersonalTaggerConfig,
    client: EngineClient,
    folders: Sequence[Path],
    *,
    log_path: Path,
    themes_dir: Path,
    vocabulary_path: Path | None = None,
    settings: SettingsSource | None = None,
) -> int:
    """Shows the review workstation until the person leaves; its exit status.

    Args:
        library: The library; the caller closes it.
        config: Theme, keys, and what would be asked.
        client: The way to the engine.
        folders: What to review; empty: what the last session had.
        log_path: This process's log file, named when something goes wrong.
        themes_dir: The user's own themes.
        vocabulary_path: The user's vocabulary file, which need not exist.
        settings: Where settings are kept; None where they cannot be changed.

    Raises:
        ConfigError: The theme or the keymap is wrong; nothing was shown.
    """
    prepare_environment(os.environ)
    question = TerminalQuestion(os.environ, config.images)
    try:
        # Textual reads the environment when it is imported; the terminal answers meanwhile.
        from imageworks.review.session import ReviewSession, remembered_folders  # noqa: PLC0415
        from imageworks.tui.workstation import Workstation  # noqa: PLC0415
    finally:
        graphics = question.answer()
    session = ReviewSession(
        library,
        config,
        folders=folders or remembered_folders(library),
        vocabulary_path=vocabulary_path,
    )
    app = Workstation(
        library=library,
        session=session,
        config=config,
        client=client,
        log_path=log_path,
        themes_dir=themes_dir,
        graphics=graphics,
        settings=settings,
        on_shown=collect_from_now_on,
    )
    with _attached(library, session, client):
        app.run()
    return int(app.return_code or 0)


@contextmanager
def _attached(library: Library, session: ReviewSession, client: EngineClient) -> Iterator[None]:
    """Has the engine look into the session's folders, and leaves it what was accepted."""
    client.attach()
    try:
        if session.folders:
            client.request_scan(session.folders)
        yield
    finally:
        session.close()
        if library.decisions.count_intended():
            client.ensure_running()
        client.detach()


def collect_from_now_on() -> None:
    """Looks for rubbish again, but not among what is there now: a key would wait for that."""
    gc.freeze()
    gc.enable()


def prepare_environment(environment: MutableMapping[str, str]) -> None:
    """Tells Textual to save bytes on a remote line, unless the person has told it otherwise."""
    environment.setdefault("TEXTUAL_ANIMATIONS", "none")
    if environment.get("SSH_CONNECTION"):
        environment.setdefault("TEXTUAL_FPS", _REMOTE_FRAMES_PER_S)
        environment.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")
