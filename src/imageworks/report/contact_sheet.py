"""The HTML contact sheet: one file with everything in it, that opens from disk without a script."""

from __future__ import annotations

import base64
import hashlib
import logging
from typing import TYPE_CHECKING

from imageworks.files import whole_file
from imageworks.models import ImageState
from imageworks.report.markdown import counted, moment_text, status_text, summary_rows
from imageworks.text import escape_html, show_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from imageworks.stages import PersonalTaggerRecord, RunSummary

logger = logging.getLogger(__name__)

# A thumbnail of 320 px is 10 to 30 KB; more than this is none.
_MAX_THUMBNAIL_BYTES = 512 * 1024
# First bytes of the formats that a thumbnail may have (JPEG SOI; PNG 5.2; RIFF container).
_SIGNATURES = ((b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"RIFF", "webp"))

_FILTERS = (
    ("all", "All", ()),
    ("written", "Written", (ImageState.WRITTEN,)),
    ("accepted", "Accepted", (ImageState.ACCEPTED,)),
    ("waiting", "To review", (ImageState.SUGGESTED,)),
    ("rejected", "Rejected", (ImageState.REJECTED,)),
    ("failed", "Failed", (ImageState.FAILED,)),
)
_FILTER_OF = {state: name for name, _, states in _FILTERS for state in states}

_STYLE = """
:root{color-scheme:light dark;--ground:#f4f3f1;--mount:#fff;--well:#e6e4e0;--ink:#1d1c1a;
--soft:#6b6862;--line:#dcd9d3;--accent:#8a5a00;--good:#2b6e3f;--wait:#8a5a00;--bad:#a3312a}
@media (prefers-color-scheme:dark){:root{--ground:#161514;--mount:#201f1d;--well:#0f0e0d;
--ink:#ece9e3;--soft:#9a958c;--line:#33312e;--accent:#e0a84c;--good:#7cc492;--wait:#e0a84c;
--bad:#ee8b80}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
header,main,footer{max-width:1720px;margin:0 auto;padding:0 clamp(16px,3vw,48px)}
header{padding-top:40px}
h1{font-size:26px;font-weight:600;letter-spacing:-.01em;margin:0}
h2{font-size:14px;font-weight:600;color:var(--soft);margin:40px 0 14px;padding-bottom:8px;
border-bottom:1px solid var(--line);overflow-wrap:anywhere}
.lead{color:var(--soft);margin:4px 0 18px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 18px;margin:0 0 20px;font-size:13px}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
details summary{cursor:pointer;color:var(--soft);font-size:13px;margin-bottom:8px}
.filters{position:sticky;top:0;z-index:1;display:flex;flex-wrap:wrap;gap:6px;padding:10px 0;
background:var(--ground)}
.filters input{position:absolute;opacity:0;pointer-events:none}
.filters label{padding:4px 14px;border:1px solid var(--line);border-radius:99px;font-size:13px;
cursor:pointer;color:var(--soft)}
.filters input:checked+label{background:var(--ink);border-color:var(--ink);color:var(--ground)}
.filters input:focus-visible+label{outline:2px solid var(--accent);outline-offset:2px}
.sheet{display:grid;grid-template-columns:repeat(auto-fill,minmax(248px,1fr));gap:20px}
figure{margin:0;background:var(--mount);border:1px solid var(--line);border-radius:6px;
overflow:hidden;display:flex;flex-direction:column;content-visibility:auto;
contain-intrinsic-size:auto 380px}
.well{position:relative;aspect-ratio:3/2;background:var(--well);display:grid;place-items:center;
color:var(--soft);font-size:13px}
.well img{position:absolute;inset:10px;width:calc(100% - 20px);height:calc(100% - 20px);
object-fit:contain}
figcaption{padding:12px 14px 14px;display:flex;flex-direction:column;gap:8px;flex:1}
.caption{margin:0;font-weight:500;overflow-wrap:anywhere}
.caption.none{color:var(--soft);font-weight:400;font-style:italic}
ul{list-style:none;margin:0;padding:0;display:flex;flex-wrap:wrap;gap:4px}
li{font-size:12px;padding:1px 8px;border-radius:99px;border:1px solid var(--line);
color:var(--soft);overflow-wrap:anywhere}
.about{color:var(--soft);font-size:13px;margin:0;overflow-wrap:anywhere}
.foot{margin:auto 0 0;padding-top:6px;display:flex;flex-wrap:wrap;justify-content:space-between;
gap:2px 10px;font-size:12px}
.name{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;color:var(--soft);
overflow-wrap:anywhere;text-decoration:none}
.name:hover{color:var(--ink);text-decoration:underline}
.state{color:var(--soft);overflow-wrap:anywhere}
.written .state,.accepted .state{color:var(--good)}.waiting .state{color:var(--wait)}
.failed .state{color:var(--bad)}
footer{color:var(--soft);font-size:12px;padding-top:36px;padding-bottom:36px}
@media print{body{background:#fff}.filters,details{display:none}figure{break-inside:avoid;
content-visibility:visible}.sheet{grid-template-columns:repeat(4,1fr);gap:10px}}
""" + "".join(
    f"body:has(#show-{name}:checked) figure:not(.{name}){{display:none}}\n"
    for name, _, states in _FILTERS
    if states
)


def write_contact_sheet(
    path: Path, summary: RunSummary, records: Iterable[PersonalTaggerRecord]
) -> None:
    """Writes the contact sheet, whole or not at all, one image in memory at a time.

    Args:
        path: The file to write.
        summary: For the header.
        records: Best in the order of their folders: a new heading is set where the folder changes.

    Raises:
        StoreError: The file cannot be written. A thumbnail that cannot be read is left out.
    """
    with whole_file(path) as stream:
        stream.write(_head(summary))
        folder: Path | None = None
        for record in records:
            if record.image.parent != folder:
                stream.write("</div></section>\n" if folder is not None else "")
                folder = record.image.parent
                stream.write(f'<section><h2 dir="auto">{_shown(folder)}</h2><div class="sheet">\n')
            stream.write(_figure(record))
        stream.write("</div></section>\n" if folder is not None else "<p>No images.</p>\n")
        stream.write("</main><footer>Made by Personal Tagger.</footer></body></html>\n")


def _head(summary: RunSummary) -> str:
    rows = "".join(
        f"<dt>{escape_html(label)}</dt><dd>{escape_html(text)}</dd>"
        for label, text in summary_rows(summary)
    )
    filters = "".join(_filter(name, label) for name, label, _ in _FILTERS)
    lead = f"{counted(summary.counts.items())} · {moment_text(summary.started_at)}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>Contact sheet {escape_html(summary.run_id)}</title>\n"
        f"<style>{_STYLE}</style></head>\n"
        f'<body><header><h1>Contact sheet</h1><p class="lead">{escape_html(lead)}</p>\n'
        f"<details><summary>About this run</summary><dl>{rows}</dl></details></header>\n"
        f'<main><div class="filters" role="radiogroup" aria-label="Show">{filters}</div>\n'
    )


def _policy() -> str:
    """No script, no network: this style sheet, by its digest (CSP level 2), and data images."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _filter(name: str, label: str) -> str:
    checked = " checked" if name == "all" else ""
    return (
        f'<input type="radio" name="show" id="show-{name}"{checked}>'
        f'<label for="show-{name}">{label}</label>'
    )


def _figure(record: PersonalTaggerRecord) -> str:
    tags = record.tags
    keywords = "".join(f'<li dir="auto">{escape_html(word.text)}</li>' for word in tags.keywords)
    if tags.caption:
        caption = f'<p class="caption" dir="auto">{escape_html(tags.caption)}</p>'
    else:
        caption = '<p class="caption none">No caption</p>'
    about = f'<p class="about" dir="auto">{escape_html(tags.description)}</p>'
    return (
        f'<figure class="{_FILTER_OF.get(record.state, "other")}"><div class="well">'
        f"{_thumbnail(record)}</div><figcaption>{caption}"
        f"{f'<ul>{keywords}</ul>' if keywords else ''}{about if tags.description else ''}"
        f'<div class="foot">{_name(record)}'
        f'<span class="state">{escape_html(status_text(record))}</span></div>'
        "</figcaption></figure>\n"
    )


def _name(record: PersonalTaggerRecord) -> str:
    """The file's name as a link to it on this disk."""
    shown = escape_html(show_path(record.image.name))
    if not record.image.is_absolute():
        return f'<span class="name">{shown}</span>'
    return f'<a class="name" href="{escape_html(record.image.as_uri())}">{shown}</a>'


def _thumbnail(record: PersonalTaggerRecord) -> str:
    data = _thumbnail_bytes(record.thumbnail_path)
    kind = next((name for start, name in _SIGNATURES if data.startswith(start)), None)
    if kind is None:
        return "No thumbnail"
    encoded = base64.b64encode(data).decode()
    alternative = escape_html(record.tags.caption)
    return f'<img alt="{alternative}" decoding="async" src="data:image/{kind};base64,{encoded}">'


def _thumbnail_bytes(path: Path | None) -> bytes:
    """The thumbnail's bytes; empty where there is none, or none of a sensible size."""
    if path is None:
        return b""
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_THUMBNAIL_BYTES + 1)
    except OSError as error:
        logger.debug("no thumbnail at %s: %s", show_path(path), error.strerror)
        return b""
    return data if len(data) <= _MAX_THUMBNAIL_BYTES else b""


def _shown(path: Path) -> str:
    return escape_html(show_path(path))
