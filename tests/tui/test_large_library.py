"""A hundred thousand images: the list asks for the rows that are seen, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.scenarios.drivers import workstation
from tests.support.burst import burst
from tests.tui.conftest import screen_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from imageworks.store.records import ImageRow
    from tests.support.review_library import ReviewLibrary

COUNT = 100_000


async def test_rows_that_are_not_seen_are_not_fetched(
    empty: ReviewLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with empty.library.transaction() as connection:
        connection.execute("INSERT INTO folder(id, path) VALUES (1, ?)", (bytes(empty.photos),))
        connection.executemany(
            "INSERT INTO image(folder_id, name, format, size, mtime_ns, inode, state_at)"
            " VALUES (1, ?, 'jpeg', 1, 1, 1, 1)",
            ((b"%06d.jpg" % number,) for number in range(COUNT)),
        )
    app = workstation(empty, tmp_path)
    session = app.review.session
    fetched: list[int] = []
    all_ids_asked: list[int] = []
    rows, image_ids = session.rows, session.image_ids

    def count_rows(ids: Sequence[int]) -> list[ImageRow]:
        fetched.append(len(ids))
        return rows(ids)

    def count_ids(*arguments: object) -> list[int]:
        all_ids_asked.append(1)
        return image_ids(*arguments)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(session, "rows", count_rows)
    monkeypatch.setattr(session, "image_ids", count_ids)
    async with app.run_test(size=(120, 36)) as pilot:
        assert "1 of 100,000" in screen_text(app)
        await burst(pilot, "G")
        assert "100,000 of 100,000" in screen_text(app)
        assert "099999.jpg" in screen_text(app)
        await burst(pilot, "pageup", "g", *"jjjjjjjjjj")
        assert "000010.jpg" in screen_text(app)

    assert sum(fetched) < 1500
    assert len(all_ids_asked) == 1
