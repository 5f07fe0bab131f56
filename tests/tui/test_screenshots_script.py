from __future__ import annotations

import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "screenshots"


@pytest.mark.skipif(
    importlib.util.find_spec("skimage") is None, reason="the extra `demo` is not installed"
)
async def test_pictures_are_of_the_real_screens_and_name_no_host(tmp_path: Path) -> None:
    loader = SourceFileLoader("screenshots_script", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    script = importlib.util.module_from_spec(spec)
    loader.exec_module(script)

    written = await script.draw(tmp_path)

    assert [path.name for path in written] == ["review.svg", "metrics.svg"]
    review, metrics = (path.read_text("utf-8") for path in written)
    assert "chelsea.png" in review
    assert "▀" in review
    assert "Seconds" in metrics
    for svg in (review, metrics):
        assert "@font-face" not in svg
        assert str(tmp_path) not in svg
        links = {part.split('"')[0] for part in svg.split("http")[1:]}
        assert all("www.w3.org" in link or "textualize.io" in link for link in links)
