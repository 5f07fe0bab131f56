from __future__ import annotations

import base64
import hashlib
import html
import html.parser
import logging
import os
import re
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imageworks.errors import StoreError
from imageworks.files import whole_file
from imageworks.models import ImageState, Keyword, MetadataTarget, Tags
from imageworks.report.contact_sheet import write_contact_sheet
from imageworks.report.markdown import counted, status_text, write_markdown_summary
from imageworks.stages import PersonalTaggerRecord, RunSummary

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EVIL = '<script>alert(1)</script> | "x" [a](http://evil) `c` \n# h &amp; </figure>'


def _summary(**more):
    values = {
        "run_id": "run-1",
        "started_at": NOON,
        "ended_at": NOON + timedelta(minutes=5),
        "backend": "lmdeploy",
        "base_url": "http://localhost:24001/v1",
        "models": {"caption": "m", "keywords": "m", "description": "m"},
        "prompt_profile": "default",
        "counts": {"written": 38, "failed": 1, "skipped": 0},
        "failures": {"timeout": 1},
        "images_per_s": 3.217,
    }
    return RunSummary(**{**values, **more})


def _record(image="/photos/a.jpg", **more):
    return PersonalTaggerRecord(
        **{
            "image": Path(image),
            "state": ImageState.SUGGESTED,
            "run_id": "run-1",
            "created_at": NOON,
            **more,
        }
    )


def _unescaped(path):
    """The text as a reader of the rendered page sees it."""
    return html.unescape(re.sub(r"\\(.)", r"\1", path.read_text("utf-8")))


def _names(folder):
    return [path.name for path in folder.iterdir()]


class _Page(html.parser.HTMLParser):
    """All tags, attributes and texts of a page; strict about nesting."""

    VOID = frozenset({"meta", "img", "input", "br"})

    def __init__(self, page):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def thumbnail(tmp_path):
    path = tmp_path / "thumb.jpg"
    Image.new("RGB", (32, 24), "teal").save(path)
    return path


@pytest.fixture
def sheet(tmp_path):
    def make(*records, **summary):
        path = tmp_path / "sheet.html"
        write_contact_sheet(path, _summary(**summary), records)
        return path.read_text("utf-8")

    return make


def test_markdown_has_a_header_and_a_table_per_folder(tmp_path):
    path = tmp_path / "new" / "summary.md"
    tags = Tags("A dog", (Keyword("dog"), Keyword("sea")))
    records = [
        _record("/photos/one/a.jpg", tags=tags),
        _record("/photos/two/b.jpg"),
        _record("/photos/one/c.jpg", state=ImageState.FAILED, notes=("no answer", "twice")),
    ]

    write_markdown_summary(path, _summary(), iter(records))

    text = _unescaped(path)
    assert "| Model | m |" in text
    assert "| Images | 38 written, 1 failed |" in text
    assert "| Throughput | 3.22 images/s |" in text
    one, two = text.split("\n## ")[1:]
    assert one.startswith("/photos/one\n\n2 images\n")
    assert "| a.jpg | A dog | dog, sea | suggested |" in one
    assert "| c.jpg |  |  | failed: no answer; twice |" in one
    assert two.startswith("/photos/two\n\n1 image\n")


def test_markdown_of_a_run_that_goes_on_with_several_models(tmp_path):
    path = tmp_path / "summary.md"
    models = {"caption": "small", "keywords": "big"}

    write_markdown_summary(
        path,
        _summary(ended_at=None, models=models, failures={}, engine_note="Basic tags", base_url=""),
        [],
    )

    text = _unescaped(path)
    assert "| Ended | not finished |" in text
    assert "| Model | caption: small, keywords: big |" in text
    assert "| Failures | none |" in text
    assert "| Backend | lmdeploy (Basic tags) |" in text


def test_hostile_text_cannot_break_the_markdown_table(tmp_path):
    path = tmp_path / "summary.md"
    name = os.fsdecode(b"/photos/a|b\xff\n<i>.jpg")
    tags = Tags(EVIL, (Keyword(EVIL),), EVIL)

    write_markdown_summary(
        path, _summary(run_id=EVIL, models={"caption": EVIL}), [_record(name, tags=tags)]
    )

    text = path.read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| a")]
    assert len(rows) == 1
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 5
    assert "<" not in text
    assert "\\\\xff" in rows[0]


@settings(max_examples=60, deadline=None)
@given(st.text(), st.text(alphabet=st.characters(exclude_characters="/\0")))
def test_any_text_stays_in_its_markdown_cell(tmp_path_factory, caption, name):
    path = tmp_path_factory.mktemp("any") / "summary.md"

    write_markdown_summary(
        path, _summary(), [_record(Path("/photos") / ("x" + name), tags=Tags(caption))]
    )

    row = path.read_text("utf-8").split("| --- | --- | --- | --- |\n")[1]
    assert row.count("\n") == 1
    unescaped = re.sub(r"\\.", "", row)
    assert unescaped.count("|") == 5
    assert "<" not in unescaped


def test_the_contact_sheet_shows_every_image(sheet, thumbnail):
    page = sheet(
        _record(
            tags=Tags("A dog", (Keyword("dog"),), "It runs."),
            thumbnail_path=thumbnail,
            state=ImageState.WRITTEN,
            is_metadata_written=True,
            metadata_target=MetadataTarget.SIDECAR,
        ),
        _record("/photos/b.jpg", thumbnail_path=thumbnail.with_name("gone.jpg")),
        _record("/other/c.jpg", state=ImageState.SKIPPED),
    )

    parsed = _Page(page)
    assert [figure["class"] for figure in parsed.named("figure")] == ["written", "waiting", "other"]
    (image,) = parsed.named("img")
    assert image["alt"] == "A dog"
    assert base64.b64decode(image["src"].partition("base64,")[2]) == thumbnail.read_bytes()
    assert parsed.texts.count("No thumbnail") == 2
    assert {"A dog", "dog", "It runs.", "written (sidecar)", "/photos", "/other"} <= {*parsed.texts}
    assert len(parsed.named("section")) == 2
    assert parsed.named("a")[0]["href"] == "file:///photos/a.jpg"


def test_the_contact_sheet_needs_no_script_and_no_network(sheet, thumbnail):
    page = sheet(_record(thumbnail_path=thumbnail, tags=Tags(EVIL, (Keyword(EVIL),), EVIL)))

    parsed = _Page(page)
    assert not parsed.named("script")
    assert not parsed.named("link")
    assert not [attributes for _, attributes in parsed.tags if "style" in attributes]
    assert all(image["src"].startswith("data:image/") for image in parsed.named("img"))
    assert not re.findall(r"url\(|@import", page)
    (policy,) = [meta["content"] for meta in parsed.named("meta") if "http-equiv" in meta]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert f"style-src 'sha256-{digest}'" in policy
    assert "prefers-color-scheme:dark" in page


@settings(max_examples=60, deadline=None)
@given(st.text(), st.text(alphabet=st.characters(exclude_characters="/\0")))
def test_any_text_stays_text_in_html(tmp_path_factory, text, name):
    path = tmp_path_factory.mktemp("any") / "sheet.html"
    record = _record(Path("/photos") / ("x" + name), tags=Tags(text, (Keyword(text),), text))

    write_contact_sheet(path, _summary(run_id=text, counts={text: 1}), [record, record])

    parsed = _Page(path.read_text("utf-8"))
    assert {tag for tag, _ in parsed.tags} <= {
        *("html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "p", "details"),
        *("summary", "dl", "dt", "dd", "main", "div", "input", "label", "section", "figure"),
        *("figcaption", "ul", "li", "a", "span", "footer"),
    }


def test_a_name_that_is_not_utf8_links_to_its_file(sheet):
    page = sheet(_record(os.fsdecode(b"/photos/\xff &.jpg")), _record("relative.jpg"))

    parsed = _Page(page)
    assert [link["href"] for link in parsed.named("a")] == ["file:///photos/%FF%20%26.jpg"]
    assert "\\xff &.jpg" in parsed.texts
    assert "relative.jpg" in parsed.texts


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"RIFF1234WEBP", "webp"),
        (b"<svg onload=alert(1)>", None),
        (b"", None),
        (b"\xff\xd8\xff" + b"x" * 600_000, None),
    ],
)
def test_only_small_pictures_are_embedded(sheet, tmp_path, data, kind):
    path = tmp_path / "thumb"
    path.write_bytes(data)

    images = _Page(sheet(_record(thumbnail_path=path))).named("img")

    kinds = [image["src"].partition(";")[0] for image in images]
    assert kinds == ([f"data:image/{kind}"] if kind else [])


def test_a_thumbnail_that_cannot_be_read_is_left_out(sheet, tmp_path, caplog):
    with caplog.at_level(logging.DEBUG):
        page = sheet(_record(thumbnail_path=tmp_path))

    assert "No thumbnail" in page
    assert "no thumbnail at" in caplog.text


def test_an_empty_contact_sheet_says_so(sheet):
    assert "No images." in _Page(sheet()).texts


def test_ten_thousand_images_are_never_in_memory_at_once(tmp_path, thumbnail):
    thumbnail.write_bytes(thumbnail.read_bytes() + b"\0" * 20_000)
    record = _record(thumbnail_path=thumbnail, tags=Tags("A dog"))

    tracemalloc.start()
    write_contact_sheet(tmp_path / "big.html", _summary(), (record for _ in range(1000)))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (tmp_path / "big.html").stat().st_size > 25_000_000
    assert peak_bytes < 2_000_000


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (_record(), "suggested"),
        (_record(notes=("cut off",)), "suggested"),
        (_record(state=ImageState.FAILED), "failed"),
        (_record(state=ImageState.SKIPPED, notes=("too small",)), "skipped: too small"),
        (
            _record(
                state=ImageState.WRITTEN,
                is_metadata_written=True,
                metadata_target=MetadataTarget.BOTH,
            ),
            "written (file+sidecar)",
        ),
    ],
)
def test_status_in_words(record, expected):
    assert status_text(record) == expected


def test_counts_of_zero_are_left_out():
    assert counted({"written": 2, "failed": 0}.items()) == "2 written"
    assert counted([]) == "none"


def test_a_failure_half_way_leaves_the_old_file(tmp_path):
    path = tmp_path / "summary.md"
    path.write_text("old")

    def records():
        yield _record()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_contact_sheet(path, _summary(), records())

    assert path.read_text() == "old"
    assert _names(tmp_path) == ["summary.md"]


def test_a_full_disk_leaves_the_old_file_and_names_it(tmp_path, monkeypatch):
    path = tmp_path / "summary.md"
    path.write_text("old")

    def fail(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match=r"summary\.md cannot be written: No space left"):
        write_markdown_summary(path, _summary(), [])

    assert path.read_text() == "old"
    assert _names(tmp_path) == ["summary.md"]


def test_mode_and_link_of_an_existing_report_stay(tmp_path):
    target = tmp_path / "real.md"
    target.write_text("old")
    target.chmod(0o640)
    link = tmp_path / "link.md"
    link.symlink_to(target)

    write_markdown_summary(link, _summary(), [])

    assert link.is_symlink()
    assert target.read_text().startswith("# Personal Tagger summary")
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_new_report_has_the_mode_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()

    write_markdown_summary(tmp_path / "summary.md", _summary(), [])

    modes = {(tmp_path / name).stat().st_mode for name in ("plain", "summary.md")}
    assert len(modes) == 1


def test_a_device_is_written_straight():
    write_markdown_summary(Path("/dev/null"), _summary(), [])

    assert Path("/dev/null").is_char_device()


def test_a_photograph_is_never_replaced_by_a_report(tmp_path):
    photograph = tmp_path / "IMG_1.JPG"
    photograph.write_bytes(b"\xff\xd8\xff precious")

    with (
        pytest.raises(StoreError, match="named like a photograph") as caught,
        whole_file(photograph) as stream,
    ):
        stream.write("x")

    assert caught.value.reason == "photograph"
    assert photograph.read_bytes() == b"\xff\xd8\xff precious"


def test_a_report_in_place_of_a_folder_is_a_store_error(tmp_path):
    with pytest.raises(StoreError, match="Is a directory"):
        write_markdown_summary(tmp_path, _summary(), [])
