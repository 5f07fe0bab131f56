"""The preview cache on disk: what was decoded once is never decoded again.

Files lie two folders deep, `previews/ab/cd/…` and `thumbnails/ab/cd/…`, so that a million of them
leave no folder with more than a few hundred. Everything here may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imageworks.errors import DecodeError
from imageworks.stages import PixelFacts
from imageworks.text import show_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imageworks.prepare.budget import PixelBudget

logger = logging.getLogger(__name__)

_FACTS_VERSION = 1
_TRIM_TO_RATIO = 0.9
_STALE_TEMPORARY_S = 3600
_TEMPORARY_PREFIX = ".tmp-"


@dataclass(frozen=True, slots=True)
class PreviewFiles:
    """Where one picture's cached files are, whether they exist or not."""

    preview: Path
    thumbnail: Path

    @property
    def facts(self) -> Path:
        """What was measured on the pixels, as JSON beside the preview."""
        return self.preview.with_suffix(".json")


@dataclass(frozen=True, slots=True)
class CachedFacts:
    """What is known of a picture without decoding it again."""

    perceptual_hash: int
    pixels: PixelFacts


@dataclass(frozen=True, slots=True)
class PreviewCache:
    """Previews, thumbnails and measured facts, by content id.

    Args:
        root: The cache's own folder; made when it is first written to.
        max_bytes: What `trim` keeps at most.
    """

    root: Path
    max_bytes: int

    def preview_path(self, content_id: str, budget: PixelBudget, orientation: int = 1) -> Path:
        """The model's view of a picture.

        ``orientation`` is the EXIF value: it is no part of the content id, but turns the picture.
        """
        return self._folder("previews", content_id) / (
            f"{content_id}{_turn(orientation)}-{budget.name}.jpg"
        )

    def thumbnail_path(self, content_id: str, orientation: int = 1) -> Path:
        """The thumbnail of a picture; see `preview_path`."""
        return self._folder("thumbnails", content_id) / f"{content_id}{_turn(orientation)}.jpg"

    def files(self, content_id: str, budget: PixelBudget, orientation: int) -> PreviewFiles:
        """All places of one picture."""
        return PreviewFiles(
            self.preview_path(content_id, budget, orientation),
            self.thumbnail_path(content_id, orientation),
        )

    def _folder(self, kind: str, content_id: str) -> Path:
        return self.root / kind / content_id[:2] / content_id[2:4]

    def load(self, files: PreviewFiles) -> CachedFacts | None:
        """The facts of a picture whose preview and thumbnail are both whole, else None.

        Marks the preview as used just now, which is what `trim` goes by.
        """
        try:
            facts = json.loads(files.facts.read_bytes())
            sizes = [path.stat().st_size for path in (files.preview, files.thumbnail)]
            if facts["version"] != _FACTS_VERSION or facts["sizes_bytes"] != sizes:
                return None
            found = _facts_from_json(facts)
            os.utime(files.preview)
        except (OSError, ValueError, TypeError, KeyError):  # absent, or torn by a power cut
            return None
        return found

    def save(
        self, files: PreviewFiles, preview: bytes, thumbnail: bytes, facts: CachedFacts
    ) -> None:
        """Stores a picture's files, each whole or not at all; the facts last, as the seal.

        Raises:
            DecodeError: The cache cannot be written; ``reason`` is ``cache-unwritable``.
        """
        sealed = {
            "version": _FACTS_VERSION,
            "sizes_bytes": [len(preview), len(thumbnail)],
            "perceptual_hash": f"{facts.perceptual_hash:016x}",
            "pixels": asdict(facts.pixels),
        }
        try:
            _replace(files.thumbnail, thumbnail)
            _replace(files.preview, preview)
            _replace(files.facts, json.dumps(sealed).encode())
        except OSError as error:
            message = f"The preview cache {show_path(self.root)} cannot be written: {error}."
            hint = "free some disk space, or let the cache folder be written to."
            raise DecodeError(message, hint=hint, reason="cache-unwritable") from error

    def trim(self) -> int:
        """Deletes the files longest unused until the cache is well within its size.

        Returns:
            The bytes freed; 0 when the cache was within ``max_bytes``.
        """
        kept = sorted(_cached_files(self.root))
        total = sum(size_bytes for _, size_bytes, _ in kept)
        if total <= self.max_bytes:
            return 0
        freed = 0
        for _, size_bytes, path in kept:
            if total - freed <= self.max_bytes * _TRIM_TO_RATIO:
                break
            with contextlib.suppress(OSError):  # in use or already gone: the next one will do
                path.unlink()
                freed += size_bytes
        logger.info("Trimmed the preview cache by %d bytes", freed)
        return freed


def _turn(orientation: int) -> str:
    return "" if orientation == 1 else f"-o{orientation}"


def _facts_from_json(facts: dict[str, Any]) -> CachedFacts:
    pixels = facts["pixels"]
    return CachedFacts(
        int(facts["perceptual_hash"], 16),
        PixelFacts(
            is_monochrome=bool(pixels["is_monochrome"]),
            mean_luma_ratio=float(pixels["mean_luma_ratio"]),
            dominant_colours=tuple(str(name) for name in pixels["dominant_colours"]),
        ),
    )


def _replace(path: Path, content: bytes) -> None:
    """Writes a file under another name first; no fsync, for all of it can be made again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=_TEMPORARY_PREFIX, dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _cached_files(root: Path) -> Iterator[tuple[float, int, Path]]:
    """Last use, size and path of every file; a writer's leftovers are deleted on the way."""
    stale_before = time.time() - _STALE_TEMPORARY_S
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            try:
                status = path.stat()
                if not name.startswith(_TEMPORARY_PREFIX):
                    used_at = max(status.st_atime, status.st_mtime)
                    yield used_at, status.st_size, path
                elif status.st_mtime < stale_before:
                    path.unlink()
            except FileNotFoundError:
                continue
