"""A library as the engine leaves it, made with the store alone: for tests of review and screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from imageworks.config import PersonalTaggerConfig
from imageworks.engine.client import EngineClient
from imageworks.models import (
    ExistingMetadata,
    ImageFormat,
    ImageState,
    Keyword,
    Stage,
    StageAnswer,
    Suggestion,
    Tags,
)
from imageworks.stages import CaptureFacts, DiscoveredImage, PreparedImage
from imageworks.store.library import Library
from imageworks.store.records import NewSuggestion

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from imageworks.review.session import ReviewSession
    from imageworks.store.records import RunRow


class Clock:
    """A clock in seconds since the epoch that only a test moves."""

    def __init__(self) -> None:
        self.now_s = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now_s


class FakeEngine(EngineClient):
    """The real client, except that it starts no process."""

    def __init__(self, library: Library, config: PersonalTaggerConfig, log_path: Path) -> None:
        super().__init__(library, config, log_path)
        self.starts = 0

    def ensure_running(self) -> None:
        self.starts += 1


class ReviewLibrary:
    """A library in a folder, filled image by image."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.photos = folder / "photos"
        self.photos.mkdir(parents=True)
        self.clock = Clock()
        self.config = PersonalTaggerConfig()
        self.library = Library(folder / "library.sqlite3", now=self.clock)
        self.run: RunRow = self.library.runs.create("batch", "{}")
        self.library.runs.start(self.run.id)
        self.library.runs.end(self.run.id, "finished")

    def engine(self) -> FakeEngine:
        return FakeEngine(self.library, self.config, self.folder / "engine.log")

    def add(self, name: str, tags: Tags | None = None, **more: object) -> int:
        """An image, with a suggestion when there are tags; see `suggest` for the rest."""
        found = self.library.images.record_found(
            DiscoveredImage(self.photos / name, ImageFormat.JPEG, 1000, 1, 1)
        )
        if tags is not None:
            self.suggest(found.id, tags, **more)  # type: ignore[arg-type]  # passed through
        return found.id

    def suggest(
        self,
        image_id: int,
        tags: Tags,
        *,
        existing: ExistingMetadata | None = None,
        notes: tuple[str, ...] = (),
        stages: tuple[Stage, ...] = (),
    ) -> None:
        """A suggestion, as the answer to having asked for these stages in one exchange."""
        answers = (StageAnswer(stages, "Tiny-VL", "", "", "", 0.1),) if stages else ()
        self.library.suggestions.record(
            image_id,
            self.run.id,
            NewSuggestion(
                suggestion=Suggestion(tags, notes),
                content_id=f"content-{image_id}",
                fingerprint=f"asked-{image_id}",
                backend="lmdeploy",
                base_url="http://localhost:24001/v1",
                models={"caption": "Tiny-VL", "keywords": "Tiny-VL"},
                prompt_profile="default",
                existing=existing or ExistingMetadata(),
                answers=answers,
            ),
        )

    def add_picture(self, image_id: int, name: str, colour: tuple[int, int, int]) -> Path:
        """A thumbnail: half one colour, half black."""
        thumbnail = self.folder / f"{name}.thumbnail.jpg"
        picture = Image.new("RGB", (320, 240), colour)
        picture.paste((0, 0, 0), (0, 120, 320, 240))
        picture.save(thumbnail, quality=95)
        row = self.library.images.get(image_id)
        assert row is not None
        self.library.images.record_prepared(
            image_id,
            PreparedImage(
                path=row.path,
                content_id=f"content-{image_id}",
                preview_path=thumbnail,
                thumbnail_path=thumbnail,
                width_px=4000,
                height_px=3000,
                perceptual_hash=1,
            ),
        )
        return thumbnail

    def add_look(
        self, image_id: int, *, perceptual_hash: int, taken_at: datetime | None = None
    ) -> None:
        """What decoding measures, without a picture."""
        row = self.library.images.get(image_id)
        assert row is not None
        self.library.images.record_prepared(
            image_id,
            PreparedImage(
                path=row.path,
                content_id=f"content-{image_id}",
                preview_path=row.path,
                thumbnail_path=row.path,
                width_px=4000,
                height_px=3000,
                perceptual_hash=perceptual_hash,
                capture=CaptureFacts(taken_at=taken_at),
            ),
        )

    def states(self) -> dict[str, ImageState]:
        rows = self.library.images.rows(self.library.images.ids())
        return {row.path.name: row.state for row in rows}

    def written_choice(self, name: str) -> Tags:
        """What the accepted image will have in its file."""
        rows = self.library.images.rows(self.library.images.ids())
        row = next(row for row in rows if row.path.name == name)
        assert row.decision_id is not None
        return self.library.decisions.choice(row.decision_id).tags


def undone(session: ReviewSession) -> int | None:
    """Takes back the last act; the image that it goes to, or None when there is none."""
    outcome = session.undo()
    return None if outcome is None else outcome.image_id


def tags_of(caption: str, keywords: Sequence[str] = (), description: str = "") -> Tags:
    return Tags(caption, tuple(Keyword(text) for text in keywords), description)


def five_photos(folder: Path) -> ReviewLibrary:
    """``a.jpg`` to ``e.jpg``: four with suggestions, ``e.jpg`` without; ``b.jpg`` has own words."""
    made = ReviewLibrary(folder)
    made.add("a.jpg", tags_of("A red boat", ["boat", "sea"], "A red boat lies on the beach."))
    made.add(
        "b.jpg",
        tags_of("A grey cat", ["cat", "sofa"], "A grey cat sleeps."),
        existing=ExistingMetadata(title="Minka", keywords=("Family", "Paris, France")),
    )
    made.add("c.jpg", tags_of("A green hill", ["hill"], "A hill under clouds."))
    made.add("d.jpg", tags_of("A blue door", ["door"], "A door in a white wall."))
    made.add("e.jpg")
    return made
