"""`ptag doctor`: checks this machine, and says how to mend what is wrong."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imageworks.cli.preflight import probe
from imageworks.config import SECRET_SETTINGS, find_project_file, setting_default, setting_specs
from imageworks.errors import ExitStatus, ImageworksError
from imageworks.text import one_line, show_path

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from imageworks.cli.app import Context
    from imageworks.metadata.explain import Explanation

_LOW_SPACE_BYTES = 1_000_000_000
_EXIV2_TIME_LIMIT_S = 20
_NETWORK_FILESYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, how it is, and what to do if it is not well."""

    subject: str
    is_ok: bool
    text: str
    hint: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Files to explain instead of checking the machine."""
    parser.description = (
        "Checks terminal, exiv2, library, settings, disk and backend. With FILE: tells what is in"
        " it, where its metadata would go and why; writes nothing."
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="files to explain")


def run(context: Context) -> int:
    """Prints a line for each check; 1 when something needs mending."""
    if context.options.files:
        return asyncio.run(_explain_files(context))
    is_all_well = True
    for finding in findings(context):
        mark = "ok  " if finding.is_ok else "LOOK"
        sys.stdout.write(f"{mark} {finding.subject:<9} {one_line(finding.text)}\n")
        if finding.hint:
            sys.stdout.write(f"               hint: {one_line(finding.hint)}\n")
        is_all_well = is_all_well and finding.is_ok
    return int(ExitStatus.DONE if is_all_well else ExitStatus.SOME_FAILED)


async def _explain_files(context: Context) -> int:
    from imageworks.metadata.process import MetadataProcess  # noqa: PLC0415  # only when needed

    status = ExitStatus.DONE
    process = MetadataProcess(context.config, is_dry_run=True)
    try:
        for name in context.options.files:
            try:
                _print_explanation(await process.explain(Path.cwd() / name))
            except ImageworksError as error:
                sys.stdout.write(f"{one_line(error.message)}\n")
                status = ExitStatus.SOME_FAILED
    finally:
        await process.aclose()
    return int(status)


def _print_explanation(told: Explanation) -> None:
    existing = told.existing
    targets = ", ".join(show_path(path) for path in told.target_paths) or "nowhere"
    rows = [("format", f"{told.format}, {told.size_bytes:,} bytes")]
    rows += list(told.parts)
    rows += [("sidecar", show_path(path)) for path in told.sidecars]
    rows += [("says", f"title: {existing.title}")] if existing.title else []
    rows += [("says", f"description: {existing.description}")] if existing.description else []
    rows += [("says", f"keywords: {', '.join(existing.keywords)}")] if existing.keywords else []
    rows += [("says", f"people: {', '.join(existing.people)}")] if existing.people else []
    rows += [("says", f"rating: {existing.rating}")] if existing.rating is not None else []
    rows += [("write to", f"{told.target}: {targets}"), ("because", told.reason)]
    rows += [("obstacle", text) for text in told.obstacles]
    rows += [("note", text) for text in told.notes]
    sys.stdout.write(f"{show_path(told.path)}\n")
    for label, text in rows:
        sys.stdout.write(f"  {one_line(label):<10} {one_line(text)}\n")


def findings(context: Context) -> Iterator[Finding]:
    """All checks, cheap ones first."""
    yield _terminal()
    yield from _settings(context)
    yield _exiv2()
    yield _builtin()
    yield from _embedded(context)
    yield from _library(context)
    yield _space("cache", context.paths.cache_dir)
    yield from _backend(context)


def _terminal() -> Finding:
    if not sys.stdout.isatty():
        return Finding("terminal", is_ok=True, text="output is not a terminal; not checked")
    term = os.environ.get("TERM", "")
    if term in {"", "dumb"}:
        return Finding("terminal", is_ok=False, text="TERM is dumb or not set", hint="set TERM.")
    colours = "no colours (NO_COLOR)" if "NO_COLOR" in os.environ else "colours"
    place = "in tmux" if "TMUX" in os.environ else "not in tmux"
    encoding = (sys.stdout.encoding or "").lower()
    if encoding != "utf-8":
        hint = "set a UTF-8 locale, e.g. LC_ALL=C.UTF-8."
        return Finding("terminal", is_ok=False, text=f"{term}, encoding {encoding}", hint=hint)
    return Finding("terminal", is_ok=True, text=f"{term}, {place}, {colours}, UTF-8")


def _settings(context: Context) -> Iterator[Finding]:
    project = find_project_file(context.paths.config_dir.cwd())
    user = context.paths.user_config
    text = f"user file {show_path(user)} ({'there' if user.is_file() else 'not there'})"
    if project is not None:
        text += f"; project file {show_path(project)}"
    yield Finding("settings", is_ok=True, text=text)
    for name in setting_specs():
        source = context.settings.source_of(name)
        if source == "default" or name in SECRET_SETTINGS:
            continue
        value = getattr(context.config, name)
        if value != setting_default(name):
            yield Finding("settings", is_ok=True, text=f"{name} = {value} (from {source})")


def _exiv2() -> Finding:
    command = [sys.executable, "-P", "-c", "import pyexiv2; print(pyexiv2.__exiv2_version__)"]
    result = subprocess.run(  # noqa: S603  # our own interpreter; a crash must not be ours
        command, capture_output=True, text=True, timeout=_EXIV2_TIME_LIMIT_S, check=False
    )
    if result.returncode == 0:
        return Finding("exiv2", is_ok=True, text=f"version {result.stdout.strip()}")
    lines = result.stderr.strip().splitlines() or ["no message"]
    hint = "pyexiv2's wheel needs glibc 2.33 or newer."
    return Finding("exiv2", is_ok=False, text=f"cannot be loaded: {lines[-1]}", hint=hint)


def _builtin() -> Finding:
    if importlib.util.find_spec("onnxruntime") is not None:
        return Finding("builtin", is_ok=True, text="the offline classifier can run")
    text = "without its classifier; it reads pixels and camera facts only"
    hint = "pip install 'imageworks-personal-tagger[builtin]' adds it."
    return Finding("builtin", is_ok=True, text=text, hint=hint)


def _embedded(context: Context) -> Iterator[Finding]:
    from imageworks.cli.embedded import models_folder  # noqa: PLC0415  # only when needed
    from imageworks.infer import embedded_models  # noqa: PLC0415
    from imageworks.infer.embedded_server import (  # noqa: PLC0415
        RUNTIME_HINT,
        is_runtime_installed,
    )

    found = embedded_models.find_models(embedded_models.model_places(models_folder(context)))
    hint = "" if is_runtime_installed() else RUNTIME_HINT
    if not found:
        text = "no vision model of llama.cpp, LM Studio, Hugging Face or Ollama on this disk"
        hint = hint or "`ptag embedded get` fetches one."
        yield Finding("embedded", is_ok=True, text=text, hint=hint)
        return
    best = embedded_models.best_model(found)
    for model in found:
        note = ", used when none is named" if model is best else ""
        text = f"{model.describe()}{note}; {show_path(model.model_path)}"
        yield Finding("embedded", is_ok=True, text=text, hint=model.obstacle or hint)


def _library(context: Context) -> Iterator[Finding]:
    from imageworks.store.library import Library  # noqa: PLC0415  # only when needed

    path = context.library_path
    if not path.exists():
        yield Finding("library", is_ok=True, text=f"{show_path(path)}: none yet")
        return
    try:
        library = Library(path)
    except ImageworksError as error:
        yield Finding("library", is_ok=False, text=error.message, hint=error.hint)
        return
    count = sum(library.images.counts().values())
    library.close()
    yield Finding("library", is_ok=True, text=f"{show_path(path)}: {count} images")
    kind = filesystem_of(path)
    if kind in _NETWORK_FILESYSTEMS:
        hint = "keep it on a local disk: --store FILE."
        yield Finding("library", is_ok=False, text=f"is on a network disk ({kind})", hint=hint)
    yield _space("library", path.parent)


def filesystem_of(path: Path) -> str:
    """The kind of file system that a path is on; empty where it cannot be told (proc(5))."""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:  # noqa: PTH123  # a kernel file
            rows = [line.split() for line in mounts]
    except OSError:
        return ""
    resolved = str(path.resolve())
    best, kind = "", ""
    for _, mount_point, filesystem, *_ in rows:
        inside = mount_point.rstrip("/") + "/"
        if f"{resolved}/".startswith(inside) and len(mount_point) >= len(best):
            best, kind = mount_point, filesystem
    return kind


def _space(subject: str, folder: Path) -> Finding:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    text = f"{free / 1e9:.1f} GB free at {show_path(existing)}"
    hint = "" if free >= _LOW_SPACE_BYTES else "make room, or set cache_gb lower."
    return Finding(subject, is_ok=free >= _LOW_SPACE_BYTES, text=text, hint=hint)


def _backend(context: Context) -> Iterator[Finding]:
    try:
        probes = asyncio.run(probe(context))
    except ImageworksError as error:
        yield Finding("backend", is_ok=False, text=error.message, hint=error.hint)
        return
    for result in probes:
        text = f"{result.name}: {result.message}"
        yield Finding("backend", is_ok=result.is_ok, text=text, hint=result.hint)
