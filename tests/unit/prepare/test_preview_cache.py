"""The cache: whole files or none, least used out first."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from imageworks.errors import DecodeError
from imageworks.prepare.budget import PixelBudget
from imageworks.prepare.cache import CachedFacts, PreviewCache
from imageworks.stages import PixelFacts

ID = "abcdef0123456789abcdef0123456789"
FACTS = CachedFacts(
    2**64 - 1,
    PixelFacts(is_monochrome=True, mean_luma_ratio=0.25, dominant_colours=("black", "grey")),
)


def stored(cache: PreviewCache, content_id: str = ID, *, size_bytes: int = 10) -> Path:
    files = cache.files(content_id, PixelBudget(), 1)
    cache.save(files, b"p" * size_bytes, b"t", FACTS)
    return files.preview


def test_what_was_saved_is_found_again(cache):
    files = cache.files(ID, PixelBudget(), 1)
    cache.save(files, b"preview", b"thumbnail", FACTS)

    assert cache.load(files) == FACTS
    assert files.preview.read_bytes() == b"preview"
    assert files.thumbnail.read_bytes() == b"thumbnail"


def test_files_lie_two_folders_deep(cache):
    assert cache.preview_path(ID, PixelBudget()).parent == cache.root / "previews" / "ab" / "cd"
    assert cache.thumbnail_path(ID) == cache.root / "thumbnails" / "ab" / "cd" / f"{ID}.jpg"


def test_budget_and_orientation_have_files_of_their_own(cache):
    paths = {
        cache.preview_path(ID, PixelBudget()),
        cache.preview_path(ID, PixelBudget(1536)),
        cache.preview_path(ID, PixelBudget(), 6),
    }

    assert len(paths) == 3
    assert cache.thumbnail_path(ID) != cache.thumbnail_path(ID, 6)


def test_nothing_is_found_where_nothing_was_saved(cache):
    assert cache.load(cache.files(ID, PixelBudget(), 1)) is None


@pytest.mark.parametrize("part", ["preview", "thumbnail", "facts"])
@pytest.mark.parametrize("damage", ["gone", "cut", "empty"])
def test_damaged_entries_count_as_absent(cache, part, damage):
    stored(cache)
    files = cache.files(ID, PixelBudget(), 1)
    path = getattr(files, part)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"" if damage == "empty" else path.read_bytes()[:-1])

    assert cache.load(files) is None


@pytest.mark.parametrize("content", ["[]", "{}", '{"version": 1}', '{"version": 99}', "null"])
def test_facts_of_another_making_count_as_absent(cache, content):
    stored(cache)
    files = cache.files(ID, PixelBudget(), 1)
    files.facts.write_text(content)

    assert cache.load(files) is None


def test_no_temporary_file_stays_behind(cache, monkeypatch):
    def refuse(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)

    with pytest.raises(DecodeError, match="No space left") as caught:
        stored(cache)

    assert caught.value.reason == "cache-unwritable"
    assert [path for path in cache.root.rglob("*") if path.is_file()] == []


def test_trim_leaves_a_cache_within_its_size_alone(cache):
    path = stored(cache)

    assert cache.trim() == 0
    assert path.exists()


def test_trim_of_a_cache_that_was_never_written_frees_nothing(cache):
    assert cache.trim() == 0


def test_trim_deletes_the_longest_unused_first(tmp_path):
    cache = PreviewCache(tmp_path, max_bytes=25_000)
    paths = [stored(cache, f"{index:032x}", size_bytes=10_000) for index in range(4)]
    for age_s, path in zip((400, 300, 200, 100), paths, strict=True):
        os.utime(path, (time.time() - age_s,) * 2)
    cache.load(cache.files(f"{0:032x}", PixelBudget(), 1))  # used just now

    freed = cache.trim()

    assert [path.exists() for path in paths] == [True, False, False, True]
    assert freed >= 20_000


def test_trim_clears_a_dead_writers_leftovers_only(cache):
    stored(cache)
    folder = cache.root / "previews"
    old, new = folder / ".tmp-old", folder / ".tmp-new"
    old.write_bytes(b"x")
    new.write_bytes(b"x")
    os.utime(old, (0, 0))

    cache.trim()

    assert (old.exists(), new.exists()) == (False, True)


def test_trim_goes_on_when_a_file_vanishes(tmp_path, monkeypatch):
    cache = PreviewCache(tmp_path, max_bytes=1)
    stored(cache)
    plain_stat = Path.stat

    def vanish(self, **options):
        if self.name.endswith(".json"):
            raise FileNotFoundError(2, "gone")
        return plain_stat(self, **options)

    monkeypatch.setattr(Path, "stat", vanish)

    assert cache.trim() == 11
