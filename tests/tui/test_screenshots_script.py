from __future__ import annotations

import importlib.util
import re
import tempfile
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

    shown = {path.stem: path.read_text("utf-8").replace("&#160;", " ") for path in written}
    assert list(shown) == ["review", "changes", "burst", "metrics", "batch"]
    assert "A tabby cat looks past the camera" in shown["review"]
    assert "▀" in shown["review"]
    assert "+raw" in shown["review"]
    assert "dc:title" in shown["changes"]
    assert "3 pictures of one burst" in shown["burst"]
    assert "those without a suggestion" in shown["batch"]
    assert "Seconds" in shown["metrics"]
    for svg in shown.values():
        assert "@font-face" not in svg
        assert tempfile.gettempdir() not in svg
        assert not re.search(r"<text[^>]*> ", svg)
        links = {part.split('"')[0] for part in svg.split("http")[1:]}
        assert all("www.w3.org" in link or "textualize.io" in link for link in links)
