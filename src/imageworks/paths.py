"""Where the program keeps its own files: the platform's folders, never beside the photographs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

APP_NAME = "personal-tagger"


@dataclass(frozen=True, slots=True)
class AppPaths:
    """The program's own folders; nothing is created until it is needed.

    Attributes:
        config_dir: User config, prompt profiles, themes.
        data_dir: The library.
        cache_dir: Previews and thumbnails; may be deleted at any time.
        log_dir: Log files of screen and engine.
    """

    config_dir: Path
    data_dir: Path
    cache_dir: Path
    log_dir: Path

    @property
    def user_config(self) -> Path:
        """The user's own settings."""
        return self.config_dir / "personal_tagger.toml"

    @property
    def library(self) -> Path:
        """The default store."""
        return self.data_dir / "library.sqlite3"

    @property
    def originals_dir(self) -> Path:
        """First originals, where setting ``backup_place`` says ``folder``."""
        return self.data_dir / "originals"

    @property
    def profiles_dir(self) -> Path:
        """The user's own prompt profiles."""
        return self.config_dir / "profiles"

    @property
    def vocabulary(self) -> Path:
        """The user's own words for things: keywords, aliases and bans."""
        return self.config_dir / "vocabulary.toml"

    @property
    def themes_dir(self) -> Path:
        """The user's own themes."""
        return self.config_dir / "themes"


def app_paths() -> AppPaths:
    """The folders of this user on this platform (platformdirs; XDG variables count on Linux)."""
    from platformdirs import PlatformDirs  # noqa: PLC0415  # keeps `--version` fast

    dirs = PlatformDirs(APP_NAME, appauthor=False)
    return AppPaths(
        config_dir=Path(dirs.user_config_dir),
        data_dir=Path(dirs.user_data_dir),
        cache_dir=Path(dirs.user_cache_dir),
        log_dir=Path(dirs.user_log_dir),
    )
